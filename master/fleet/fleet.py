"""The workers as the master knows them: who is there, which lane is whose, who holds what. Decides; the loop around it
(master/run.py) reads and publishes. Time comes in as this machine's monotonic clock; no other machine's clock is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from common.messages import (
    Answer,
    Changed,
    Control,
    Failure,
    GivenBack,
    Heartbeat,
    Held,
    LaneGiven,
    Leave,
    PhotoJob,
    Stop,
)
from master.fleet.deal import Dealer, Hand, Task
from master.store import Attempt, KnownWorker, Lane, Manners, Store

DEAD_SECONDS = 10.0  # without a heartbeat; ten of them
LOST_SECONDS = 5.0  # a job that its worker does not name for so long after it was sent never arrived
REFILL_SECONDS = 0.5  # between looks into the store for more
QUEUE = 2000  # jobs in memory; the rest waits in the store
RATE_CHANGE = 0.2  # of a worker's speed, that is worth a write
MAX_ATTEMPTS = 5  # without any answer: the photo may be what ends the workers, or it was there at five power cuts


@dataclass
class Member:
    """A worker that is there."""

    beat: Heartbeat  # its latest
    heard: float  # when
    lane: Lane
    sent: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)  # job -> attempt, and when it was seen


class Fleet:
    """Messages of workers in, jobs and control messages out through the two functions given."""

    def __init__(
        self,
        store: Store,
        *,
        epoch: int,
        recipe: str,
        now: float,
        send_job: Callable[[int, PhotoJob], None],
        send_control: Callable[[Control], None],
        lane_offsets: Callable[[int], dict[str, int]],
        dead_seconds: float = DEAD_SECONDS,
    ) -> None:
        """``lane_offsets``: makes sure that a lane exists, and says where its job topics end."""
        self._store = store
        self._epoch = epoch
        self._recipe = recipe
        self._send_job = send_job
        self._send_control = send_control
        self._lane_offsets = lane_offsets
        self._dead_seconds = dead_seconds
        self._started = now
        self._refilled = float("-inf")
        self.dealer = Dealer()
        self.members: dict[str, Member] = {}
        self._tasks: dict[tuple[str, str], Task] = {}
        self._lanes = {lane.number: lane for lane in store.lanes()}
        self._left: dict[int, float] = dict.fromkeys(self._lanes, now)  # lane -> when its worker was last heard of
        # Attempts of an earlier master: each waits for the worker that holds it to be heard, or to be given up.
        self._inherited = {(a.photo, a.recipe, a.attempt): a for a in store.attempts()}
        self._known: dict[str, KnownWorker] = {}
        self.read_manners()

    def read_manners(self) -> None:
        """Reads again what the user wants of the workers."""
        self._known = {worker.name: worker for worker in self._store.workers()}
        for name in self.members:
            self._judge(name)

    def hear(self, message: Heartbeat | GivenBack, now: float) -> None:
        """A worker said something."""
        if isinstance(message, GivenBack):
            self._given_back(message)
            return
        member = self.members.get(message.worker)
        if member and member.beat.incarnation != message.incarnation:
            self._lose(message.worker, now)  # it was started again, and has forgotten what it had
            member = None
        if message.leaving:
            if member:
                self._lose(message.worker, now, counts=False)
            return
        if member is None:
            member = self._admit(message, now)
        elif message.generation != member.lane.generation:
            self._tell_lane(member)  # our first word was lost, or was that of an earlier master
        member.beat, member.heard = message, now
        self._compare(member, now)
        self._judge(message.worker)

    def _admit(self, beat: Heartbeat, now: float) -> Member:
        lane = next(
            (lane for lane in self._lanes.values()
             if (lane.worker, lane.incarnation, lane.generation) == (beat.worker, beat.incarnation, beat.generation)),
            None,
        )  # fmt: skip
        adopted = lane is not None
        lane = lane or self._free_lane(beat, now)
        member = self.members[beat.worker] = Member(beat, now, lane)
        known = self._known.get(beat.worker)
        rate = beat.rate if beat.rate is not None else known.rate if known else None
        self.dealer.join(Hand(beat.worker, beat.slots, rate, beat.megapixels))
        if not adopted:
            self._tell_lane(member)
        for key, attempt in list(self._inherited.items()):
            if attempt.worker != beat.worker:
                continue
            del self._inherited[key]
            if attempt.incarnation == beat.incarnation:
                # It has it still, or its answer is on the way: nothing is dealt twice.
                member.sent[key[:2]] = (attempt.attempt, now)
                task = self._tasks.setdefault(key[:2], Task(key[:2], "", 0.0))
                self.dealer.fly(beat.worker, task, now)
            else:
                self._end(attempt, counts=True)
        return member

    def _free_lane(self, beat: Heartbeat, now: float) -> Lane:
        """A lane never used, else the longest unused whose worker is surely gone, else one more."""
        taken = {member.lane.number for member in self.members.values()}
        free = [
            lane for lane in self._lanes.values()
            if lane.number not in taken and now - self._left.get(lane.number, now) > self._dead_seconds
        ]  # fmt: skip
        oldest = min(free, key=lambda lane: lane.generation, default=None)
        number = oldest.number if oldest else max(self._lanes, default=-1) + 1
        generation = max((lane.generation for lane in self._lanes.values()), default=0) + 1
        lane = self._lanes[number] = Lane(number, generation, beat.worker, beat.incarnation)
        self._store.use_lane(lane)
        return lane

    def _tell_lane(self, member: Member) -> None:
        beat, lane = member.beat, member.lane
        self._send_control(
            LaneGiven(
                worker=beat.worker,
                incarnation=beat.incarnation,
                epoch=self._epoch,
                lane=lane.number,
                generation=lane.generation,
                offsets=self._lane_offsets(lane.number),
                samples=tuple(job.path for job in self._store.jobs(20)),
            )
        )

    def _compare(self, member: Member, now: float) -> None:
        """What it was sent, with what it says it holds: what it does not name for long never arrived."""
        held = {(job.photo, job.recipe): job.attempt for job in member.beat.held}
        for key, (attempt, seen) in list(member.sent.items()):
            if held.get(key) == attempt:
                member.sent[key] = (attempt, now)
            elif now - seen > LOST_SECONDS:
                self._store.end_attempt(*key, attempt, counts=False)
                self._drop(member, key)

    def _judge(self, name: str) -> None:
        """Whether it is to get jobs, and how fast it is."""
        member, hand = self.members[name], self.dealer.hands[name]
        beat = member.beat
        manners = self._known[name].manners if name in self._known else Manners()
        if manners.drain:
            self._send_control(Leave(worker=name, incarnation=beat.incarnation, epoch=self._epoch))
        accepts = (
            beat.problem is None
            and beat.recipe == self._recipe
            and beat.generation == member.lane.generation
            and not (manners.paused or manners.drain)
            and (manners.hours is None or within_hours(manners.hours, beat.hour))
            and (manners.max_load is None or beat.load is None or beat.load <= manners.max_load)
        )
        rate = beat.rate if beat.rate is not None else hand.rate
        self._remember(name, beat.rate)
        if (accepts, rate, beat.slots) != (hand.accepts, hand.rate, hand.slots):
            hand.accepts, hand.rate, hand.slots = accepts, rate, beat.slots
            self.dealer.changed(name)

    def _remember(self, name: str, rate: float | None) -> None:
        """Keeps a worker's speed by its name, so that it starts measured when it comes again."""
        known = self._known.get(name, KnownWorker(name, None, Manners()))
        if rate is not None and (known.rate is None or abs(rate - known.rate) > RATE_CHANGE * known.rate):
            self._store.put_rate(name, rate)
            self._known[name] = known._replace(rate=rate)

    def _given_back(self, message: GivenBack) -> None:
        member = self.members.get(message.worker)
        for job in message.jobs:
            self._store.end_attempt(job.photo, job.recipe, job.attempt, counts=False)
            key = (job.photo, job.recipe)
            if member and member.beat.incarnation == message.incarnation and key in member.sent:
                self._drop(member, key)

    def _drop(self, member: Member, key: tuple[str, str]) -> None:
        """The job is no longer with this worker; if nobody else has it, it is to do again."""
        del member.sent[key]
        task = self._tasks.get(key)
        if task and self.dealer.land(member.beat.worker, task):
            self._again([task])

    def _again(self, tasks: list[Task]) -> None:
        """Nobody has these any more: they are next. Those of an earlier master are read from the store."""
        for task in tasks:
            if task.path:
                self.dealer.add([task], first=True)
            else:
                del self._tasks[task.key]

    def _lose(self, name: str, now: float, counts: bool = True) -> None:
        member = self.members.pop(name)
        self._left[member.lane.number] = member.heard
        for key, (attempt, _) in member.sent.items():
            self._end(Attempt(*key, attempt, name, member.beat.incarnation), counts=counts)
        self._again(self.dealer.leave(name))

    def _end(self, attempt: Attempt, counts: bool) -> None:
        self._store.end_attempt(attempt.photo, attempt.recipe, attempt.attempt, counts=counts)
        if counts and (task := self._tasks.get((attempt.photo, attempt.recipe))):
            task.attempts += 1

    def answered(self, answer: Answer) -> None:
        """A worker's answer is in the store: its job is done, and twins are told to stop; or it is tried elsewhere."""
        key = (answer.photo, answer.recipe)
        task = self._tasks.get(key)
        if isinstance(answer, Changed):
            if (member := self.members.get(answer.worker)) and member.sent.get(key, (0, 0))[0] == answer.attempt:
                if task:
                    task.unfit.add(answer.worker)
                self._drop(member, key)
            return
        if task is None:
            return
        del self._tasks[key]
        if not task.flights:
            self._take_from_queue(task)
        for flight in list(task.flights):
            self.dealer.land(flight.worker, task)
            member = self.members[flight.worker]
            attempt, _ = member.sent.pop(key)
            if attempt != answer.attempt:
                held = Held(*key, attempt)
                self._send_control(
                    Stop(worker=flight.worker, incarnation=member.beat.incarnation, epoch=self._epoch, job=held)
                )

    def _take_from_queue(self, task: Task) -> None:
        if task in self.dealer.queue:
            self.dealer.queue.remove(task)

    def tick(self, now: float) -> list[Failure]:
        """Looks who is gone, refills the queue, deals. Returns the failures of photos that are given up."""
        for name, member in list(self.members.items()):
            if now - member.heard > self._dead_seconds:
                self._lose(name, now)
        self._refill(now)
        if self._inherited and now - self._started > self._dead_seconds:
            for attempt in self._inherited.values():  # their workers were not heard of since we are the master
                self._end(attempt, counts=True)
            self._inherited.clear()
        given_up = self._give_up()
        for deal in self.dealer.deal(now):
            self._send(deal.worker, deal.task, now)
        return given_up

    def _refill(self, now: float) -> None:
        if len(self.dealer.queue) >= QUEUE // 2 or now < self._refilled + REFILL_SECONDS:
            return
        self._refilled = now
        wanted = QUEUE + len(self._tasks)
        jobs = self._store.jobs(wanted)
        inherited = {key[:2] for key in self._inherited}
        new = []
        for job in jobs:
            key = (job.photo, job.recipe)
            if key not in self._tasks and key not in inherited:
                self._tasks[key] = Task(key, job.path, job.megapixels, job.attempts)
                new.append(self._tasks[key])
        self.dealer.more = len(jobs) == wanted
        self.dealer.add(new)

    def _give_up(self) -> list[Failure]:
        given_up = []
        for task in [
            task for task in self.dealer.queue if task.attempts >= MAX_ATTEMPTS or self._found_by_nobody(task)
        ]:
            lost = task.attempts >= MAX_ATTEMPTS
            self._take_from_queue(task)
            del self._tasks[task.key]
            photo, recipe = task.key
            given_up.append(
                Failure(
                    photo=photo,
                    recipe=recipe,
                    path=task.path,
                    attempt=task.attempts,
                    worker="",
                    kind="no answer" if lost else "missing",
                    message=f"{task.attempts} times a worker ended while it worked on this photo. It is left out now."
                    if lost
                    else "No worker finds this file below its photo root. Do all computers mount the same folder?",
                )
            )
        return given_up

    def _found_by_nobody(self, task: Task) -> bool:
        return bool(self.members) and bool(task.unfit) and task.unfit >= self.members.keys()

    def _send(self, name: str, task: Task, now: float) -> None:
        member = self.members[name]
        attempt = self._store.begin(*task.key, name, member.beat.incarnation)
        if attempt is None:  # done or gone since it was read
            self.dealer.land(name, task)
            self._tasks.pop(task.key, None)
            return
        photo, recipe = task.key
        member.sent[task.key] = (attempt, now)
        self._send_job(
            member.lane.number,
            PhotoJob(
                photo=photo,
                recipe=recipe,
                path=task.path,
                attempt=attempt,
                worker=name,
                incarnation=member.beat.incarnation,
                generation=member.lane.generation,
                epoch=self._epoch,
            ),
        )

    def portrait(self, now: float) -> list[dict[str, object]]:
        """The workers that are there, for `faceswarm status`."""
        total = sum(hand.slots / hand.rate for hand in self.dealer.hands.values() if hand.rate and hand.accepts)
        rows: list[dict[str, object]] = []
        for name, member in sorted(self.members.items()):
            beat, hand = member.beat, self.dealer.hands[name]
            share = hand.slots / hand.rate / total if hand.rate and hand.accepts and total else 0.0
            rows.append(
                {
                    "worker": name,
                    "architecture": beat.architecture,
                    "engine": beat.engine,
                    "slots": beat.slots,
                    "rate": hand.rate,
                    "share": round(share, 3),
                    "in_flight": len(member.sent),
                    "silent_seconds": round(now - member.heard, 1),
                    "accepts": hand.accepts,
                    "problem": beat.problem,
                }
            )
        return rows

    @property
    def idle(self) -> bool:
        """Nothing is to do that is known here, and nobody holds anything."""
        return not self._tasks and not self._inherited


def within_hours(hours: str, hour: int) -> bool:
    """Whether an hour of the day, 0 to 23, is in "8-17" or, over midnight, "22-7"; the last hour is not.

    Raises ValueError for what is no such text.
    """
    first, last = (int(part) for part in hours.split("-"))
    if not (0 <= first <= 24 and 0 <= last <= 24):
        raise ValueError(f"not hours of the day: {hours}")
    return first <= hour < last if first <= last else hour >= first or hour < last
