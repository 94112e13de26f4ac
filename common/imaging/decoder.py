"""Decodes files that are not to be trusted: in a child process with limits, replaced when a file breaks it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgpack
import numpy as np

from common.child_process import ChildDied, ChildError, ChildProcess, ChildTooLarge, ChildTooSlow
from common.imaging.decode import Patch, Pixels
from common.imaging.errors import RETRIED, PhotoError
from common.imaging.formats import Skip
from common.model import Box, PhotoId

START_SECONDS = 60  # added to the deadline of the first request: a cold disk, an old computer


@dataclass(frozen=True)
class Limits:
    """What one file may cost."""

    seconds: float = 60.0  # the largest photos take 2 s on a desktop, 20 s on a Raspberry Pi
    megabytes: int = 1024  # a 200 MP picture takes 800 MB
    megapixels: float = 400.0  # the largest phone cameras have 200


@dataclass(frozen=True)
class Probe:
    """What a file is."""

    photo: PhotoId
    sha256: str  # of the whole file
    bytes: int
    format: str  # Pillow's name; "none" for a file with a photo's name that shows no picture
    width: int  # pixels of the upright full-size picture; 0 x 0 when the header can't be read
    height: int


class Decoder:
    """One child at a time, for one thread. It starts at once; the first request waits for it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._opened: tuple[bytes, int, str] | None = None  # path, long side, and the SHA-256 of what was there
        self._start()

    def _start(self) -> None:
        self._child = ChildProcess("common.imaging.child")
        self._child.send(msgpack.packb(asdict(self._limits)))
        self._fresh = True

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child."""
        self._child.kill()

    def probe(self, path: str | os.PathLike[str]) -> Probe | Skip:
        """What the file is, or why it is to be skipped, without decoding its picture.

        Raises OSError where it can't be read, PhotoError where it is too large or breaks the child twice.
        """
        facts, _ = self._twice("probe", os.fsencode(path))
        return Skip(facts["skip"]) if "skip" in facts else _probe(facts)

    def open(self, path: str | os.PathLike[str], long_side: int) -> tuple[Probe, Pixels]:
        """What the file is, and its upright pixels, scaled so that the long side is ``long_side`` pixels.

        Raises OSError where it can't be read; PhotoError where it shows no picture that can be used, for crashes,
        deadline and memory after a second try in a fresh child.
        """
        facts, pixels = self._twice("open", os.fsencode(path), long_side)
        if "skip" in facts:
            raise PhotoError("skipped", facts["skip"])
        self._opened = os.fsencode(path), long_side, facts["sha256"]
        return _probe(facts), _array(pixels[0], facts["shape"])

    def patches(self, boxes: Sequence[Box], min_side: int) -> list[Patch]:
        """The pixels around each box of the picture opened last, as Picture.patches() cuts them.

        ``boxes``: in pixels of the upright full-size picture, each reaching into it. Raises PhotoError, for crashes,
        deadline and memory after a second try in a fresh child; OSError if the file is gone by then.
        """
        if not boxes:
            return []
        request = "patches", [list(box) for box in boxes], min_side
        try:
            facts, pixels = self._ask(*request)
        except PhotoError as error:
            if error.kind not in RETRIED or self._opened is None:
                raise
            path, long_side, sha256 = self._opened
            again, _ = self._ask("open", path, long_side)
            if again.get("sha256") != sha256:
                raise  # another picture by now, to which the boxes do not belong
            facts, pixels = self._ask(*request)
        return [Patch(_array(data, shape), *place) for data, (shape, *place) in zip(pixels, facts)]

    def _twice(self, *request: Any) -> tuple[Any, list[bytes]]:
        try:
            return self._ask(*request)
        except PhotoError as error:
            if error.kind not in RETRIED:
                raise
        return self._ask(*request)

    def _ask(self, *request: Any) -> tuple[Any, list[bytes]]:
        """One request to the child, which is replaced when it does not survive it. Raises PhotoError, OSError."""
        seconds = self._limits.seconds + (START_SECONDS if self._fresh else 0)
        try:
            self._child.send(msgpack.packb(request))
            kind, *answer = msgpack.unpackb(self._child.receive(seconds, self._limits.megabytes))
            self._fresh = False
            if kind == "ok":
                facts = answer[0]
                count = len(facts) if isinstance(facts, list) else "shape" in facts
                return facts, [self._child.receive(seconds) for _ in range(count)]
        except ChildError as error:
            self._replace()
            raise _died(error) from None
        except BaseException:
            self._replace()  # interrupted: the answer still to come is not the next request's
            raise
        if kind == "unreadable":
            raise OSError(*answer)
        if answer[0] == "out of memory":
            self._replace()  # what is left of its memory may be in pieces
        raise PhotoError(*answer)

    def _replace(self) -> None:
        self._child.kill()
        self._start()


def _died(error: ChildError) -> PhotoError:
    if isinstance(error, ChildTooSlow) or (isinstance(error, ChildDied) and error.exit_code == -signal.SIGALRM):
        return PhotoError("took too long")
    if isinstance(error, ChildTooLarge):
        return PhotoError("out of memory")
    assert isinstance(error, ChildDied)
    return PhotoError("decoder crashed", str(error))


def _probe(facts: dict[str, Any]) -> Probe:
    photo = PhotoId(facts["picture"], facts["orientation"])
    return Probe(photo, *(facts[name] for name in ("sha256", "bytes", "format", "width", "height")))


def _array(data: bytes, shape: list[int]) -> Pixels:
    return np.frombuffer(data, np.uint8).reshape(shape)
