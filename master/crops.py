"""The cut-out faces as JPEG files, written by the master only: workers need no writable folder."""

from __future__ import annotations

import os
from pathlib import Path

from master.scan.walk import IGNORE_MARK
from master.store import StoreError


class Crops:
    """``<folder>/<aa>/<face>.jpg``, aa being the first two digits of the face's id."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises StoreError if it can't be written."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / IGNORE_MARK).touch()  # crops are no photos, also when the folder lies below a photo root
        except OSError as error:
            raise StoreError(f"The folder for crops, {folder}, can't be written ({error.strerror}).") from error

    def path(self, face: str) -> Path:
        return self.folder / face[:2] / f"{face}.jpg"

    def write(self, face: str, jpeg: bytes) -> None:
        """Whole or not at all, also when the process is killed. Raises StoreError, of a full disk for example."""
        target = self.path(face)
        unfinished = target.with_suffix(".part")
        try:
            target.parent.mkdir(exist_ok=True)
            unfinished.write_bytes(jpeg)
            os.replace(unfinished, target)
        except OSError as error:
            raise StoreError(f"{target} can't be written ({error.strerror}). What was done before is kept.") from error
