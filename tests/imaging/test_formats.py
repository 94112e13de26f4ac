"""What a file is, is told by its content; its name counts where that leaves it open."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common.imaging.formats import (
    AVIF,
    FORMATS,
    HEAD_BYTES,
    HEIF,
    JPEG_XL,
    NOT_A_PHOTO,
    RAW,
    VIDEO,
    Skip,
    missing_formats,
    sniff,
    usable_again,
)

TIFF_HEAD = b"II*\0\x08\0\0\0"


def saved(format_: str, mode: str = "RGB", **options: object) -> bytes:
    """A small picture's first bytes, as Pillow writes them."""
    buffer = BytesIO()
    Image.new(mode, (8, 8)).save(buffer, format_, **options)
    return buffer.getvalue()[:HEAD_BYTES]


def iso_media(brand: bytes, *compatible: bytes) -> bytes:
    """The beginning of an ISO base media file."""
    content = b"ftyp" + brand + bytes(4) + b"".join(compatible)
    return (len(content) + 4).to_bytes(4, "big") + content + b"\0\0\0\x08free"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.CR2", "a.mov", "a.txt", "a", ""])
@pytest.mark.parametrize("format_", sorted(set(FORMATS) - {"TIFF"}))
def test_a_picture_is_known_under_any_name(format_: str, name: str) -> None:
    """Content wins over every name."""
    assert sniff(saved(format_), name) == format_


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}])
def test_a_tiff_is_known_unless_its_name_is_that_of_a_raw_file(options: dict[str, object]) -> None:
    """Most raw formats are TIFF inside, and only their names tell."""
    head = saved("TIFF", **options)
    assert {sniff(head, name) for name in ("a.tif", "a.TIFF", "scan", "a.jpg", "a.mp4")} == {"TIFF"}
    assert {sniff(head, name) for name in ("a.nef", "IMG.DNG", "a.arw", "a.b.pef")} == {Skip(RAW)}


def test_a_jpeg_named_raw_is_a_jpeg() -> None:
    """Only TIFF heads are given away by a raw file's name."""
    assert sniff(saved("JPEG"), "a.raw") == "JPEG"


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (iso_media(b"heic", b"mif1"), HEIF),
        (iso_media(b"mif1", b"heic"), HEIF),
        (iso_media(b"crx ", b"isom"), RAW),
        (iso_media(b"mp42", b"isom", b"mp41"), VIDEO),
        (iso_media(b"qt  "), VIDEO),
        (iso_media(b"M4A ", b"mp42"), NOT_A_PHOTO),
        (b"RIFF\x10\0\0\0AVI LIST", VIDEO),
        (b"RIFF\x10\0\0\0WAVEfmt ", NOT_A_PHOTO),
        (b"\x1aE\xdf\xa3\x93\x42\x82\x88", VIDEO),
        (b"\0\0\x01\xba\x44\0\x04", VIDEO),
        (b"\xff\x0a\xfa\x1f", JPEG_XL),
        (b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),
        (b"FUJIFILMCCD-RAW 0201", RAW),
        (b"IIRO\x08\0\0\0", RAW),
        (b"IIU\0\x18\0\0\0", RAW),
        (b"FOVb\0\0\x02\0", RAW),
        (b"\0MRM\0\x01\x02\x03", RAW),
        (TIFF_HEAD[:8] + b"CR\x02\0", RAW),
        (b"II\x1a\0\0\0HEAPCCDR", RAW),
    ],
)
@pytest.mark.parametrize("name", ["a.jpg", "a.txt", "a"])
def test_what_is_no_picture_is_skipped_for_its_contents_reason(head: bytes, reason: str, name: str) -> None:
    """A photo's name on a video or a format that is not supported does not make it a broken photo."""
    assert sniff(head + bytes(100), name) == Skip(reason)


@pytest.mark.parametrize("head", [iso_media(b"avif", b"mif1", b"miaf"), iso_media(b"mif1", b"avif", b"heic")])
def test_avif_is_told_by_any_of_its_brands(head: bytes) -> None:
    """It shares its container and some brands with HEIC."""
    assert sniff(head, "a.jpg") == ("AVIF" if AVIF in usable_again() else Skip(AVIF))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", None),
        ("IMG_1.JPEG", None),
        ("a.b.heic", None),
        (".png", None),
        ("a.mts", Skip(VIDEO)),
        ("A.MOV", Skip(VIDEO)),
        ("a.nef", Skip(RAW)),
        ("a.3FR", Skip(RAW)),
        ("a.txt", Skip(NOT_A_PHOTO)),
        ("a.jpg.xmp", Skip(NOT_A_PHOTO)),
        ("a", Skip(NOT_A_PHOTO)),
        ("", Skip(NOT_A_PHOTO)),
    ],
)
@pytest.mark.parametrize("content", [b"", b"\0", b"no picture at all", bytes(HEAD_BYTES), b"\xff\xd8"])
def test_unknown_content_is_judged_by_its_name(content: bytes, name: str, expected: Skip | None) -> None:
    """With a photo's name it is a broken photo, with another it is none of our business."""
    assert sniff(content, name) == expected


@pytest.mark.parametrize(
    "text",
    [
        "P1 is a postcode",
        "P5\nParagraph five",
        "P6: six",
        "P3",
        "BMW, a manual for the owner of such a car",
        "BM",
        "GIF stands for something",
        "RIFFRAFF lives here",
        "II. Chapter",
    ],
)
def test_a_text_that_begins_like_a_picture_is_still_a_text(text: str) -> None:
    """Two letters alone make no picture."""
    assert sniff(text.encode(), "notes.txt") == Skip(NOT_A_PHOTO)
    assert sniff(text.encode(), "notes.bmp") is None or text.startswith("RIFF")


@pytest.mark.parametrize("head", [b"P6\n8 8\n255\n", b"P5 8 8 255 ", b"P4\n# by a scanner\n8 8\n", b"P1\r\n\t8 8\n0 1"])
def test_a_portable_map_is_known_by_the_number_or_comment_behind_its_letter(head: bytes) -> None:
    """Any white space may come between."""
    assert sniff(head, "a.txt") == "PPM"


@given(head=st.binary(max_size=64), name=st.text(max_size=12))
def test_any_bytes_and_any_name_have_an_answer(head: bytes, name: str) -> None:
    """Nothing that lies in a folder makes sniffing fail."""
    for start in (b"", b"\0\0\0\x20ftyp", b"RIFF", b"II*\0"):
        answer = sniff(start + head, name)
        assert answer is None or isinstance(answer, Skip) or answer in FORMATS


def test_a_format_that_is_missing_is_not_usable() -> None:
    """What is said to need support and what may be looked at again never overlap."""
    missing = {f"needs {name} support" for name, _ in missing_formats()}
    assert {HEIF, RAW, JPEG_XL} <= missing
    assert not missing & usable_again()


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("heic", {Skip(HEIF)}), ("raw", {Skip(RAW)}), ("tiff", {"TIFF"}), ("webp", {"WEBP"}), ("avif", {"AVIF"})],
)
def test_real_files_are_what_their_folders_say(folder: str, expected: set[object], shared_data: Path) -> None:
    """Files of cameras and programs, in folders by what they are."""
    files = [file for file in (shared_data / "formats" / folder).iterdir() if file.suffix not in (".json", ".xmp")]
    assert {sniff(file.read_bytes()[:HEAD_BYTES], file.name) for file in files} == expected
