"""Why a photo could not be decoded, in classes that stay the same and sentences for people."""

from __future__ import annotations

KINDS = {
    "not an image": "The file has a photo's name, but shows no picture. Restore it from a backup, or delete it.",
    "truncated": "The file ends in the middle of its picture. Copy it again from where it came from.",
    "damaged": "The picture can't be decoded. Restore the file from a backup.",
    "too large": "The picture has more pixels, or the file more bytes, than the limit. See [decode] in config.ini.",
    "out of memory": "Decoding took more memory than the limit. Raise Megabytes under [decode] in config.ini.",
    "took too long": "Decoding took longer than the limit. Raise Seconds under [decode] in config.ini.",
    "decoder crashed": "The file crashes its decoder. Save it anew with an image editor, or restore it from a backup.",
    "skipped": "This is no photo that can be searched.",
}
# These may be the machine's fault rather than the file's: a second try in a fresh process makes sense.
RETRIED = frozenset({"out of memory", "took too long", "decoder crashed"})


class PhotoError(Exception):
    """A file shows no picture that can be used. ``kind`` is one of KINDS; the message says what to do."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(KINDS[kind] + (f" ({detail})" if detail else ""))
        self.kind = kind
        self.detail = detail
