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
    megapixels: float  # of the full-size picture; 0 when its header can't be read


class Attempt(NamedTuple):
    """A job that was given to a worker, and has no answer yet."""

    photo: str
    recipe: str
    attempt: int
    worker: str
    incarnation: str  # of that worker: another one has forgotten the job


class Lane(NamedTuple):
    """A partition of the job topics, and the worker that reads it."""

    number: int
    generation: int  # rises with every use of any lane: the lowest was not used for the longest
    worker: str
    incarnation: str


class Manners(NamedTuple):
    """How polite a worker is to be to whoever uses its computer."""

    paused: bool = False
    drain: bool = False  # finish what it has, then end
    hours: str | None = None  # of the day, the worker's own time: "22-7"
    max_load: float | None = None  # no new job above this load of the computer, per core


class KnownWorker(NamedTuple):
    """What is kept of a worker by its name, for as long as the store lives."""

    name: str
    rate: float | None  # seconds a megapixel and slot, as last measured
    manners: Manners


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
        """What is to do: fewest attempts first, then the newest file first."""
        ...

    def begin(self, photo: str, recipe: str, worker: str, incarnation: str) -> int | None:
        """Counts an attempt, before it is made; None if there is no such job any more.

        Returns the attempt's number, which no other attempt at the job has or had.
        """
        ...

    def attempts(self) -> list[Attempt]:
        """Every attempt that was begun and neither answered nor ended."""
        ...

    def end_attempt(self, photo: str, recipe: str, attempt: int, *, counts: bool) -> None:
        """This attempt will have no answer. ``counts``: it may have been the photo's fault; else it is taken back."""
        ...

    def known(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these (photo, recipe) that have a result."""
        ...

    def put(self, answers: Sequence[PhotoResult | Failure], read: tuple[str, int] | None = None) -> list[Stored]:
        """Keeps answers, and then that a topic was read up to an offset; says of each answer what became of it.

        A result is kept with its faces (without their crops), and ends its job, its attempts and an earlier failure.
        The first result of (photo, recipe) wins whole: a later one is "known" and changes nothing. A failure ends its
        job and attempts, too; it is "known", and changes nothing, where there is a result.
        """
        ...

    def offset(self, topic: str) -> int | None:
        """Up to where a topic was read, as put() was told; None for one never read."""
        ...

    def begin_epoch(self) -> int:
        """Makes the caller the master: atomically the highest number so far, and one more."""
        ...

    def beat(self, epoch: int) -> bool:
        """The master of this epoch is alive; False if there is a later one, whose work must not be disturbed."""
        ...

    def mastership(self) -> tuple[int, int]:
        """The latest epoch, and a number that changes whenever its master beats."""
        ...

    def lanes(self) -> list[Lane]:
        """Every lane that was ever used, with its latest use."""
        ...

    def use_lane(self, lane: Lane) -> None: ...

    def workers(self) -> list[KnownWorker]:
        """Every worker that was measured, or told its manners, by name."""
        ...

    def put_rate(self, worker: str, rate: float) -> None: ...

    def put_manners(self, worker: str, manners: Manners) -> None: ...

    def put_note(self, name: str, text: str) -> None:
        """Keeps a text that the master leaves for the command line, in place of the one of that name."""
        ...

    def note(self, name: str) -> str | None: ...

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
