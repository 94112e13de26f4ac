"""Engines find and describe faces in pixels: the port here, one file for each inference runtime.

What they share is pure and has a file for each idea: pyramid, landmarks, chips, similarity. convert makes the models.

Imported by the worker's slots and by faceswarm's inspect, nobody else. Heavy runtimes are imported inside the
engine that needs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from common.model import Recipe

Pixels = NDArray[np.uint8]  # [height, width, 3], RGB, upright

EMBEDDING_SIZE = 128


class Rectangle(NamedTuple):
    """A rectangle in pixels of some array, not rounded, right and bottom exclusive; may reach beyond the array."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Detection:
    """One face found. ``score``: the detector's own scale, higher is surer, above its threshold of 0."""

    rectangle: Rectangle  # in pixels of the array given to detect()
    score: float


@dataclass(frozen=True, eq=False)
class Description:
    """What is kept of one face."""

    landmarks: NDArray[np.float64]  # [5, 2], x and y in pixels of the patch; they may lie outside it
    embedding: NDArray[np.float32]  # [128], compared by Euclidean distance
    doubt: float  # distance between the embeddings of the two chips; high for blurred, covered or turned faces
    sharpness: float  # variance of the Laplacian of the aligned chip's luma


class Engine(Protocol):
    """Finds and describes faces. Deterministic: the same pixels give the same answer. Not safe for two threads."""

    recipe: Recipe
    detection_side: int  # px; detect() wants pictures whose long side is this

    def detect(self, picture: Pixels) -> list[Detection]:
        """Every face in the upright picture, best score first. Empty for pictures too small to hold one."""
        ...

    def describe(self, faces: Sequence[tuple[Pixels, Rectangle]]) -> list[Description]:
        """One description for each (patch, face's rectangle in pixels of that patch), in the order given.

        A patch shows the face and at least half its size around it, where the picture goes that far.
        """
        ...
