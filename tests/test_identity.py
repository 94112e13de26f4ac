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

SIDE = 56  # 4 x 4 blocks of 16 pixels: all eight restart markers
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


written_segments = st.lists(
    st.tuples(
        st.integers(0, 1000),  # which place, counted round
        st.sampled_from(METADATA),
        st.binary(max_size=40) | st.just(JPEGS["baseline"]),  # as in an EXIF preview
        st.integers(0, 3),  # fill bytes before it
    ),
    min_size=1,
    max_size=4,
)


@jpegs
@given(written=written_segments)
def test_metadata_written_into_a_jpeg_changes_no_hash(jpeg: bytes, written: list[tuple[int, int, bytes, int]]) -> None:
    """APPn and COM segments count nowhere, between scans neither, whatever they hold and however they are filled."""
    places = jpeg_places(jpeg)
    tagged = jpeg
    for number, marker, content, fill in sorted(written, key=lambda one: -(one[0] % len(places))):
        number %= len(places)
        start = places[number][1]
        if number and places[number - 1][0] == 0xDA:
            fill = 0  # behind coded data fill bytes count: whoever writes metadata puts none there
        tagged = tagged[:start] + b"\xff" * fill + segment(marker, content) + tagged[start:]
    assert picture_hash(tagged) == picture_hash(jpeg)


@jpegs
@given(place=st.integers(0, 100_000), change=st.integers(1, 255))
def test_any_other_byte_of_a_jpeg_changes_its_hash(jpeg: bytes, place: int, change: int) -> None:
    """From the first byte to the end marker, tables and coded data alike."""
    places = picture_places(jpeg)
    changed = bytearray(jpeg)
    changed[places[place % len(places)]] ^= change
    assert picture_hash(bytes(changed)) != picture_hash(jpeg)


@jpegs
@given(appended=st.binary(min_size=1))
def test_what_follows_the_end_of_a_jpeg_does_not_count(jpeg: bytes, appended: bytes) -> None:
    """A phone's video or a second picture behind the first is not the picture."""
    assert picture_hash(jpeg + appended) == picture_hash(jpeg)
    assert picture_hash(jpeg + JPEGS["progressive"]) == picture_hash(jpeg)


def test_the_jpegs_have_what_the_tests_are_about() -> None:
    """Scans, restart markers and stuffed bytes are there to be stumbled over."""
    counts = {kind: [marker for marker, _ in jpeg_places(jpeg)].count(0xDA) for kind, jpeg in JPEGS.items()}
    assert counts["baseline"] == 1
    assert counts["progressive"] > 5
    assert all(bytes([0xFF, marker]) in JPEGS["with restart markers"] for marker in range(0xD0, 0xD8))
    assert all(b"\xff\x00" in jpeg for jpeg in JPEGS.values())


def test_the_same_picture_saved_with_exif_and_a_comment_keeps_its_hash() -> None:
    """What Pillow writes as metadata does not count, what it writes as picture does."""
    exif = Image.Exif()
    exif[0x010E] = "Grandma's birthday"
    plain = encoded("JPEG", quality=90)
    assert picture_hash(encoded("JPEG", quality=90, exif=exif, comment=b"at home")) == picture_hash(plain)
    assert picture_hash(encoded("JPEG", quality=89)) != picture_hash(plain)
    assert picture_hash(encoded("PNG", exif=exif)) == picture_hash(PNG) != picture_hash(plain)


@given(
    written=st.lists(
        st.tuples(
            st.integers(0, 1000),
            st.sampled_from([b"tEXt", b"iTXt", b"zTXt", b"tIME", b"eXIf", b"gAMA", b"iCCP", b"pHYs", b"xyZz"]),
            st.binary(max_size=40) | st.just(PNG),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_metadata_written_into_a_png_changes_no_hash(written: list[tuple[int, bytes, bytes]]) -> None:
    """Chunks that change no pixel count nowhere."""
    places = chunk_places(PNG)[1:]
    tagged = PNG
    for place, kind, content in sorted(written, key=lambda one: -(one[0] % len(places))):
        start = places[place % len(places)]
        tagged = tagged[:start] + chunk(kind, content) + tagged[start:]
    assert picture_hash(tagged + b"appended") == picture_hash(PNG)


@given(place=st.integers(0, len(PNG) - 1), change=st.integers(1, 255))
def test_any_byte_of_a_pngs_picture_changes_its_hash(place: int, change: int) -> None:
    """A file of nothing but picture chunks has no byte that does not count."""
    changed = bytearray(PNG)
    changed[place] ^= change
    assert picture_hash(bytes(changed)) != picture_hash(PNG)


@pytest.mark.parametrize("kind", [b"PLTE", b"tRNS"])
def test_a_pngs_palette_and_transparency_count(kind: bytes) -> None:
    """They change what is seen."""
    place = chunk_places(PNG)[1]
    assert picture_hash(PNG[:place] + chunk(kind, b"abc") + PNG[place:]) != picture_hash(PNG)


@given(content=st.binary())
def test_every_other_file_is_hashed_whole(content: bytes) -> None:
    """Anything that is neither JPEG nor PNG has its own SHA-256."""
    for data in (content, b"II*\0" + content, b"RIFF" + content, b"\xff\xd8" + b"\x00" + content):
        if not data.startswith((b"\xff\xd8\xff", PNG_SIGNATURE)):
            assert picture_hash(data) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("whole", [*JPEGS.values(), PNG], ids=[*JPEGS, "PNG"])
@given(data=st.data())
def test_whatever_is_broken_still_has_a_hash(whole: bytes, data: st.DataObject) -> None:
    """Cut off or overwritten anywhere, a file has a hash of its own, and always the same."""
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    place = data.draw(st.integers(0, len(whole) - 1))
    torn = whole[:place] + data.draw(st.binary(max_size=20)) + whole[place + data.draw(st.integers(0, 20)) :]
    for broken in (cut, torn, whole[:3] + cut, whole[:8] + torn[place:]):
        digest = picture_hash(broken)
        assert len(bytes.fromhex(digest)) == 32
        assert digest == picture_hash(bytes(broken))
    assert picture_hash(cut) != picture_hash(whole)


def test_a_broken_structure_is_hashed_to_the_end_of_the_file() -> None:
    """Two files that differ only behind the break are two photos."""
    for head in (b"\xff\xd8\xff\xdb\xff\xff", b"\xff\xd8\xff\xdb\x00\x01", b"\xff\xd8\xff\xe1\x00\x02broken", PNG[:20]):
        assert picture_hash(head + b"one") != picture_hash(head + b"two")
