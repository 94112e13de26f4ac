"""What every bus guarantees, whatever carries the bytes."""

from __future__ import annotations

import threading

import pytest

from common.bus import Bus
from common.bus.memory import MemoryBus

WAIT = 10  # s; for what must arrive


@pytest.fixture(params=["memory"])
def bus(request: pytest.FixtureRequest) -> Bus:
    """Each adapter in turn."""
    return MemoryBus()


def test_messages_arrive_in_the_order_they_were_published(bus: Bus) -> None:
    """One publisher's messages to a partition keep their order, and their offsets rise."""
    reader = bus.reader("jobs")
    for number in range(100):
        bus.publish("jobs", b"%d" % number)
    bus.flush()
    records = [reader.read(WAIT) for _ in range(100)]
    assert [record.value for record in records if record] == [b"%d" % number for number in range(100)]
    offsets = [record.offset for record in records if record]
    assert offsets == sorted(set(offsets))


def test_partitions_and_topics_are_apart(bus: Bus) -> None:
    """A reader sees only its own partition of its own topic."""
    reader = bus.reader("jobs", partition=1)
    bus.publish("jobs", b"other partition")
    bus.publish("results", b"other topic", partition=1)
    bus.publish("jobs", b"mine", partition=1)
    bus.flush()
    record = reader.read(WAIT)
    assert record and record.value == b"mine"
    assert reader.read(0.05) is None


def test_a_new_reader_sees_what_is_published_from_then_on(bus: Bus) -> None:
    """Without an offset, reading begins at the end."""
    bus.publish("jobs", b"before")
    bus.flush()
    reader = bus.reader("jobs")
    bus.publish("jobs", b"after")
    bus.flush()
    record = reader.read(WAIT)
    assert record and record.value == b"after"


def test_reading_goes_on_from_an_offset(bus: Bus) -> None:
    """Whoever knows an offset reads from it on."""
    first = bus.reader("jobs")
    for value in (b"a", b"b", b"c"):
        bus.publish("jobs", value)
    bus.flush()
    record = first.read(WAIT)
    assert record
    again = bus.reader("jobs", offset=record.offset + 1)
    values = [record.value for record in (again.read(WAIT), again.read(WAIT)) if record]
    assert values == [b"b", b"c"]


def test_a_waiting_reader_is_woken_by_a_message(bus: Bus) -> None:
    """read() returns when a message comes, not only when its time is over."""
    reader = bus.reader("jobs")
    found = []
    waiting = threading.Thread(target=lambda: found.append(reader.read(WAIT)))
    waiting.start()
    bus.publish("jobs", b"late")
    bus.flush()
    waiting.join(WAIT)
    assert [record.value for record in found if record] == [b"late"]


def test_every_reader_gets_every_message(bus: Bus) -> None:
    """Two readers of a partition do not take messages from each other."""
    readers = [bus.reader("jobs"), bus.reader("jobs")]
    bus.publish("jobs", b"for both")
    bus.flush()
    assert [record.value for reader in readers if (record := reader.read(WAIT))] == [b"for both"] * 2
