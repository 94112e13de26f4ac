"""The fleet: what workers say in, jobs and control messages out, with a real store and simulated time."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.messages import Control, GivenBack, Heartbeat, Held, LaneGiven, Leave, PhotoJob, Stop
from master.fleet.fleet import DEAD_SECONDS, LOST_SECONDS, MAX_ATTEMPTS, Fleet, within_hours
from master.store import Manners
from master.store.sqlite import SqliteStore
from tests.builders import RECIPE, changed, key, known_file, result


class World:
    """A fleet, what it sent, and its workers' side of the talk."""

    def __init__(self, store: SqliteStore, now: float = 0.0) -> None:
        self.store, self.now = store, now
        self.jobs: list[tuple[int, PhotoJob]] = []
        self.control: list[Control] = []
        self.fleet = Fleet(
            store, epoch=store.begin_epoch(), recipe=RECIPE, now=now,
            send_job=lambda lane, job: self.jobs.append((lane, job)),
            send_control=self.control.append,
            lane_offsets=lambda lane: {"jobs": 0},
        )  # fmt: skip

    def beat(self, worker: str = "w", incarnation: str = "1", *held: PhotoJob, **more: object) -> LaneGiven | None:
        """A heartbeat; the first ones lead to a lane, which the next ones name."""
        lane = next((c for c in reversed(self.control) if isinstance(c, LaneGiven) and c.worker == worker
                     and c.incarnation == incarnation), None)  # fmt: skip
        fields: dict[str, object] = {"rate": 0.001, "generation": lane.generation if lane else 0, **more}
        self.fleet.hear(
            Heartbeat(
                worker=worker, incarnation=incarnation, architecture="x", engine="onnx", recipe=RECIPE, slots=1,
                held=tuple(Held(job.photo, job.recipe, job.attempt) for job in held), **fields,  # type: ignore[arg-type]
            ),
            self.now,
        )  # fmt: skip
        return lane

    def join(self, worker: str = "w", incarnation: str = "1", **more: object) -> None:
        """A worker says hello and takes its lane."""
        self.beat(worker, incarnation, **more)
        self.beat(worker, incarnation, **more)

    def answer(self, job: PhotoJob) -> None:
        """A worker's result arrives and is kept."""
        answer = result(job.photo).model_copy(update={"attempt": job.attempt, "worker": job.worker})
        self.store.put([answer])
        self.fleet.answered(answer)

    def tick(self, seconds: float = 0.6) -> list[PhotoJob]:
        """Time passes; the jobs sent by then."""
        before = len(self.jobs)
        self.now += seconds
        self.fleet.tick(self.now)
        return [job for _, job in self.jobs[before:]]


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """Three photos to do."""
    store = SqliteStore(tmp_path / "f.db")
    store.want(RECIPE)
    store.record([known_file(f"{letter}.jpg", key(letter)) for letter in "abc"])
    return store


def test_a_worker_that_says_hello_gets_a_lane_of_its_own(store: SqliteStore) -> None:
    """Two workers never share a lane, and each use of a lane has a new generation."""
    world = World(store)
    world.join("one")
    world.join("two")
    lanes = [c for c in world.control if isinstance(c, LaneGiven)]
    assert len({lane.lane for lane in lanes}) == 2
    assert len({lane.generation for lane in lanes}) == 2
    assert set(lanes[0].samples) == {"a.jpg", "b.jpg", "c.jpg"}


def test_a_worker_gets_no_job_before_it_has_taken_its_lane(store: SqliteStore) -> None:
    """The first heartbeat is answered with a lane, which a later one has to name."""
    world = World(store)
    world.beat()
    assert world.tick() == []
    world.beat()
    assert world.tick()


def test_jobs_carry_what_fences_off_the_past(store: SqliteStore) -> None:
    """Epoch, generation, incarnation and attempt are in each job, and the attempt in the store before it."""
    world = World(store)
    world.join()
    (first, *_) = world.tick()
    lane = next(c for c in world.control if isinstance(c, LaneGiven))
    assert (first.epoch, first.generation, first.incarnation) == (store.mastership()[0], lane.generation, "1")
    assert (first.photo, first.attempt) in {(a.photo, a.attempt) for a in store.attempts()}


def test_the_jobs_of_a_silent_worker_are_dealt_again(store: SqliteStore) -> None:
    """After its dead time a worker is gone, its attempts have ended, and what it had went to another."""
    world = World(store)
    world.join("silent", rate=1.0)
    lost = {job.photo for job in world.tick()}
    world.join("other")
    for _ in range(int(DEAD_SECONDS) + 2):
        for job in world.tick(1.0):
            world.answer(job)
        world.beat("other")
    assert "silent" not in world.fleet.members
    assert lost <= {job.photo for _, job in world.jobs if job.worker == "other"}
    assert store.attempts() == [] and world.fleet.idle


def test_a_worker_that_comes_back_as_another_has_forgotten_its_jobs(store: SqliteStore) -> None:
    """A new incarnation gets a new lane at once, and its former jobs are dealt again."""
    world = World(store)
    world.join("w", "1", rate=1.0)
    lost = world.tick()
    world.join("w", "2", rate=1.0)
    again = world.tick()
    assert {job.photo for job in again} & {job.photo for job in lost} or len(again) == 1
    assert all(job.incarnation == "2" for job in again)
    assert {attempt.incarnation for attempt in store.attempts()} == {"2"}


def test_a_new_master_deals_nothing_twice_that_a_live_worker_holds(store: SqliteStore) -> None:
    """After a restart of the master the next heartbeats say who holds what."""
    before = World(store)
    before.join("w", rate=1.0)
    held = before.tick()
    after = World(store, now=1000.0)
    after.control = list(before.control)
    after.beat("w", "1", *held, rate=1.0)
    after.join("idle", rate=1.0)
    dealt = after.tick()
    assert not {job.photo for job in dealt} & {job.photo for job in held}
    assert all(job.epoch > held[0].epoch for job in dealt)
    after.beat("w", "1", rate=1.0)
    after.fleet.answered(result(held[0].photo))
    assert held[0].photo not in {task.key[0] for task in after.fleet.dealer.queue}


def test_jobs_of_workers_never_heard_of_again_are_dealt_again(store: SqliteStore) -> None:
    """After a restart of the master, what nobody names within the dead time is nobody's."""
    before = World(store)
    before.join("gone", rate=1.0)
    held = before.tick()
    after = World(store, now=0.0)
    for _ in range(5):
        after.join("here")
        for job in after.tick(DEAD_SECONDS / 2):
            after.answer(job)
    assert {job.photo for job in held} <= {job.photo for _, job in after.jobs}


def test_a_job_that_never_arrived_is_dealt_again_and_does_not_count(store: SqliteStore) -> None:
    """What a live worker does not name for some seconds was lost on the way, as when the broker's data is wiped."""
    world = World(store)
    world.join(rate=1.0)
    (sent, *_) = world.tick()
    for _ in range(4):
        world.now += LOST_SECONDS / 3
        world.beat(rate=1.0)
    again = [job for job in world.tick() if job.photo == sent.photo]
    assert again or sent.photo in {task.key[0] for task in world.fleet.dealer.queue}
    assert max(job.attempts for job in store.jobs(10)) <= 1


def test_an_answer_stops_the_twin(store: SqliteStore) -> None:
    """Whoever still works on what is done is told to stop."""
    world = World(store)
    world.join("slow", rate=10.0)
    jobs = world.tick()
    world.join("fast", rate=0.0001)
    for _ in range(12):
        sent = world.tick()
        jobs += sent
        world.beat("slow", "1", *[job for job in jobs if job.worker == "slow"], rate=10.0)
        for job in [job for job in sent if job.worker == "fast"]:
            world.answer(job)
        world.beat("fast", "1", rate=0.0001)
    slow = next(job for job in jobs if job.worker == "slow")
    stops = [c for c in world.control if isinstance(c, Stop)]
    assert [(stop.worker, stop.job.photo) for stop in stops] == [("slow", slow.photo)]


def test_given_back_jobs_go_elsewhere_and_do_not_count(store: SqliteStore) -> None:
    """A worker that ends in an orderly way costs its photos no attempt."""
    world = World(store)
    world.join("leaving", rate=1.0)
    jobs = world.tick()
    held = tuple(Held(job.photo, job.recipe, job.attempt) for job in jobs)
    world.fleet.hear(GivenBack(worker="leaving", incarnation="1", jobs=held), world.now)
    world.beat("leaving", leaving=True)
    assert "leaving" not in world.fleet.members
    assert store.attempts() == []
    assert {job.attempts for job in store.jobs(10)} == {0}


def test_a_photo_that_one_worker_does_not_find_is_tried_on_another(store: SqliteStore) -> None:
    """Only when no worker finds it does it count against the photo."""
    world = World(store)
    world.join("blind", rate=1.0)
    (job, *_) = world.tick()
    store.end_attempt(job.photo, job.recipe, job.attempt, counts=False)
    answer = changed(job.photo).model_copy(update={"worker": "blind", "attempt": job.attempt})
    world.fleet.answered(answer)
    (failure,) = world.fleet.tick(world.now + 0.1)
    assert (failure.photo, failure.kind) == (job.photo, "missing")


def test_a_photo_that_ends_its_workers_is_given_up(store: SqliteStore) -> None:
    """After MAX_ATTEMPTS without any answer it is kept as failed."""
    for _ in range(MAX_ATTEMPTS):
        store.end_attempt(key("a"), RECIPE, store.begin(key("a"), RECIPE, "w", "0") or 0, counts=True)
    world = World(store)
    failures = world.fleet.tick(1.0)
    assert [(failure.photo, failure.kind) for failure in failures] == [(key("a"), "no answer")]


@pytest.mark.parametrize(
    "more", [{"problem": "not mounted"}, {"recipe": "other/encoder"}], ids=["no photos", "another recipe"]
)
def test_a_worker_that_can_not_work_gets_no_jobs(store: SqliteStore, more: dict[str, object]) -> None:
    """A worker whose photos are not mounted, or that would make other faces, gets nothing."""
    world = World(store)
    beat = Heartbeat(
        worker="w", incarnation="1", architecture="x", engine="onnx", slots=1, **{"recipe": RECIPE, **more}
    )  # type: ignore[arg-type]
    world.fleet.hear(beat, 0.0)
    lane = world.control[-1]
    assert isinstance(lane, LaneGiven)
    world.fleet.hear(beat.model_copy(update={"generation": lane.generation}), 0.0)
    assert world.tick() == []


@pytest.mark.parametrize(
    ("manners", "beat"),
    [
        (Manners(paused=True), {}),
        (Manners(drain=True), {}),
        (Manners(hours="22-7"), {"hour": 12}),
        (Manners(max_load=0.5), {"load": 0.9}),
    ],
)
def test_a_polite_worker_is_left_alone(store: SqliteStore, manners: Manners, beat: dict[str, object]) -> None:
    """Paused, drained, outside its hours or on a busy computer, it gets no jobs; a drained one is told to leave."""
    store.put_manners("w", manners)
    world = World(store)
    world.join(**beat)
    assert world.tick() == []
    assert any(isinstance(c, Leave) for c in world.control) == manners.drain
    store.put_manners("w", Manners())
    world.fleet.read_manners()
    assert world.tick()


def test_a_known_machine_starts_with_its_speed(store: SqliteStore) -> None:
    """A worker that was measured under its name need not be measured again, also by another master."""
    World(store).join("pi", rate=2.5)
    later = World(store)
    later.join("pi", "2", rate=None)
    assert later.fleet.dealer.hands["pi"].rate == 2.5


def test_hours_may_pass_midnight() -> None:
    """ "22-7" is the night, "8-17" the day."""
    assert [hour for hour in range(24) if within_hours("22-7", hour)] == [0, 1, 2, 3, 4, 5, 6, 22, 23]
    assert [hour for hour in range(24) if within_hours("8-17", hour)] == list(range(8, 17))
    with pytest.raises(ValueError, match="25"):
        within_hours("25-3", 1)
