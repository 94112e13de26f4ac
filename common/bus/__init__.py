"""The way of messages between master and workers: the Bus port here, one file for each transport.

May be imported by everyone; only faceswarm chooses the transport.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Record(NamedTuple):
    """One message as the bus carries it."""

    offset: int  # position in its partition, rising
    value: bytes


class Reader(Protocol):
    """Reads one partition of a topic from an offset on. For one thread."""

    def read(self, timeout: float) -> Record | None:
        """The next message, waiting up to ``timeout`` seconds for it; None if there is none by then."""
        ...


class Bus(Protocol):
    """Carries bytes. Every message may arrive twice, late or, when the transport's data is lost, never.

    Safe for several threads.
    """

    def publish(self, topic: str, value: bytes, partition: int = 0) -> None:
        """Hands a message over; it is durable only when flush() has returned.

        Messages of one publisher to one partition arrive in the order given.
        """
        ...

    def flush(self) -> None:
        """Returns when everything published before is as durable as the transport makes it."""
        ...

    def reader(self, topic: str, partition: int = 0, offset: int | None = None) -> Reader:
        """Reads from ``offset`` on, or only what is published from now on."""
        ...
