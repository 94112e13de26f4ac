"""Lists the folders below the photo root, one at a time, without opening a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from common.paths import path_text

# What network storage, desktop systems and photo programs leave beside photos.
LITTER = {"@eaDir", "#recycle", "lost+found", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini"}
IGNORE_MARK = ".faceswarmignore"  # a folder that holds a file of this name is left out with everything below it


class Entry(NamedTuple):
    """A file in a folder."""

    name: str  # as common.paths makes it
    size: int
    mtime_ns: int


@dataclass
class Listing:
    """One folder's files; ``error`` says why they are not, or not all, known."""

    folder: str  # below the root, "" for the root; as common.paths makes it
    entries: list[Entry] = field(default_factory=list)
    empty: bool = True  # no file and no folder at all, not even an ignored one
    error: str | None = None


def walk(root: str, ignore: Iterable[str] = ()) -> Iterator[Listing]:
    """Every folder below the root, the root first, each as soon as it is read.

    ``ignore``: paths, absolute or below the root, that are left out with everything below them. Hidden files and
    litter are left out. Links to folders are not followed: what they lead to is listed where it is, or is not
    below the root, where other computers would not find it. Never raises OSError: a folder that can't be listed
    comes with its error.
    """
    left_out = {os.path.realpath(os.path.join(root, path)) for path in ignore}
    real_root = os.path.realpath(root)
    waiting = [real_root]
    while waiting:
        path = waiting.pop()
        listing = Listing("" if path == real_root else path_text(path[len(real_root.rstrip("/")) + 1 :]))
        folders: list[str] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    listing.empty = False
                    if entry.name == IGNORE_MARK:
                        folders, listing.entries = [], []
                        break
                    if entry.name.startswith(".") or entry.name in LITTER or entry.path in left_out:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                        continue
                    try:
                        status = entry.stat()
                    except FileNotFoundError:
                        continue  # a dangling link, or deleted just now
                    if stat.S_ISREG(status.st_mode):
                        listing.entries.append(Entry(path_text(entry.name), status.st_size, status.st_mtime_ns))
        except OSError as error:
            listing.error = error.strerror or str(error)
        yield listing
        waiting.extend(sorted(folders, reverse=True))
