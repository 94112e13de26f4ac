"""The master's loop: read what workers say, keep what they found, deal what is to do. Round after round, one thread."""

from __future__ import annotations

from collections.abc import Callable

from common.bus import Bus, Topic
from common.messages import (
    Answer,
    Control,
    Failure,
    GivenBack,
    Heartbeat,
    PhotoJob,
    PhotoResult,
    encode,
)
from common.topics import TopicNames, dead_letters, understood
from master.collect import collect
from master.crops import Crops
from master.fleet.fleet import DEAD_SECONDS, Fleet
from master.store import Store

BATCH = 50  # answers kept in one transaction
LANES = 64  # partitions of the job topics to begin with
DAY, WEEK = 86400, 7 * 86400
BEAT_SECONDS = 1.0
ENSURE_SECONDS = 10.0  # between looks whether every topic is there
FLUSH_SECONDS = 1.0  # what is not sent by then is sent meanwhile


class Superseded(Exception):
    """Another master has begun its work: this one must not write any more."""


class Master:
    """Round after round, for one thread; the scan beside it only writes into the store and reads nothing of this."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        topics: TopicNames,
        *,
        crops: Crops,
        recipe: str,
        look_again: Callable[[str], None],
        now: float,
        dead_seconds: float = DEAD_SECONDS,
    ) -> None:
        """Raises StoreError, BusUnavailable."""
        self._store = store
        self._bus = bus
        self._topics = topics
        self._crops = crops
        self._look_again = look_again
        self.epoch = store.begin_epoch()
        self._beaten = self._ensured = now
        self._lanes = LANES
        self._ensure()
        self._words = bus.reader(topics.workers)
        self._answers = bus.reader(topics.results, offset=store.offset(topics.results) or 0)
        self.fleet = Fleet(
            store,
            epoch=self.epoch,
            recipe=recipe,
            now=now,
            send_job=self._send_job,
            send_control=self._send_control,
            lane_offsets=self._lane_offsets,
            dead_seconds=dead_seconds,
        )
        self.done = 0  # photos with a result
        self.faces = 0
        self.failed = 0  # photos

    def _ensure(self) -> None:
        self._bus.ensure(
            [
                *(Topic(name, self._lanes, DAY) for name in (self._topics.jobs, self._topics.face_jobs)),
                *(Topic(name, 1, WEEK) for name in (self._topics.results, self._topics.face_results)),
                *(Topic(name, 1, DAY) for name in (self._topics.workers, self._topics.control)),
                *(Topic(dead_letters(name), 1, WEEK) for name in self._topics),
            ]
        )

    def _lane_offsets(self, lane: int) -> dict[str, int]:
        if lane >= self._lanes:
            self._lanes = lane + LANES
            self._ensure()
        return {name: self._bus.end(name, lane) for name in (self._topics.jobs, self._topics.face_jobs)}

    def _send_job(self, lane: int, job: PhotoJob) -> None:
        self._bus.publish(self._topics.jobs, encode(job), lane)

    def _send_control(self, message: Control) -> None:
        self._bus.publish(self._topics.control, encode(message))

    def round(self, now: float, wait: float, deal: bool = True) -> None:
        """One round; waits up to so many seconds for an answer. ``deal``: also give out new jobs.

        Raises Superseded, StoreError, BusUnavailable; what was kept before counts, and the next round or the next
        master goes on from there.
        """
        if now - self._beaten >= BEAT_SECONDS:
            if not self._store.beat(self.epoch):
                raise Superseded
            self._beaten = now
        if now - self._ensured >= ENSURE_SECONDS:
            self._ensure()
            self._ensured = now
        while (record := self._words.read(0)) is not None:
            word = understood(self._bus, self._topics.workers, record)
            if isinstance(word, Heartbeat | GivenBack):
                self.fleet.hear(word, now)
        self._keep(wait)
        if deal:
            for failure in self.fleet.tick(now):
                self._store.put([failure])
                self.failed += 1
        self._bus.flush(FLUSH_SECONDS)

    @property
    def idle(self) -> bool:
        """There is nothing to do, and nobody holds anything."""
        return self.fleet.idle and not self._store.jobs(1)

    def _keep(self, wait: float) -> None:
        answers: list[Answer] = []
        read = None
        while len(answers) < BATCH and (record := self._answers.read(0 if answers else wait)) is not None:
            read = record.offset + 1
            message = understood(self._bus, self._topics.results, record)
            if isinstance(message, Answer):
                answers.append(message)
        if read is None:
            return
        outcomes = collect(
            answers,
            store=self._store,
            crops=self._crops,
            look_again=self._look_again,
            read=(self._topics.results, read),
        )
        for answer, outcome in zip(answers, outcomes):
            self.fleet.answered(answer)
            if outcome == "stored" and isinstance(answer, PhotoResult):
                self.done += 1
                self.faces += len(answer.faces)
            elif outcome == "stored" and isinstance(answer, Failure):
                self.failed += 1
