"""The hash of a picture without its metadata: what makes a photo a photo. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Chunks without which the pixels would be others. Colour hints (gAMA, cHRM, iCCP, sRGB) are left out: photo managers
# add and drop them, and no face looks different for it.
PNG_PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}

SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
STANDALONE = frozenset([0x01, *range(0xD0, 0xD8)])  # markers without a length: TEM, RST0 to RST7
# In the coded data of a scan 0xFF is followed by 0x00 or a restart marker; anything else ends the scan.
SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def picture_hash(data: bytes) -> str:
    """SHA-256, 64 hex digits, of a file's encoded picture.

    JPEG: all bytes but APPn and COM segments, from SOI to the first EOI: what follows it (a phone's video, a second
    picture) is not the picture. PNG: the signature and PNG_PICTURE chunks. Other formats: the whole file. A structure
    that is broken is hashed as it is from there to the end, so any bytes have a hash.
    """
    digest = hashlib.sha256()
    view = memoryview(data)
    if data.startswith(b"\xff\xd8\xff"):
        parts = _jpeg_parts(data)
    elif data.startswith(PNG_SIGNATURE):
        parts = _png_parts(data)
    else:
        parts = iter([(0, len(data))])
    for start, end in parts:
        digest.update(view[start:end])
    return digest.hexdigest()


def _jpeg_parts(data: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of each stretch that belongs to the picture (ITU T.81, annex B)."""
    yield 0, 2
    position = 2
    while position + 2 <= len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == EOI:
            yield position, position + 2
            return
        if marker in STANDALONE:
            yield position, position + 2
            position += 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        end = position + 2 + length
        if length < 2 or end > len(data):
            break
        if marker == SOS:
            match = SCAN_END.search(data, end)
            end = match.start() if match else len(data)
        if not (0xE0 <= marker <= 0xEF or marker == COM):
            yield position, end
        position = end
    yield position, len(data)


def _png_parts(data: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of each stretch that belongs to the picture (PNG specification, section 5)."""
    yield 0, len(PNG_SIGNATURE)
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        kind = data[position + 4 : position + 8]
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if end > len(data):
            break
        if kind in PNG_PICTURE:
            yield position, end
        if kind == b"IEND":
            return
        position = end
    yield position, len(data)


def png_without_pixels(data: bytes) -> bytes:
    """A PNG's header and all of its metadata, for whoever wants no more than that."""
    kept, position = [data[: len(PNG_SIGNATURE)]], len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] not in (b"IDAT", b"fdAT"):
            kept.append(data[position:end])
        position = end
    return b"".join(kept)
