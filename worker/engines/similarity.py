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


def fit(source: NDArray[np.float64], target: NDArray[np.float64]) -> Similarity:
    """The one with the least squared distances; both are [points, 2], the source's points not all the same.

    Equals dlib's find_similarity_transform (Umeyama 1991) in the plane, without its singular value decomposition.
    """
    source_middle, target_middle = source.mean(axis=0), target.mean(axis=0)
    (sx, sy), (tx, ty) = (source - source_middle).T, (target - target_middle).T
    spread = sx @ sx + sy @ sy
    a, b = float((tx @ sx + ty @ sy) / spread), float((ty @ sx - tx @ sy) / spread)
    x, y = source_middle
    return Similarity(a, b, float(target_middle[0] - a * x + b * y), float(target_middle[1] - b * x - a * y))
