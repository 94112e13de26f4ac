"""Crops are small and show the face; boxes are drawn where they are."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from common.imaging.decode import Patch, Pixels
from common.imaging.encode import CROP_BYTES, CROP_MARGIN, CROP_SIDE, crop_face, draw_boxes
from common.model import Box

GREEN = (0, 0xE0, 0x60)


def decoded(jpeg: bytes) -> Pixels:
    """The pixels of a JPEG, which it must be."""
    image = Image.open(BytesIO(jpeg), formats=["JPEG"])
    assert image.mode == "RGB"
    return np.asarray(image)


def noise(width: int, height: int) -> Pixels:
    """Black and white in each colour at random: pixels that no encoder makes small."""
    return np.random.default_rng(5).integers(0, 2, (height, width, 3), dtype=np.uint8) * 255


@pytest.mark.parametrize("side", [1, 40, 140, 1000])
def test_a_crop_of_pure_noise_fits_into_a_message(side: int) -> None:
    """Whatever is on the photo, no crop has more than its share of bytes."""
    jpeg = crop_face(Patch(noise(3 * side, 3 * side), 0, 0, 1, 1), Box(side, side, side, side))
    assert len(jpeg) <= CROP_BYTES
    assert max(decoded(jpeg).shape) <= CROP_SIDE


def test_a_crop_of_a_photo_is_as_large_and_as_good_as_it_may_be(astronaut: Image.Image) -> None:
    """A usual face fills the size that a list of people shows."""
    patch = Patch(np.asarray(astronaut), 0, 0, 1, 1)
    jpeg = crop_face(patch, Box(100, 100, 300, 300))
    assert len(jpeg) <= CROP_BYTES
    shown = decoded(jpeg)
    assert max(shown.shape) == CROP_SIDE
    margin = CROP_MARGIN * 300
    around = tuple(round(edge) for edge in (100 - margin, 100 - margin, 400 + margin, 400 + margin))
    expected = astronaut.crop(around).resize((CROP_SIDE, CROP_SIDE), Image.Resampling.BICUBIC)
    assert np.abs(shown.astype(int) - np.asarray(expected)).mean() < 5


@pytest.mark.parametrize(("x", "y", "scale_x", "scale_y"), [(0, 0, 1, 1), (600.0, 300.0, 2, 2), (1000.5, 0, 3.5, 4)])
def test_a_crop_shows_the_face_in_the_middle_of_its_margin(x: float, y: float, scale_x: float, scale_y: float) -> None:
    """The box, in pixels of the full picture, is found in the patch by the patch's place and scales."""
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[30:60, 40:80] = 255  # the face
    box = Box(round(x + 40 * scale_x), round(y + 30 * scale_y), round(40 * scale_x), round(30 * scale_y))
    shown = decoded(crop_face(Patch(pixels, x, y, scale_x, scale_y), box))
    height, width = shown.shape[:2]
    assert (width, height) == pytest.approx((40 * (1 + 2 * CROP_MARGIN), 30 * (1 + 2 * CROP_MARGIN)), abs=1)
    rows, columns = np.nonzero(shown[..., 0] > 128)
    assert (columns.min(), columns.max() + 1) == pytest.approx((40 * CROP_MARGIN, width - 40 * CROP_MARGIN), abs=1.5)
    assert (rows.min(), rows.max() + 1) == pytest.approx((30 * CROP_MARGIN, height - 30 * CROP_MARGIN), abs=1.5)


@pytest.mark.parametrize("box", [Box(-30, -20, 60, 60), Box(70, 75, 60, 60), Box(-10, -10, 200, 200), Box(99, 0, 3, 3)])
def test_a_crop_ends_where_its_patch_ends(box: Box) -> None:
    """A face at the picture's edge has no black bars."""
    shown = decoded(crop_face(Patch(np.full((100, 100, 3), 200, np.uint8), 0, 0, 1, 1), box))
    assert shown.size
    assert shown.min() > 190


def test_boxes_are_drawn_along_their_edges_and_nowhere_else() -> None:
    """The rest of the picture is as it was."""
    grey = np.full((300, 500, 3), 128, np.uint8)
    shown = decoded(draw_boxes(grey, [Box(100, 100, 60, 80), Box(300, 150, 90, 90)], ["", ""])).astype(int)
    assert shown.shape == grey.shape
    for x, y, width, height in ((100, 100, 60, 80), (300, 150, 90, 90)):
        middle, centre = y + height // 2, x + width // 2
        for row, column in ((middle, x), (middle, x + width - 1), (y, centre), (y + height - 1, centre)):
            assert np.abs(shown[row, column] - GREEN).max() < 60
        assert np.abs(shown[y + 8 : y + height - 8, x + 8 : x + width - 8] - 128).max() < 30
    assert np.abs(shown[:80] - 128).max() < 30
    assert np.abs(shown[:, 200:290] - 128).max() < 30


def test_a_label_is_written_above_its_box_or_at_the_pictures_top() -> None:
    """A box at the very top has its label inside the picture."""
    grey = np.full((300, 500, 3), 128, np.uint8)
    plain = decoded(draw_boxes(grey, [Box(50, 200, 60, 60), Box(300, 0, 60, 60)], ["", ""])).astype(int)
    named = decoded(draw_boxes(grey, [Box(50, 200, 60, 60), Box(300, 0, 60, 60)], ["Ada", "Grace"])).astype(int)
    rows, columns = np.nonzero(np.abs(named - plain).max(axis=2) > 60)
    assert {(column > 250, row < 40) for row, column in zip(rows, columns)} == {(False, False), (True, True)}
    left = rows[columns < 250]
    assert left.min() >= 180
    assert left.max() < 205


def test_a_picture_without_boxes_stays_as_it_is() -> None:
    """Nobody there is nothing to draw."""
    slope = np.repeat(np.linspace(0, 255, 200).astype(np.uint8)[None, :, None], 100, 0).repeat(3, 2)
    assert np.abs(decoded(draw_boxes(slope, [], [])).astype(int) - slope).max() < 8
