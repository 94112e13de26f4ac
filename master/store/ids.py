"""The ids that never change. Pure."""

from __future__ import annotations

import hashlib


def face_id(photo: str, recipe: str, position: int) -> str:
    """The id of the face at a position of a result: 24 hex digits, the same on every machine and at every run."""
    return hashlib.sha256(f"{photo}\n{recipe}\n{position}".encode()).hexdigest()[:24]
