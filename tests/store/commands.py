"""Watches what the driver sends, and cuts it off: for what a server in between can get wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent, register

WRITES = {"insert", "update", "delete", "findAndModify"}


class Killed(BaseException):
    """The process ends here. No Exception, so that nobody catches it, as nobody survives a SIGKILL."""


class _Watch(CommandListener):
    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] | None = None
        self.writes_left: int | None = None

    def started(self, event: CommandStartedEvent) -> None:
        if self.seen is not None and event.command:  # those of a login come without their contents
            self.seen.append(dict(event.command))
        if self.writes_left is not None and event.command_name in WRITES:
            if self.writes_left == 0:
                raise Killed
            self.writes_left -= 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


_watch = _Watch()
register(_watch)  # type: ignore[no-untyped-call]  # for every client made from now on; it can't be taken back


@contextmanager
def recording() -> Iterator[list[dict[str, Any]]]:
    """The commands that are sent meanwhile: {"find": collection, "filter": ...}."""
    _watch.seen = seen = []
    try:
        yield seen
    finally:
        _watch.seen = None


@contextmanager
def killed_before_write(number: int) -> Iterator[None]:
    """Raises Killed in place of the write of this number, 0 being the first; so the ones before it were made."""
    _watch.writes_left = number
    try:
        yield
    finally:
        _watch.writes_left = None
