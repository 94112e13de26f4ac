"""From a picture's size to the detector's levels, and from its score maps back to rectangles. Pure.

Numbers and rules: dlib/dnn/loss.h (loss_mmod_), dlib/dnn/input.h (input_rgb_image_pyramid) and the options stored in
mmod_human_face_detector.dat. The pyramid's ratio is ours: 3/4 finds what dlib's 5/6 finds with 1.4 times less work.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]  # [boxes, 4]: left, top, right, bottom in pixels of the picture; right and bottom exclusive

RATIO = (3, 4)  # side of a level over that of the one before
BORDER = 11  # px of mean colour around every level
MEAN_COLOUR = (122.782, 117.001, 104.298)  # RGB of dlib's training photos; the network sees differences from it
WINDOW = 80  # px of a level; the smallest face
STRIDE = 8  # px of a level between two cells of its score map
FIRST_CENTRE = 14  # px from the border's edge to the middle of cell 0: half the reach of the three strided convolutions
SMALLEST = 29 - 2 * BORDER  # px; a level with a smaller side gives no score at all
OVERLAP = 0.3382761351109955  # share of the common bounding box above which two windows show one face


def level_sizes(rows: int, columns: int) -> list[tuple[int, int]]:
    """Rows and columns of every level of a picture, largest first; none for pictures too small to hold a face."""
    sizes = []
    numerator, denominator = RATIO
    while min(rows, columns) >= SMALLEST:
        sizes.append((rows, columns))
        rows, columns = rows * numerator // denominator, columns * numerator // denominator
    return sizes


def cells(side: int) -> int:
    """How many cells the score map of a level has along a side of that many pixels."""
    side += 2 * BORDER
    for _ in range(3):  # convolutions of 5 px that step over 2
        side = (side - 5) // 2 + 1
    return side


def windows(
    scores: NDArray[np.float32], level: tuple[int, int], picture: tuple[int, int], threshold: float
) -> tuple[Boxes, NDArray[np.float32]]:
    """Windows of one level that score above the threshold, in pixels of the picture, and their scores.

    Sizes are (rows, columns). The first and the last pixel of a level show the first and the last one of the picture.
    """
    scores = scores[: cells(level[0]), : cells(level[1])]
    row, column = np.nonzero(scores > threshold)
    centres = np.stack([column, row], axis=1) * float(STRIDE) + (FIRST_CENTRE - BORDER)
    scale = np.array([(picture[1] - 1) / (level[1] - 1), (picture[0] - 1) / (level[0] - 1)])
    reach = (WINDOW - 1) / 2
    return np.hstack([(centres - reach) * scale, (centres + reach) * scale + 1]), scores[row, column]


def best_of_each_face(boxes: Boxes, scores: NDArray[np.float32]) -> list[int]:
    """Indices of the boxes to keep, best score first: dlib's non-maximum suppression.

    Unlike the usual rule, the intersection is measured against the bounding box of both, not against their union.
    """
    kept = []
    waiting = np.argsort(-scores, kind="stable")
    while waiting.size:
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        shared = _area(np.maximum(boxes[best, :2], boxes[waiting, :2]), np.minimum(boxes[best, 2:], boxes[waiting, 2:]))
        around = _area(np.minimum(boxes[best, :2], boxes[waiting, :2]), np.maximum(boxes[best, 2:], boxes[waiting, 2:]))
        waiting = waiting[shared <= OVERLAP * around]
    return kept


def _area(first: NDArray[np.float64], last: NDArray[np.float64]) -> NDArray[np.float64]:
    sides: NDArray[np.float64] = np.maximum(last - first, 0).prod(axis=1)
    return sides
