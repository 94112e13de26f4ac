"""The engine on ONNX Runtime: dlib's public detector, landmarks and encoder, without dlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from common.model import Recipe
from worker.engines import Description, Detection, Pixels, Rectangle
from worker.engines.chips import cut, sharpness
from worker.engines.convert import ModelError, load_models
from worker.engines.landmarks import Landmarks
from worker.engines.pyramid import MEAN_COLOUR, RATIO, best_of_each_face, level_sizes, windows

T = TypeVar("T")

DETECTION_SIDE = 1500  # px; finds nine in ten faces of 5% of it; more costs time and finds hardly more of those
THRESHOLD = 0.0  # dlib's
PADDING, MIRRORED_PADDING = 0.20, 0.30  # of the two chips; of all pairs tried the one that tells people apart best
BATCH = 8  # faces, two chips each; more at once is no faster, only larger


class OnnxEngine:
    """The port's promises, on CPU. Its detector and encoder are dlib's to the last digit that matters."""

    recipe = Recipe(
        detection=f"mmod-fp32-{RATIO[0]}of{RATIO[1]}-{DETECTION_SIDE}px",
        embedding=f"lm5-p{PADDING * 100:.0f}m{MIRRORED_PADDING * 100:.0f}-resnet1-fp32",
    )
    detection_side = DETECTION_SIDE

    def __init__(self, threads: int = 1) -> None:
        """Loads the models, which are converted first where that was not done. Raises ModelError.

        ``threads``: how many processors one call may use.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        # Waiting threads of one session would take the processors from the other's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False  # it keeps a plan of the memory for every size of picture ever seen
        session = partial(onnxruntime.InferenceSession, sess_options=options, providers=["CPUExecutionProvider"])
        models = load_models()
        self._detector = _loaded(models.detector, session)
        self._encoder = _loaded(models.encoder, session)
        self._landmarks = _loaded(models.landmarks, Landmarks)
        self._value = onnxruntime.OrtValue.ortvalue_from_numpy

    def detect(self, picture: Pixels) -> list[Detection]:
        size = picture.shape[:2]
        pixels = picture.transpose(2, 0, 1)[None].astype(np.float32, order="C")
        pixels -= np.array(MEAN_COLOUR, np.float32)[:, None, None]
        level = self._value(pixels)  # an array would be copied for every level
        found = [(np.empty((0, 4)), np.empty(0, np.float32))]
        for rows, columns in level_sizes(*size):
            wanted = self._value(np.array([1, 3, rows, columns]))
            level, scores = self._detector.run_with_ort_values(["level", "scores"], {"picture": level, "size": wanted})
            found.append(windows(scores.numpy(), (rows, columns), size, THRESHOLD))
        boxes, sureness = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = best_of_each_face(boxes, sureness)
        return [Detection(Rectangle(*boxes[index].tolist()), float(sureness[index])) for index in kept]

    def describe(self, faces: Sequence[tuple[Pixels, Rectangle]]) -> list[Description]:
        descriptions: list[Description] = []
        for start in range(0, len(faces), BATCH):
            descriptions += self._described(faces[start : start + BATCH])
        return descriptions

    def _described(self, faces: Sequence[tuple[Pixels, Rectangle]]) -> list[Description]:
        landmarks = [self._landmarks.find(patch, face) for patch, face in faces]
        plain = [cut(patch, points, PADDING) for (patch, _), points in zip(faces, landmarks, strict=True)]
        mirrored = [
            cut(patch, points, MIRRORED_PADDING)[:, ::-1] for (patch, _), points in zip(faces, landmarks, strict=True)
        ]
        embeddings: NDArray[np.float32] = self._encoder.run(None, {"chips": np.stack(plain + mirrored)})[0]
        first, second = embeddings[: len(faces)], embeddings[len(faces) :]
        return [
            Description(points, embedding, float(doubt), sharpness(chip))
            for points, embedding, doubt, chip in zip(
                landmarks, (first + second) / 2, np.linalg.norm(first - second, axis=1), plain, strict=True
            )
        ]


def _loaded(model: Path, load: Callable[[Path], T]) -> T:
    try:
        return load(model)
    except Exception as error:  # ONNX Runtime has no base class for its own
        raise ModelError(f"{model} cannot be loaded ({error}): delete it, so that it is converted anew") from error
