"""Passes over real folders, with a real decoder and a real store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from common.imaging.decoder import Decoder, Limits
from master.scan.scan import Scan, Tally
from master.store.sqlite import SqliteStore
from tests.builders import RECIPE


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """One decoder for all passes."""
    with Decoder(Limits()) as decoder:
        yield decoder


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """An empty store."""
    store = SqliteStore(tmp_path / "f.db")
    store.want(RECIPE)
    return store


def scan(root: Path, store: SqliteStore, decoder: Decoder, **more: object) -> Tally:
    """One pass."""
    pass_ = Scan(str(root), store=store, decoder=decoder, usable=frozenset(), **more)  # type: ignore[arg-type]
    pass_.run()
    return pass_.tally


def picture(path: Path, shade: int) -> Path:
    """A small JPEG that differs from those of other shades."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), (shade, 0, 0)).save(path)
    return path


def with_keyword(path: Path) -> None:
    """Writes a comment into a JPEG, as a photo manager does: other bytes, same picture."""
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xfe\x00\x07hello" + data[2:])


def test_every_file_of_an_album_is_accounted_for(album: Path, store: SqliteStore, decoder: Decoder) -> None:
    """Photos become jobs once each, the copy is a copy, the video and the text are skipped."""
    tally = scan(album, store, decoder)
    assert (tally.files, tally.new, tally.copies, tally.skipped) == (8, 5, 1, 2)
    assert tally.complete and not tally.problems
    assert store.counts().todo == 5
    assert store.counts().skipped == {"not a photo": 1, "video": 1}


def test_unchanged_files_are_not_opened(album: Path, store: SqliteStore, decoder: Decoder) -> None:
    """A second pass looks at names, sizes and times only, and writes nothing."""
    scan(album, store, decoder)
    changes = store._db.total_changes
    tally = scan(album, store, None)  # type: ignore[arg-type]
    assert (tally.files, tally.unchanged) == (8, 8)
    assert store._db.total_changes == changes


def test_a_moved_file_is_no_new_photo(tmp_path: Path, store: SqliteStore, decoder: Decoder) -> None:
    """A renamed folder costs no job."""
    root = tmp_path / "photos"
    picture(root / "a" / "1.jpg", 1)
    picture(root / "2.jpg", 2)
    scan(root, store, decoder)
    (root / "a").rename(root / "b")
    tally = scan(root, store, decoder)
    assert (tally.moved, tally.new, tally.missing) == (1, 0, 1)
    assert store.counts().photos == 2 and store.counts().todo == 2
    assert list(store.folders()) == ["", "b"]


def test_a_moved_root_is_no_new_collection(tmp_path: Path, store: SqliteStore, decoder: Decoder) -> None:
    """Mounted elsewhere, every file is unchanged."""
    picture(tmp_path / "here" / "a" / "1.jpg", 1)
    scan(tmp_path / "here", store, decoder)
    (tmp_path / "here").rename(tmp_path / "there")
    assert scan(tmp_path / "there", store, decoder).unchanged == 1


def test_a_tag_written_into_a_photo_is_no_new_photo(tmp_path: Path, store: SqliteStore, decoder: Decoder) -> None:
    """The file has changed, its picture has not."""
    root = tmp_path / "photos"
    photo = picture(root / "1.jpg", 1)
    scan(root, store, decoder)
    before = store.folder("")["1.jpg"]
    with_keyword(photo)
    tally = scan(root, store, decoder)
    after = store.folder("")["1.jpg"]
    assert (tally.retagged, tally.new) == (1, 0)
    assert after.photo == before.photo and after.sha256 != before.sha256


def test_an_edited_photo_is_a_new_photo(tmp_path: Path, store: SqliteStore, decoder: Decoder) -> None:
    """Another picture at the same path is to do, the former is not."""
    root = tmp_path / "photos"
    picture(root / "1.jpg", 1)
    scan(root, store, decoder)
    picture(root / "1.jpg", 200)
    assert scan(root, store, decoder).new == 1
    assert store.counts().todo == 1 and store.counts().photos == 1


def test_a_deleted_file_is_forgotten(tmp_path: Path, store: SqliteStore, decoder: Decoder) -> None:
    """What is no longer there is no longer known or to do, alone or with its folder."""
    root = tmp_path / "photos"
    picture(root / "1.jpg", 1)
    picture(root / "a" / "2.jpg", 2)
    picture(root / "b" / "3.jpg", 3)
    scan(root, store, decoder)
    (root / "1.jpg").unlink()
    shutil.rmtree(root / "a")
    assert scan(root, store, decoder).missing == 2
    assert store.counts().todo == 1


@pytest.mark.parametrize("vanished", ["empty", "gone"])
def test_an_empty_or_vanished_root_changes_nothing(
    tmp_path: Path, store: SqliteStore, decoder: Decoder, vanished: str
) -> None:
    """A drive that is not mounted is no deletion."""
    root = tmp_path / "photos"
    picture(root / "a" / "1.jpg", 1)
    scan(root, store, decoder)
    shutil.rmtree(root)
    if vanished == "empty":
        root.mkdir()
    tally = scan(root, store, decoder)
    assert tally.missing == 0 and not (vanished == "empty" and tally.complete)
    assert len(tally.problems) == 1 and str(root) in tally.problems[0]
    assert store.counts().todo == 1


def test_what_lies_below_an_unreadable_folder_is_kept(
    tmp_path: Path, store: SqliteStore, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that can't be listed is a problem in words, and no deletion of what is below it."""
    root = tmp_path / "photos"
    picture(root / "a" / "deep" / "1.jpg", 1)
    picture(root / "2.jpg", 2)
    scan(root, store, decoder)
    real = os.scandir

    def scandir(path: str) -> object:  # as root, permissions refuse nothing
        if str(path).endswith("/a"):
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    tally = scan(root, store, decoder)
    assert tally.missing == 0 and "Input/output error" in tally.problems[0]
    assert store.counts().todo == 2


def test_a_file_that_can_not_be_read_is_tried_again_each_pass(
    tmp_path: Path, store: SqliteStore, decoder: Decoder
) -> None:
    """It is listed with its reason, and is a photo as soon as it can be read."""
    root = tmp_path / "photos"
    photo = picture(root / "1.jpg", 1)
    picture(root / "2.jpg", 2)

    class Unreadable:
        """A decoder on a drive with a bad sector; permissions refuse root nothing."""

        def probe(self, path: str) -> object:
            if path == str(photo):
                raise OSError(5, "Input/output error")
            return decoder.probe(path)

    assert scan(root, store, Unreadable()).unreadable == 1  # type: ignore[arg-type]
    assert [(failure.path, failure.kind) for failure in store.failures()] == [("1.jpg", "unreadable")]
    tally = scan(root, store, decoder)
    assert (tally.new, tally.unchanged) == (1, 1)
    assert list(store.failures()) == []


def test_a_skipped_file_is_taken_up_once_its_format_is_usable(tmp_path: Path, store: SqliteStore) -> None:
    """What was skipped for want of support is looked at again when the support is there."""
    root = tmp_path / "photos"
    root.mkdir()
    (root / "a.heic").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64))
    with Decoder(Limits()) as decoder:
        scan(root, store, decoder)
        (reason,) = store.counts().skipped
        assert reason == "needs HEIF support"
        pass_ = Scan(str(root), store=store, decoder=decoder, usable=frozenset({reason}))
        pass_.run()
    assert pass_.tally.skipped == 1 and pass_.tally.unchanged == 0


def test_a_path_that_changed_under_a_worker_is_looked_at_again(
    tmp_path: Path, store: SqliteStore, decoder: Decoder
) -> None:
    """The new picture is to do; a file that is gone is forgotten."""
    root = tmp_path / "photos"
    picture(root / "1.jpg", 1)
    picture(root / "2.jpg", 2)
    pass_ = Scan(str(root), store=store, decoder=decoder, usable=frozenset())
    pass_.run()
    former = store.folder("")["1.jpg"].photo
    picture(root / "1.jpg", 99)
    (root / "2.jpg").unlink()
    pass_.look_again("1.jpg")
    pass_.look_again("2.jpg")
    pass_.drain()
    assert [job.path for job in store.jobs(10)] == ["1.jpg"]
    assert store.folder("")["1.jpg"].photo != former


def test_a_stopped_pass_takes_nothing_for_missing(tmp_path: Path, store: SqliteStore, decoder: Decoder) -> None:
    """What was looked at is recorded; the rest is left for the next pass."""
    root = tmp_path / "photos"
    for number in range(5):
        picture(root / f"{number}.jpg", number)
    scan(root, store, decoder)
    picture(root / "new.jpg", 77)
    (root / "0.jpg").unlink()
    pass_ = Scan(str(root), store=store, decoder=decoder, usable=frozenset())
    pass_.stop()
    pass_.run()
    assert not pass_.tally.complete and pass_.tally.missing == 0
    assert "new.jpg" in store.folder("")
