"""Compares a folder as it is with the folder as it is known, and says what to look at. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from master.scan.walk import Entry
from master.store import File

UNREADABLE = "unreadable"  # the class of failure that may be gone at the next look, though the file is unchanged


@dataclass(frozen=True)
class FolderPlan:
    """What to do about one folder."""

    look: list[Entry]  # new or changed: to be opened
    unchanged: int
    missing: list[str]  # names known but no longer there


def plan_folder(entries: Sequence[Entry], known: Mapping[str, File], usable: frozenset[str]) -> FolderPlan:
    """A file is unchanged when its name, size and time are; it is then not opened.

    Except that a file which could not be read, or was skipped for a reason that no longer holds (``usable``: the
    reasons that don't), is looked at again.
    """
    look = []
    for entry in entries:
        file = known.get(entry.name)
        if (
            file is None
            or (file.size, file.mtime_ns) != (entry.size, entry.mtime_ns)
            or file.skipped in usable
            or (file.error is not None and file.error[0] == UNREADABLE)
        ):
            look.append(entry)
    names = {entry.name for entry in entries}
    return FolderPlan(look, len(entries) - len(look), [name for name in known if name not in names])
