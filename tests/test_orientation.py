"""Boxes follow the picture when it is turned upright."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from common.model import ORIENTATIONS, Box
from common.orientation import SWAPPED, turn, turn_back


class Scene(NamedTuple):
    """A stored picture's size and a box in it."""

    width: int
    height: int
    box: Box


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Boxes inside pictures of up to 40 x 40 pixels."""
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return Scene(width, height, Box(x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))))


def upright(stored: Image.Image, orientation: int) -> Image.Image:
    """The picture as Pillow shows it."""
    stored.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(stored)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@given(scene=scenes())
def test_a_box_turned_shows_the_pixels_that_pillow_shows_there(orientation: int, scene: Scene) -> None:
    """The box painted on the stored picture and the turned box on the upright one are the same pixels."""
    width, height, (x, y, w, h) = scene
    painted = np.zeros((height, width), np.uint8)
    painted[y : y + h, x : x + w] = 1
    shown = np.asarray(upright(Image.fromarray(painted), orientation))
    x, y, w, h = turn(scene.box, orientation, width, height)
    expected = np.zeros_like(shown)
    expected[y : y + h, x : x + w] = 1
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@given(box=st.builds(Box, *[st.integers(-9999, 9999)] * 4), width=st.integers(1, 9999), height=st.integers(1, 9999))
def test_turning_back_undoes_turning(orientation: int, box: Box, width: int, height: int) -> None:
    """Any box, also one that is partly or wholly outside, comes back as it was, in both directions."""
    shown = (height, width) if orientation in SWAPPED else (width, height)
    assert turn_back(turn(box, orientation, width, height), orientation, *shown) == box
    assert turn(turn_back(box, orientation, *shown), orientation, width, height) == box
