"""Affine warps of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]  # [height, width, 3], RGB


def affine(pixels: Pixels, coefficients: tuple[float, float, float, float, float, float], size: int) -> Pixels:
    """A square of ``size`` pixels; its pixel (x, y) shows (a x + b y + c, d x + e y + f), bilinear, rounded down.

    Coordinates on both sides are those of pixel centres: (0, 0) is the middle of the first pixel. What lies more than
    half a pixel outside is black.
    """
    a, b, c, d, e, f = coefficients
    # Pillow counts from the corner of the first pixel.
    shifted = (a, b, c + (1 - a - b) / 2, d, e, f + (1 - d - e) / 2)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.transform((size, size), Image.Transform.AFFINE, shifted, Image.Resampling.BILINEAR))
