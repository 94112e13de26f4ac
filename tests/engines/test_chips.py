"""Chips: the face upright in a fixed size, black where the patch ends."""

from __future__ import annotations

import numpy as np
import pytest

from worker.engines.chips import CHIP_SIDE, MEAN_FACE, cut, sharpness


def _slope(rows: int, columns: int) -> np.ndarray:
    """Red tells the column and green the row, never 0."""
    y, x = np.mgrid[:rows, :columns]
    return np.stack([20 + x * 200 / columns, 20 + y * 200 / rows, np.full_like(x, 50)], axis=2).astype(np.uint8)


def test_a_face_as_it_should_be_is_copied() -> None:
    """Landmarks where a chip has them give that part of the patch."""
    patch = _slope(400, 400)
    landmarks = (0.2 + MEAN_FACE) / 1.4 * CHIP_SIDE + (100, 60)
    difference = cut(patch, landmarks, 0.2).astype(int) - patch[60:210, 100:250]
    assert np.abs(difference).max() <= 1


def test_a_turned_face_is_put_upright() -> None:
    """A face lying on its side gives the chip turned back."""
    patch = _slope(400, 400)
    upright = (0.2 + MEAN_FACE) / 1.4 * CHIP_SIDE + (100, 60)
    lying = np.stack([399 - upright[:, 1], upright[:, 0]], axis=1)  # of the photo turned clockwise
    difference = cut(np.rot90(patch, -1), lying, 0.2).astype(int) - cut(patch, upright, 0.2)
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("size", [1, 2.5, 4])
def test_large_faces_are_smoothed_and_keep_their_place(size: float) -> None:
    """The pyramid that keeps large faces from flickering shifts nothing."""
    patch = _slope(round(400 * size), round(400 * size))
    landmarks = ((0.2 + MEAN_FACE) / 1.4 * CHIP_SIDE + 60) * size
    chip = cut(patch, landmarks, 0.2)
    assert chip[75, 75, :2] == pytest.approx([20 + 135 / 2, 20 + 135 / 2], abs=2)


def test_what_is_not_in_the_patch_is_black() -> None:
    """A face at the edge has black where the patch ends, not the last column over and over."""
    patch = np.full((200, 200, 3), 90, np.uint8)
    chip = cut(patch, (0.2 + MEAN_FACE) / 1.4 * CHIP_SIDE - (50, 0), 0.2)
    assert not chip[:, :49].any()
    assert (chip[20:130, 52:] >= 89).all()


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 300), (5, 5)])
@pytest.mark.parametrize("spread", [0, 1, 5000])
def test_any_patch_and_landmarks_give_a_chip(shape: tuple[int, int], spread: float) -> None:
    """Nothing that landmarks may be raises an error: all in one point, far outside, on a patch without pixels."""
    for shift in (-3000, 0, 3000):
        chip = cut(np.full((*shape, 3), 90, np.uint8), MEAN_FACE * spread + shift, 0.3)
        assert (chip.shape, chip.dtype) == ((CHIP_SIDE, CHIP_SIDE, 3), np.uint8)


def test_sharpness_is_that_of_the_luma() -> None:
    """A plain chip has none, a checkerboard of 1 px the most there is."""
    board = (np.indices((CHIP_SIDE, CHIP_SIDE)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert sharpness(np.full((CHIP_SIDE, CHIP_SIDE, 3), 77, np.uint8)) == pytest.approx(0, abs=1e-9)
    assert sharpness(np.stack([board] * 3, axis=2)) == pytest.approx((4 * 255) ** 2)
