"""Who gets which job: the dealer alone, with simulated time."""

from __future__ import annotations

import heapq

import pytest

from common.model import work
from master.fleet.deal import Dealer, Hand, Task

SIZE = 10.0  # megapixels
FAST = 1 / work(SIZE)  # seconds a unit of work: such a photo takes a second


def tasks(number: int, megapixels: float = SIZE) -> list[Task]:
    """Jobs of one size."""
    return [Task((f"{index}", "recipe"), f"{index}.jpg", megapixels) for index in range(number)]


def run(speeds: dict[str, float], jobs: list[Task], known: bool = True, frozen: frozenset[str] = frozenset()) -> float:
    """The makespan of these jobs, in seconds, with workers that take so many seconds a photo of SIZE.

    Their speeds are known from the start, or only after their first photo; the frozen ones never end any.
    """
    dealer = Dealer()
    dealer.add(jobs)
    for name, seconds in speeds.items():
        dealer.join(Hand(name, 1, seconds * FAST if known else None))
    held: dict[str, list[Task]] = {name: [] for name in speeds}
    events: list[tuple[float, int, str]] = []
    now, open_, order, done = 0.0, len(jobs), 0, set()
    while True:
        for deal in dealer.deal(now):
            held[deal.worker].append(deal.task)
            if len(held[deal.worker]) == 1 and deal.worker not in frozen:
                order += 1
                heapq.heappush(events, (now + deal.task.work * FAST * speeds[deal.worker], order, deal.worker))
        look = dealer.next_look()
        if not events or look < events[0][0]:
            now = look
            assert now < 10_000, "nobody does what is left"
            continue
        now, _, name = heapq.heappop(events)
        task = held[name].pop(0)
        if held[name]:
            order += 1
            heapq.heappush(events, (now + held[name][0].work * FAST * speeds[name], order, name))
        for flight in list(task.flights):
            dealer.land(flight.worker, task)
        if dealer.hands[name].rate is None:
            dealer.hands[name].rate = speeds[name] * FAST
            dealer.changed(name)
        if task.key not in done:
            done.add(task.key)
            open_ -= 1
            if not open_:
                return now


@pytest.mark.parametrize(
    ("speeds", "limit"),
    [
        ({"fast": 1, "slow": 21}, 1.03),
        ({"fast": 1, "middle": 5, "slow": 21}, 1.03),
        ({f"fast{n}": 1 for n in range(4)} | {f"slow{n}": 21 for n in range(2)}, 1.05),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_unequal_workers_share_the_work_by_their_speed(speeds: dict[str, float], limit: float, known: bool) -> None:
    """The last of 300 jobs ends within a few percent of the time that all together need, speeds known or not."""
    ideal = 300 / sum(1 / seconds for seconds in speeds.values())
    unknown = (
        0 if known else 2 * max(speeds.values())
    )  # a slow worker's first jobs are dealt before it is known as slow
    assert run(speeds, tasks(300), known) <= limit * ideal + min(unknown, 0.05 * ideal)


def test_a_slow_worker_gets_nothing_that_it_would_end_after_all_else() -> None:
    """With three photos left, the worker that takes a minute for one is left out."""
    dealer = Dealer()
    dealer.add(tasks(3))
    dealer.join(Hand("fast", 1, FAST))
    dealer.join(Hand("slow", 1, 60 * FAST))
    assert {deal.worker for deal in dealer.deal(0.0)} == {"fast"}


def test_only_so_much_is_under_way_as_hides_the_round_trip() -> None:
    """A worker has a job for each slot, and one more of each when it is about to need it."""
    dealer = Dealer()
    dealer.add(tasks(5000))
    dealer.join(Hand("slow", 2, 60 * FAST))
    dealer.join(Hand("quick", 2, 0.1 * FAST))
    deals = [deal.worker for deal in dealer.deal(0.0)]
    assert (deals.count("slow"), deals.count("quick")) == (2, 4)
    assert [deal.worker for deal in dealer.deal(59.5) if deal.worker == "slow"]


def test_a_frozen_worker_stops_nothing() -> None:
    """What a worker never ends is done by another: at the end an idle one does it again."""
    assert run({"good": 1, "frozen": 1}, tasks(20), frozen=frozenset({"frozen"})) < 40


def test_a_job_has_at_most_one_twin() -> None:
    """However many workers idle, a job is done twice, not more often."""
    dealer = Dealer()
    dealer.add(tasks(1))
    dealer.join(Hand("slow", 1, 100 * FAST))
    assert len(dealer.deal(0.0)) == 1
    for number in range(5):
        dealer.join(Hand(f"fast{number}", 1, FAST))
    twins = [deal for second in range(5) for deal in dealer.deal(1.0 + second)]
    assert [deal.twin for deal in twins] == [True]


def test_a_large_picture_never_goes_to_a_worker_without_the_memory() -> None:
    """Above a worker's limit a job waits for another."""
    dealer = Dealer()
    dealer.add(tasks(1, megapixels=50))
    dealer.join(Hand("pi", 1, FAST, megapixels=24))
    assert dealer.deal(0.0) == []
    dealer.join(Hand("desktop", 1, FAST))
    assert [deal.worker for deal in dealer.deal(1.0)] == ["desktop"]


def test_a_worker_that_accepts_nothing_gets_nothing() -> None:
    """A paused worker keeps what it has, and gets no more."""
    dealer = Dealer()
    dealer.add(tasks(5))
    dealer.join(Hand("paused", 1, FAST, accepts=False))
    assert dealer.deal(0.0) == []


def test_what_a_lost_worker_had_is_handed_back() -> None:
    """The jobs of a worker that is gone are nobody's, but for those that a twin has."""
    dealer = Dealer()
    dealer.add(tasks(2))
    dealer.join(Hand("lost", 2, 100 * FAST))
    assert len(dealer.deal(0.0)) == 2
    dealer.join(Hand("twin", 1, FAST))
    (twin,) = dealer.deal(1.0)
    assert [task.key for task in dealer.leave("lost")] == [
        key for key in [("0", "recipe"), ("1", "recipe")] if key != twin.task.key
    ]
