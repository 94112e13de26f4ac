"""The way of messages between master and workers: the Bus port here, one file for each transport.

May be imported by everyone; only faceswarm chooses the transport.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class BusUnavailable(Exception):
    """The transport can't be reached now."""


class Topic(NamedTuple):
    """A topic as it is to be."""

    name: str
    partitions: int
    retention_seconds: int
    max_message_bytes: int


class TopicNames(NamedTuple):
    """What master and workers call their topics."""

    jobs: str  # a partition for each lane
    results: str
    workers: str  # only workers write here
    control: str  # only the master writes here


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
        """Hands a message over; it is durable only when flush() has said so.

        Messages of one publisher to one partition arrive in the order given.
        """
        ...

    def flush(self, timeout: float = 10.0) -> bool:
        """Whether everything published before is as durable as the transport makes it, waiting up to so many seconds.

        If not, it is still on its way, and nothing of it is lost as long as the process lives.
        """
        ...

    def ensure(self, topics: Sequence[Topic]) -> None:
        """Makes the topics that are not there, and the partitions that are missing. Raises BusUnavailable."""
        ...

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset that the next message of a partition will have. Raises BusUnavailable."""
        ...

    def reader(self, topic: str, partition: int = 0, offset: int | None = None) -> Reader:
        """Reads from ``offset`` on, or only what is published from now on."""
        ...
