"""Which job goes to which worker now. Pure: time comes in as a number, nothing is read or written.

Measured against other ways of sharing (docs/decisions.md): within a few percent of the ideal for workers whose speeds
differ twentyfold, where partitions shared by count take eleven times as long.
"""

from __future__ import annotations

import heapq
import statistics
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from common.model import work

LOOKAHEAD_SECONDS = (
    1.0  # a worker gets its next job this long before it is expected to need it: the round trip is hidden
)
HEDGE_FACTOR = 1.5  # a job is done twice if its end is further away than so many times what it would take the other
OVERDUE_FACTOR = 0.5  # what is overdue is expected to take so much more of the time that it has taken already
AGAIN_SECONDS = 0.2  # a worker that got nothing is looked at again after this time
PLENTY = 4  # jobs for each slot: as long as there are more, nobody is too slow for the next one

Key = tuple[str, str]  # (photo, recipe)


@dataclass(eq=False)
class Task:
    """A job to be dealt."""

    key: Key
    path: str
    megapixels: float
    attempts: int = 0
    unfit: set[str] = field(default_factory=set)  # workers that could not find it
    flights: list[Flight] = field(default_factory=list)

    @property
    def work(self) -> float:
        return work(self.megapixels)


@dataclass(eq=False)
class Flight:
    """A task with a worker."""

    task: Task
    worker: str
    since: float  # when it was dealt
    begun: float | None = None  # when it is thought to have begun: a slot was free


@dataclass(eq=False)
class Hand:
    """A worker as the dealer sees it."""

    name: str
    slots: int
    rate: float | None = None  # seconds a unit of work; None until it is measured
    megapixels: float | None = None  # no larger picture
    accepts: bool = True  # it is to get jobs
    look: float = 0.0  # when it is to be looked at again
    flights: list[Flight] = field(default_factory=list)


class Deal(NamedTuple):
    """This task to this worker; ``twin``: another worker has it too."""

    worker: str
    task: Task
    twin: bool


class Dealer:
    """Knows workers, tasks to do and tasks in flight; deal() says what is to be done about them."""

    def __init__(self) -> None:
        self.hands: dict[str, Hand] = {}
        self.queue: deque[Task] = deque()
        self.more = False  # there is more to do than the queue holds
        self._typical = 1.0  # rate, of workers not yet measured
        self._planned_until = float("-inf")
        self._planned_end = 0.0
        self._flying: list[tuple[float, Flight]] = []  # expected end, latest first; as planned
        self._hungry: set[str] = set()  # workers to be looked at now,
        self._later: list[tuple[float, str]] = []  # and later: a heap

    def join(self, hand: Hand) -> None:
        """A worker is there, with nothing in its hands."""
        self.hands[hand.name] = hand
        self.changed(hand.name)

    def leave(self, name: str) -> list[Task]:
        """A worker is gone. Returns the tasks that nobody has any more."""
        lost = [flight.task for flight in list(self.hands[name].flights) if self.land(name, flight.task)]
        del self.hands[name]
        self.changed()
        return lost

    def changed(self, name: str | None = None) -> None:
        """This worker, or everything, is to be looked at again: its speed or what it accepts changed, or jobs came."""
        self._measure()
        self._planned_until = float("-inf")
        self._hungry.update([name] if name else self.hands)

    def add(self, tasks: Iterable[Task], first: bool = False) -> None:
        """More to do, behind or before what is queued already."""
        tasks = list(tasks)
        if tasks:
            self.queue.extendleft(reversed(tasks)) if first else self.queue.extend(tasks)
            self._planned_until = float("-inf")
            self._hungry.update(self.hands)

    def fly(self, name: str, task: Task, now: float) -> None:
        """A task is with a worker."""
        flight = Flight(task, name, now)
        task.flights.append(flight)
        self.hands[name].flights.append(flight)

    def land(self, name: str, task: Task) -> bool:
        """A task is no longer with a worker. True if it is with nobody now."""
        hand = self.hands[name]
        for flight in hand.flights:
            if flight.task is task:
                hand.flights.remove(flight)
                task.flights.remove(flight)
                break
        self._hungry.add(name)
        return not task.flights

    def deal(self, now: float) -> list[Deal]:
        """What to give to whom. Each deal counts as made; next_look() says when to ask again if nothing happens."""
        deals = []
        while self._later and self._later[0][0] <= now:
            look, name = heapq.heappop(self._later)
            if (hand := self.hands.get(name)) and hand.look == look:  # else it was looked at since, and has a later one
                self._hungry.add(name)
        hungry = [hand for name in self._hungry if (hand := self.hands.get(name)) and hand.accepts]
        self._hungry.clear()
        for hand in sorted(hungry, key=lambda hand: (self._free(hand, now), self._rate(hand), hand.name)):
            while (deal := self._next(hand, now)) is not None:
                deals.append(deal)
            hand.look = max(self._free(hand, now) - LOOKAHEAD_SECONDS, now + AGAIN_SECONDS)
            heapq.heappush(self._later, (hand.look, hand.name))
        return deals

    def next_look(self) -> float:
        """When deal() may have something new to say, if nothing happens before."""
        return self._later[0][0] if self._later else float("inf")

    def _measure(self) -> None:
        """What a worker that was not measured yet is taken for."""
        known = [hand.rate for hand in self.hands.values() if hand.rate is not None]
        self._typical = statistics.median(known) if known else 1.0

    def _rate(self, hand: Hand) -> float:
        return self._typical if hand.rate is None else hand.rate

    def _ends(self, hand: Hand, now: float) -> list[float]:
        """When each flight of a worker is expected to end, in the order of its flights."""
        rate, slots, ends = self._rate(hand), [now] * hand.slots, []
        for position, flight in enumerate(hand.flights):
            if position < hand.slots:
                if flight.begun is None:
                    flight.begun = now
                end = flight.begun + flight.task.work * rate
                if end < now:
                    end = now + (now - flight.begun) * OVERDUE_FACTOR
                heapq.heapreplace(slots, end)
            else:
                end = slots[0] + flight.task.work * rate
                heapq.heapreplace(slots, end)
            ends.append(end)
        return ends

    def _free(self, hand: Hand, now: float) -> float:
        """When the worker could begin another job."""
        if len(hand.flights) < hand.slots:
            return now
        return sorted(self._ends(hand, now))[-hand.slots]

    def _next(self, hand: Hand, now: float) -> Deal | None:
        room = hand.slots if hand.rate is None else 2 * hand.slots
        if not hand.accepts or len(hand.flights) >= room:
            return None
        free = self._free(hand, now)
        if free - now > LOOKAHEAD_SECONDS:
            return None
        for place, task in enumerate(self.queue):
            if not _fits(task, hand):
                continue
            if free + task.work * self._rate(hand) > self._end(now):
                return None  # the others are done with everything sooner
            del self.queue[place]
            self.fly(hand.name, task, now)
            return Deal(hand.name, task, twin=False)
        return self._twin(hand, now) if free == now else None

    def _end(self, now: float) -> float:
        """When the last queued task will end if each goes to whoever ends it first; infinity while there is plenty."""
        slots = sum(hand.slots for hand in self.hands.values() if hand.accepts)
        if self.more or len(self.queue) > PLENTY * slots:
            return float("inf")
        self._plan(now)
        return self._planned_end

    def _plan(self, now: float) -> None:
        """Plans the rest of the run, at most once in AGAIN_SECONDS: with many workers it takes some milliseconds."""
        if now < self._planned_until:
            return
        self._planned_until = now + AGAIN_SECONDS
        usual = statistics.fmean(task.work for task in self.queue) if self.queue else 0.0
        slots: list[tuple[float, float, float]] = []  # end of a usual task, when it is free, its rate
        self._flying = []
        for hand in self.hands.values():
            ends, rate = self._ends(hand, now), self._rate(hand)
            self._flying += zip(ends, hand.flights)
            if hand.accepts:
                frees = sorted(ends)[-hand.slots :]
                slots += [(free + usual * rate, free, rate) for free in frees + [now] * (hand.slots - len(frees))]
        self._flying.sort(key=lambda flying: -flying[0])
        heapq.heapify(slots)
        self._planned_end = now
        for task in self.queue:
            _, free, rate = slots[0]
            end = free + task.work * rate
            heapq.heapreplace(slots, (end + usual * rate, end, rate))
            self._planned_end = max(self._planned_end, end)

    def _twin(self, hand: Hand, now: float) -> Deal | None:
        """With nothing left to deal, an idle worker does again what would end last, if that is worth it."""
        self._plan(now)
        for end, flight in self._flying:
            service = flight.task.work * self._rate(hand)
            if end - now <= HEDGE_FACTOR * service:
                return None
            if flight.worker != hand.name and len(flight.task.flights) == 1 and _fits(flight.task, hand):
                self.fly(hand.name, flight.task, now)
                return Deal(hand.name, flight.task, twin=True)
        return None


def _fits(task: Task, hand: Hand) -> bool:
    return hand.name not in task.unfit and (hand.megapixels is None or task.megapixels <= hand.megapixels)
