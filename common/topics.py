"""What master and workers call their topics, and how they read them."""

from __future__ import annotations

import platform
from typing import NamedTuple

from common.bus import Bus, Record
from common.messages import DeadLetter, Message, MessageError, decode, encode


class TopicNames(NamedTuple):
    """The names, from the configuration of whoever starts a master or a worker."""

    jobs: str  # a partition for each lane
    results: str
    face_jobs: str  # a partition for each lane
    face_results: str
    workers: str  # only workers write here
    control: str  # only the master writes here


def dead_letters(topic: str) -> str:
    """Where the messages of a topic go that nobody understands."""
    return f"{topic}.dlq"


def understood(bus: Bus, topic: str, record: Record) -> Message | None:
    """The message in a record; None after putting aside what is no message that this version understands.

    Nothing is lost by that: a job or result that is missed is missed in the heartbeats, too, and dealt again.
    """
    try:
        return decode(record.value)
    except MessageError as error:
        letter = DeadLetter(
            topic=topic,
            offset=record.offset,
            host=platform.node(),
            kind=type(error).__name__,
            message=str(error)[:1000],
            original=record.value,
        )
        bus.publish(dead_letters(topic), encode(letter))
        return None
