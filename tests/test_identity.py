"""A photo is its picture: what programs write around it changes nothing, and any byte of it changes everything."""

from __future__ import annotations

import hashlib
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common.identity import PNG_SIGNATURE, picture_hash

SIDE = 24
JPEG_KINDS: dict[str, dict[str, object]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "with restart markers": {"restart_marker_blocks": 1},
    "progressive with restart markers": {"progressive": True, "restart_marker_blocks": 2},
}
METADATA = [*range(0xE0, 0xF0), 0xFE]  # APP0 to APP15, COM


def picture() -> Image.Image:
    """A small picture with enough in it that its coded data has stuffed bytes."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


def encoded(format_: str, **options: object) -> bytes:
    """The picture as a file."""
    buffer = BytesIO()
    picture().save(buffer, format_, **options)
    return buffer.getvalue()


JPEGS = {kind: encoded("JPEG", quality=90, **options) for kind, options in JPEG_KINDS.items()}
PNG = encoded("PNG")
jpegs = pytest.mark.parametrize("jpeg", JPEGS.values(), ids=JPEGS.keys())


def jpeg_places(jpeg: bytes) -> list[tuple[int, int]]:
    """(marker, where it begins) for each segment after SOI, by a reader that shares nothing with ours: it looks for
    0xFF and a marker behind each segment's length, or behind each scan's coded data.
    """
    places, position = [], 2
    while True:
        marker = jpeg[position + 1]
        places.append((marker, position))
        if marker == 0xD9:
            return places
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
        while jpeg[position] != 0xFF or jpeg[position + 1] in (0x00, *range(0xD0, 0xD8)):
            position += 1


def picture_places(jpeg: bytes) -> list[int]:
    """Each byte that is neither metadata nor behind the end."""
    places = jpeg_places(jpeg)
    ends = [start for _, start in places[1:]] + [len(jpeg)]
    inside = [range(start, end) for (marker, start), end in zip(places, ends) if marker not in METADATA]
    return [0, 1, *(place for stretch in inside for place in stretch)]


def segment(marker: int, content: bytes) -> bytes:
    """One segment of a JPEG."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def chunk_places(png: bytes) -> list[int]:
    """Where each chunk begins."""
    places, position = [], len(PNG_SIGNATURE)
    while position < len(png):
        places.append(position)
        position += 12 + int.from_bytes(png[position : position + 4], "big")
    return places


segments = st.tuples(
    st.integers(0, 1000), st.sampled_from(METADATA), st.binary(max_size=40) | st.just(JPEGS["baseline"]), st.integers(0, 3)
)


@jpegs
@given(written=st.lists(segments, min_size=1, max_size=4))
def test_metadata_written_into_a_jpeg_changes_no_hash(
    jpeg: bytes, written: list[tuple[int, int, bytes, int]]
) -> None:
    """APPn and COM segments count nowhere, between the scans neither, whatever they hold and however they are filled."""
    starts = [start for _, start in jpeg_places(jpeg)]
    tagged = jpeg
    for place, marker, content, fill in sorted(written, key=lambda one: -(one[0] % len(starts))):
        start = starts[place % len(starts)]
        tagged = tagged[:start] + b"\xff" * fill * (start != starts[-1]) + segment(marker, content) + tagged[start:]
    assert picture_hash(tagged) == picture_hash(jpeg) != picture_hash(b"")
