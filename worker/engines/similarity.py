"""The similarity (scale, rotation, shift) that brings points closest to others. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Similarity(NamedTuple):
    """Maps (x, y) to (a x - b y + dx, b x + a y + dy)."""

    a: float
    b: float
    dx: float
    dy: float

    @property
    def scale(self) -> float:
        return math.hypot(self.a, self.b)

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        return self.a * x - self.b * y + self.dx, self.b * x + self.a * y + self.dy


def turning(source: NDArray[np.float64]) -> NDArray[np.float64]:
    """[2, 2 * points]: times the target's raveled points gives a and b of the best similarity. For many targets."""
    x, y = (source - source.mean(axis=0)).T
    rows: NDArray[np.float64] = np.stack([np.stack([x, y], axis=1), np.stack([-y, x], axis=1)]).reshape(2, -1)
    rows /= np.square(rows[0]).sum()
    return rows


def fit(source: NDArray[np.float64], target: NDArray[np.float64]) -> Similarity:
    """The one with the least squared distances; both are [points, 2], the source's points not all the same.

    Equals dlib's find_similarity_transform (Umeyama 1991) in the plane, without its singular value decomposition.
    """
    a, b = (turning(source) @ target.ravel()).tolist()
    (x, y), (target_x, target_y) = source.mean(axis=0).tolist(), target.mean(axis=0).tolist()
    return Similarity(a, b, target_x - a * x + b * y, target_y - b * x - a * y)
