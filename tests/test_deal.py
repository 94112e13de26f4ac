"""Dealing jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.messages import PhotoJob, decode
from master.fleet.deal import MAX_ATTEMPTS, Dealer
from master.store.sqlite import SqliteStore
from tests.builders import RECIPE, key, known_file, result


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """A store with four photos to do."""
    store = SqliteStore(tmp_path / "f.db")
    store.want(RECIPE)
    store.record([known_file(f"{letter}.jpg", key(letter)) for letter in "abcd"])
    return store


def test_no_more_jobs_are_under_way_than_there_is_room_for(store: SqliteStore) -> None:
    """Dealing fills the room, first come first served, and no further; an answer makes room for one more."""
    sent: list[bytes] = []
    dealer = Dealer(store, sent.append, capacity=2)
    dealer.deal()
    dealer.deal()
    assert [decode(job) for job in sent] == [
        PhotoJob(photo=key(letter), recipe=RECIPE, path=f"{letter}.jpg", attempt=1) for letter in "ab"
    ]
    store.put([result(key("a"))])
    dealer.answered(key("a"), RECIPE)
    dealer.deal()
    assert [job.photo for data in sent[2:] if isinstance(job := decode(data), PhotoJob)] == [key("c")]


def test_an_attempt_is_in_the_store_before_its_job_is_published(store: SqliteStore) -> None:
    """Whoever sees a job finds its attempt counted."""
    counted: list[int] = []
    Dealer(store, lambda _: counted.append(store.jobs(10)[-1].attempts), capacity=1).deal()
    assert counted == [1]


def test_photos_in_hand_at_a_crash_come_last(store: SqliteStore) -> None:
    """After a restart the photos that may have caused it are dealt after all others."""
    Dealer(store, lambda _: None, capacity=2).deal()
    sent: list[bytes] = []
    Dealer(store, sent.append, capacity=4).deal()
    assert [job.path for data in sent if isinstance(job := decode(data), PhotoJob)] == [
        "c.jpg",
        "d.jpg",
        "a.jpg",
        "b.jpg",
    ]


def test_a_photo_that_never_gets_an_answer_is_given_up(store: SqliteStore) -> None:
    """After MAX_ATTEMPTS without any answer a photo is kept as failed, and the others go on."""
    for _ in range(MAX_ATTEMPTS):
        store.begin(key("a"), RECIPE, "w", "1")
    sent: list[bytes] = []
    (failure,) = Dealer(store, sent.append, capacity=10).deal()
    assert (failure.path, failure.kind) == ("a.jpg", "no answer")
    assert len(sent) == 3
    assert [stored.path for stored in store.failures()] == ["a.jpg"]
