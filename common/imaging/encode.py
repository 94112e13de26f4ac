"""Pixels of ours into JPEG: crops of faces, and copies with boxes for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from common.imaging.decode import Patch, Pixels
from common.model import Box

CROP_BYTES = 12_000  # 500 of them fit into one message with room to spare
CROP_SIDE = 224  # px of the longer side: sharp in a list of people on any screen
CROP_MARGIN = 0.3  # of the box on each side: hair and chin, by which people know each other
QUALITIES = (88, 80, 70, 55, 40, 25)


def crop_face(patch: Patch, box: Box) -> bytes:
    """A JPEG of the face with some margin, of at most CROP_BYTES. ``box``: in full-size px, the patch's own face."""
    left, top = (box.x - patch.x) / patch.scale_x, (box.y - patch.y) / patch.scale_y
    width, height = box.width / patch.scale_x, box.height / patch.scale_y
    rows, columns = patch.pixels.shape[:2]
    face = Image.fromarray(patch.pixels).crop(
        (
            round(max(left - CROP_MARGIN * width, 0)),
            round(max(top - CROP_MARGIN * height, 0)),
            round(min(left + (1 + CROP_MARGIN) * width, columns)),
            round(min(top + (1 + CROP_MARGIN) * height, rows)),
        )
    )
    face.thumbnail((CROP_SIDE, CROP_SIDE))
    while True:
        for quality in QUALITIES:
            if len(jpeg := _jpeg(face, quality)) <= CROP_BYTES:
                return jpeg
        face = face.reduce(2)  # noise that no quality makes small enough


def draw_boxes(pixels: Pixels, boxes: Sequence[Box], labels: Sequence[str]) -> bytes:
    """A JPEG of the picture with a box and a label for each face, boxes in px of ``pixels``."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    thick = max(max(image.size) // 400, 2)
    font = ImageFont.load_default(size=8 * thick)
    for (x, y, width, height), label in zip(boxes, labels):
        draw.rectangle((x, y, x + width - 1, y + height - 1), outline="#00e060", width=thick)
        place = (x, max(y - 9 * thick, 0))
        draw.rectangle(draw.textbbox(place, label, font), fill="black")
        draw.text(place, label, "#00e060", font)
    return _jpeg(image, 90)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
