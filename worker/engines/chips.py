"""Chips: a face cut out upright in a fixed size, as dlib's encoder learned them.

Algorithm and numbers: get_face_chip_details and extract_image_chips of dlib/image_transforms/interpolation.h, and
pyramid_down<2> of dlib/image_transforms/image_pyramid.h. Coordinates are dlib's: pixel centres are whole numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from common.imaging.warp import affine
from worker.engines import Pixels
from worker.engines.similarity import fit

CHIP_SIDE = 150  # px, what the encoder takes
MEAN_FACE = np.array(  # where the five landmarks belong in a chip without padding, sides 1
    [
        (0.8595674595992, 0.2134981538014),
        (0.6460604764104, 0.2289674387677),
        (0.1205750620789, 0.2137274526848),
        (0.3340850613712, 0.2290642403242),
        (0.4901123135679, 0.6277975316475),
    ]
)
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def cut(patch: Pixels, landmarks: NDArray[np.float64], padding: float) -> Pixels:
    """[150, 150, 3], the face turned upright, with that share of its side added on each side.

    ``landmarks``: [5, 2], pixels of the patch. What is not in the patch is black.
    """
    onto_patch = fit((padding + MEAN_FACE) / (2 * padding + 1) * CHIP_SIDE, landmarks)
    x, y = onto_patch(CHIP_SIDE / 2, CHIP_SIDE / 2)
    side = CHIP_SIDE * onto_patch.scale - 1  # between the middles of the first and the last pixel, as below
    angle = math.atan2(onto_patch.b, onto_patch.a)
    cos, sin = math.cos(angle), math.sin(angle)

    halvings, margin = 0, 2
    while side / 2 ** (halvings + 1) + 1 > CHIP_SIDE:
        halvings, margin = halvings + 1, 2 * margin + 2
    reach = (abs(cos) + abs(sin)) * abs(side) / 2 + margin
    left, top = max(_rounded(x - reach), 0), max(_rounded(y - reach), 0)
    right, bottom = max(_rounded(x + reach) + 1, 0), max(_rounded(y + reach) + 1, 0)
    patch = patch[top:bottom, left:right]
    x, y = x - left, y - top
    for _ in range(halvings):
        patch = _halved(patch)
        x, y, side = x / 2 - 1.25, y / 2 - 0.75, side / 2
    if patch.size == 0:
        return np.zeros((CHIP_SIDE, CHIP_SIDE, 3), np.uint8)

    step, middle = side / (CHIP_SIDE - 1), (CHIP_SIDE - 1) / 2
    a, b = step * cos, step * sin
    first_x, first_y = x - middle * (a - b), y - middle * (b + a)
    chip = affine(patch, (a, -b, first_x, b, a, first_y), CHIP_SIDE)
    return _without_edges(chip, patch.shape[:2], a, b, first_x, first_y)


def sharpness(chip: Pixels) -> float:
    """Variance of the Laplacian of the luma (0 to 255): low for blurred faces, and small ones as they are enlarged."""
    luma = chip @ LUMA
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    return float(laplacian.var())


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)


def _halved(pixels: Pixels) -> Pixels:
    """Every second pixel of the picture smoothed with 1 4 6 4 1; the first is the third of the picture."""
    rows, columns = ((side - 3) // 2 if side > 8 else 0 for side in pixels.shape[:2])
    narrow = _smoothed(_smoothed(pixels.astype(np.uint16), rows).swapaxes(0, 1), columns).swapaxes(0, 1)
    return (narrow >> 8).astype(np.uint8)


def _smoothed(values: NDArray[np.uint16], count: int) -> NDArray[np.uint16]:
    """Along the first axis, 16 times as large, which 16 bits hold even twice over."""
    first, second, third, fourth, fifth = (values[tap : tap + 2 * count : 2][:count] for tap in range(5))
    return first + fifth + 4 * (second + fourth) + 6 * third


def _without_edges(chip: Pixels, patch: tuple[int, int], a: float, b: float, first_x: float, first_y: float) -> Pixels:
    """The chip with every pixel black that lacks one of its four neighbours in the patch; Pillow repeats the edge."""
    rows, columns = patch
    chip_y, chip_x = np.ogrid[:CHIP_SIDE, :CHIP_SIDE]
    x, y = first_x + a * chip_x - b * chip_y, first_y + b * chip_x + a * chip_y
    inside = (x >= 0) & (y >= 0) & (x < columns - 1) & (y < rows - 1)
    return chip * inside[:, :, None]
