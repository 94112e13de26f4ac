"""The cut-out faces as JPEG files, written by the master only: workers need no writable folder."""

from __future__ import annotations

import os
from pathlib import Path

from master.scan.walk import IGNORE_MARK


class Crops:
    """``<folder>/<aa>/<face>.jpg``, aa being the first two digits of the face's id."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError if the folder can't be made or written."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / IGNORE_MARK).touch()  # crops are no photos, also when the folder lies below a photo root

    def path(self, face: str) -> Path:
        return self.folder / face[:2] / f"{face}.jpg"

    def write(self, face: str, jpeg: bytes) -> None:
        """Whole or not at all, also when the process is killed. Raises OSError, of a full disk for example."""
        target = self.path(face)
        target.parent.mkdir(exist_ok=True)
        unfinished = target.with_suffix(".part")
        unfinished.write_bytes(jpeg)
        os.replace(unfinished, target)
