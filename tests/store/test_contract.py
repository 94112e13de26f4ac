"""What every store guarantees about jobs, answers, masters and workers, whatever the database."""

from __future__ import annotations

import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.model import Box
from master.store import Attempt, KnownWorker, Lane, Manners, Store
from master.store.ids import face_id
from master.store.mongo import MongoStore
from master.store.sqlite import SqliteStore
from tests.builders import RECIPE, face, failure, key, known_file, result


def test_a_result_ends_its_job(store: Store) -> None:
    """A stored result is done; its photo is not dealt again, also when recorded again."""
    store.record([known_file("a.jpg")])
    assert store.put([result(key("a"), face())]) == ["stored"]
    store.record([known_file("b.jpg")])
    assert store.jobs(10) == []
    assert store.known([(key("a"), RECIPE), (key("b"), RECIPE)]) == {(key("a"), RECIPE)}


def test_a_photo_without_faces_is_done_too(store: Store) -> None:
    """A result with no face is a result."""
    store.record([known_file("a.jpg")])
    store.put([result(key("a"))])
    assert store.counts().done == 1 and store.counts().faces == 0 and store.counts().todo == 0


def test_the_first_result_wins_whole(store: Store) -> None:
    """A twin whose boxes differ by 3 px, delivered late, changes nothing."""
    store.record([known_file("a.jpg")])
    store.put([result(key("a"), face(10))])
    before = list(store.faces())
    assert store.put([result(key("a"), face(13), face(80))]) == ["known"]
    assert list(store.faces()) == before


def test_a_face_is_stored_as_it_was_found(store: Store) -> None:
    """A face's id, box, score and doubt come back, with every path of its photo."""
    store.record([known_file("b.jpg"), known_file("a.jpg")])
    store.put([result(key("a"), face(10))])
    (stored,) = store.faces()
    assert stored.face == face_id(key("a"), RECIPE, 0)
    assert stored.box == Box(10, 20, 30, 40)
    assert stored.paths == ("a.jpg", "b.jpg")
    assert (stored.score, stored.doubt, stored.recipe) == (1.0, 0.1, RECIPE)


def test_an_answer_for_a_photo_never_heard_of_disturbs_nothing(store: Store) -> None:
    """It is kept, shown nowhere, and there once its file is found."""
    assert store.put([result(key("a"), face()), failure(key("b"))]) == ["stored", "stored"]
    assert list(store.faces()) == [] and list(store.failures()) == []
    store.record([known_file("a.jpg")])
    assert [stored.paths for stored in store.faces()] == [("a.jpg",)]


def test_a_failure_ends_its_job_and_is_listed(store: Store) -> None:
    """A failed photo is not dealt again, and says why."""
    store.record([known_file("a.jpg")])
    assert store.put([failure()]) == ["stored"]
    assert store.jobs(10) == []
    assert [(f.path, f.kind, f.attempts) for f in store.failures()] == [("a.jpg", "truncated", 1)]
    assert store.counts().failed == {"truncated": 1}


def test_a_result_clears_an_earlier_failure(store: Store) -> None:
    """What succeeded at last is no failure any more, and a late failure does not undo a result."""
    store.record([known_file("a.jpg")])
    store.put([failure()])
    store.put([result(key("a"), face())])
    assert store.put([failure()]) == ["known"]
    assert list(store.failures()) == []
    assert store.counts().done == 1


def test_attempts_are_counted_before_they_are_made(store: Store) -> None:
    """Each begin() is one attempt more, and the photo with the fewest is dealt first."""
    store.record([known_file("a.jpg"), known_file("b.jpg", key("b"))])
    assert store.begin(key("a"), RECIPE, "old", "1") == 1
    assert store.begin(key("a"), RECIPE, "new", "7") == 2
    assert [(job.path, job.attempts) for job in store.jobs(10)] == [("b.jpg", 0), ("a.jpg", 2)]
    assert sorted(store.attempts()) == [
        Attempt(key("a"), RECIPE, 1, "old", "1"),
        Attempt(key("a"), RECIPE, 2, "new", "7"),
    ]


def test_an_attempt_that_was_not_made_is_taken_back(store: Store) -> None:
    """An attempt that ends without being made does not count; its number is not used again."""
    store.record([known_file("a.jpg")])
    store.begin(key("a"), RECIPE, "w", "1")
    store.end_attempt(key("a"), RECIPE, 1, counts=False)
    store.end_attempt(key("a"), RECIPE, 1, counts=False)
    assert store.jobs(10)[0].attempts == 0
    assert store.attempts() == []
    assert store.begin(key("a"), RECIPE, "w", "1") == 2


def test_an_attempt_that_was_lost_counts(store: Store) -> None:
    """An attempt whose worker died is no longer open, but counts against the photo."""
    store.record([known_file("a.jpg")])
    store.begin(key("a"), RECIPE, "w", "1")
    store.end_attempt(key("a"), RECIPE, 1, counts=True)
    assert store.jobs(10)[0].attempts == 1
    assert store.attempts() == []


def test_an_answer_ends_every_attempt_at_its_job(store: Store) -> None:
    """After a result or a failure nobody waits for a twin."""
    store.record([known_file("a.jpg"), known_file("b.jpg", key("b"))])
    for photo in (key("a"), key("a"), key("b")):
        store.begin(photo, RECIPE, "w", "1")
    store.put([result(key("a")), failure(key("b"))])
    assert store.attempts() == []


def test_a_job_that_is_gone_can_not_be_begun(store: Store) -> None:
    """An attempt at what is already done is None."""
    store.record([known_file("a.jpg")])
    store.put([result(key("a"))])
    assert store.begin(key("a"), RECIPE, "w", "1") is None


def test_the_newest_photo_is_dealt_first(store: Store) -> None:
    """Among photos never tried, the one whose file is newest comes first, with its size."""
    times = {"a": 100, "b": 300, "c": 200}
    store.record([known_file(f"{name}.jpg", key(name), mtime_ns=time) for name, time in times.items()])
    assert [job.path for job in store.jobs(2)] == ["b.jpg", "c.jpg"]
    assert store.jobs(1)[0].megapixels == pytest.approx(640 * 480 / 1e6)


def test_answers_are_kept_together_with_what_was_read(store: Store) -> None:
    """After a batch the topic's offset is where it was read up to; a replay of it changes nothing."""
    store.record([known_file("a.jpg"), known_file("b.jpg", key("b"))])
    assert store.offset("results") is None
    batch = [result(key("a"), face()), failure(key("b")), result(key("a"), face(99))]
    assert store.put(batch, ("results", 12)) == ["stored", "stored", "known"]
    assert store.offset("results") == 12
    before = list(store.faces()), list(store.failures())
    assert store.put(batch, ("results", 12))[::2] == ["known", "known"]
    assert (list(store.faces()), list(store.failures())) == before


def test_only_the_latest_master_beats(store: Store) -> None:
    """Each new master has a higher epoch; the former one learns that it is not wanted any more."""
    first = store.begin_epoch()
    assert store.beat(first)
    second = store.begin_epoch()
    assert second > first
    assert not store.beat(first)
    before = store.mastership()
    assert store.beat(second)
    assert store.mastership()[0] == before[0] == second
    assert store.mastership()[1] != before[1]


def test_two_masters_never_have_one_epoch(open_store: Callable[[], Store]) -> None:
    """However many begin at once, through connections of their own, each has an epoch of its own."""
    stores = [open_store() for _ in range(4)]
    with ThreadPoolExecutor(len(stores)) as threads:
        epochs = list(threads.map(lambda store: store.begin_epoch(), stores * 5))
    assert sorted(epochs) == list(range(1, 21))
    assert stores[0].mastership()[0] == 20


def test_lanes_are_kept_with_their_latest_use(store: Store) -> None:
    """A lane that is used again belongs to its new worker."""
    store.use_lane(Lane(0, 1, "pi", "x"))
    store.use_lane(Lane(1, 2, "desktop", "y"))
    store.use_lane(Lane(0, 3, "laptop", "z"))
    assert sorted(store.lanes()) == [Lane(0, 3, "laptop", "z"), Lane(1, 2, "desktop", "y")]


def test_a_worker_is_known_by_its_name(store: Store) -> None:
    """A worker's speed and manners are kept apart from each other, and stay."""
    store.put_rate("pi", 12.5)
    manners = Manners(paused=True, drain=False, hours="22-7", max_load=0.5)
    store.put_manners("pi", manners)
    store.put_rate("pi", 11.0)
    store.put_manners("desktop", Manners())
    assert store.workers() == [KnownWorker("desktop", None, Manners()), KnownWorker("pi", 11.0, manners)]


def test_a_note_is_replaced_by_the_next(store: Store) -> None:
    """What the master leaves for the command line is its latest word."""
    assert store.note("fleet") is None
    store.put_note("fleet", "first")
    store.put_note("fleet", "second")
    assert store.note("fleet") == "second"


def test_everything_is_there_after_opening_again(open_store: Callable[[], Store]) -> None:
    """What was stored outlives the process, to the last bit of an embedding."""
    with_result = open_store()
    with_result.want(RECIPE)
    with_result.record([known_file("a.jpg"), known_file("b.jpg", key("b"))])
    with_result.put([result(key("a"), face())])
    with_result.close()
    again = open_store()
    assert [stored.face for stored in again.faces()] == [face_id(key("a"), RECIPE, 0)]
    assert [job.photo for job in again.jobs(10)] == [key("b")]
    assert struct.unpack("<128f", _embedding(again)) == tuple(range(128))


def _embedding(store: Store) -> bytes:
    """Of the first face, which no method of the port gives yet."""
    if isinstance(store, SqliteStore):
        return bytes(store._db.execute("SELECT embedding FROM faces").fetchone()[0])
    assert isinstance(store, MongoStore)
    return bytes((store._db.results.find_one() or {})["faces"][0]["embedding"])


def test_faces_and_failures_come_in_the_order_of_their_paths(store: Store) -> None:
    """Whatever the database, the same photos give the same list: a file at the top is not before every folder."""
    paths = {"a": "b.jpg", "b": "a/x.jpg", "c": "c/a.jpg", "d": "a.jpg", "e": "a b/a.jpg"}
    store.record([known_file(path, key(letter)) for letter, path in paths.items()])
    store.put([result(key(letter), face()) for letter in "abc"])
    store.put([failure(key(letter), path=paths[letter]) for letter in "de"])
    assert [stored.paths for stored in store.faces()] == [("a/x.jpg",), ("b.jpg",), ("c/a.jpg",)]
    assert [failed.path for failed in store.failures()] == ["a b/a.jpg", "a.jpg"]


def test_a_result_after_a_failure_in_one_batch_counts(store: Store) -> None:
    """Answers to one job that are read at once end as if they were read one by one."""
    store.record([known_file("a.jpg"), known_file("b.jpg", key("b"))])
    batch = [failure(), result(key("a"), face()), result(key("b")), failure(key("b"))]
    assert store.put(batch) == ["stored", "stored", "stored", "known"]
    assert list(store.failures()) == []
    assert store.counts().done == 2


def test_an_answer_about_a_photo_that_is_gone_is_kept(store: Store) -> None:
    """Its files were deleted while the worker was at it: shown nowhere, and there when a file is back."""
    store.record([known_file("a.jpg"), known_file("b.jpg", key("b"))])
    store.forget([("", "a.jpg"), ("", "b.jpg")])
    assert store.put([result(key("a"), face()), failure(key("b"), path="b.jpg")]) == ["stored", "stored"]
    counts = store.counts()
    assert (counts.done, counts.faces, counts.failed, counts.photos, counts.files) == (0, 0, {}, 0, 0)
    assert list(store.failures()) == []
    store.record([known_file("a.jpg"), known_file("b.jpg", key("b"))])
    counts = store.counts()
    assert (counts.done, counts.faces, counts.failed, counts.todo) == (1, 1, {"truncated": 1}, 0)


def test_counts_add_up(store: Store) -> None:
    """Each figure counts what it says, by class where there are classes."""
    store.record([known_file(f"{letter}.jpg", key(letter)) for letter in "abcdef"] + [known_file("copy.jpg")])
    file, _ = known_file("x")
    store.record([(type(file)("", f"{n}.mp4", 10, 1, skipped="video"), None) for n in range(3)])
    store.record([(type(file)("", "n.jpg", 10, 1, error=("unreadable", "Permission denied.")), None)])
    store.put([result(key("a"), face(), face(60)), result(key("b")), result(key("c"), face())])
    store.put([failure(key("d")), failure(key("e"), kind="crash")])
    counts = store.counts()
    assert (counts.files, counts.photos, counts.todo, counts.done, counts.faces) == (11, 6, 1, 3, 3)
    assert counts.failed == {"crash": 1, "truncated": 1, "unreadable": 1} and counts.skipped == {"video": 3}


def test_threads_may_use_one_store(store: Store) -> None:
    """Attempts begun at once have different numbers; a scan and answers at once leave nothing to do."""
    letters = "abcdef"
    store.record([known_file(f"{letter}.jpg", key(letter)) for letter in letters])
    with ThreadPoolExecutor(4) as threads:
        numbers = list(threads.map(lambda n: store.begin(key("a"), RECIPE, f"w{n}", "1"), range(8)))
        assert sorted(number or 0 for number in numbers) == list(range(1, 9))
        answers = [threads.submit(store.put, [result(key(letter), face())]) for letter in letters]
        again = [threads.submit(store.record, [known_file(f"{letter}.jpg", key(letter))]) for letter in letters]
        copies = [threads.submit(store.record, [known_file(f"2/{letter}.jpg", key(letter))]) for letter in letters]
        for done in answers + again + copies:
            done.result()
    counts = store.counts()
    assert (counts.todo, counts.done, counts.files, counts.photos) == (0, 6, 12, 6)
