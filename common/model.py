"""The values that everyone speaks of: photo, box, face, recipe. Pure: no I/O, no drivers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

ORIENTATIONS = range(1, 9)  # EXIF tag 274
SEARCH_WORK = (
    40  # the search, at a fixed width, takes as long as decoding so many megapixels (bench.photo: 110 and 55 ms)
)


def work(megapixels: float) -> float:
    """What a photo costs, in units that take a worker the same time each: megapixels decoded, and the search."""
    return SEARCH_WORK + megapixels


class Box(NamedTuple):
    """A rectangle in whole pixels of the upright full-size picture; covers columns x to x + width - 1."""

    x: int
    y: int
    width: int
    height: int

    def clipped(self, width: int, height: int) -> Box | None:
        """The part inside a picture of the given size in pixels, None if nothing of it is."""
        left, top = max(self.x, 0), max(self.y, 0)
        right, bottom = min(self.x + self.width, width), min(self.y + self.height, height)
        return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None

    def iou(self, other: Box) -> float:
        """Area of the intersection over area of the union, 0 to 1."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        shared = max(width, 0) * max(height, 0)
        union = self.width * self.height + other.width * other.height - shared
        return shared / union if union else 0.0


@dataclass(frozen=True)
class PhotoId:
    """A photo is its picture as shown: the hash of the picture without metadata, and the orientation it is shown in.

    The same picture in another orientation has other boxes, hence it is another photo to a worker; both share
    ``picture``, by which people are carried over.
    """

    picture: str  # 64 hex digits, see common.identity
    orientation: int = 1

    def __str__(self) -> str:
        """The key in stores and messages: the picture's hash, with the orientation behind a dot unless it is 1."""
        return self.picture if self.orientation == 1 else f"{self.picture}.{self.orientation}"

    @classmethod
    def parse(cls, key: str) -> PhotoId:
        """The inverse of ``str``. Raises ValueError for anything else."""
        picture, _, orientation = key.partition(".")
        if len(picture) != 64 or (orientation and int(orientation) not in ORIENTATIONS):
            raise ValueError(f"not the key of a photo: {key!r}")
        return cls(picture, int(orientation or 1))


@dataclass(frozen=True)
class Recipe:
    """How faces were made. Embeddings compare only where ``embedding`` is equal."""

    detection: str  # detector, precision, pyramid, width: "mmod-fp32-3of4-1500px"
    embedding: str  # landmarks, chips, encoder: "lm5-p20m30-resnet1-fp32"

    def __str__(self) -> str:
        """The key in stores and messages."""
        return f"{self.detection}/{self.embedding}"

    @classmethod
    def parse(cls, key: str) -> Recipe:
        """The inverse of ``str``. Raises ValueError for anything else."""
        detection, slash, embedding = key.partition("/")
        if not (detection and slash and embedding):
            raise ValueError(f"not a recipe: {key!r}")
        return cls(detection, embedding)
