"""What is known and what is to do: the Store port here, one file for each database.

The store is the truth. A job is in it before it is published; a result is in it before it counts as done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from common.messages import Failure, PhotoResult
from common.model import Box


class StoreError(Exception):
    """The database can't be used; the message says why and what to do."""


class StoreBusy(StoreError):
    """Another process holds writing()."""


@dataclass(frozen=True)
class File:
    """A file below the photo root as the last look at it found it.

    Exactly one of ``photo``, ``skipped`` and ``error`` is set.
    """

    folder: str  # below the photo root, "" for the root itself; as common.paths makes it
    name: str
    size: int  # bytes
    mtime_ns: int
    sha256: str | None = None  # of the whole file
    photo: str | None = None  # common.model.PhotoId as text
    skipped: str | None = None  # why this is no photo for us: "video", "needs HEIF support"
    error: tuple[str, str] | None = None  # class and message: the file could not be read; looked at again each pass

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name


class Photo(NamedTuple):
    """A photo, wherever and however often its picture lies below the photo root."""

    photo: str  # common.model.PhotoId as text
    width: int  # pixels of the upright picture; 0 x 0 when its header can't be read
    height: int
    format: str


class Job(NamedTuple):
    """A photo to be processed."""

    photo: str
    recipe: str
    path: str  # one of its files
    attempts: int  # made so far


class StoredFace(NamedTuple):
    """A face as ``faces()`` lists it."""

    face: str
    photo: str
    recipe: str
    paths: tuple[str, ...]  # every file of the photo; empty when all are gone
    box: Box
    score: float
    doubt: float


class StoredFailure(NamedTuple):
    """A failure as ``failures()`` lists it."""

    path: str
    photo: str | None  # None where the file could not even be read
    kind: str
    message: str
    attempts: int
    worker: str | None
    when: str | None  # ISO 8601, UTC


class Counts(NamedTuple):
    """Figures of the whole store."""

    files: int
    photos: int  # with at least one file
    todo: int
    done: int
    failed: dict[str, int]  # photos, and files that could not be read, by class
    faces: int
    skipped: dict[str, int]  # files, by reason


Stored = Literal["stored", "known"]


class Store(Protocol):
    """Keeps photos, jobs, results and failures. Every method is durable when it returns, and may be repeated.

    Safe for several threads of one process. Methods raise StoreError when the database can't be used.
    """

    def want(self, recipe: str) -> None:
        """From now on photos are to be processed by this recipe: known ones that lack it become jobs."""
        ...

    def folder(self, folder: str) -> dict[str, File]:
        """The known files directly in a folder, by name."""
        ...

    def folders(self) -> Iterator[str]:
        """Every folder with known files."""
        ...

    def paths(self, photo: str) -> list[str]:
        """Every known file of a photo."""
        ...

    def record(self, files: Sequence[tuple[File, Photo | None]]) -> list[bool]:
        """Keeps what was found at these paths; photos with no result, failure or job of the wanted recipe become jobs.

        Says for each whether its photo was unknown so far.
        """
        ...

    def forget(self, paths: Iterable[tuple[str, str]]) -> None:
        """These (folder, name) are no longer there. Photos stay known; jobs of photos without a file end."""
        ...

    def jobs(self, limit: int) -> list[Job]:
        """What is to do: fewest attempts first, then oldest first."""
        ...

    def begin(self, photo: str, recipe: str) -> int | None:
        """Counts an attempt, before it is made, and returns its number; None if there is no such job any more."""
        ...

    def give_back(self, photo: str, recipe: str) -> None:
        """Takes back an attempt that was begun and not made."""
        ...

    def put_result(self, result: PhotoResult) -> Stored:
        """Keeps a result and its faces (without their crops) and ends its job and failure.

        The first result of (photo, recipe) wins whole: a later one is "known" and changes nothing.
        """
        ...

    def put_failure(self, failure: Failure) -> Stored:
        """Keeps a failure and ends its job; "known" and no change where there is a result."""
        ...

    def has_result(self, photo: str, recipe: str) -> bool: ...

    def faces(self) -> Iterator[StoredFace]:
        """Every face of the wanted recipe, photo by photo, in the order of their paths."""
        ...

    def failures(self) -> Iterator[StoredFailure]:
        """Every failure, by class and path."""
        ...

    def counts(self) -> Counts: ...

    def writing(self) -> AbstractContextManager[None]:
        """Held by whoever scans and collects. Raises StoreBusy if another process holds it."""
        ...

    def close(self) -> None: ...
