"""What every store guarantees about files and the photos they show, whatever the database."""

from __future__ import annotations

from common.paths import path_text
from master.store import Store
from tests.builders import RECIPE, face, failure, key, known_file, result


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


def test_any_file_name_is_kept(store: Store) -> None:
    """Names that are no UTF-8, with dots, dollars and characters of every plane come back as they were."""
    raw = [b"a.b$c.jpg", b"$set.jpg", "日本 \U0001f600.jpg".encode(), b"caf\xe9.jpg", b"tab\t\n.jpg"]
    names = [path_text(name) for name in raw]
    store.record([known_file(f"$x.y/{name}", key(letter)) for name, letter in zip(names, "abcde")])
    assert list(store.folders()) == ["$x.y"]
    assert set(store.folder("$x.y")) == set(names)
    store.forget([("$x.y", name) for name in names])
    assert store.counts().files == 0 and store.jobs(10) == []


def test_a_retagged_file_is_the_same_photo(store: Store) -> None:
    """Tags written into a file change its hash, not its photo: no job."""
    store.record([known_file("a.jpg")])
    store.put([result(key("a"), face())])
    assert store.record([known_file("a.jpg", sha256="e" * 64, size=12, mtime_ns=5)]) == [False]
    assert store.folder("")["a.jpg"].sha256 == "e" * 64
    assert store.jobs(10) == [] and store.counts().done == 1


def test_a_file_that_is_no_photo_any_more_ends_its_job(store: Store) -> None:
    """A photo overwritten by something unreadable is not dealt; it is again when it is back."""
    store.record([known_file("a.jpg")])
    file, _ = known_file("a.jpg")
    store.record([(type(file)("", "a.jpg", 3, 9, error=("truncated", "Half of it.")), None)])
    assert store.jobs(10) == [] and store.paths(key("a")) == []
    store.record([known_file("a.jpg")])
    assert [job.photo for job in store.jobs(10)] == [key("a")]
    assert list(store.failures()) == []


def test_a_failure_is_not_tried_again_when_its_file_is_seen_again(store: Store) -> None:
    """What failed stays failed until somebody asks for it."""
    store.record([known_file("a.jpg")])
    store.put([failure()])
    store.record([known_file("a.jpg"), known_file("copy.jpg")])
    assert store.jobs(10) == []
