"""A master that is killed between any two writes of its MongoDB store, started again, repeats what it was at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from master.store import File, Store
from master.store.mongo import MongoStore
from tests.builders import RECIPE, face, failure, key, known_file, result
from tests.store.commands import Killed, killed_before_write

Open = Callable[[], MongoStore]
Step = Callable[[Store], Any]


def unreadable(name: str) -> tuple[File, None]:
    """A file that can't be read."""
    return File("", name, 10, 2, error=("unreadable", "Permission denied.")), None


def before(store: Store) -> None:
    """Photos in every state: a done, b failed, c and d to do with an attempt, e gone but done, g twice."""
    store.want(RECIPE)
    letters = "abcdeg"
    store.record([known_file(f"{letter}.jpg", key(letter), mtime_ns=ord(letter)) for letter in letters])
    store.record([known_file("x/g.jpg", key("g")), unreadable("u.jpg")])
    store.put([result(key("a"), face()), failure(key("b")), result(key("e"), face(), face(60))], ("results", 3))
    store.begin(key("c"), RECIPE, "w", "1")
    store.begin(key("d"), RECIPE, "w", "1")
    store.forget([("", "e.jpg")])


def put(store: Store) -> None:
    """Known and new, results and failures; b succeeds at last."""
    answers = [
        result(key("a"), face(13)),
        result(key("b"), face()),
        failure(key("c")),
        result(key("d"), face(), face(9)),
    ]
    store.put([*answers, failure(key("a")), failure(key("g")), result(key("g"))], ("results", 10))


def record(store: Store) -> None:
    """New, changed into another, back again, moved, readable at last, unreadable now."""
    store.record(
        [
            known_file("new.jpg", key("h")), known_file("c.jpg", key("i"), size=11), known_file("e.jpg", key("e")),
            known_file("2/a.jpg"), known_file("u.jpg", key("j")), (unreadable("d.jpg")), known_file("g.jpg", key("b")),
        ]
    )  # fmt: skip


def forget(store: Store) -> None:
    """The last file of a photo that is done, failed, to do; one of two."""
    store.forget([("", name) for name in ("a.jpg", "b.jpg", "c.jpg", "g.jpg", "u.jpg", "never.jpg")])


def want(store: Store) -> None:
    """Another recipe."""
    store.want("better/encoder")


def want_back(store: Store) -> None:
    """Another recipe, and the first again."""
    store.want("better/encoder")
    store.want(RECIPE)


def end(store: Store) -> None:
    """One attempt is taken back, one counts."""
    store.end_attempt(key("c"), RECIPE, 1, counts=False)
    store.end_attempt(key("d"), RECIPE, 1, counts=True)


def fleet(store: Store) -> None:
    """What is kept of workers, and what the command line is told."""
    store.put_rate("pi", 2.0)
    store.put_note("fleet", "one worker")


def state(store: MongoStore) -> dict[str, list[Any]]:
    """Every document, without the times of writing."""
    collections = ["state", "photos", "files", "jobs", "results", "failures", "workers"]
    return {
        name: sorted(
            ({**document, "stored_at": "", "failed_at": ""} for document in getattr(store._db, name).find()),
            key=lambda document: str(document["_id"]),
        )
        for name in collections
    }


def kills(open_mongo: Open, step: Step) -> Iterator[MongoStore]:
    """Stores on which the step was killed before its first write, its second, and so on until it was not."""
    for number in range(100):
        store = open_mongo()
        for name in state(store):
            getattr(store._db, name).delete_many({"_id": {"$ne": "schema"}})
        store = open_mongo()
        before(store)
        try:
            with killed_before_write(number):
                step(store)
            assert number > 1 or step is fleet, "the step writes nothing"
            return
        except Killed:
            store.close()
            yield open_mongo()
    pytest.fail("the step never ends")


@pytest.mark.parametrize("step", [put, record, forget, want, want_back, end, fleet], ids=lambda step: step.__name__)
def test_a_step_that_is_repeated_after_a_kill_ends_as_if_undisturbed(open_mongo: Open, step: Step) -> None:
    """Wherever it was killed: the same documents, to the last field."""
    undisturbed = open_mongo()
    before(undisturbed)
    step(undisturbed)
    expected = state(undisturbed)
    for store in kills(open_mongo, step):
        step(store)
        assert state(store) == expected


@pytest.mark.parametrize("step", [record, forget], ids=lambda step: step.__name__)
def test_a_scan_after_a_kill_finds_what_is_there(open_mongo: Open, step: Step) -> None:
    """Between kill and start all files were put back as they were: the next scan finds the first state again."""
    undisturbed = open_mongo()
    before(undisturbed)
    expected = _figures(undisturbed)
    there = {file.path: (file, photo) for file, photo in _files()}
    for store in kills(open_mongo, step):
        known = {file.path: file for folder in list(store.folders()) for file in store.folder(folder).values()}
        changed = [(file, photo) for path, (file, photo) in there.items() if known.get(path) != file]
        store.record(changed)
        store.forget((file.folder, file.name) for path, file in known.items() if path not in there)
        assert _figures(store) == expected


def test_another_mind_after_a_kill_leaves_no_photo_out(open_mongo: Open) -> None:
    """Killed while another recipe became the wanted one, then started with the first again: all is to do as before."""
    undisturbed = open_mongo()
    before(undisturbed)
    expected = _figures(undisturbed)
    for store in kills(open_mongo, want):
        store.want(RECIPE)
        assert _figures(store) == expected


def test_nothing_is_left_of_files_that_are_gone_after_a_kill(open_mongo: Open) -> None:
    """Between kill and start every file was deleted: no photo keeps a path, no job is left."""
    for step in (record, forget):
        for store in kills(open_mongo, step):
            for folder in list(store.folders()):
                store.forget([(folder, name) for name in store.folder(folder)])
            counts = store.counts()
            assert (counts.files, counts.photos, counts.todo, counts.done, counts.failed) == (0, 0, 0, 0, {})
            assert not any(store.paths(key(letter)) for letter in "abcdeghij")


def _files() -> list[tuple[File, Any]]:
    here = [known_file(f"{letter}.jpg", key(letter), mtime_ns=ord(letter)) for letter in "abcdg"]
    return [*here, known_file("x/g.jpg", key("g")), unreadable("u.jpg")]


def _figures(store: MongoStore) -> Any:
    paths = {key(letter): store.paths(key(letter)) for letter in "abcdeghij"}
    todo = store.jobs(100)
    assert all(job.path in paths[job.photo] for job in todo)  # any of its files will do
    failed = [failed._replace(when=None) for failed in store.failures()]
    return store.counts(), {job.photo for job in todo}, paths, list(store.faces()), failed
