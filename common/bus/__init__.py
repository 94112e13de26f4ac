"""The way of messages between master and workers: the Bus port here, one file for each transport.

May be imported by everyone; only faceswarm chooses the transport.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

MAX_MESSAGE_BYTES = 16 * 2**20  # of one value: a photo with 500 faces, each with a crop, stays below
FLUSH_SECONDS = 10.0  # longer than a broker's restart on a computer
RETENTION_SECONDS = 7 * 24 * 3600.0  # what a master that was away for a week finds again


class BusUnavailable(Exception):
    """The transport can't be reached, or refuses; its text says which, and why. Later it may work."""


class Record(NamedTuple):
    """One message as the bus carries it."""

    offset: int  # position in its partition, rising
    value: bytes


class Topic(NamedTuple):
    """A topic as it should be."""

    name: str
    partitions: int = 1
    retention_seconds: float = RETENTION_SECONDS
    max_message_bytes: int = MAX_MESSAGE_BYTES


class Reader(Protocol):
    """Reads one partition of a topic from an offset on. For one thread."""

    def read(self, timeout: float) -> Record | None:
        """The next message, waiting up to ``timeout`` seconds for it; None if there is none by then.

        A message may come twice, with the same offset. Never raises: while the transport is away or the topic is
        missing there are no messages, and afterwards reading goes on by itself where it was. When the transport lost
        its data or the topic was made again, reading goes on within seconds with the earliest message there is, and
        offsets begin anew; likewise when what comes next was dropped after its retention.
        """
        ...

    def close(self) -> None:
        """Gives back what reading took. The last call; a second one does nothing."""
        ...


class Bus(Protocol):
    """Carries bytes. Every message may arrive twice, late or, when the transport's data is lost, never.

    Safe for several threads. A call that needs an answer of the transport waits for it as long as the bus was told to
    when it was made, and raises BusUnavailable then.
    """

    def ensure(self, topics: Sequence[Topic]) -> None:
        """When it returns, each topic is there and can be published to and read.

        What is missing is made with these settings; one with fewer partitions gets more, one that refuses messages of
        this size allows them. Whatever else an existing topic has is left as it is: it keeps its messages, its own
        retention, more partitions. May be called at any time, also by several processes at once; called every few
        seconds it makes again what has vanished. Raises BusUnavailable.
        """
        ...

    def publish(self, topic: str, value: bytes, partition: int = 0) -> None:
        """Hands a message over, and returns before it is sent: it is durable only when flush() has returned True.

        Until then it is lost if this process ends. While the process lives, it is sent again until the transport has
        it, also to a topic or partition that is missing now and made later.
        Messages of one publisher to one partition arrive in the order given, except when the topic vanished meanwhile.
        Waits only while too much is unacknowledged, and then raises BusUnavailable: this message is not taken.
        Raises ValueError if it is larger than MAX_MESSAGE_BYTES.
        """
        ...

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Waits until everything that this object published before, in any thread, is acknowledged: as durable as the
        transport makes it.

        False if it isn't after ``timeout`` seconds: nothing is lost, it is still being sent. Never raises.
        """
        ...

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset that the next message will have. Raises BusUnavailable, also for a topic that isn't there."""
        ...

    def reader(self, topic: str, partition: int = 0, offset: int | None = None) -> Reader:
        """Reads from ``offset`` on. Without one, everything published after this call has returned, and nothing before.

        Without an offset it asks the transport, and may raise BusUnavailable, also for a topic that isn't there. With
        one it returns at once, whether or not the transport can be reached. An offset that the partition doesn't have,
        as after a loss of data, means the earliest message there is. (One from before a loss that the partition has
        again by now can't be told from a right one: what lies before it is missed.)
        """
        ...

    def close(self) -> None:
        """Lets go of the transport. What isn't acknowledged by then may be lost: flush() first. Readers are closed by
        themselves. A second call does nothing."""
        ...
