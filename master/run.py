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
    MessageError,
    PhotoJob,
    PhotoResult,
    decode,
    encode,
)
from common.topics import TopicNames
from master.collect import collect
from master.crops import Crops
from master.fleet.fleet import DEAD_SECONDS, Fleet
from master.store import Store

BATCH = 50  # answers kept in one transaction
LANES = 64  # partitions of the job topics to begin with
DAY = 86400
MAX_MESSAGE_BYTES = 16 << 20
BEAT_SECONDS = 1.0


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
        self._beaten = now
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
                Topic(self._topics.jobs, self._lanes, DAY, MAX_MESSAGE_BYTES),
                Topic(self._topics.results, 1, 7 * DAY, MAX_MESSAGE_BYTES),
                Topic(self._topics.workers, 1, DAY, MAX_MESSAGE_BYTES),
                Topic(self._topics.control, 1, DAY, MAX_MESSAGE_BYTES),
            ]
        )

    def _lane_offsets(self, lane: int) -> dict[str, int]:
        if lane >= self._lanes:
            self._lanes = lane + LANES
            self._ensure()
        return {self._topics.jobs: self._bus.end(self._topics.jobs, lane)}

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
        while (record := self._words.read(0)) is not None:
            word = _decoded(record.value)
            if isinstance(word, Heartbeat | GivenBack):
                self.fleet.hear(word, now)
        self._keep(wait)
        if deal:
            for failure in self.fleet.tick(now):
                self._store.put([failure])
                self.failed += 1
        self._bus.flush()

    @property
    def idle(self) -> bool:
        """There is nothing to do, and nobody holds anything."""
        return self.fleet.idle and not self._store.jobs(1)

    def _keep(self, wait: float) -> None:
        answers: list[Answer] = []
        read = None
        while len(answers) < BATCH and (record := self._answers.read(0 if answers else wait)) is not None:
            read = record.offset + 1
            message = _decoded(record.value)
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


def _decoded(data: bytes) -> object:
    try:
        return decode(data)
    except MessageError:
        return None  # of no version that we know: its photo is missed in the heartbeats, and dealt again
