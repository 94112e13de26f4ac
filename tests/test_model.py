"""The values: photo ids, recipes, boxes."""

import pytest

from common.model import Box, PhotoId, Recipe


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_key_of_a_photo_leads_back_to_it(orientation: int) -> None:
    """A photo in each orientation has a key of its own that can be parsed."""
    photo = PhotoId("a" * 64, orientation)
    assert PhotoId.parse(str(photo)) == photo


@pytest.mark.parametrize("text", ["", "abc", "a" * 64 + ".9", "a" * 64 + ".x"])
def test_what_is_no_key_is_refused(text: str) -> None:
    """Anything but a hash and an orientation is a ValueError."""
    with pytest.raises(ValueError):
        PhotoId.parse(text)


def test_a_recipe_leads_back_from_its_text() -> None:
    """A recipe's two halves survive being written; half a recipe is refused."""
    assert Recipe.parse(str(Recipe("d", "e"))) == Recipe("d", "e")
    with pytest.raises(ValueError):
        Recipe.parse("d")


def test_boxes_overlap_by_intersection_over_union() -> None:
    """Equal boxes overlap wholly, disjoint ones not, and half shifted ones by a third."""
    box = Box(0, 0, 10, 10)
    assert box.iou(box) == 1
    assert box.iou(Box(10, 0, 10, 10)) == 0
    assert box.iou(Box(5, 0, 10, 10)) == pytest.approx(1 / 3)


def test_a_box_is_clipped_to_its_picture() -> None:
    """What reaches beyond the picture is cut off; what lies beyond it is nothing."""
    assert Box(-5, -5, 20, 20).clipped(10, 100) == Box(0, 0, 10, 15)
    assert Box(10, 0, 5, 5).clipped(10, 10) is None
