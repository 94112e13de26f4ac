"""From a file's bytes to upright pixels, with Pillow. Runs in the decoder's child process only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from common.identity import png_without_pixels
from common.imaging.errors import PhotoError
from common.model import ORIENTATIONS, Box
from common.orientation import SWAPPED, turn, turn_back

Pixels = NDArray[np.uint8]  # [height, width, 3], RGB, upright

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # one core is what a slot has; and threads' stacks count as memory

JPEG_SCALES = (8, 4, 2, 1)  # libjpeg decodes at these fractions for less than the whole price
SPARE_PIXELS = 1.1  # a 6000 px photo is decoded at 1/2 for 1500 px: 1/4 is hardly cheaper, and small faces need 1/2
GREY_LEVELS = {"I;16": 256, "I;16B": 256, "I;16L": 256, "I;16N": 256}
TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, eq=False)
class Patch:
    """The pixels around a face, upright.

    A point (X, Y) of the upright full-size picture is at ((X - x) / scale_x, (Y - y) / scale_y) of the patch.
    """

    pixels: Pixels
    x: float  # full-size px, of the patch's left edge
    y: float  # and its top edge
    scale_x: float  # full-size px per px of the patch
    scale_y: float


class Picture:
    """One encoded picture. Its header is read at once, its pixels when they are asked for.

    Raises PhotoError: "not an image", "damaged", "truncated" or "too large".
    """

    def __init__(self, data: bytes, format_: str, megapixels: float) -> None:
        self._data = data
        self._format = format_
        Image.MAX_IMAGE_PIXELS = None  # our own limit is checked below, before anything is decoded
        with _failures():
            image = self._open()
            self.orientation = _orientation(image, data)
        # Pillow turns TIFF by itself when it loads; its size is then the upright one already.
        self._stored = 1 if format_ == "TIFF" else self.orientation
        if image.width * image.height > megapixels * 1e6:
            raise PhotoError("too large", f"{image.width} x {image.height} pixels")
        width, height = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            # .size is already turned if the tag says so, but not if XMP does; load() turns it for both.
            width, height = image.tag_v2[256], image.tag_v2[257]
        self.width, self.height = (height, width) if self.orientation in SWAPPED else (width, height)
        self._stored_size = (self.width, self.height) if self._stored == 1 else (width, height)
        self._decoded: Image.Image | None = None
        self._divisor = 1

    def _open(self) -> Image.Image:
        return Image.open(BytesIO(self._data), formats=[self._format])

    def _load(self, divisor: int) -> Image.Image:
        """The picture as stored, at no less than 1/divisor of its size: what is there already, if it is fine enough."""
        if self._decoded is None or divisor < self._divisor:
            self._decoded = None  # before the next is made: two of them may be too much
            with _failures():
                image = self._open()
                if self._format == "JPEG" and divisor > 1:
                    image.draft(None, (max(image.width // divisor, 1), max(image.height // divisor, 1)))
                image.load()
                self._decoded = _rgb(image)
            self._divisor = divisor if self._format == "JPEG" else 1
        return self._decoded

    def upright(self, long_side: int) -> Pixels:
        """The whole picture, scaled so that its long side has this many pixels."""
        factor = long_side / max(self.width, self.height)
        image = self._load(next(d for d in JPEG_SCALES if factor * d * SPARE_PIXELS <= 1 or d == 1))
        size = max(round(self._stored_size[0] * factor), 1), max(round(self._stored_size[1] * factor), 1)
        if image.size == (2 * size[0], 2 * size[1]):
            image = image.reduce(2)
        elif image.size != size:
            # Triangle when it shrinks (antialiased, half the price), cubic when it is enlarged.
            filter_ = Image.Resampling.BILINEAR if size[0] < image.width else Image.Resampling.BICUBIC
            image = image.resize(size, filter_, reducing_gap=2.0)
        return self._turned(image)

    def patches(self, boxes: Sequence[Box], min_side: int) -> list[Patch]:
        """The pixels around each box: three times its size, clipped to the picture.

        Scaled down as far as the box's shorter side keeps ``min_side`` pixels, never up.
        """
        smallest = min(min(box.width, box.height) for box in boxes)
        image = self._load(next(divisor for divisor in JPEG_SCALES if smallest >= min_side * divisor or divisor == 1))
        return [self._patch(image, box, min_side) for box in boxes]

    def _patch(self, image: Image.Image, box: Box, min_side: int) -> Patch:
        grown = Box(box.x - box.width, box.y - box.height, 3 * box.width, 3 * box.height)
        inside = grown.clipped(self.width, self.height) or Box(0, 0, self.width, self.height)
        stored = turn_back(inside, self._stored, self.width, self.height)
        across, down = image.width / self._stored_size[0], image.height / self._stored_size[1]
        left, top = math.floor(stored.x * across), math.floor(stored.y * down)
        right = min(math.ceil((stored.x + stored.width) * across), image.width)
        bottom = min(math.ceil((stored.y + stored.height) * down), image.height)
        cut = turn(Box(left, top, right - left, bottom - top), self._stored, *image.size)
        if self._stored in SWAPPED:
            across, down = down, across
        pixels = image.crop((left, top, right, bottom))
        if (transpose := TRANSPOSES.get(self._stored)) is not None:  # FLIP_LEFT_RIGHT is 0
            pixels = pixels.transpose(transpose)  # before it is reduced: then the left and top edges stay exact
        factor = int(min(box.width * across, box.height * down) // min_side)
        if factor > 1:
            pixels = pixels.reduce(factor)
        factor = max(factor, 1)
        return Patch(np.asarray(pixels), cut.x / across, cut.y / down, factor / across, factor / down)

    def _turned(self, image: Image.Image) -> Pixels:
        transpose = TRANSPOSES.get(self._stored)
        return np.asarray(image if transpose is None else image.transpose(transpose))


class _failures:
    """Turns whatever Pillow raises for a broken file into a PhotoError; memory is the caller's business."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, (PhotoError, MemoryError)) or not isinstance(error, Exception):
            return
        words = str(error).lower()
        if isinstance(error, UnidentifiedImageError):
            raise PhotoError("damaged", "its header is broken") from None
        if any(word in words for word in ("truncated", "unexpected end", "end of file", "not enough data", "eof")):
            raise PhotoError("truncated") from None
        raise PhotoError("damaged") from None


def _orientation(image: Image.Image, data: bytes) -> int:
    """EXIF tag 274, 1 where it is missing or makes no sense."""
    try:
        if image.format == "PNG":
            # Its EXIF may follow its pixels, which Pillow would decode, all of them, to get there.
            image = Image.open(BytesIO(png_without_pixels(data)), formats=["PNG"])
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise  # it may have one
    except Exception:
        return 1  # broken EXIF says nothing about the picture, which is shown as it is stored
    return orientation if isinstance(orientation, int) and orientation in ORIENTATIONS else 1


def _rgb(image: Image.Image) -> Image.Image:
    """Eight bits of red, green and blue, what is transparent on white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in GREY_LEVELS:
        return Image.fromarray((np.asarray(image) // GREY_LEVELS[image.mode]).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return _from_numbers(np.asarray(image, np.float64)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        page = Image.new("RGB", layer.size, "white")
        page.paste(layer, mask=layer.getchannel("A"))
        return page
    return image.convert("RGB")


def _from_numbers(values: NDArray[np.float64]) -> Image.Image:
    """Scientific grey values, whose range nobody states: 8 or 16 bits if they fit, else stretched to what is there."""
    values = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535:
        values, high = values - low, high - low
    elif high > 1:
        high, low = (255.0 if high <= 255 else 65535.0), 0.0
    else:
        high = 1.0
    return Image.fromarray((values * (255 / (high or 1))).clip(0, 255).astype(np.uint8))
