"""A worker's session with a master that the test plays, over the memory bus and real slot processes that only sleep."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.bus.memory import MemoryBus
from common.imaging.decoder import Limits
from common.messages import (
    DeadLetter,
    Failure,
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
from common.topics import TopicNames
from tests.builders import RECIPE, key
from worker.session import Session
from worker.slots import Settings

TOPICS = TopicNames("jobs", "results", "face_jobs", "face_results", "workers", "control")
DEADLINE = 30  # s; for what must come


class PlayedMaster:
    """The master's side of the talk."""

    def __init__(self, root: Path) -> None:
        self.bus = MemoryBus()
        self._words, self._results = self.bus.reader("workers"), self.bus.reader("results")
        self.session = Session(
            self.bus, TOPICS, Settings(str(root), "w", Limits(), module="tests.sleeping_slot"),
            recipe=RECIPE, engine="onnx", slots=1,
        )  # fmt: skip
        self.beat = self.word(lambda m: isinstance(m, Heartbeat))

    def word(self, wanted: Callable[[Message], bool]) -> Message:
        """The next word of the worker that is wanted."""
        return self._next(self._words, wanted)

    def result(self) -> Message:
        """The next answer."""
        return self._next(self._results, lambda _: True)

    def _next(self, reader: object, wanted: Callable[[Message], bool]) -> Message:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            record = reader.read(0.1)  # type: ignore[attr-defined]
            if record and wanted(message := decode(record.value)):
                return message
        raise AssertionError("waited in vain")

    def give_lane(self, generation: int = 1, epoch: int = 1, samples: tuple[str, ...] = ()) -> Heartbeat:
        """Gives a lane, and waits until the worker names it."""
        assert isinstance(self.beat, Heartbeat)
        self.say(LaneGiven(worker="w", incarnation=self.beat.incarnation, epoch=epoch, lane=3, generation=generation,
                           offsets={"jobs": self.bus.end("jobs", 3)}, samples=samples))  # fmt: skip
        beat = self.word(lambda m: isinstance(m, Heartbeat) and m.generation == generation)
        assert isinstance(beat, Heartbeat)
        return beat

    def say(self, message: Message) -> None:
        """A control message."""
        self.bus.publish("control", encode(message))

    def job(self, letter: str, path: str, attempt: int = 1, **more: object) -> PhotoJob:
        """Sends a job."""
        assert isinstance(self.beat, Heartbeat)
        fields = {"worker": "w", "incarnation": self.beat.incarnation, "generation": 1, "epoch": 1, **more}
        job = PhotoJob(photo=key(letter), recipe=RECIPE, path=path, attempt=attempt, **fields)  # type: ignore[arg-type]
        self.bus.publish("jobs", encode(job), 3)
        return job

    def holds(self, *letters: str) -> Heartbeat:
        """The first heartbeat that names just these jobs."""
        photos = {key(letter) for letter in letters}
        beat = self.word(lambda m: isinstance(m, Heartbeat) and {job.photo for job in m.held} == photos)
        assert isinstance(beat, Heartbeat)
        return beat


@pytest.fixture
def master(tmp_path: Path) -> Iterator[PlayedMaster]:
    """A master with one worker, whose photo root holds one file."""
    (tmp_path / "0 a.jpg").touch()
    played = PlayedMaster(tmp_path)
    yield played
    played.session.stop(grace=0)


def test_a_worker_does_the_jobs_of_its_lane(master: PlayedMaster) -> None:
    """Hello, lane, job, result; then the job is forgotten, and the speed known."""
    master.give_lane()
    master.job("a", "0.1 a.jpg")
    answer = master.result()
    assert isinstance(answer, PhotoResult)
    assert (answer.photo, answer.attempt, answer.worker) == (key("a"), 1, "w")
    beat = master.holds()
    assert beat.rate
    assert beat.rate > 0


@pytest.mark.parametrize(
    "fence", [{"incarnation": "another"}, {"generation": 0}, {"epoch": 0}, {"worker": "another"}], ids=str
)
def test_a_worker_drops_what_is_not_for_it(master: PlayedMaster, fence: dict[str, object]) -> None:
    """Jobs of a former user of the lane, of another incarnation, or of a former master are not done."""
    master.give_lane()
    master.job("a", "0 a.jpg", **fence)
    master.job("b", "0 b.jpg")
    answer = master.result()
    assert isinstance(answer, PhotoResult)
    assert answer.photo == key("b")


def test_a_former_master_is_not_obeyed(master: PlayedMaster) -> None:
    """After a word of epoch 5, a lane of epoch 4 is ignored."""
    master.give_lane(generation=1, epoch=5)
    assert isinstance(master.beat, Heartbeat)
    master.say(
        LaneGiven(worker="w", incarnation=master.beat.incarnation, epoch=4, lane=9, generation=2, offsets={"jobs": 0})
    )
    beat = master.word(lambda m: isinstance(m, Heartbeat))
    assert isinstance(beat, Heartbeat)
    assert beat.generation == 1


def test_a_job_that_comes_twice_is_done_once(master: PlayedMaster) -> None:
    """While it is held, the same attempt is not taken again."""
    master.give_lane()
    master.job("a", "0.3 a.jpg")
    master.job("a", "0.3 a.jpg")
    master.job("b", "0 b.jpg")
    assert [getattr(master.result(), "photo", None) for _ in range(2)] == [key("a"), key("b")]


def test_a_job_that_nobody_waits_for_is_stopped(master: PlayedMaster) -> None:
    """A stopped job ends at once, in hand or waiting, without an answer; the next one is done."""
    master.give_lane()
    job = master.job("a", "60 a.jpg")
    waiting = master.job("b", "60 b.jpg")
    master.holds("a", "b")
    for each in (waiting, job):
        held = Held(each.photo, each.recipe, each.attempt)
        master.say(Stop(worker="w", incarnation=job.incarnation, epoch=1, job=held))
    master.job("c", "0 c.jpg")
    answer = master.result()
    assert isinstance(answer, PhotoResult)
    assert answer.photo == key("c")


def test_a_photo_that_ends_the_slot_twice_fails(master: PlayedMaster) -> None:
    """It is answered as a failure, and the next one is done in a fresh process."""
    master.give_lane()
    master.job("a", "0 crash.jpg")
    master.job("b", "0 b.jpg")
    first, second = master.result(), master.result()
    assert isinstance(first, Failure)
    assert (first.photo, first.kind) == (key("a"), "engine crashed")
    assert isinstance(second, PhotoResult)


def test_a_worker_that_ends_gives_back_what_it_has_not_begun(master: PlayedMaster) -> None:
    """What is in hand is finished, the rest is given back, and the last word is that it leaves."""
    master.give_lane()
    master.job("a", "1 a.jpg")
    master.job("b", "0 b.jpg")
    master.holds("a", "b")
    master.session.stop(grace=20)
    back = master.word(lambda m: isinstance(m, GivenBack))
    assert isinstance(back, GivenBack)
    assert [job.photo for job in back.jobs] == [key("b")]
    answer = master.result()
    assert isinstance(answer, PhotoResult)
    assert answer.photo == key("a")
    assert master.word(lambda m: isinstance(m, Heartbeat) and m.leaving)


def test_what_is_not_finished_within_the_grace_is_given_back(master: PlayedMaster) -> None:
    """A photo that takes too long is given back, not waited for."""
    master.give_lane()
    master.job("a", "60 a.jpg")
    master.holds("a")
    began = time.monotonic()
    master.session.stop(grace=0.2)
    back = master.word(lambda m: isinstance(m, GivenBack))
    assert isinstance(back, GivenBack)
    assert [job.photo for job in back.jobs] == [key("a")]
    assert time.monotonic() - began < 30


def test_a_worker_told_to_leave_finishes_and_is_done(master: PlayedMaster) -> None:
    """After a leave it takes no new job."""
    master.give_lane()
    assert isinstance(master.beat, Heartbeat)
    master.say(Leave(worker="w", incarnation=master.beat.incarnation, epoch=1))
    deadline = time.monotonic() + DEADLINE
    while not master.session.left:
        assert time.monotonic() < deadline
        master.word(lambda m: isinstance(m, Heartbeat))
    master.job("a", "0 a.jpg")
    back = master.word(lambda m: isinstance(m, GivenBack))
    assert isinstance(back, GivenBack)


@pytest.mark.parametrize("fault", ["empty", "gone", "other"])
def test_a_worker_without_the_photos_says_so(master: PlayedMaster, tmp_path: Path, fault: str) -> None:
    """A photo root that is not mounted, or holds something else, is a problem in words."""
    if fault != "other":
        (tmp_path / "0 a.jpg").unlink()
    if fault == "gone":
        tmp_path.rmdir()
    beat = master.give_lane(samples=("2024/1.jpg", "2024/2.jpg"))
    assert beat.problem
    assert "mounted" in beat.problem


def test_a_worker_with_the_photos_has_no_problem(master: PlayedMaster) -> None:
    """One of the samples is enough."""
    assert master.give_lane(samples=("2024/1.jpg", "0 a.jpg")).problem is None


def test_what_nobody_understands_is_put_aside(master: PlayedMaster) -> None:
    """Bytes that are no message go to the dead letters, whole, and the next job is done."""
    letters = master.bus.reader("jobs.dlq")
    master.give_lane()
    master.bus.publish("jobs", b"\xc1 nonsense", 3)
    master.job("a", "0 a.jpg")
    assert isinstance(master.result(), PhotoResult)
    record = letters.read(DEADLINE)
    assert record
    letter = decode(record.value)
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.original) == ("jobs", b"\xc1 nonsense")


def test_a_worker_told_to_leave_gives_back_what_it_has_not_begun(master: PlayedMaster) -> None:
    """It finishes what it has in hand, and then holds nothing."""
    master.give_lane()
    job = master.job("a", "1 a.jpg")
    master.job("b", "0 b.jpg")
    master.holds("a", "b")
    master.say(Leave(worker="w", incarnation=job.incarnation, epoch=1))
    back = master.word(lambda m: isinstance(m, GivenBack))
    assert isinstance(back, GivenBack)
    assert [given.photo for given in back.jobs] == [key("b")]
    assert isinstance(master.result(), PhotoResult)
    master.holds()
    assert master.session.left


def test_photos_that_are_mounted_later_are_noticed(master: PlayedMaster, tmp_path: Path) -> None:
    """A problem that is gone is no longer reported."""
    assert master.give_lane(samples=("later.jpg",)).problem
    (tmp_path / "later.jpg").touch()
    assert master.word(lambda m: isinstance(m, Heartbeat) and m.problem is None)
