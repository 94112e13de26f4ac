"""A worker's life: take jobs from the bus, hand them to slots, publish what comes out, and only then forget the job."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass

import msgpack

from common.bus import Bus, Reader
from common.child_process import ChildError, ChildProcess, ChildTooSlow
from common.imaging.decoder import Limits
from common.messages import Answer, Failure, MessageError, PhotoJob, decode, encode

START_SECONDS = 120  # an old computer may take a minute to load the runtime from a cold disk
READ_SECONDS = 0.2  # between looks whether to stop


class WorkerError(Exception):
    """This worker can't work at all: no slot starts. The photos are left for others or for later."""


@dataclass(frozen=True)
class Settings:
    """What a slot needs to know."""

    root: str  # where this machine has the photos
    worker: str  # this worker's name
    limits: Limits
    threads: int = 1  # of the engine in each slot; photos in parallel pay more than threads in one photo


class Slot:
    """One process with an engine, replaced when a photo kills it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Opening and cutting patches may each take the decoder's deadline, twice; the engine takes the rest.
        self._seconds = 4 * settings.limits.seconds + 120
        self._child = self._start()
        self._ready = False

    def _start(self) -> ChildProcess:
        child = ChildProcess("worker.slot")
        child.send(msgpack.packb(asdict(self._settings)))
        return child

    def process(self, data: bytes, job: PhotoJob) -> bytes:
        """The answer to a job, whatever the photo does to the process. Raises WorkerError if no process starts."""
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

    def _ask(self, data: bytes) -> bytes:
        if not self._ready:
            try:
                self._child.receive(START_SECONDS)
            except ChildError as error:
                raise WorkerError(f"The engine does not start ({error}). `faceswarm doctor` says more.") from error
            self._ready = True
        self._child.send(data)
        return self._child.receive(self._seconds)

    def _replace(self) -> None:
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


class Session:
    """Works on one partition of the job topic with a number of slots, each in a thread and a process of its own."""

    def __init__(self, bus: Bus, jobs: Reader, results_topic: str, settings: Settings, slots: int) -> None:
        self._bus = bus
        self._jobs = jobs
        self._results_topic = results_topic
        self._held: queue.Queue[tuple[bytes, PhotoJob] | None] = queue.Queue()
        self._stopping = threading.Event()
        self._slots = [Slot(settings) for _ in range(slots)]
        self.error: WorkerError | None = None
        loops: list[Callable[[], None]] = [self._take, *(lambda slot=slot: self._work(slot) for slot in self._slots)]
        self._threads = [threading.Thread(target=loop, name="worker", daemon=True) for loop in loops]
        for thread in self._threads:
            thread.start()

    def _take(self) -> None:
        while not self._stopping.is_set():
            if (record := self._jobs.read(READ_SECONDS)) is None:
                continue
            try:
                job = decode(record.value)
            except MessageError:
                continue  # of no version that we know; the master sees no answer and deals the photo again
            if isinstance(job, PhotoJob):
                self._held.put((record.value, job))

    def _work(self, slot: Slot) -> None:
        while (held := self._held.get()) is not None:
            try:
                answer = slot.process(*held)
            except WorkerError as error:
                self.error = error
                return
            self._bus.publish(self._results_topic, answer)
            self._bus.flush()

    def stop(self) -> None:
        """Finishes what is begun, gives the rest back by not answering it, and ends every process."""
        self._stopping.set()
        try:
            while True:
                self._held.get_nowait()
        except queue.Empty:
            pass
        for _ in self._slots:
            self._held.put(None)
        for thread in self._threads:
            thread.join()
        for slot in self._slots:
            slot.close()
