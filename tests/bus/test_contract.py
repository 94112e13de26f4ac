"""What every bus guarantees, whatever carries the bytes."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest

from common.bus import MAX_MESSAGE_BYTES, Bus, Reader, Topic
from common.bus.kafka import KafkaBus
from common.bus.memory import MemoryBus

WAIT = 20  # s; for what must arrive


@pytest.fixture(params=["memory", "kafka"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """Each adapter in turn."""
    if request.param == "memory":
        bus: Bus = MemoryBus()
    else:
        bus = KafkaBus(request.getfixturevalue("kafka").address, "contract", wait_seconds=WAIT)
    yield bus
    bus.close()


@pytest.fixture
def topic(bus: Bus) -> str:
    """A topic of this test alone, with two partitions."""
    name = f"topic-{uuid.uuid4().hex}"
    bus.ensure([Topic(name, partitions=2)])
    return name


def values(reader: Reader, count: int) -> list[bytes]:
    """The next messages; fewer if they don't come."""
    found: list[bytes] = []
    while len(found) < count and (record := reader.read(WAIT)):
        found.append(record.value)
    return found


def publish(bus: Bus, topic: str, *messages: bytes, partition: int = 0) -> None:
    """Publishes durably."""
    for message in messages:
        bus.publish(topic, message, partition)
    assert bus.flush(WAIT)


def test_messages_arrive_in_the_order_they_were_published(bus: Bus, topic: str) -> None:
    """One publisher's messages to a partition keep their order, and their offsets rise."""
    reader = bus.reader(topic)
    publish(bus, topic, *(b"%d" % number for number in range(1000)))
    records = [reader.read(WAIT) for _ in range(1000)]
    assert [record.value for record in records if record] == [b"%d" % number for number in range(1000)]
    offsets = [record.offset for record in records if record]
    assert offsets == sorted(set(offsets))


def test_partitions_and_topics_are_apart(bus: Bus, topic: str) -> None:
    """A reader sees only its own partition of its own topic."""
    other = f"{topic}-other"
    bus.ensure([Topic(other, partitions=2)])
    reader = bus.reader(topic, partition=1)
    bus.publish(topic, b"other partition")
    bus.publish(other, b"other topic", partition=1)
    publish(bus, topic, b"mine", partition=1)
    assert values(reader, 1) == [b"mine"]
    assert reader.read(0.05) is None


def test_a_new_reader_sees_what_is_published_from_then_on(bus: Bus, topic: str) -> None:
    """Without an offset, reading begins at the end as it was when the reader was made, not when it first reads."""
    publish(bus, topic, b"before")
    reader = bus.reader(topic)
    publish(bus, topic, b"after")
    assert values(reader, 1) == [b"after"]


def test_reading_goes_on_from_an_offset(bus: Bus, topic: str) -> None:
    """Whoever knows an offset reads from it on."""
    first = bus.reader(topic)
    publish(bus, topic, b"a", b"b", b"c")
    record = first.read(WAIT)
    assert record
    again = bus.reader(topic, offset=record.offset + 1)
    assert values(again, 2) == [b"b", b"c"]


def test_an_offset_that_is_not_there_means_the_earliest(bus: Bus, topic: str) -> None:
    """Whoever knows an offset of before a loss of data reads all that is new."""
    publish(bus, topic, b"a", b"b")
    assert values(bus.reader(topic, offset=bus.end(topic) + 1000), 2) == [b"a", b"b"]


def test_the_end_is_the_offset_of_the_next_message(bus: Bus, topic: str) -> None:
    """end() counts what was published to its own partition, and what is read from there on comes later."""
    assert bus.end(topic) == 0
    publish(bus, topic, b"a", b"b")
    publish(bus, topic, b"elsewhere", partition=1)
    end = bus.end(topic)
    assert end == 2
    reader = bus.reader(topic, offset=end)
    publish(bus, topic, b"c")
    record = reader.read(WAIT)
    assert record
    assert (record.offset, record.value) == (end, b"c")


def test_a_waiting_reader_is_woken_by_a_message(bus: Bus, topic: str) -> None:
    """read() returns when a message comes, not only when its time is over."""
    reader = bus.reader(topic)
    found = []
    waiting = threading.Thread(target=lambda: found.append(reader.read(WAIT)))
    waiting.start()
    publish(bus, topic, b"late")
    waiting.join(WAIT)
    assert [record.value for record in found if record] == [b"late"]


def test_every_reader_gets_every_message(bus: Bus, topic: str) -> None:
    """Two readers of a partition do not take messages from each other, and one that is closed takes none."""
    readers = [bus.reader(topic), bus.reader(topic), bus.reader(topic)]
    readers.pop().close()
    publish(bus, topic, b"for both")
    assert [values(reader, 1) for reader in readers] == [[b"for both"]] * 2


def test_ensuring_again_changes_nothing(bus: Bus, topic: str) -> None:
    """A topic that exists keeps its messages and its partitions, also when fewer are asked for."""
    publish(bus, topic, b"kept", partition=1)
    bus.ensure([Topic(topic, partitions=2)])
    bus.ensure([Topic(topic, partitions=1)])
    assert values(bus.reader(topic, partition=1, offset=0), 1) == [b"kept"]


def test_partitions_are_added(bus: Bus, topic: str) -> None:
    """A topic gets more partitions while it is in use; one that was never there before is read and published to."""
    reader = bus.reader(topic)
    publish(bus, topic, b"before")
    bus.ensure([Topic(topic, partitions=5)])
    added = bus.reader(topic, partition=4)
    publish(bus, topic, b"in the new one", partition=4)
    publish(bus, topic, b"after")
    assert values(added, 1) == [b"in the new one"]
    assert values(reader, 2) == [b"before", b"after"]


def test_large_messages_arrive(bus: Bus, topic: str) -> None:
    """Messages of 12 MB, and of the most there may be, come whole and in order, small ones between them."""
    reader = bus.reader(topic)
    sent = [bytes(12_000_000), b"small", b"\xff" * MAX_MESSAGE_BYTES, b"", bytes(12_000_000)]
    publish(bus, topic, *sent)
    assert values(reader, 5) == sent


def test_a_message_that_is_too_large_is_refused_at_once(bus: Bus, topic: str) -> None:
    """It is a mistake of the caller, and does no harm to the others."""
    with pytest.raises(ValueError, match="allowed"):
        bus.publish(topic, bytes(MAX_MESSAGE_BYTES + 1))
    reader = bus.reader(topic)
    publish(bus, topic, b"small")
    assert values(reader, 1) == [b"small"]


def test_several_threads_publish(bus: Bus, topic: str) -> None:
    """Each one's messages arrive once and in its order, and each one's flush covers them."""
    flushed = []

    def run(name: int) -> None:
        for number in range(200):
            bus.publish(topic, b"%d %d" % (name, number))
        flushed.append(bus.flush(WAIT))

    threads = [threading.Thread(target=run, args=[name]) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert flushed == [True] * 4
    found = values(bus.reader(topic, offset=0), 800)
    for name in range(4):
        assert [value for value in found if value.startswith(b"%d " % name)] == [
            b"%d %d" % (name, n) for n in range(200)
        ]


def test_there_is_nothing_to_flush_at_first(bus: Bus) -> None:
    """flush() is True at once when nothing was published, whatever the time that it is given."""
    assert bus.flush(0)


def test_closing_twice_does_no_harm(bus: Bus, topic: str) -> None:
    """Whoever cleans up need not know what is closed already; a closed reader has nothing to read."""
    reader = bus.reader(topic)
    reader.close()
    reader.close()
    assert reader.read(0) is None
    bus.close()
    bus.close()
