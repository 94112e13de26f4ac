"""A Python module run as a child process that answers requests, one at a time, over a socket.

Not multiprocessing: nothing of the parent's main module is imported again, there is no resource tracker, and the
child can be killed at any moment without harm to a shared queue.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection

import psutil

WATCH_SECONDS = 0.1  # between looks at the child's memory while waiting for it


class ChildError(Exception):
    """The child gave no answer, and is gone."""


class ChildDied(ChildError):
    """It ended by itself: a crash, or the data limit."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code = exit_code  # negative: the signal


class ChildTooSlow(ChildError):
    """It was killed at its deadline."""


class ChildTooLarge(ChildError):
    """It was killed at its limit of resident memory."""


class ChildProcess:
    """Starts at once, and answers as soon as it is ready. For one thread, but kill() is for any."""

    def __init__(self, module: str, *arguments: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # One arena: what a large picture took is given back, instead of staying with each thread.
                # The safe path: a file numpy.py in the current folder, which may hold photos, is not run.
                env={**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},
            )
        self._connection = Connection(ours.detach())
        self._watched = psutil.Process(self._process.pid)

    def send(self, data: bytes) -> None:
        """Hands a request over. Raises ChildDied."""
        try:
            self._connection.send_bytes(data)
        except OSError:
            raise ChildDied(self._end()) from None

    def receive(self, seconds: float, megabytes: float | None = None) -> bytes:
        """The next answer. Raises ChildDied, ChildTooSlow, or ChildTooLarge past ``megabytes`` of resident memory."""
        deadline = time.monotonic() + seconds
        try:
            while not self._connection.poll(min(WATCH_SECONDS, max(deadline - time.monotonic(), 0))):
                if time.monotonic() >= deadline:
                    self.kill()
                    raise ChildTooSlow(f"no answer after {seconds:.0f} s")
                if megabytes and self._watched.memory_info().rss > megabytes * 1_000_000:
                    self.kill()
                    raise ChildTooLarge(f"more than {megabytes:.0f} MB")
            return self._connection.recv_bytes()
        except (EOFError, OSError, psutil.NoSuchProcess):
            raise ChildDied(self._end()) from None

    def _end(self) -> int:
        self._connection.close()
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """Ends it at once; returns its exit code. May be repeated."""
        self._process.kill()
        self._connection.close()
        return self._process.wait()
