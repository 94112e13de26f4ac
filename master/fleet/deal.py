"""Which jobs go out now. First come, first served, as many as there is room for."""

from __future__ import annotations

from collections.abc import Callable

from common.messages import Failure, PhotoJob, encode
from master.store import Job, Store

MAX_ATTEMPTS = 5  # without any answer: the photo may be what ends the process, or it was there at five power cuts


class Dealer:
    """Keeps ``capacity`` jobs under way. Each attempt is in the store before its job is published."""

    def __init__(self, store: Store, publish: Callable[[bytes], None], capacity: int) -> None:
        self._store = store
        self._publish = publish
        self._capacity = capacity
        self.in_flight: set[tuple[str, str]] = set()

    def deal(self) -> list[Failure]:
        """Publishes what there is room for; returns the failures of the photos that it gave up instead."""
        given_up = []
        for job in self._store.jobs(self._capacity + len(self.in_flight)):
            key = (job.photo, job.recipe)
            if len(self.in_flight) >= self._capacity or key in self.in_flight:
                continue
            if job.attempts >= MAX_ATTEMPTS:
                given_up.append(_no_answer(job))
                self._store.put(given_up[-1:])
            elif attempt := self._store.begin(*key, "embedded", ""):
                self.in_flight.add(key)
                self._publish(encode(PhotoJob(photo=job.photo, recipe=job.recipe, path=job.path, attempt=attempt)))
        return given_up

    def answered(self, photo: str, recipe: str) -> None:
        """This job is no longer under way."""
        self.in_flight.discard((photo, recipe))


def _no_answer(job: Job) -> Failure:
    return Failure(
        photo=job.photo,
        recipe=job.recipe,
        path=job.path,
        attempt=job.attempts,
        worker="",
        kind="no answer",
        message=f"{job.attempts} times the program ended while it worked on this photo. It is left out now; "
        "all other photos go on.",
    )
