"""One pass over the photo root: lists, looks at what is new or changed, records it."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from common.imaging.decoder import Decoder
from common.imaging.errors import PhotoError
from common.imaging.formats import Skip
from common.paths import local_path
from master.scan.plan import UNREADABLE, plan_folder
from master.scan.walk import Entry, walk
from master.store import File, Photo, Store

RECORD_FILES = 64  # looked at, before they are recorded in one transaction,
RECORD_SECONDS = 0.5  # or after this time, so that the first faces come at once on a slow drive


@dataclass
class Tally:
    """What a pass has seen so far. Read by other threads while it grows."""

    files: int = 0
    new: int = 0  # files with a photo not known before
    moved: int = 0  # files with a known photo whose earlier places are gone
    copies: int = 0  # files with a known photo that is elsewhere too
    retagged: int = 0  # files changed but for their picture
    unchanged: int = 0  # files not opened
    missing: int = 0  # known files no longer there
    skipped: int = 0
    unreadable: int = 0
    problems: list[str] = field(default_factory=list)  # folders that could not be listed, in words
    complete: bool = False  # every folder was visited


class Scan:
    """One pass. run() is for one thread; look_again() and stop() are for any."""

    def __init__(
        self, root: str, *, store: Store, decoder: Decoder, ignore: Iterable[str] = (), usable: frozenset[str]
    ) -> None:
        self._root = root
        self._store = store
        self._decoder = decoder
        self._ignore = tuple(ignore)
        self._usable = usable
        self._found: list[tuple[File, Photo | None]] = []
        self._recorded = time.monotonic()
        self._again: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stopped = False
        self.tally = Tally()

    def stop(self) -> None:
        """Ends run() soon; what was looked at is recorded, nothing is taken for missing."""
        self._stopped = True

    def look_again(self, path: str) -> None:
        """A worker found another picture, or nothing, at this path: it is looked at by run() or drain()."""
        self._again.put(path)

    def run(self) -> None:
        """Raises StoreError when the database can't be used; then only what was recorded before counts."""
        tally, visited, unlisted = self.tally, set(), []
        for listing in walk(self._root, self._ignore):
            if listing.error:
                unlisted.append(listing.folder)
                tally.problems.append(
                    f"{listing.folder or self._root} can't be listed ({listing.error}); what is known of it is kept."
                )
                continue
            if listing.folder == "" and listing.empty:
                tally.problems.append(f"{self._root} is empty. Is its drive mounted? Nothing was changed.")
                return
            visited.add(listing.folder)
            plan = plan_folder(listing.entries, self._store.folder(listing.folder), self._usable)
            tally.files += plan.unchanged
            tally.unchanged += plan.unchanged
            for entry in plan.look:
                self._look(listing.folder, entry)
                tally.files += 1
                self.drain()
                if self._stopped:
                    self._record()
                    return
            self._forget(listing.folder, plan.missing)
        self._record()
        for folder in self._store.folders():
            if folder not in visited and not any(_below(folder, other) for other in unlisted):
                self._forget(folder, list(self._store.folder(folder)))
        tally.complete = True

    def drain(self) -> None:
        """Looks at the paths given to look_again()."""
        while not self._again.empty():
            path = self._again.get()
            folder, _, name = path.rpartition("/")
            try:
                status = os.stat(local_path(self._root, path))
            except OSError:
                self._forget(folder, [name])
                continue
            self._look(folder, Entry(name, status.st_size, status.st_mtime_ns))
            self._record()

    def _forget(self, folder: str, names: list[str]) -> None:
        if names:
            self._record()  # a photo found elsewhere in this pass keeps its job
            self._store.forget((folder, name) for name in names)
            self.tally.missing += len(names)

    def _look(self, folder: str, entry: Entry) -> None:
        file = File(folder, entry.name, entry.size, entry.mtime_ns)
        photo = None
        try:
            probe = self._decoder.probe(local_path(self._root, file.path))
        except FileNotFoundError:
            return  # deleted since it was listed; the next pass will not list it
        except PhotoError as error:
            # Kept as failed under its path, and looked at again when the file changes.
            file = replace(file, error=(error.kind, str(error)))
        except OSError as error:
            # Kept as failed under its path, and looked at again in every pass: permissions and drives change.
            file = replace(file, error=(UNREADABLE, f"The file can't be read ({error.strerror or error})."))
        else:
            if isinstance(probe, Skip):
                file = replace(file, skipped=probe.reason)
            else:
                file = replace(file, sha256=probe.sha256, photo=str(probe.photo))
                photo = Photo(str(probe.photo), probe.width, probe.height, probe.format)
        self._count(file)
        self._found.append((file, photo))
        if len(self._found) >= RECORD_FILES or time.monotonic() - self._recorded >= RECORD_SECONDS:
            self._record()

    def _count(self, file: File) -> None:
        tally = self.tally
        if file.error:
            tally.unreadable += 1
        elif file.photo is None:
            tally.skipped += 1
        elif not (paths := self._known(file.photo)):
            tally.new += 1
        elif file.path in paths:
            tally.retagged += 1
        elif any(os.path.lexists(local_path(self._root, path)) for path in paths):
            tally.copies += 1
        else:
            tally.moved += 1

    def _known(self, photo: str) -> list[str]:
        return [file.path for file, _ in self._found if file.photo == photo] + self._store.paths(photo)

    def _record(self) -> None:
        if self._found:
            self._store.record(self._found)
            self._found.clear()
        self._recorded = time.monotonic()


def _below(folder: str, other: str) -> bool:
    return other == "" or folder == other or folder.startswith(other + "/")


def count_files(root: str, ignore: Iterable[str], stop: Callable[[], bool]) -> int:
    """How many files a pass will see, so that the time to go can be told before it has seen them."""
    files = 0
    for listing in walk(root, ignore):
        files += len(listing.entries)
        if stop():
            break
    return files
