"""`faceswarm index` as a user runs it, on real pictures."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.cli import COMMAND, content, faceswarm, json_lines

pytestmark = pytest.mark.slow
DEADLINE = 120  # s; for whatever a test waits for


def wait_for(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds."""
    deadline = time.monotonic() + DEADLINE
    waiting = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        waiting.wait(0.02)


def crops(database: Path) -> dict[str, bytes]:
    """Every crop, by name."""
    folder = database.with_name(database.stem + "-crops")
    return {path.name: path.read_bytes() for path in folder.rglob("*.jpg")}


def has_more_crops(database: Path, number: int) -> bool:
    """Whether so many photos with a face are done, and one more."""
    return len(crops(database)) > number


def many_photos(root: Path, astronaut: Image.Image, number: int) -> None:
    """Photos of one face that differ in size, hence in their picture."""
    root.mkdir(parents=True)
    for index in range(number):
        astronaut.resize((300 + 4 * index,) * 2).save(root / f"{index:03}.jpg")


def running(astronaut: Image.Image, tmp_path: Path, number: int) -> tuple[subprocess.Popen[bytes], Path, Path]:
    """A run over so many photos, in the middle: its process, photo root and database."""
    root, database = tmp_path / "photos", tmp_path / "f.db"
    many_photos(root, astronaut, number)
    command = subprocess.Popen([*COMMAND, "index", str(root), "--db", str(database)], stderr=subprocess.DEVNULL)
    wait_for(partial(has_more_crops, database, 0))
    return command, root, database


def test_an_album_is_indexed_and_nothing_is_done_twice(album: Path, tmp_path: Path) -> None:
    """Every photo ends as faces, as none or as a named failure; nothing is done twice, moved or not."""
    database = tmp_path / "f.db"
    first = faceswarm("index", album, "--db", database).stdout
    assert "5 new, 1 copies" in first and "truncated 1" in first and "not a photo 1" in first and "video 1" in first
    faces = json_lines("faces", "--db", database)
    assert sorted(tuple(face["paths"]) for face in faces) == [
        ("2024/large.png",),
        ("2024/summer/page.webp",),
        ("astronaut.jpg", "copy of astronaut.jpg"),
    ]
    assert all(face["person"] is None for face in faces)
    assert {f"{face['face']}.jpg" for face in faces} == set(crops(database))
    assert [line["class"] for line in json_lines("failures", "--db", database)] == ["truncated"]
    (status,) = json_lines("status", "--db", database)
    assert (status["photos"], status["done"], status["todo"], status["failed"]) == (5, 4, 0, {"truncated": 1})

    before = content(database)
    (album / "2024").rename(album / "2025")
    second = faceswarm("index", album, "--db", database).stdout
    assert "photos/s" not in second and "4 moved" in second
    assert {table: rows for table, rows in content(database).items() if table != "files"} == {
        table: rows for table, rows in before.items() if table != "files"
    }


def test_a_keyword_written_by_exiftool_costs_no_detection(
    album: Path, tmp_path: Path, needs: Callable[[str], str]
) -> None:
    """A tag changes the file, not the picture; a changed orientation is one job."""
    exiftool = needs("exiftool")
    database = tmp_path / "f.db"
    faceswarm("index", album, "--db", database)
    photo = album / "astronaut.jpg"
    subprocess.run([exiftool, "-q", "-overwrite_original", "-keywords=space", photo], check=True)
    again = faceswarm("index", album, "--db", database).stdout
    assert "1 changed in their tags only" in again and "photos/s" not in again
    subprocess.run([exiftool, "-q", "-overwrite_original", "-n", "-orientation=6", photo], check=True)
    turned = faceswarm("index", album, "--db", database).stdout
    assert "1 in " in turned.split("Speed")[1]


def test_a_run_killed_again_and_again_ends_like_an_undisturbed_one(astronaut: Image.Image, tmp_path: Path) -> None:
    """Killed at any moment, nothing that was stored is lost, and the end is the same to the last byte."""
    root = tmp_path / "photos"
    many_photos(root, astronaut, 40)
    faceswarm("index", root, "--db", tmp_path / "undisturbed.db")
    database = tmp_path / "killed.db"
    kept = 0
    for kill in range(8):
        command = subprocess.Popen([*COMMAND, "index", str(root), "--db", str(database)], stderr=subprocess.DEVNULL)
        if kill % 2:  # early, while it starts or scans
            wait_for(database.exists)
        else:
            wait_for(partial(has_more_crops, database, kept))
        command.kill()
        command.wait()
        if database.exists() and database.stat().st_size:
            (status,) = json_lines("status", "--db", database)
            assert status["done"] >= kept
            kept = status["done"]
    faceswarm("index", root, "--db", database)
    assert content(database) == content(tmp_path / "undisturbed.db")
    assert crops(database) == crops(tmp_path / "undisturbed.db")


def test_no_process_outlives_a_killed_run(astronaut: Image.Image, tmp_path: Path) -> None:
    """Slots and decoders end by themselves when their parent is gone."""
    command, _, _ = running(astronaut, tmp_path, 24)
    children = psutil.Process(command.pid).children(recursive=True)
    assert len(children) >= 3
    command.kill()
    command.wait()
    assert not psutil.wait_procs(children, timeout=DEADLINE)[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stops_cleanly_when_asked(astronaut: Image.Image, tmp_path: Path, number: int) -> None:
    """Ctrl-C finishes the photos in hand, prints the summary, and the next run goes on from there."""
    root = tmp_path / "photos"
    many_photos(root, astronaut, 24)
    database = tmp_path / "f.db"
    command = subprocess.Popen(
        [*COMMAND, "index", str(root), "--db", str(database)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: len(crops(database)) > 0)
    os.killpg(command.pid, number)  # as a terminal does: to all processes
    out, err = command.communicate(timeout=DEADLINE)
    assert command.returncode == 130, out + err
    assert "run the same command again to go on" in out and "Traceback" not in out + err
    (status,) = json_lines("status", "--db", database)
    assert status["todo"] + status["done"] == status["photos"] > status["done"] > 0
    attempts = content(database)["jobs"]
    assert len(attempts) == status["todo"]
    faceswarm("index", root, "--db", database)
    (status,) = json_lines("status", "--db", database)
    assert (status["photos"], status["done"]) == (24, 24)


def test_a_second_run_on_the_same_database_is_refused(astronaut: Image.Image, tmp_path: Path) -> None:
    """Two runs do not get in each other's way: the second one says so and changes nothing."""
    command, root, database = running(astronaut, tmp_path, 24)
    assert "at work on" in faceswarm("index", root, "--db", database, code=3).stderr
    command.kill()
    command.wait()


def test_a_slot_that_dies_costs_no_photo(astronaut: Image.Image, tmp_path: Path) -> None:
    """A slot killed in the middle is replaced, and its photo gets a second try."""
    command, _, database = running(astronaut, tmp_path, 16)
    slots = [child for child in psutil.Process(command.pid).children() if "worker.slot" in child.cmdline()]
    assert slots
    slots[0].kill()
    assert command.wait(DEADLINE) == 0
    (status,) = json_lines("status", "--db", database)
    assert (status["done"], status["failed"]) == (16, {})


def test_the_first_faces_are_stored_before_the_folder_is_walked(astronaut: Image.Image, tmp_path: Path) -> None:
    """Photos are dealt as they are found."""
    command, _, database = running(astronaut, tmp_path, 200)
    (status,) = json_lines("status", "--db", database)
    command.kill()
    command.wait()
    assert status["done"] > 0 and status["todo"] > 0


def test_a_root_that_is_not_there_changes_nothing(album: Path, tmp_path: Path) -> None:
    """A missing or empty photo root is one clear line; what is known stays."""
    database = tmp_path / "f.db"
    faceswarm("index", album, "--db", database)
    before = content(database)
    assert "not a folder" in faceswarm("index", tmp_path / "nowhere", "--db", database, code=6).stderr
    shutil.rmtree(album)
    album.mkdir()
    assert "Is its drive mounted?" in faceswarm("index", album, "--db", database, code=6).stdout
    assert content(database) == before


def test_another_folder_in_the_same_database_is_remarked_upon(
    album: Path, tmp_path: Path, faceless: Image.Image
) -> None:
    """What was known is kept, and comes back for nothing; a word says how to keep collections apart."""
    database = tmp_path / "f.db"
    faceswarm("index", album, "--db", database)
    faces = json_lines("faces", "--db", database)
    other = tmp_path / "other"
    other.mkdir()
    faceless.save(other / "a.jpg")
    assert "--db FILE" in faceswarm("index", other, "--db", database).stdout
    assert json_lines("faces", "--db", database) == []
    assert "photos/s" not in faceswarm("index", album, "--db", database).stdout
    assert json_lines("faces", "--db", database) == faces


def test_crops_are_never_scanned_as_photos(album: Path) -> None:
    """With the database inside the photo root, a second run finds nothing new."""
    database = album / "f.db"
    faceswarm("index", album, "--db", database)
    photos = json_lines("status", "--db", database)[0]["photos"]
    faceswarm("index", album, "--db", database)
    assert json_lines("status", "--db", database)[0]["photos"] == photos


def test_broken_files_cost_themselves_only(shared_data: Path, tmp_path: Path) -> None:
    """Everything broken or odd ends as faces, as none, as skipped or as a named failure; the rest goes on."""
    root = tmp_path / "photos"
    shutil.copytree(shared_data / "broken", root / "broken")
    shutil.copytree(shared_data / "formats", root / "formats")
    shutil.copytree(shared_data / "exif" / "orientation", root / "orientation")
    database = tmp_path / "f.db"
    faceswarm("index", root, "--db", database)
    (status,) = json_lines("status", "--db", database)
    assert status["todo"] == 0
    failures = json_lines("failures", "--db", database)
    assert status["done"] + sum(1 for failure in failures if failure["photo"]) == status["photos"]
    assert status["files"] >= status["photos"] + sum(status["skipped"].values())
    assert status["done"] >= 70 and sum(status["failed"].values()) == len(failures) >= 15
    assert set(status["failed"]) <= {
        "unreadable", "not an image", "truncated", "damaged", "too large", "out of memory", "took too long",
        "decoder crashed",
    }  # fmt: skip
    assert set(status["skipped"]) <= {
        "video", "not a photo", "needs HEIF support", "needs camera RAW support", "needs JPEG XL support",
    }  # fmt: skip
