"""The converter: dlib's format, the weight files and what can be wrong with them, the cache of models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from worker.engines.convert import ModelError, ModelPaths, cache, detector, encoder, landmarks, load_models, weights
from worker.engines.convert.dat import Reader
from worker.engines.convert.weights import WeightsFile
from worker.engines.onnx import OnnxEngine

FILES = [weights.DETECTOR, weights.ENCODER, weights.LANDMARKS]
CONVERTERS = [(weights.DETECTOR, detector.convert), (weights.ENCODER, encoder.convert)]
CONVERTERS += [(weights.LANDMARKS, landmarks.convert)]


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without face_recognition_models."""
    monkeypatch.setitem(sys.modules, weights.PACKAGE, None)


@pytest.fixture
def original() -> bytes:
    """The detector's weights as installed. To be asked for before the package is put in front of it."""
    return weights.DETECTOR.read()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder of an installed package that is still empty, and cannot be imported."""
    folder = tmp_path / "site" / weights.PACKAGE / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("import pkg_resources_is_gone")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"\x01\x00", 0), (b"\x01\x05", 5), (b"\x81\x05", -5), (b"\x02\x00\x01", 256), (b"\x83\x01\x00\x01", -65537)],
)
def test_integers(content: bytes, value: int) -> None:
    """An integer is a control byte with its length and sign, then its magnitude."""
    reader = Reader(content)
    assert reader.integer() == value
    reader.end()


def test_floats() -> None:
    """A float is its mantissa, then its exponent."""
    assert Reader(b"\x01\x03\x81\x02" + b"\x81\x05\x01\x01").floats(2).tolist() == [0.75, -10]


def test_tensors() -> None:
    """A tensor is a version, four dimensions, and raw floats."""
    reader = Reader(b"\x01\x02" + b"\x01\x01" * 3 + b"\x01\x02" + np.array([1.5, -2], "<f4").tobytes())
    assert reader.tensor().tolist() == [[[[1.5, -2]]]]
    reader.end()


@pytest.mark.parametrize("content", [b"", b"\x02", b"\x02\x01", b"\x71\x01"])
def test_what_is_no_integer_is_refused(content: bytes) -> None:
    """Neither the end of the file nor another control byte passes for an integer."""
    with pytest.raises(ModelError):
        Reader(content).integer()


@pytest.mark.parametrize(("file", "convert"), CONVERTERS, ids=lambda value: getattr(value, "name", ""))
def test_files_are_read_to_their_last_byte(file: WeightsFile, convert: Callable[[bytes], bytes]) -> None:
    """A byte more than the parser understands is an error, and so is a byte less."""
    content = file.read()
    with pytest.raises(ModelError, match="1 bytes left over"):
        convert(content + b"\x00")
    with pytest.raises(ModelError):
        convert(content[:-1])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_truncated_file_is_refused(file: WeightsFile, package: Path) -> None:
    """The message names the file, the expected size and the cure."""
    (package / file.name).write_bytes(bytes(1000))
    with pytest.raises(ModelError, match=rf"{file.name} has 1000 bytes where {file.size} were expected: reinstall"):
        file.read()


def test_a_file_with_one_byte_changed_is_refused(original: bytes, package: Path) -> None:
    """The hash is checked before anything is parsed."""
    (package / weights.DETECTOR.name).write_bytes(original[:5000] + bytes([original[5000] ^ 1]) + original[5001:])
    with pytest.raises(ModelError, match=rf"has SHA-256 .* where {weights.DETECTOR.sha256} was expected: reinstall"):
        weights.DETECTOR.read()


def test_a_missing_file_is_named(package: Path) -> None:
    """A package without the file is told from a package that is not there."""
    with pytest.raises(ModelError, match=rf"{weights.ENCODER.name} of {weights.PACKAGE} cannot be read \(No such file"):
        weights.ENCODER.read()


def test_a_missing_package_is_named(tmp_path: Path, no_package: None) -> None:
    """Without weights and converted models there is no engine, and the message says what to install."""
    with pytest.raises(ModelError, match="face_recognition_models is not installed: reinstall it"):
        load_models(tmp_path)


def test_converted_models_need_no_weights(models: ModelPaths, no_package: None) -> None:
    """Where the models lie converted they are used as they are."""
    before = [path.stat().st_mtime_ns for path in models]
    assert load_models(models.detector.parent) == models
    assert [path.stat().st_mtime_ns for path in models] == before


def test_the_folder_comes_from_the_environment(
    models: ModelPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_package: None
) -> None:
    """FACESWARM_MODELS says where converted models lie."""
    for path in models:
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setenv("FACESWARM_MODELS", str(tmp_path))
    assert load_models() == tuple(tmp_path / path.name for path in models)


def test_models_of_another_converter_are_not_used(
    models: ModelPaths, monkeypatch: pytest.MonkeyPatch, no_package: None
) -> None:
    """A new version of the converter converts anew, for which the weights are needed."""
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    with pytest.raises(ModelError, match="not installed"):
        load_models(models.detector.parent)


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk gives a clear error and no half model under its final name, nor any draft."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ModelError, match=r"No space left on device.*FACESWARM_MODELS"):
        load_models(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The message says which variable names another folder."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match=r"cannot be written.*set FACESWARM_MODELS"):
        load_models(tmp_path / "file" / "models")


def test_two_processes_may_convert_at_once(tmp_path: Path, models: ModelPaths) -> None:
    """Both succeed, and each file is whole and the same as anybody else's."""
    command = [sys.executable, "-m", "worker.engines.convert", str(tmp_path)]
    converters = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [converter.communicate()[0].split() for converter in converters]
    assert printed == [[str(tmp_path / path.name) for path in models]] * 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in models
    }


def test_conversion_without_onnx_is_explained(tmp_path: Path) -> None:
    """Images that ship converted models have no onnx; where they lack a model, the message says so."""
    program = (
        "import sys; sys.modules['onnx'] = None; sys.argv[1:] = [sys.argv[1]];"
        "import runpy; runpy.run_module('worker.engines.convert', run_name='__main__')"
    )
    failed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert failed.returncode == 1
    assert "the detector is not converted yet and the package onnx" in failed.stderr


def test_heavy_packages_are_imported_when_needed(models: ModelPaths) -> None:
    """Importing the engine loads no runtime; running it on converted models loads neither onnx nor the weights."""
    program = (
        "import sys, numpy; from worker.engines.onnx import OnnxEngine;"
        "assert 'onnxruntime' not in sys.modules; OnnxEngine().detect(numpy.zeros((90, 90, 3), 'u1'));"
        "assert not {'onnx', 'face_recognition_models', 'dlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_broken_model_is_named(models: ModelPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A converted model that cannot be loaded is an error that says which file to delete."""
    for path in models:
        (tmp_path / path.name).symlink_to(path)
    for path in models:
        (tmp_path / path.name).unlink()
        (tmp_path / path.name).write_bytes(b"broken")
        monkeypatch.setenv("FACESWARM_MODELS", str(tmp_path))
        with pytest.raises(ModelError, match=rf"{path.name} cannot be loaded .*: delete it"):
            OnnxEngine()
        (tmp_path / path.name).unlink()
        (tmp_path / path.name).symlink_to(path)
