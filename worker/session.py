"""A worker's life: say hello, read the lane that the master gives, hand jobs to slots, publish what comes out, and only
then forget the job. Needs the bus and the photos, nothing else.
"""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from common.bus import Bus, Reader
from common.messages import (
    Changed,
    Control,
    GivenBack,
    Heartbeat,
    Held,
    LaneGiven,
    Leave,
    Message,
    PhotoJob,
    PhotoResult,
    Stop,
    decode,
    encode,
)
from common.model import work
from common.paths import local_path
from common.topics import TopicNames, understood
from worker.slots import Settings, Slot, SlotStopped, WorkerError

BEAT_SECONDS = 1.0
READ_SECONDS = 0.2  # between looks whether to stop
FLUSH_SECONDS = 1.0  # what is not sent by then is sent meanwhile
RATE_WEIGHT = 0.2  # of the latest photo in the smoothed speed


@dataclass(eq=False)
class _Job:
    message: PhotoJob
    data: bytes
    begun: bool = False
    stopped: bool = False
    slot: Slot | None = field(default=None)

    @property
    def held(self) -> Held:
        return Held(self.message.photo, self.message.recipe, self.message.attempt)


class Session:
    """Starts at once, in threads of its own, and works until stop() or until the master tells it to leave."""

    def __init__(
        self, bus: Bus, topics: TopicNames, settings: Settings, *, recipe: str, engine: str, slots: int
    ) -> None:
        self._bus = bus
        self._topics = topics
        self._settings = settings
        self._recipe = recipe
        self._engine = engine
        self._incarnation = secrets.token_hex(8)
        self._lock = threading.Condition()
        self._jobs: list[_Job] = []  # held, in the order they came
        self._lane: LaneGiven | None = None
        self._epoch = 0  # the highest seen
        self._reader: Reader | None = None
        self._control = bus.reader(topics.control)
        self._rate: float | None = None
        self._problem: str | None = None
        self._ending = False  # no new job is begun
        self._ended = threading.Event()
        self.done = 0  # photos answered
        self.error: WorkerError | None = None
        self._slots = [Slot(settings) for _ in range(slots)]
        loops: list[Callable[[], None]] = [self._beat, self._listen, self._take]
        loops += [lambda slot=slot: self._work(slot) for slot in self._slots]  # type: ignore[misc]
        self._threads = [threading.Thread(target=loop, name="worker", daemon=True) for loop in loops]
        for thread in self._threads:
            thread.start()

    @property
    def left(self) -> bool:
        """The master told this worker to leave, and it holds nothing any more."""
        with self._lock:
            return self._ending and not self._jobs

    def _say(self, message: Message) -> None:
        self._bus.publish(self._topics.workers, encode(message))
        self._bus.flush(FLUSH_SECONDS)

    def _heartbeat(self, leaving: bool = False) -> Heartbeat:
        with self._lock:
            return Heartbeat(
                worker=self._settings.worker,
                incarnation=self._incarnation,
                architecture=platform.machine(),
                engine=self._engine,
                recipe=self._recipe,
                slots=len(self._slots),
                rate=self._rate,
                load=os.getloadavg()[0] / (os.cpu_count() or 1),
                hour=datetime.now().hour,
                generation=self._lane.generation if self._lane else 0,
                held=tuple(job.held for job in self._jobs),
                problem=self._problem,
                leaving=leaving,
            )

    def _beat(self) -> None:
        while not self._ended.is_set():
            if self._problem and self._lane:
                self._problem = self._look_at_root(self._lane)  # it may be mounted by now
            self._say(self._heartbeat())
            self._ended.wait(BEAT_SECONDS)

    def _listen(self) -> None:
        while not self._ended.is_set():
            if (record := self._control.read(READ_SECONDS)) is None:
                continue
            message = understood(self._bus, self._topics.control, record)
            if isinstance(message, Control) and (message.worker, message.incarnation) == self._me:
                self._obey(message)

    @property
    def _me(self) -> tuple[str, str]:
        return self._settings.worker, self._incarnation

    def _obey(self, message: Control) -> None:
        with self._lock:
            if message.epoch < self._epoch:
                return  # the word of a master that is not the master any more
            self._epoch = message.epoch
            if isinstance(message, LaneGiven) and (not self._lane or message.generation > self._lane.generation):
                self._lane = message
                self._reader = self._bus.reader(self._topics.jobs, message.lane, message.offsets[self._topics.jobs])
                self._problem = self._look_at_root(message)
            elif isinstance(message, Stop):
                for job in self._jobs:
                    if job.held == message.job:
                        job.stopped = True
                        if job.slot:
                            job.slot.stop(job.message)
                        elif not job.begun:
                            self._jobs.remove(job)
                        break
            elif isinstance(message, Leave):
                self._end()

    def _look_at_root(self, lane: LaneGiven) -> str | None:
        root = self._settings.root
        try:
            if not os.listdir(root):
                return f"{root} is empty here: is it mounted?"
        except OSError as error:
            return f"{root} can't be read here ({error.strerror}): is it mounted?"
        if lane.samples and not any(os.path.lexists(local_path(root, path)) for path in lane.samples):
            return f"{root} holds other files here than on the master: is the right folder mounted?"
        return None

    def _take(self) -> None:
        reader = None
        while not self._ended.is_set():
            if reader and reader is not self._reader:
                reader.close()
            reader = self._reader
            record = reader.read(READ_SECONDS) if reader else None
            if record is None:
                if reader is None:
                    self._ended.wait(READ_SECONDS / 4)
                continue
            job = understood(self._bus, self._topics.jobs, record)
            if isinstance(job, PhotoJob):
                self._accept(job, record.value)

    def _accept(self, job: PhotoJob, data: bytes) -> None:
        with self._lock:
            assert self._lane
            mine = (job.worker, job.incarnation, job.generation) == (*self._me, self._lane.generation)
            if not mine or job.epoch < self._epoch:
                return  # for an earlier user of the lane, or from an earlier master
            self._epoch = job.epoch
            new = _Job(job, data)
            if any(held.held == new.held for held in self._jobs):
                return  # it came twice
            if self._ending:
                self._say(GivenBack(worker=job.worker, incarnation=job.incarnation, jobs=(new.held,)))
                return
            self._jobs.append(new)
            self._lock.notify_all()

    def _work(self, slot: Slot) -> None:
        while (job := self._next()) is not None:
            began = time.monotonic()
            job.slot = slot
            try:
                answer = slot.process(job.data, job.message)
            except SlotStopped:
                answer = None  # a twin was faster, or we are to end: the job is given back by stop()
            except WorkerError as error:
                self.error = error
                return
            finally:
                job.slot = None
            if answer is not None and not job.stopped:
                self._measure(answer, time.monotonic() - began)
                self._bus.publish(self._topics.results, answer)
                while not self._bus.flush() and not self._ended.is_set():
                    pass  # the broker is away: the result stays ours, and so does the job, until it is back
                self.done += 1
            with self._lock:
                if job in self._jobs and (answer is not None or job.stopped):
                    self._jobs.remove(job)
                self._lock.notify_all()

    def _next(self) -> _Job | None:
        with self._lock:
            while True:
                if self._ending:
                    return None
                for job in self._jobs:
                    if not job.begun:
                        job.begun = True
                        return job
                self._lock.wait()

    def _measure(self, answer: bytes, seconds: float) -> None:
        message = decode(answer)
        if isinstance(message, PhotoResult):
            rate = seconds / work(message.megapixels)
            self._rate = rate if self._rate is None else (1 - RATE_WEIGHT) * self._rate + RATE_WEIGHT * rate
        elif isinstance(message, Changed) and self._lane:
            self._problem = self._look_at_root(self._lane)  # not one file, but all of them may be gone

    def stop(self, grace: float = 30.0) -> None:
        """Gives back what has not begun, finishes what has or, after ``grace`` seconds, gives it back, and says so."""
        with self._lock:
            self._end()
            self._lock.wait_for(lambda: not self._jobs or self.error, grace)
            rest = list(self._jobs)
        for job in rest:
            if job.slot:
                job.slot.stop(job.message)
        with self._lock:
            self._give_back(rest)
        self._ended.set()
        for thread in self._threads:
            thread.join(BEAT_SECONDS + READ_SECONDS + 5)
        self._say(self._heartbeat(leaving=True))
        for slot in self._slots:
            slot.close()

    def _end(self) -> None:
        self._ending = True
        self._give_back([job for job in self._jobs if not job.begun])
        self._lock.notify_all()

    def _give_back(self, jobs: list[_Job]) -> None:
        if jobs:
            self._jobs = [job for job in self._jobs if job not in jobs]
            worker, incarnation = self._me
            self._say(GivenBack(worker=worker, incarnation=incarnation, jobs=tuple(job.held for job in jobs)))
