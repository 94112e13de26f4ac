"""Paths in messages and stores: relative to the photo root, POSIX, as text that any database and JSON can hold.

A file name on Linux is bytes. Nearly all are UTF-8 and stay as they are; each byte of the others becomes one
character of the last private-use plane (U+10FF00 + byte), so that every name has exactly one text and back. Pure.
"""

from __future__ import annotations

import os

ESCAPE = 0x10FF00  # such a character in a real name is escaped too, byte by byte, so the way back is unambiguous


def path_text(path: str | bytes) -> str:
    """The text of a path as the operating system gives it."""
    raw = os.fsencode(path)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "".join(
            chr(ESCAPE + ord(c) - 0xDC00) if 0xDC80 <= ord(c) <= 0xDCFF else _escaped(c)
            for c in raw.decode(errors="surrogateescape")
        )
        return text
    return "".join(map(_escaped, text)) if max(text, default="") >= chr(ESCAPE) else text


def path_bytes(text: str) -> bytes:
    """The path of a text made by ``path_text``, to be joined to the photo root."""
    if max(text, default="") < chr(ESCAPE):
        return text.encode()
    return b"".join(bytes([ord(c) - ESCAPE]) if ord(c) >= ESCAPE else c.encode() for c in text)


def _escaped(character: str) -> str:
    if ord(character) < ESCAPE:
        return character
    return "".join(chr(ESCAPE + byte) for byte in character.encode())


def local_path(root: str | os.PathLike[str], text: str) -> str:
    """Where a photo lies on this machine: its text below this machine's photo root."""
    return os.fsdecode(os.path.join(os.fsencode(root), path_bytes(text)))
