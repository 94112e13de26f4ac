"""How an index run shows what it is doing: one line that changes on a terminal, plain lines elsewhere."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections import deque
from typing import Protocol

from master.scan.scan import Tally

WINDOW_SECONDS = 60  # the rate is that of the last minute: a slow start is forgotten
LINE_SECONDS = 10  # between plain lines
MIN_SECONDS = 5  # of work before a time to go is told
MIN_PHOTOS = 10


class Figures(Protocol):
    """What an IndexRun tells."""

    total: int | None  # files below the root, once counted
    backlog: int  # photos known and to do when the run began
    stopped: bool

    @property
    def tally(self) -> Tally: ...

    @property
    def done(self) -> int: ...

    @property
    def faces(self) -> int: ...

    @property
    def failed(self) -> int: ...


def time_to_go(figures: Figures, rate: float) -> float | None:
    """Seconds until all is done, None while nobody can know.

    What is known and to do, and of the files not yet looked at as many as were new among those that were.
    """
    tally = figures.tally
    if rate <= 0 or figures.total is None:
        return None
    to_do = figures.backlog + tally.new - figures.done - figures.failed
    unseen = 0 if tally.complete else max(figures.total - tally.files, 0)
    return (max(to_do, 0) + unseen * tally.new / max(tally.files, 1)) / rate


def duration(seconds: float) -> str:
    """ "2 min 5 s", "3 h 10 min", "2 d 4 h"."""
    units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]
    left = max(round(seconds), 0)
    for (unit, size), (smaller, small_size) in itertools.pairwise(units):
        if left >= size:
            rest = left % size // small_size
            return f"{left // size:,} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{left} s"


class Progress:
    """Writes to standard error from a thread of its own, between start and stop."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._terminal = sys.stderr.isatty()
        self._answers = deque([(time.monotonic(), 0)])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._terminal:
            sys.stderr.write("\r\033[K")

    def _run(self) -> None:
        while not self._ended.wait(1 if self._terminal else LINE_SECONDS):
            line = self.line(time.monotonic())
            sys.stderr.write(f"\r{line}\033[K" if self._terminal else f"{line}\n")
            sys.stderr.flush()

    def line(self, now: float) -> str:
        figures, tally = self._figures, self._figures.tally
        answered = figures.done + figures.failed
        self._answers.append((now, answered))
        while now - self._answers[0][0] > WINDOW_SECONDS:
            self._answers.popleft()
        since, before = self._answers[0]
        rate = (answered - before) / max(now - since, 0.001)
        known = figures.backlog + tally.new
        parts = [
            f"{answered:,} of {known:,} photos" + ("" if tally.complete else " found so far"),
            f"{rate:.1f}/s",
            f"{figures.faces:,} faces",
        ]
        if figures.failed:
            parts.append(f"{figures.failed:,} failed")
        if figures.stopped:
            parts.append("stopping after the photos in hand")
        elif answered >= MIN_PHOTOS and now - since >= MIN_SECONDS and (left := time_to_go(figures, rate)) is not None:
            parts.append(f"{duration(left)} to go")
        return "  ".join(parts)
