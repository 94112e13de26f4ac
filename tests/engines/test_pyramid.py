"""The detector's pyramid: sizes of levels, cells of score maps, windows, and the best window of each face."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.pyramid import SMALLEST, best_of_each_face, cells, level_sizes, windows


def test_each_level_is_three_quarters_of_the_one_before() -> None:
    """Sizes are rounded down, both sides on their own, until a side is too small for the network."""
    assert level_sizes(1000, 1500)[:4] == [(1000, 1500), (750, 1125), (562, 843), (421, 632)]
    assert level_sizes(12, 100) == [(12, 100), (9, 75)]


@given(rows=st.integers(1, 4000), columns=st.integers(1, 4000))
def test_every_level_has_a_score(rows: int, columns: int) -> None:
    """No level is too small for the network, and none that is large enough is left out."""
    sizes = level_sizes(rows, columns)
    assert all(cells(side) >= 1 for size in sizes for side in size)
    assert bool(sizes) == (min(rows, columns) >= SMALLEST)
    assert cells(SMALLEST - 1) < 1


def test_a_window_lies_around_its_cell() -> None:
    """Cells are 8 px apart, and the first window's middle is 3 px from the edge of its level."""
    scores = np.full((20, 20), -1, np.float32)
    scores[2, 5] = 0.25
    boxes, found = windows(scores, (140, 150), (140, 150), 0)
    assert boxes.tolist() == [[3 + 40 - 39.5, 3 + 16 - 39.5, 3 + 40 + 40.5, 3 + 16 + 40.5]]
    assert found.tolist() == [0.25]


def test_windows_of_smaller_levels_are_larger() -> None:
    """First and last pixels of a level lie on those of the picture, in each direction on its own."""
    scores = np.full((20, 20), -1, np.float32)
    scores[0, 0] = 1
    boxes, _ = windows(scores, (101, 51), (401, 501), 0)
    assert boxes.tolist() == [[-36.5 * 10, -36.5 * 4, 42.5 * 10 + 1, 42.5 * 4 + 1]]


def test_only_scores_above_the_threshold_count() -> None:
    """A score equal to the threshold is not above it; what lies beyond the level's cells is padding."""
    scores = np.array([[0.0, 0.1], [9, 9]], np.float32)
    boxes, found = windows(scores, (7, 15), (7, 15), 0)
    assert len(boxes) == 1
    assert found == pytest.approx([0.1])


def test_the_best_window_of_a_face_is_kept() -> None:
    """Windows shifted a little show the same face; those elsewhere show another."""
    boxes = np.array([[0, 0, 80, 80], [8, 0, 88, 80], [200, 0, 280, 80]], float)
    assert best_of_each_face(boxes, np.array([0.5, 0.9, 0.7], np.float32)) == [1, 2]


def test_overlap_is_measured_against_the_bounding_box() -> None:
    """A shift by 22 of 80 px in both directions shows two faces; the usual IoU, .36, would make them one."""
    scores = np.array([0.9, 0.8], np.float32)
    assert best_of_each_face(np.array([[0, 0, 80, 80], [22, 22, 102, 102]], float), scores) == [0, 1]
    assert best_of_each_face(np.array([[0, 0, 80, 80], [20, 20, 100, 100]], float), scores) == [0]


def test_a_window_far_inside_another_is_another_face() -> None:
    """A small face in front of a large one is kept, as its share of the common bounding box is small."""
    boxes = np.array([[0, 0, 200, 200], [60, 60, 140, 140]], float)
    assert best_of_each_face(boxes, np.array([0.9, 0.8], np.float32)) == [0, 1]


def test_a_suppressed_window_suppresses_nothing() -> None:
    """In a chain of three only the middle one goes, if the first is the best."""
    boxes = np.array([[0, 0, 80, 80], [30, 0, 110, 80], [60, 0, 140, 80]], float)
    assert best_of_each_face(boxes, np.array([0.9, 0.8, 0.7], np.float32)) == [0, 2]


def test_equal_scores_keep_their_order() -> None:
    """Ties are broken by place, so that the same picture gives the same faces."""
    boxes = np.array([[0, 0, 80, 80], [8, 0, 88, 80]], float)
    assert best_of_each_face(boxes, np.array([0.5, 0.5], np.float32)) == [0]
    assert best_of_each_face(np.empty((0, 4)), np.empty(0, np.float32)) == []
