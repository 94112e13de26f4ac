"""The values that dlib's serialize.h writes, read one after another.

An integer is a control byte (low 4 bits: how many bytes of magnitude follow, little endian; high bit: negative), a
float is two integers, mantissa and exponent. Types are not in the file: the caller knows what comes next.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from worker.engines.convert.weights import ModelError

_NOT_THE_FILE = "not the file of dlib's that this converter was written for"


def decoded(pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Floats from pairs of mantissa and exponent along the last axis."""
    return np.ldexp(pairs[..., 0].astype(np.float64), pairs[..., 1].astype(np.int32))


class Reader:
    """Reads forward through the bytes of one file. Every method raises ModelError where the bytes do not fit."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def integers(self, count: int) -> NDArray[np.int64]:
        # One loop over local names: the landmarks hold three million integers.
        content, at, values = self._content, self._at, []
        for _ in range(count):
            control = content[at] if at < len(content) else 0xFF
            end = at + 1 + (control & 0x0F)
            if control & 0x70 or end > len(content):
                raise ModelError(f"no integer of dlib's at byte {at} of {len(content)}: {_NOT_THE_FILE}")
            magnitude = int.from_bytes(content[at + 1 : end], "little")
            values.append(-magnitude if control & 0x80 else magnitude)
            at = end
        self._at = at
        return np.array(values, dtype=np.int64)

    def integer(self) -> int:
        return int(self.integers(1)[0])

    def floats(self, count: int) -> NDArray[np.float64]:
        return decoded(self.integers(2 * count).reshape(count, 2))

    def skip_booleans(self, count: int) -> None:
        if self._take(count).strip(b"01"):
            raise ModelError(f"no boolean of dlib's before byte {self._at}: {_NOT_THE_FILE}")

    def string(self) -> str:
        return self._take(self.integer()).decode("ascii", "replace")

    def expect(self, *names: str) -> str:
        """Reads the string by which dlib names what follows; it must be one of the given ones."""
        found = self.string()
        if found not in names:
            raise ModelError(f"{found!r} before byte {self._at} where one of {names} was expected: {_NOT_THE_FILE}")
        return found

    def tensor(self) -> NDArray[np.float32]:
        """A resizable_tensor of four dimensions; its values are raw little-endian float32, unlike all other floats."""
        shape = self._shape(version=2)
        return np.frombuffer(self._take(4 * math.prod(shape)), "<f4").reshape(shape)

    def alias(self) -> tuple[int, ...]:
        """An alias_tensor: the shape of a part of another tensor."""
        return self._shape(version=1)

    def end(self) -> None:
        """Raises ModelError unless every byte has been read."""
        if self._at != len(self._content):
            raise ModelError(f"{len(self._content) - self._at} bytes left over: {_NOT_THE_FILE}")

    def _shape(self, version: int) -> tuple[int, ...]:
        found, *shape = self.integers(5).tolist()
        if found != version or min(shape) < 0:
            raise ModelError(f"no tensor of dlib's before byte {self._at}: {_NOT_THE_FILE}")
        return tuple(shape)

    def _take(self, count: int) -> bytes:
        taken = self._content[self._at : self._at + count]
        if len(taken) != count:
            raise ModelError(f"the file ends {count - len(taken)} bytes too early: {_NOT_THE_FILE}")
        self._at += count
        return taken
