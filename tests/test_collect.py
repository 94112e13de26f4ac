"""Answers into the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from master.collect import collect
from master.crops import Crops
from master.store.ids import face_id
from master.store.sqlite import SqliteStore
from tests.builders import RECIPE, changed, face, failure, key, known_file, result


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """A store with one photo to do."""
    store = SqliteStore(tmp_path / "f.db")
    store.want(RECIPE)
    store.record([known_file("a.jpg")])
    return store


@pytest.fixture
def crops(tmp_path: Path) -> Crops:
    """An empty folder of crops."""
    return Crops(tmp_path / "crops")


def test_a_result_is_stored_with_its_crops(store: SqliteStore, crops: Crops) -> None:
    """Each face has its crop, under the face's id."""
    answer = result(key("a"), face(10, b"first"), face(90, b"second"))
    assert collect([answer], store=store, crops=crops, look_again=lambda _: None) == ["stored"]
    found = [crops.path(stored.face).read_bytes() for stored in store.faces()]
    assert found == [b"first", b"second"]


def test_a_twin_changes_neither_faces_nor_crops(store: SqliteStore, crops: Crops) -> None:
    """The second result of a photo is dropped whole."""
    collect([result(key("a"), face(10, b"first"))], store=store, crops=crops, look_again=lambda _: None)
    twin = result(key("a"), face(13, b"twin"), face(90, b"more"))
    assert collect([twin], store=store, crops=crops, look_again=lambda _: None) == ["known"]
    assert crops.path(face_id(key("a"), RECIPE, 0)).read_bytes() == b"first"
    assert len(list(store.faces())) == 1


def test_a_failure_is_stored(store: SqliteStore, crops: Crops) -> None:
    """A failure ends the job and is listed."""
    assert collect([failure()], store=store, crops=crops, look_again=lambda _: None) == ["stored"]
    assert store.counts().failed == {"truncated": 1}


def test_a_changed_file_is_looked_at_again_and_counts_no_attempt(store: SqliteStore, crops: Crops) -> None:
    """No failure: the path is looked at again, and the attempt does not count."""
    again: list[str] = []
    store.begin(key("a"), RECIPE, "w", "1")
    assert collect([changed()], store=store, crops=crops, look_again=again.append) == ["changed"]
    assert again == ["a.jpg"]
    assert store.jobs(1)[0].attempts == 0
    assert store.counts().failed == {}
