"""The slots of a worker, seen from its session: one process each, replaced when a photo kills it."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

import msgpack

from common.child_process import ChildError, ChildProcess, ChildTooSlow
from common.imaging.decoder import Limits
from common.messages import Answer, Failure, PhotoJob, encode

START_SECONDS = 120  # an old computer may take a minute to load the runtime from a cold disk


class WorkerError(Exception):
    """This worker can't work at all: no slot starts. The photos are left for others or for later."""


class SlotStopped(Exception):
    """The job in hand was ended on request; it has no answer."""


@dataclass(frozen=True)
class Settings:
    """What a slot needs to know."""

    root: str  # where this machine has the photos
    worker: str  # this worker's name
    limits: Limits
    threads: int = 1  # of the engine in each slot; photos in parallel pay more than threads in one photo
    module: str = "worker.slot"  # what a slot's process runs


class Slot:
    """One process with an engine, replaced when a photo kills it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Opening and cutting patches may each take the decoder's deadline, twice; the engine takes the rest.
        self._seconds = 4 * settings.limits.seconds + 120
        self._child = self._start()
        self._ready = False
        self._lock = threading.Lock()  # guards the next two
        self._job: PhotoJob | None = None  # in hand
        self._stopping = False

    def _start(self) -> ChildProcess:
        child = ChildProcess(self._settings.module)
        child.send(msgpack.packb(asdict(self._settings)))
        return child

    def process(self, data: bytes, job: PhotoJob) -> bytes:
        """The answer to a job, whatever the photo does to the process.

        Raises SlotStopped if stop() was called meanwhile, WorkerError if no process starts.
        """
        with self._lock:
            self._job = job
        try:
            return self._tried_twice(data, job)
        finally:
            with self._lock:
                self._job, self._stopping = None, False

    def _tried_twice(self, data: bytes, job: PhotoJob) -> bytes:
        try:
            return self._ask(data)
        except ChildError:
            # The photo may have done this: it gets a second try in a fresh process.
            self._replace()
        try:
            return self._ask(data)
        except ChildError as error:
            # The photo is kept as failed; the next one gets a fresh process.
            self._replace()
            return encode(self._failure(job, error))

    def stop(self, job: PhotoJob) -> None:
        """Ends this job if it is in hand: process() then raises SlotStopped. For any thread."""
        with self._lock:
            if self._job is job:
                self._stopping = True
                self._child.kill()

    def _ask(self, data: bytes) -> bytes:
        if not self._ready:
            try:
                self._child.receive(START_SECONDS)
            except ChildError as error:
                if self._stopping:
                    raise
                raise WorkerError(f"The engine does not start ({error}). `faceswarm doctor` says more.") from error
            self._ready = True
        self._child.send(data)
        return self._child.receive(self._seconds)

    def _replace(self) -> None:
        self._restart()
        if self._stopping:
            raise SlotStopped

    def _restart(self) -> None:
        self._child.kill()
        self._child = self._start()
        self._ready = False

    def _failure(self, job: PhotoJob, error: ChildError) -> Answer:
        slow = isinstance(error, ChildTooSlow)
        return Failure(
            photo=job.photo,
            recipe=job.recipe,
            path=job.path,
            attempt=job.attempt,
            worker=self._settings.worker,
            kind="took too long" if slow else "engine crashed",
            message=f"Searching this photo {'took too long' if slow else 'ended the engine'} twice ({error}). "
            "It is left out until the file changes; all other photos go on.",
        )

    def close(self) -> None:
        self._child.kill()
