"""dlib's five landmarks of a face: corners of both eyes, and the point below the nose. Pure but for loading the file.

Algorithm: Kazemi and Sullivan 2014, as in dlib/image_processing/shape_predictor.h; the points are equal to dlib's.
Coordinates are dlib's: pixel centres are whole numbers. Points are [2, points], x and y, which NumPy handles faster.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.engines import Pixels, Rectangle
from worker.engines.similarity import turning

DEPTH = 4  # decisions in each tree
SUM = np.ones(3, np.uint16)


class Landmarks:
    """The predictor, from the .npz file that convert.landmarks writes."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, KeyError or ValueError where the file is not such a one."""
        with np.load(path) as file:
            self._initial: NDArray[np.float32] = file["initial"]  # [2, 5], in the unit square of the face's rectangle
            self._splits = file["splits"].astype(np.intp)  # [cascades, 2, trees * nodes], the two features compared
            self._thresholds: NDArray[np.float32] = file["thresholds"]  # [cascades, trees * nodes]
            self._leaves: NDArray[np.float32] = file["leaves"]  # [cascades, trees, leaves, 2, 5], moves of the points
            self._anchors = file["anchors"].astype(np.intp)  # [cascades, features], the point a feature is near
            self._offsets: NDArray[np.float32] = file["offsets"]  # [cascades, 2, features], from there
        self._turning = turning(self._initial.T.astype(np.float64))
        self._trees = np.arange(self._leaves.shape[1])

    def find(self, patch: Pixels, face: Rectangle) -> NDArray[np.float64]:
        """[5, 2], x and y in whole pixels of the patch: the eye on the right (outer corner, inner), the one on the left
        (outer, inner), the nose. They may lie outside the patch, as may the face, which is rounded to whole pixels.
        """
        first = np.floor(np.array([[face.left], [face.top]]) + 0.5)
        last = np.floor(np.array([[face.right], [face.bottom]]) - 0.5)  # dlib's rectangles include it
        shape = self._initial
        for cascade in range(len(self._leaves)):
            shape = self._moved(cascade, shape, patch, first, last - first)
        return _pixels(shape, first, last - first).T

    def _moved(
        self,
        cascade: int,
        shape: NDArray[np.float32],
        patch: Pixels,
        first: NDArray[np.float64],
        extent: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        a, b = (self._turning @ shape.T.ravel()).astype(np.float32)
        x, y = self._offsets[cascade]
        features = np.stack([a * x - b * y, b * x + a * y]) + shape.take(self._anchors[cascade], axis=1)
        values = _brightness(patch, _pixels(features, first, extent))
        one, other = self._splits[cascade]
        to_the_right = values.take(one) - values.take(other) <= self._thresholds[cascade]
        # Every comparison of every tree is made at once, then each tree walks down: cheaper than only those on the way.
        node = np.zeros_like(self._trees)
        for _ in range(DEPTH):
            node = 2 * node + 1 + to_the_right.take(self._trees * (2**DEPTH - 1) + node)
        moves = self._leaves[cascade][self._trees, node - (2**DEPTH - 1)]
        # float32 sums depend on their order: over the first axis NumPy adds one tree after another, as dlib does.
        moved: NDArray[np.float32] = np.concatenate([shape[None], moves]).sum(axis=0)
        return moved


def _pixels(
    places: NDArray[np.float32], first: NDArray[np.float64], extent: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Places in the unit square of the face's rectangle, as whole pixels of the patch."""
    return np.floor(places * extent + first + 0.5)


def _brightness(patch: Pixels, pixels: NDArray[np.float64]) -> NDArray[np.float32]:
    """The gray that dlib makes of an RGB picture, the truncated mean of the three; 0 outside the patch."""
    height, width = patch.shape[:2]
    x, y = pixels
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    column, row = np.where(inside, pixels, 0).astype(np.intp)
    gray: NDArray[np.uint16] = patch[row, column] @ SUM // 3 * inside
    return gray.astype(np.float32)
