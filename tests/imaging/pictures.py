"""Files for these tests, made as cameras and programs make them."""

from __future__ import annotations

import re
import zlib
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from common.imaging.decode import Pixels

_INVERSE = {6: 8, 8: 6}


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    """The image as a file."""
    buffer = BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def stored(upright: Image.Image, orientation: int) -> tuple[Image.Image, Image.Exif]:
    """How a camera that is held this way stores what is shown as ``upright``, and the EXIF that says so."""
    turned = upright.copy()
    turned.getexif()[ExifTags.Base.Orientation] = _INVERSE.get(orientation, orientation)
    turned = ImageOps.exif_transpose(turned)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return turned, exif


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks behind its pixels."""
    end = len(png) - 12
    return png[:end] + b"".join(chunks) + png[end:]


def endless_jpeg(scans: int, side: int = 3000) -> bytes:
    """A valid JPEG of some kilobytes that takes ``scans`` x 3 ms to decode: its last scan again and again."""
    plain = encoded(Image.new("L", (side, side), 100), "JPEG", progressive=True)
    last = [match.start() for match in re.finditer(rb"\xff\xda", plain)][-1]
    return plain[:-2] + plain[last:-2] * scans + plain[-2:]


def difference(one: Pixels, other: Pixels | Image.Image) -> float:
    """The mean absolute difference of all values, 0 to 255."""
    other = np.asarray(other)
    assert one.shape == other.shape
    return float(np.abs(one.astype(float) - other).mean())
