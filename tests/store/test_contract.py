"""What every store guarantees, whatever the database."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.model import Box
from master.store import Attempt, KnownWorker, Lane, Manners, Store
from master.store.ids import face_id
from master.store.sqlite import SqliteStore
from tests.builders import RECIPE, face, failure, key, known_file, result


@pytest.fixture(params=["sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each adapter in turn, empty, wanting RECIPE."""
    store = SqliteStore(tmp_path / "faces.db")
    store.want(RECIPE)
    yield store
    store.close()


def test_a_new_photo_becomes_a_job(store: Store) -> None:
    """What is recorded for the first time is known, and to do."""
    assert store.record([known_file("2024/a.jpg")]) == [True]
    assert [(job.photo, job.path, job.attempts) for job in store.jobs(10)] == [(key("a"), "2024/a.jpg", 0)]
    file, _ = known_file("2024/a.jpg")
    assert store.folder("2024") == {"a.jpg": file}


def test_recording_twice_changes_nothing(store: Store) -> None:
    """A photo recorded again is known, and still one job."""
    store.record([known_file("a.jpg")])
    assert store.record([known_file("a.jpg")]) == [False]
    assert len(store.jobs(10)) == 1


def test_a_copy_is_a_path_of_a_known_photo(store: Store) -> None:
    """Two files with one picture are one photo, one job."""
    store.record([known_file("a.jpg"), known_file("copies/a.jpg")])
    assert store.paths(key("a")) == ["a.jpg", "copies/a.jpg"]
    assert len(store.jobs(10)) == 1
    assert store.counts().photos == 1 and store.counts().files == 2


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


def test_an_unreadable_file_is_a_failure_of_its_path(store: Store) -> None:
    """A file that could not be read has no photo, and is listed with its reason."""
    file, _ = known_file("a.jpg", sha256=None)
    unreadable = type(file)("", "a.jpg", 10, 1, error=("unreadable", "Permission denied."))
    store.record([(unreadable, None)])
    assert [(f.path, f.photo, f.kind) for f in store.failures()] == [("a.jpg", None, "unreadable")]
    assert store.folder("")["a.jpg"] == unreadable
    assert store.jobs(10) == []


def test_skipped_files_are_counted_by_reason(store: Store) -> None:
    """What is no photo is known by its reason."""
    file, _ = known_file("a.mp4")
    store.record([(type(file)("", "a.mp4", 10, 1, skipped="video"), None)])
    assert store.counts().skipped == {"video": 1}


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


def test_a_forgotten_file_takes_its_job_along(store: Store) -> None:
    """A photo without any file is not dealt; it is again when the file is back."""
    store.record([known_file("a.jpg")])
    store.forget([("", "a.jpg")])
    assert store.jobs(10) == [] and store.folder("") == {}
    assert store.record([known_file("a.jpg")]) == [False]
    assert len(store.jobs(10)) == 1


def test_a_forgotten_copy_leaves_the_job(store: Store) -> None:
    """As long as one file of the photo is there, it is to do."""
    store.record([known_file("a.jpg"), known_file("copy.jpg")])
    store.forget([("", "a.jpg")])
    assert [job.path for job in store.jobs(10)] == ["copy.jpg"]


def test_results_outlive_their_files(store: Store) -> None:
    """Faces of a deleted photo are kept, shown nowhere, and there again with the file."""
    store.record([known_file("a.jpg")])
    store.put([result(key("a"), face())])
    store.forget([("", "a.jpg")])
    assert list(store.faces()) == [] and store.counts().faces == 0
    store.record([known_file("moved.jpg")])
    assert [stored.paths for stored in store.faces()] == [("moved.jpg",)]
    assert store.jobs(10) == []


def test_an_edited_file_is_another_photo(store: Store) -> None:
    """When a path shows another picture, the old picture's job ends and the new one's begins."""
    store.record([known_file("a.jpg")])
    store.record([known_file("a.jpg", key("b"), size=11)])
    assert [job.photo for job in store.jobs(10)] == [key("b")]
    assert store.paths(key("a")) == []


def test_a_new_recipe_makes_known_photos_jobs(store: Store) -> None:
    """Photos done by another recipe are to do again; the old faces are not mixed with the new."""
    store.record([known_file("a.jpg")])
    store.put([result(key("a"), face())])
    store.want("better/encoder")
    assert [(job.photo, job.recipe) for job in store.jobs(10)] == [(key("a"), "better/encoder")]
    assert list(store.faces()) == []
    store.want(RECIPE)
    assert store.jobs(10) == [] and len(list(store.faces())) == 1


def test_folders_with_known_files_are_listed(store: Store) -> None:
    """Every folder is named once."""
    store.record([known_file("a.jpg"), known_file("x/b.jpg", key("b")), known_file("x/c.jpg", key("c"))])
    assert list(store.folders()) == ["", "x"]


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    """What was stored outlives the process, to the last bit of an embedding."""
    with_result = SqliteStore(tmp_path / "f.db")
    with_result.want(RECIPE)
    with_result.record([known_file("a.jpg"), known_file("b.jpg", key("b"))])
    with_result.put([result(key("a"), face())])
    with_result.close()
    again = SqliteStore(tmp_path / "f.db")
    assert [stored.face for stored in again.faces()] == [face_id(key("a"), RECIPE, 0)]
    assert [job.photo for job in again.jobs(10)] == [key("b")]
    embedding = again._db.execute("SELECT embedding FROM faces").fetchone()[0]
    assert struct.unpack("<128f", embedding) == tuple(range(128))
