"""A small file by which a health check sees that a process lives and gets on."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from faceswarm.exits import Exit

MAX_AGE_SECONDS = 60  # older than this, the process hangs


class Health:
    """Written at most once a second; None writes nothing."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._written = 0.0

    def alive(self, **progress: int) -> None:
        """This process is alive, and so far on."""
        if self._file is None or time.monotonic() - self._written < 1:
            return
        self._written = time.monotonic()
        unfinished = self._file.with_name(self._file.name + ".part")
        unfinished.write_text(json.dumps(progress))
        os.replace(unfinished, self._file)


def check(file: Path) -> tuple[Exit, str]:
    """Whether the process that writes this file is alive, and its progress."""
    try:
        age = time.time() - file.stat().st_mtime
        text = file.read_text()
    except OSError as error:
        return Exit.UNHEALTHY, f"{file} can't be read ({error.strerror}): the process has not begun"
    if age > MAX_AGE_SECONDS:
        return Exit.UNHEALTHY, f"no sign of life for {age:.0f} s; last {text}"
    return Exit.OK, text
