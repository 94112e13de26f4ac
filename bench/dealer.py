"""The dealer simulated: 1,000 workers of mixed speed, 1,000,000 jobs, 2 % of the workers dying: `make bench-dealer`.

Time is simulated, decisions are real. A worker that dies is noticed after DEAD_SECONDS; its jobs are dealt again.
Ideal: all work at the throughput of the workers, each for as long as it lives, in pieces as small as you like.
"""

from __future__ import annotations

import heapq
import random
import sys
import time

from common.model import work
from master.fleet.deal import Dealer, Hand, Task

WORKERS, JOBS, DYING = 1000, 1_000_000, 0.02
DEAD_SECONDS = 10.0
BATCH = 2000  # jobs handed to the dealer at a time, as the master reads them from its store
SPEEDS = [0.004, 0.004, 0.01, 0.02, 0.08]  # seconds a unit of work: desktop, desktop, laptop, old laptop, Raspberry Pi


def simulate(workers: int, jobs: int, seed: int = 1) -> tuple[float, float, float]:
    """Makespan over ideal, decisions a second, simulated seconds."""
    random_ = random.Random(seed)
    rates = {f"w{number:04}": random_.choice(SPEEDS) * random_.uniform(0.8, 1.25) for number in range(workers)}
    sizes = [min(random_.lognormvariate(2.5, 0.5), 100) for _ in range(jobs)]
    total = sum(map(work, sizes))
    expected = total / sum(1 / rate for rate in rates.values())
    dying = random_.sample(sorted(rates), int(DYING * workers))
    deaths = {name: random_.uniform(0.1, 0.9) * expected for name in dying}

    dealer = Dealer()
    for name, rate in rates.items():
        dealer.join(Hand(name, 1, rate))
    held: dict[str, list[Task]] = {name: [] for name in rates}
    events: list[tuple[float, int, str, str, Task | None]] = []  # time, order, what, worker, task
    order = given = done = decisions = 0
    now = clock = last = 0.0
    for name, death in deaths.items():
        heapq.heappush(events, (death, -1, "dies", name, None))

    def begin(name: str, task: Task) -> None:
        nonlocal order
        order += 1
        seconds = task.work * rates[name] * random_.uniform(0.9, 1.1)
        heapq.heappush(events, (now + seconds, order, "ends", name, task))

    dead: set[str] = set()
    finished: set[tuple[str, str]] = set()
    while done < jobs:
        if len(dealer.queue) < BATCH // 2 and given < jobs:
            more = range(given, min(given + BATCH, jobs))
            dealer.add(Task((str(number), ""), "", sizes[number]) for number in more)
            given = more.stop
            dealer.more = given < jobs
        began = time.perf_counter()
        deals = dealer.deal(now)
        look = dealer.next_look()
        clock += time.perf_counter() - began
        decisions += len(deals)
        for deal in deals:
            if deal.worker not in dead:
                held[deal.worker].append(deal.task)
                if len(held[deal.worker]) == 1:
                    begin(deal.worker, deal.task)
        if not events or look < events[0][0]:
            now = max(look, now)
            continue
        now, _, what, name, task = heapq.heappop(events)
        if what == "dies":
            dead.add(name)
            heapq.heappush(events, (now + DEAD_SECONDS, 0, "missed", name, None))
        elif what == "missed":
            dealer.add(dealer.leave(name), first=True)
        elif name not in dead:
            assert task is not None
            held[name].remove(task)
            if held[name]:
                begin(name, held[name][0])
            if task.key in finished:
                continue
            finished.add(task.key)
            done, last = done + 1, now
            began = time.perf_counter()
            for flight in list(task.flights):
                dealer.land(flight.worker, task)
            clock += time.perf_counter() - began
    shortest, longest = 0.0, last
    for _ in range(50):
        middle = (shortest + longest) / 2
        made = sum(min(deaths.get(name, middle), middle) / rate for name, rate in rates.items())
        shortest, longest = (middle, longest) if made < total else (shortest, middle)
    return last / longest, decisions / clock, last


def main() -> None:
    """Prints the figures."""
    for workers, jobs in ((10, 2_000), (100, 50_000), (WORKERS, JOBS)):
        ratio, speed, seconds = simulate(workers, jobs)
        print(
            f"{workers:,} workers, {jobs:,} jobs: makespan / ideal {ratio:.3f}, {speed:,.0f} decisions/s on one core,"
            f" {seconds:,.0f} s simulated",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
