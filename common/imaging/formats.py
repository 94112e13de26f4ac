"""What a file is, by its first bytes: a picture that we can open, or a reason to skip it. Its name counts only where
the content leaves it open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES = 4096  # enough for every signature, and for the first TIFF directory of most raw files

NEEDS = "needs {} support"
VIDEO, NOT_A_PHOTO = "video", "not a photo"
HEIF, RAW, JPEG_XL, AVIF = (NEEDS.format(name) for name in ("HEIF", "camera RAW", "JPEG XL", "AVIF"))

PHOTO_NAMES = frozenset(
    ["jpg", "jpeg", "jpe", "jfif", "jps", "mpo", "png", "apng", "tif", "tiff", "bmp", "dib", "gif", "webp", "avif"]
    + ["jp2", "j2k", "j2c", "jpx", "ppm", "pgm", "pbm", "pnm", "heic", "heif", "hif", "jxl"]
)
RAW_NAMES = frozenset(
    ["3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "k25", "kdc", "mef", "mos", "mrw", "nef"]
    + ["nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"]
)
VIDEO_NAMES = frozenset(
    ["3g2", "3gp", "asf", "avi", "dv", "flv", "m2t", "m2ts", "m4v", "mkv", "moi", "mov", "mp4", "mpeg", "mpg", "mts"]
    + ["mxf", "ogv", "r3d", "rm", "ts", "vob", "webm", "wmv", "wtv"]
)

# Pillow's name of each format that is opened, and what its files begin with.
FORMATS: dict[str, tuple[bytes, ...]] = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JPEG2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "PPM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
    "WEBP": (b"RIFF",),  # with WEBP behind the length
    "AVIF": (),  # told by its brand
}
OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\x0a", JPEG_XL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),
    (b"FUJIFILMCCD-RAW", RAW),
    (b"IIRO", RAW),  # Olympus
    (b"IIRS", RAW),
    (b"MMOR", RAW),
    (b"IIU\0", RAW),  # Panasonic
    (b"\0MRM", RAW),  # Minolta
    (b"FOVb", RAW),  # Sigma
    (b"\x1aE\xdf\xa3", VIDEO),  # Matroska, WebM
    (b"0&\xb2u\x8ef\xcf\x11", VIDEO),  # ASF
    (b"FLV\x01", VIDEO),
    (b"\0\0\x01\xba", VIDEO),  # MPEG program stream
)
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
AVIF_BRANDS = {b"avif", b"avis"}


@dataclass(frozen=True)
class Skip:
    """This file is left out, for a reason that people understand."""

    reason: str


def sniff(head: bytes, name: str) -> str | Skip | None:
    """Pillow's name of the format, a reason to skip the file, or None for a file that has a photo's name but shows no
    picture that is known.

    ``head``: the first HEAD_BYTES of the file. ``name``: of the file.
    """
    extension = name.rpartition(".")[2].lower()
    if head[4:8] == b"ftyp":
        return _iso_media(head, extension)
    if head.startswith(b"RIFF"):
        return "WEBP" if head[8:12] == b"WEBP" else Skip(VIDEO if head[8:12] == b"AVI " else NOT_A_PHOTO)
    for signature, reason in OTHERS:
        if head.startswith(signature):
            return Skip(reason)
    if head[6:14] == b"HEAPCCDR" or (head[8:10] == b"CR" and head.startswith(FORMATS["TIFF"])):
        return Skip(RAW)
    if head.startswith(FORMATS["TIFF"]) and extension in RAW_NAMES:
        return Skip(RAW)
    for format_, signatures in FORMATS.items():
        if head.startswith(signatures) and _no_text(format_, head):
            return format_
    if extension in VIDEO_NAMES:
        return Skip(VIDEO)
    if extension in RAW_NAMES:
        return Skip(RAW)
    return None if extension in PHOTO_NAMES else Skip(NOT_A_PHOTO)


def _no_text(format_: str, head: bytes) -> bool:
    """The signatures of these two are plain letters, so more of the header is looked at."""
    if format_ == "BMP":
        return head[14:18] in {bytes([size, 0, 0, 0]) for size in (12, 16, 40, 52, 56, 64, 108, 124)}
    return format_ != "PPM" or re.match(rb"P\d\s+[\d#]", head) is not None


def _iso_media(head: bytes, extension: str) -> str | Skip:
    """Of the many kinds of ISO base media files, told by their brands (ISO/IEC 14496-12, section 4.3)."""
    size = int.from_bytes(head[:4], "big")
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, min(size, len(head)), 4))}
    if head[8:12] in AVIF_BRANDS or AVIF_BRANDS & brands:
        return "AVIF" if _pillow_has_avif() else Skip(AVIF)
    if HEIF_BRANDS & brands:
        return Skip(HEIF)
    if head[8:11] == b"crx":
        return Skip(RAW)
    return Skip(NOT_A_PHOTO if head[8:11] in (b"M4A", b"M4B") else VIDEO)


def _pillow_has_avif() -> bool:
    from PIL import features

    return bool(features.check("avif"))


def missing_formats() -> list[tuple[str, str]]:
    """(what, why) of the formats that are skipped on this machine."""
    missing = [(name, "not supported yet") for name in ("HEIF", "camera RAW", "JPEG XL")]
    return missing if _pillow_has_avif() else [*missing, ("AVIF", "needs a Pillow with AVIF")]


def usable_again() -> frozenset[str]:
    """Reasons to skip a file that do not hold, or no longer hold, on this machine."""
    return frozenset({HEIF, RAW, JPEG_XL, AVIF} - {NEEDS.format(name) for name, _ in missing_formats()})
