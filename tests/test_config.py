"""config.ini, the environment and secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.config import ConfigError, keys, load
from tests.conftest import REPOSITORY

PREDECESSORS = """
[kafka]
Host = 192.168.100.201:9092
ImageRecogniseTopic = image_recognise
ImageRecogniseResultTopic = image_recognise_result
ImageFaceRecogniseTopic = image_face_recognise
ImageFaceRecogniseResultTopic = image_face_recognise_result
[mongo]
Uri = mongodb://root:se%cret@192.168.100.201:27017/
ImageDb = image-recognition_test
[main]
RootPathForScanning = /mnt/photos
CroppedFacesPath = /mnt/crops
RootPathEtalonFaces = /mnt/etalon
IgnorePathForScanning = /mnt/photos/private
"""


def written(tmp_path: Path, text: str) -> Path:
    """A config.ini with this text."""
    file = tmp_path / "config.ini"
    file.write_text(text)
    return file


def test_the_predecessors_file_is_understood(tmp_path: Path) -> None:
    """A config.ini with just the predecessor's keys works unchanged."""
    config = load(written(tmp_path, PREDECESSORS), {})
    assert config.kafka.host == "192.168.100.201:9092"
    assert config.mongo.uri == "mongodb://root:se%cret@192.168.100.201:27017/"
    assert config.main.root_path_for_scanning == Path("/mnt/photos")
    assert config.main.ignore_path_for_scanning == ("/mnt/photos/private",)


def test_several_paths_can_be_ignored(tmp_path: Path) -> None:
    """IgnorePathForScanning takes a path a line."""
    config = load(written(tmp_path, "[main]\nIgnorePathForScanning = a\n  b/c\n"), {})
    assert config.main.ignore_path_for_scanning == ("a", "b/c")


def test_the_shipped_file_works_as_it_is() -> None:
    """The config.ini of the repository holds every key, and no other."""
    file = REPOSITORY / "config.ini"
    load(file, {})
    text = file.read_text()
    for _, key, _ in keys():
        assert f"\n{key} =" in text or f"\n;{key} =" in text, key


def test_the_environment_wins(tmp_path: Path) -> None:
    """A variable overrides the file, and a *_FILE gives a secret's place."""
    secret = tmp_path / "uri"
    secret.write_text("mongodb://elsewhere\n")
    environment = {"FACESWARM_MAIN_CROPPED_FACES_PATH": "/crops", "FACESWARM_MONGO_URI_FILE": str(secret)}
    config = load(written(tmp_path, PREDECESSORS), environment)
    assert config.main.cropped_faces_path == Path("/crops")
    assert config.mongo.uri == "mongodb://elsewhere"


def test_an_empty_value_means_the_default(tmp_path: Path) -> None:
    """A key without a value is as if it were not there."""
    assert load(written(tmp_path, "[main]\nCroppedFacesPath =\n"), {}).main.cropped_faces_path is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[main]\nRootPath = /x", "main.RootPath is not a known key"),
        ("[mian]\nX = 1", "mian is not a known key"),
        ("[decode]\nSeconds = soon", "decode.Seconds .*number"),
        ("[decode]\nMegabytes = 1", "decode.Megabytes .*128"),
        ("no section", "config.ini"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    """An unknown key, a wrong type, a broken file: one line that names it."""
    with pytest.raises(ConfigError, match=words) as error:
        load(written(tmp_path, text), {})
    assert "\n" not in str(error.value)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    """A config file or a secret that is not there is named."""
    with pytest.raises(ConfigError, match="nowhere.ini"):
        load(tmp_path / "nowhere.ini", {})
    with pytest.raises(ConfigError, match="FACESWARM_MONGO_URI_FILE"):
        load(None, {"FACESWARM_MONGO_URI_FILE": "/nowhere"})
