"""The other commands as a user runs them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import click
import pytest
from PIL import Image

from common.config import keys
from common.model import Box
from faceswarm.cli import cli
from faceswarm.exits import Exit
from tests.cli import faceswarm, json_lines
from tests.conftest import REPOSITORY

DOCUMENTS = "\n".join(path.read_text() for path in [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
COMMANDS = sorted(cli.commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    """--help says what a command does and shows how."""
    command = cli.commands[name]
    assert re.search(rf"Example: faceswarm (--config config.ini )?{name}\b", command.help or "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    """Each command stands in the README, each of its options in README or docs."""
    assert f"`faceswarm {name}" in DOCUMENTS
    for parameter in [*cli.params, *cli.commands[name].params]:
        if isinstance(parameter, click.Option):
            assert any(option in DOCUMENTS for option in parameter.opts if option.startswith("--")), parameter.opts


def test_every_exit_code_is_documented() -> None:
    """The README's table has each code with its name."""
    for code in Exit:
        assert f"| {code.value} | {code.name} |" in DOCUMENTS


def test_every_key_and_variable_is_documented() -> None:
    """docs/configuration.md has each key and variable, and no others."""
    table = (REPOSITORY / "docs" / "configuration.md").read_text()
    for section, key, variable in keys():
        assert f"| {section} | {key} | {variable} |" in table
    known = {variable for _, _, variable in keys()}
    code = "".join(
        path.read_text()
        for room in ("common", "master", "worker", "faceswarm")
        for path in (REPOSITORY / room).rglob("*.py")
    )
    used = set(re.findall(r"\bFACESWARM_[A-Z]+(?:_[A-Z]+)*\b", code)) - {
        "FACESWARM_SECTION_KEY",
        "FACESWARM_SECTION_KEY_FILE",
    }
    assert {variable for variable in used if variable not in known} <= set(re.findall(r"FACESWARM_\w+", table))


def test_inspect_tells_all_about_a_photo(astronaut: Image.Image, tmp_path: Path) -> None:
    """One JSON line with exactly the documented fields; the box lies on the face."""
    photo = tmp_path / "astronaut.png"
    astronaut.save(photo)
    (line,) = json_lines("inspect", photo)
    assert set(line) == {
        "path", "photo", "sha256", "width", "height", "orientation", "recipe", "faces", "ms", "error",
    }  # fmt: skip
    assert (line["width"], line["height"], line["orientation"], line["error"]) == (512, 512, 1, None)
    assert set(line["ms"]) == {"decode", "detect", "embed", "total"}
    (face,) = line["faces"]
    assert set(face) == {"box", "score", "landmarks", "embedding", "doubt", "sharpness"}
    box = face["box"]
    assert box["x"] < 225 < box["x"] + box["width"] and box["y"] < 115 < box["y"] + box["height"]  # the nose
    assert len(face["embedding"]) == 128 and len(face["landmarks"]) == 5


def test_inspect_goes_on_after_a_photo_that_fails(astronaut: Image.Image, tmp_path: Path) -> None:
    """A missing and a broken file have their errors, the third its face; the exit code says that some failed."""
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    astronaut.save(tmp_path / "good.jpg")
    lines = json_lines("inspect", *(tmp_path / name for name in ("none.jpg", "broken.jpg", "good.jpg")), code=1)
    assert [bool(line["error"]) for line in lines] == [True, True, False]
    assert [len(line["faces"]) for line in lines] == [0, 0, 1]
    assert all(set(line["error"]) == {"class", "message"} for line in lines[:2])


def test_inspect_draws_boxes_on_copies(astronaut: Image.Image, tmp_path: Path) -> None:
    """The copy is upright, and differs from the photo where the box is."""
    astronaut.save(tmp_path / "a.jpg")
    before = (tmp_path / "a.jpg").read_bytes()
    faceswarm("inspect", tmp_path / "a.jpg", "--draw", tmp_path / "drawn")
    (copy,) = (tmp_path / "drawn").iterdir()
    with Image.open(copy) as drawn:
        assert drawn.size == (512, 512)
    assert (tmp_path / "a.jpg").read_bytes() == before


def test_a_photo_is_searched_upright_whichever_way_it_is_stored(astronaut: Image.Image, tmp_path: Path) -> None:
    """In all eight EXIF orientations the same box and the same face are found."""
    page = Image.new("RGB", (700, 560), "grey")
    page.paste(astronaut, (150, 20))
    ways = [None, 0, 3, 1, 5, 2, 6, 4]  # Pillow's transpositions that undo orientations 1 to 8
    photos = []
    for orientation, way in enumerate(ways, 1):
        stored = page if way is None else page.transpose(Image.Transpose(way))
        exif = Image.Exif()
        exif[0x0112] = orientation
        photos.append(tmp_path / f"{orientation}.png")
        stored.save(photos[-1], exif=exif)
    lines = json_lines("inspect", *photos)
    assert [line["orientation"] for line in lines] == list(range(1, 9))
    first = lines[0]["faces"][0]
    for line in lines:
        assert (line["width"], line["height"]) == (700, 560)
        (face,) = line["faces"]
        assert Box(**face["box"]).iou(Box(**first["box"])) > 0.97
        assert math.dist(face["embedding"], first["embedding"]) < 0.02


@pytest.mark.parametrize("name", ["faces", "failures", "status"])
def test_a_database_that_is_not_there_is_one_clear_line(name: str, tmp_path: Path) -> None:
    """Listing without an index run says what to do, and makes no file."""
    done = faceswarm(name, "--db", tmp_path / "none.db", code=4)
    assert "faceswarm index FOLDER" in done.stderr
    assert not (tmp_path / "none.db").exists()


def test_doctor_finds_everything_in_place(tmp_path: Path) -> None:
    """On a machine where the tests run, nothing is wrong."""
    lines = json_lines("doctor", "--db", tmp_path / "f.db")
    assert {"computer", "models", "engine", "formats", "database", "crops"} <= {line["what"] for line in lines}
    assert not (tmp_path / "f.db").exists()


def test_doctor_says_what_is_wrong(tmp_path: Path) -> None:
    """A database of another kind is found, in words, and the exit code tells."""
    (tmp_path / "f.db").write_text("not a database " * 100)
    done = faceswarm("doctor", "--db", tmp_path / "f.db", code=7)
    assert "WRONG database" in done.stdout


def test_a_wrong_configuration_is_one_clear_line(tmp_path: Path) -> None:
    """A mistake in config.ini ends every command that reads it with the key's name."""
    (tmp_path / "c.ini").write_text("[main]\nRoot = /x\n")
    done = faceswarm("--config", tmp_path / "c.ini", "status", code=2)
    assert "main.Root is not a known key" in done.stderr


def test_the_photo_root_may_come_from_the_configuration(tmp_path: Path) -> None:
    """`faceswarm index` without a folder takes RootPathForScanning, and asks for one where there is none."""
    assert "Which folder?" in faceswarm("index", code=2).stderr
    done = faceswarm("index", code=6, FACESWARM_MAIN_ROOT_PATH_FOR_SCANNING=str(tmp_path / "photos"))
    assert str(tmp_path / "photos") in done.stderr


@pytest.mark.slow
def test_the_report_shows_every_face(album: Path, tmp_path: Path) -> None:
    """Each photo with faces has its section, each face its picture."""
    database = tmp_path / "f.db"
    faceswarm("index", album, "--db", database)
    faceswarm("report", tmp_path / "report", "--db", database)
    page = (tmp_path / "report" / "index.html").read_text()
    pictures = re.findall(r'src="([^"]+)"', page)
    assert len(pictures) == len(json_lines("faces", "--db", database)) == 3
    assert all((tmp_path / "report" / picture).stat().st_size > 500 for picture in pictures)
    assert "astronaut.jpg, copy of astronaut.jpg" in page
