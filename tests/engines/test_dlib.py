"""Our landmarks, chips, encoder and detector give what dlib gives from the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from worker.engines import Pixels, Rectangle
from worker.engines.chips import CHIP_SIDE, cut
from worker.engines.convert import ModelPaths, weights
from worker.engines.landmarks import Landmarks
from worker.engines.onnx import OnnxEngine

dlib = pytest.importorskip("dlib", reason="dlib is not installed, so there is nothing to compare with")


@dataclass(frozen=True)
class Case:
    """One rectangle of a photo, with what dlib makes of it."""

    rectangle: Any
    shape: Any
    landmarks: NDArray[np.float64]


@pytest.fixture(scope="module")
def predictor() -> Any:
    """The landmarks of dlib."""
    return dlib.shape_predictor(str(weights.LANDMARKS.path()))


@pytest.fixture
def cases(photo: Pixels, predictor: Any) -> list[Case]:
    """The faces of the photo, and rectangles anywhere, many of which reach beyond its edges."""
    height, width = photo.shape[:2]
    rectangles = list(dlib.get_frontal_face_detector()(photo[::2, ::2].copy() if width > 1500 else photo))
    random = np.random.default_rng(3)
    for _ in range(30):
        side = int(random.integers(20, min(width, height)))
        left, top = (int(random.integers(-side // 2, limit - side // 2)) for limit in (width, height))
        rectangles.append(dlib.rectangle(left, top, left + side, top + side + int(random.integers(-5, 6))))
    shapes = [predictor(photo, rectangle) for rectangle in rectangles]
    return [
        Case(rectangle, shape, np.array([(point.x, point.y) for point in shape.parts()], float))
        for rectangle, shape in zip(rectangles, shapes, strict=True)
    ]


def test_landmarks_equal(photo: Pixels, cases: list[Case], models: ModelPaths) -> None:
    """The five points are dlib's, exactly, inside photos and across their edges."""
    landmarks = Landmarks(models.landmarks)
    for case in cases:
        ours = landmarks.find(photo, _rectangle(case.rectangle))
        assert np.array_equal(ours, case.landmarks)


@pytest.mark.parametrize("padding", [0.2, 0.25, 0.3])
def test_chips_equal(photo: Pixels, cases: list[Case], padding: float) -> None:
    """Of the 67,500 bytes of a chip at most twenty differ from dlib's, by one."""
    for case in cases:
        theirs = dlib.get_face_chip(photo, case.shape, CHIP_SIDE, padding).astype(int)
        difference = np.abs(theirs - cut(photo, case.landmarks, padding))
        assert difference.max() <= 1
        assert np.count_nonzero(difference) <= 20


def test_embeddings_equal(astronaut: Image.Image, predictor: Any) -> None:
    """The mean of the embeddings of both chips, and their distance, are those that dlib gives."""
    photo, rectangle = np.asarray(astronaut), dlib.rectangle(176, 80, 262, 166)
    shape = predictor(photo, rectangle)
    chips = [dlib.get_face_chip(photo, shape, CHIP_SIDE, padding) for padding in (0.2, 0.3)]
    chips[1] = np.ascontiguousarray(chips[1][:, ::-1])
    encoder = dlib.face_recognition_model_v1(str(weights.ENCODER.path()))
    first, second = (np.array(encoder.compute_face_descriptor(chip)) for chip in chips)
    (ours,) = OnnxEngine().describe([(photo, _rectangle(rectangle))])
    assert np.abs(ours.embedding - (first + second) / 2).max() < 1e-4
    assert ours.doubt == pytest.approx(np.linalg.norm(first - second), abs=1e-4)


def test_scores_equal(astronaut: Image.Image) -> None:
    """Where the best window is on the first level, which both pyramids have, it has dlib's place and score."""
    photo = np.asarray(astronaut.resize((430, 430), Image.Resampling.BICUBIC))  # shows the face in 80 px
    (theirs,) = dlib.cnn_face_detection_model_v1(str(weights.DETECTOR.path()))(photo, 0)
    (ours,) = OnnxEngine().detect(photo)
    assert ours.rectangle == pytest.approx(_rectangle(theirs.rect), abs=0.5)
    assert ours.score == pytest.approx(theirs.confidence, abs=1e-4)


def _rectangle(inclusive: Any) -> Rectangle:
    return Rectangle(inclusive.left(), inclusive.top(), inclusive.right() + 1, inclusive.bottom() + 1)
