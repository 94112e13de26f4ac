"""The three weight files of dlib that are read, and what can be wrong with them.

They come with the package face_recognition_models 0.3.0. It is never imported: that needs pkg_resources, which current
setuptools no longer has. Its fourth file, the 68-point predictor, is not free for every use and never read.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "face_recognition_models"
CURE = "reinstall it (pip install --force-reinstall face_recognition_models==0.3.0)"


class ModelError(Exception):
    """A model cannot be had. The message names the file, what was expected of it, and what to do."""


@dataclass(frozen=True)
class WeightsFile:
    """A published file: its name in the package, size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str

    def path(self) -> Path:
        """Where the installed package has it. Raises ModelError where there is no such package."""
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ModelError(f"{self.name} is needed, but the package {PACKAGE} is not installed: {CURE}")
        return Path(spec.submodule_search_locations[0], "models", self.name)

    def read(self) -> bytes:
        """The bytes, once they are known to be the published ones. Raises ModelError."""
        path = self.path()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path} of {PACKAGE} cannot be read ({error.strerror}): {CURE}") from error
        if len(content) != self.size:
            raise ModelError(f"{path} has {len(content)} bytes where {self.size} were expected: {CURE}")
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ModelError(f"{path} has SHA-256 {found} where {self.sha256} was expected: {CURE}")
        return content


DETECTOR = WeightsFile(
    "mmod_human_face_detector.dat",
    729_940,
    "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
)
ENCODER = WeightsFile(
    "dlib_face_recognition_resnet_model_v1.dat",
    22_466_066,
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)
LANDMARKS = WeightsFile(
    "shape_predictor_5_face_landmarks.dat",
    9_150_489,
    "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
)
