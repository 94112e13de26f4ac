"""shape_predictor_5_face_landmarks.dat as a NumPy archive. Format: dlib/image_processing/shape_predictor.h."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from worker.engines.convert.dat import Reader, decoded
from worker.engines.convert.weights import ModelError

CASCADES, TREES, SPLITS, LEAVES, FEATURES, POINTS = 15, 500, 15, 16, 800, 5


def convert(content: bytes) -> bytes:
    """The .npz file for the bytes of the weights file, its arrays as worker.engines.landmarks reads them.

    Raises ModelError.
    """
    reader = Reader(content)
    reader.integers(3)  # version, rows and columns of the first shape
    initial = reader.floats(2 * POINTS).reshape(POINTS, 2).T
    _count(reader, CASCADES)
    trees = [_forest(reader) for _ in range(CASCADES)]
    _count(reader, CASCADES)
    anchors = np.array([_counted(reader, 1) for _ in range(CASCADES)], np.intp)
    _count(reader, CASCADES)
    offsets = np.array([_counted(reader, 4) for _ in range(CASCADES)]).reshape(CASCADES, FEATURES, 2, 2)
    reader.end()
    file = io.BytesIO()
    np.savez(
        file,
        initial=initial.astype(np.float32),
        splits=np.array([splits for splits, _, _ in trees], np.uint16),
        thresholds=np.array([thresholds for _, thresholds, _ in trees], np.float32),
        leaves=np.array([leaves for _, _, leaves in trees], np.float32),
        anchors=anchors.astype(np.uint8),
        offsets=decoded(offsets).swapaxes(1, 2).astype(np.float32),
    )
    return file.getvalue()


def _forest(reader: Reader) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Splits [2, trees * 15], thresholds [trees * 15] and leaves [trees, 16, 2, 5] of one cascade.

    All trees have the same number of integers, so that a whole forest is read at once and then cut up.
    """
    _count(reader, TREES)
    split, leaf = 4, 2 + 2 * 2 * POINTS
    before, after = 1 + split * SPLITS, 1 + leaf * LEAVES  # each part is preceded by its count
    values = reader.integers(TREES * (before + after)).reshape(TREES, before + after)
    splits = values[:, 1:before].reshape(TREES, SPLITS, split)
    leaves = values[:, before + 1 :].reshape(TREES, LEAVES, leaf)[:, :, 2:].reshape(TREES, LEAVES, POINTS, 2, 2)
    return splits[:, :, :2].reshape(-1, 2).T, decoded(splits[:, :, 2:]).ravel(), decoded(leaves).swapaxes(2, 3)


def _counted(reader: Reader, integers: int) -> NDArray[np.int64]:
    _count(reader, FEATURES)
    return reader.integers(FEATURES * integers)


def _count(reader: Reader, expected: int) -> None:
    found = reader.integer()
    if found != expected:
        raise ModelError(f"{found} parts where {expected} were expected: not the landmarks that this was written for")
