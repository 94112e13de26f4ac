"""Turning boxes between a picture as it is stored and as it is shown upright. Pure.

EXIF tag 274 says which way the stored rows and columns go (Exif 2.32, table 6): orientation 6, for example, is shown
upright after a quarter turn clockwise.
"""

from __future__ import annotations

from common.model import Box

SWAPPED = frozenset({5, 6, 7, 8})  # orientations whose width and height change places
_MIRRORED_ACROSS = frozenset({2, 3, 6, 7})  # of the stored picture's columns, after rows and columns changed places
_MIRRORED_DOWN = frozenset({3, 4, 7, 8})
_INVERSE = {6: 8, 8: 6}


def turn(box: Box, orientation: int, width: int, height: int) -> Box:
    """A box of the stored picture, ``width`` x ``height`` px, as a box of the upright one."""
    x, y, w, h = box
    if orientation in SWAPPED:
        x, y, w, h, width, height = y, x, h, w, height, width
    if orientation in _MIRRORED_ACROSS:
        x = width - x - w
    if orientation in _MIRRORED_DOWN:
        y = height - y - h
    return Box(x, y, w, h)


def turn_back(box: Box, orientation: int, width: int, height: int) -> Box:
    """The inverse: a box of the upright picture, ``width`` x ``height`` px, as a box of the stored one."""
    return turn(box, _INVERSE.get(orientation, orientation), width, height)
