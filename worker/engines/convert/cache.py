"""Converted models in a folder, each made at its first use; afterwards the weight files are not needed any more."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import NamedTuple

import platformdirs

from worker.engines.convert.weights import DETECTOR, ENCODER, LANDMARKS, ModelError, WeightsFile

VERSION = 1  # of the converters: raise it whenever one of them writes something else from the same weights


class ModelPaths(NamedTuple):
    """Where the converted models lie."""

    detector: Path  # .onnx
    encoder: Path  # .onnx
    landmarks: Path  # .npz


def load_models(folder: Path | None = None) -> ModelPaths:
    """The converted models; those not yet in the folder are made, which takes about two seconds for all.

    The folder is the given one, else $FACESWARM_MODELS, else the user's cache folder. Any number of processes may do
    this at once: each file appears whole or not at all, and is the same whoever wrote it.
    Raises ModelError where the weights are missing or not the published ones, or the folder cannot be written.
    """
    folder = folder or Path(os.environ.get("FACESWARM_MODELS") or platformdirs.user_cache_path("faceswarm") / "models")
    return ModelPaths(
        detector=_cached(folder, "detector", DETECTOR, ".onnx"),
        encoder=_cached(folder, "encoder", ENCODER, ".onnx"),
        landmarks=_cached(folder, "landmarks", LANDMARKS, ".npz"),
    )


def _cached(folder: Path, model: str, weights: WeightsFile, suffix: str) -> Path:
    path = folder / f"{model}-{weights.sha256[:12]}-v{VERSION}{suffix}"
    if not path.exists():
        converted = _convert(model, weights.read())
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(path, converted)
        except OSError as error:
            raise ModelError(
                f"{path} cannot be written ({error.strerror}): set FACESWARM_MODELS to a folder that can be, or to one "
                "filled by python -m worker.engines.convert"
            ) from error
    return path


def _convert(model: str, content: bytes) -> bytes:
    try:
        # Here, because images that ship converted models have no onnx.
        from worker.engines.convert import detector, encoder, landmarks
    except ModuleNotFoundError as error:
        raise ModelError(
            f"the {model} is not converted yet and the package {error.name}, which that needs, is not installed: "
            "install it, or set FACESWARM_MODELS to a folder filled by python -m worker.engines.convert"
        ) from error
    converters = {"detector": detector.convert, "encoder": encoder.convert, "landmarks": landmarks.convert}
    return converters[model](content)


def _write(path: Path, content: bytes) -> None:
    # A name of its own, as two containers that share the folder may have the same process id.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the final name with nothing in it
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
