"""The decoder's child process: reads, hashes and decodes the files that it is told, until its parent closes the socket.

Run as ``python -m common.imaging.child FD``. Imports no inference runtime. Whatever a file does to this process, it
does to this process only.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import stat
import sys
import warnings
from multiprocessing.connection import Connection
from typing import Any

import msgpack

from common.identity import picture_hash
from common.imaging.decode import Picture
from common.imaging.errors import PhotoError
from common.imaging.formats import HEAD_BYTES, Skip, sniff
from common.model import Box

MAX_FILE_BYTES = 1 << 30  # a photo of a gigabyte is none


class Decoding:
    """Answers requests. Holds the picture that was opened last."""

    def __init__(self, limits: dict[str, Any]) -> None:
        self._limits = limits
        self._picture: Picture | None = None

    def probe(self, path: bytes) -> list[Any]:
        """What the file is, without decoding its picture."""
        self._picture = None
        data, format_, facts = self._read(path)
        if format_ is None:
            return [facts]
        try:
            self._open(data, format_, facts)
        except PhotoError as error:
            if error.kind == "too large":
                raise
            # The file has its identity, so that it becomes a photo, and a job that fails with this reason.
        return [facts]

    def open(self, path: bytes, long_side: int) -> list[Any]:
        """What the file is, and its upright pixels."""
        self._picture = None
        data, format_, facts = self._read(path)
        if format_ is None:
            return [facts]
        picture = self._open(data, format_, facts)
        pixels = picture.upright(long_side)
        return [{**facts, "shape": pixels.shape}, pixels.tobytes()]

    def patches(self, boxes: list[list[int]], min_side: int) -> list[Any]:
        """Patches of the picture that was opened last."""
        assert self._picture
        patches = self._picture.patches([Box(*box) for box in boxes], min_side)
        facts = [[patch.pixels.shape, patch.x, patch.y, patch.scale_x, patch.scale_y] for patch in patches]
        return [facts, *(patch.pixels.tobytes() for patch in patches)]

    def _read(self, path: bytes) -> tuple[bytes, str | None, dict[str, Any]]:
        # Without O_NONBLOCK the open of a pipe would wait for somebody to write into it.
        with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise PhotoError("not an image", "it is no regular file")
            head = os.pread(file.fileno(), HEAD_BYTES, 0)
            format_ = sniff(head, os.fsdecode(os.path.basename(path)))
            if isinstance(format_, Skip):
                return b"", None, {"skip": format_.reason}
            if status.st_size > MAX_FILE_BYTES:
                raise PhotoError("too large", f"{status.st_size / 1e6:.0f} MB")
            data = file.readall()
        return data, format_ or "none", {
            "picture": picture_hash(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "format": format_ or "none",
            "orientation": 1,
            "width": 0,
            "height": 0,
        }  # fmt: skip

    def _open(self, data: bytes, format_: str, facts: dict[str, Any]) -> Picture:
        if format_ == "none":
            raise PhotoError("not an image")
        self._picture = picture = Picture(data, format_, self._limits["megapixels"])
        facts |= {"orientation": picture.orientation, "width": picture.width, "height": picture.height}
        return picture


def main(descriptor: int) -> None:
    """Answers each request with a list of messages: what it is about, then raw pixels."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when we end
    warnings.simplefilter("ignore")
    if not os.environ.get("FACESWARM_DEBUG"):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the image libraries' own words about broken files
    connection = Connection(descriptor)
    limits = msgpack.unpackb(connection.recv_bytes())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hardest = resource.getrlimit(resource.RLIMIT_DATA)
    data = limits["megabytes"] * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (data if hardest < 0 else min(data, hardest), hardest))
    decoding = Decoding(limits)
    while True:
        try:
            name, *arguments = msgpack.unpackb(connection.recv_bytes())
        except EOFError:
            return
        signal.alarm(int(limits["seconds"]) + 1)  # ends us at the deadline even when nobody is there to do it
        for message in _answer(decoding, name, arguments):
            connection.send_bytes(message)
        signal.alarm(0)


def _answer(decoding: Decoding, name: str, arguments: list[Any]) -> list[bytes]:
    try:
        facts, *pixels = getattr(decoding, name)(*arguments)
        return [msgpack.packb(["ok", facts]), *pixels]
    except PhotoError as error:
        return [msgpack.packb(["failed", error.kind, error.detail])]
    except MemoryError:
        return [msgpack.packb(["failed", "out of memory", ""])]
    except OSError as error:
        return [msgpack.packb(["unreadable", error.errno or 0, error.strerror or str(error)])]


if __name__ == "__main__":
    main(int(sys.argv[1]))
