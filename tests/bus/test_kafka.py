"""The bus over a real broker that is killed, wiped and robbed of its topics."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from common.bus import BusUnavailable, Reader, Topic
from common.bus.kafka import KafkaBus
from tests.parts.kafka import Broker

WAIT = 40  # s; for a broker that starts anew on a busy computer


@pytest.fixture
def topic() -> str:
    """A name of this test alone."""
    return f"topic-{uuid.uuid4().hex}"


@pytest.fixture
def bus(kafka: Broker, topic: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaBus]:
    """A bus with the topic; the broker is up again afterwards, whatever became of it."""
    monkeypatch.setattr("common.bus.kafka.LOOK_SECONDS", 0.5)
    bus = KafkaBus(kafka.address, "test", wait_seconds=WAIT)
    bus.ensure([Topic(topic)])
    yield bus
    bus.close()
    kafka.start()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nothing answers, nor will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def until(wanted: Callable[[], bool]) -> bool:
    """Whether something comes true in time; for what itself waits a little each time."""
    deadline = time.monotonic() + WAIT
    while not wanted():
        if time.monotonic() > deadline:
            return False
    return True


def read_until(reader: Reader, wanted: set[bytes]) -> set[bytes]:
    """What came, in any order and however often, until all that is wanted came or the time is over."""
    found: set[bytes] = set()

    def complete() -> bool:
        if record := reader.read(0.1):
            found.add(record.value)
        return wanted <= found

    until(complete)
    return found


def test_what_is_acknowledged_survives_the_death_of_the_broker(kafka: Broker, bus: KafkaBus, topic: str) -> None:
    """Killed under load, the broker comes back with all that was acknowledged, and a reader goes on by itself."""
    reader = bus.reader(topic)
    acknowledged: set[bytes] = set()
    stop = threading.Event()

    def load(name: int) -> None:
        number = 0
        while not stop.is_set():
            values = {b"%d %d" % (name, number + each) for each in range(20)}
            number += 20
            for value in values:
                bus.publish(topic, value)
            if bus.flush(WAIT):
                acknowledged.update(values)

    def more(count: int) -> None:
        wanted = len(acknowledged) + count
        assert until(lambda: stop.wait(0.01) or len(acknowledged) >= wanted)

    threads = [threading.Thread(target=load, args=[name]) for name in range(2)]
    for thread in threads:
        thread.start()
    try:
        more(500)
        kafka.kill()
        kafka.start()
        more(500)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert read_until(reader, acknowledged) >= acknowledged
    reader.close()


def test_messages_wait_for_a_broker_that_is_away(
    kafka: Broker, bus: KafkaBus, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """flush() says False in its time, publish() refuses when too much waits, and once the broker is back everything
    that was taken is there, and more is taken."""
    monkeypatch.setattr("common.bus.kafka.UNACKNOWLEDGED_BYTES", 2_000_000)
    monkeypatch.setattr(bus, "_wait_seconds", 0.2)
    reader = bus.reader(topic)
    kafka.kill()
    large = bytes(1_500_000)
    began = time.monotonic()
    bus.publish(topic, large)
    assert not bus.flush(0.3)
    assert not bus.flush(0)
    with pytest.raises(BusUnavailable, match="acknowledges nothing"):
        bus.publish(topic, large)
    bus.publish(topic, b"small")
    assert reader.read(0.1) is None
    assert time.monotonic() - began < 5
    kafka.start()
    assert bus.flush(WAIT)
    bus.publish(topic, large)
    assert bus.flush(WAIT)
    assert [record.value for record in [reader.read(WAIT) for _ in range(3)] if record] == [large, b"small", large]
    reader.close()


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_wiped_broker_costs_only_its_messages(kafka: Broker, bus: KafkaBus, topic: str, restarts: int) -> None:
    """A reader and a publisher go on, from the beginning, once the topics are made again; restarts before the loss,
    which leave their mark in what the client knows of the broker, change nothing."""
    for _ in range(restarts):
        kafka.kill()
        kafka.start()
    reader = bus.reader(topic)
    old = {b"old %d" % number for number in range(50)}
    for value in old:
        bus.publish(topic, value)
    assert bus.flush(WAIT)
    assert read_until(reader, old) == old
    kafka.wipe()
    bus.publish(topic, b"published before the topic was there again")
    bus.ensure([Topic(topic)])
    new = {b"published before the topic was there again", b"new"}
    bus.publish(topic, b"new")
    assert bus.flush(WAIT)
    assert bus.end(topic) >= 2
    assert read_until(reader, new) == new
    reader.close()


def test_a_topic_that_is_deleted_and_made_again_is_used_again(bus: KafkaBus, topic: str) -> None:
    """Whoever deletes a topic costs its messages, not the connection of those that publish to it and read it."""
    reader = bus.reader(topic)
    bus.publish(topic, b"first")
    assert read_until(reader, {b"first"}) == {b"first"}
    delete(bus, topic)
    bus.publish(topic, b"published while it was gone")
    assert not bus.flush(0.2)
    assert reader.read(0.1) is None
    bus.ensure([Topic(topic)])
    bus.publish(topic, b"second")
    assert bus.flush(WAIT)
    wanted = {b"published while it was gone", b"second"}
    assert read_until(reader, wanted) == wanted
    reader.close()


def test_messages_to_a_topic_that_another_makes_later_are_kept(kafka: Broker, bus: KafkaBus, topic: str) -> None:
    """A worker that is there before its master loses nothing: not what the client refuses to take, either."""
    later = f"{topic}-later"
    bus.publish(topic, b"to a partition that is known to be missing", partition=3)
    bus.publish(later, b"early")
    reader = bus.reader(later, offset=0)
    partition = bus.reader(topic, partition=3, offset=0)
    assert reader.read(0.1) is None
    assert not bus.flush(0.5)
    master = KafkaBus(kafka.address, "master", wait_seconds=WAIT)
    master.ensure([Topic(later), Topic(topic, partitions=4)])
    master.close()
    assert bus.flush(WAIT)
    assert read_until(reader, {b"early"}) == {b"early"}
    assert [record.value for record in [partition.read(WAIT)] if record] == [
        b"to a partition that is known to be missing"
    ]
    reader.close()
    partition.close()


def test_a_broker_that_is_away_is_named(nowhere: str, topic: str) -> None:
    """What needs an answer of the broker says in its time that there is none, and from where."""
    bus = KafkaBus(nowhere, "hasty", wait_seconds=0.2)
    began = time.monotonic()
    for call in (lambda: bus.ensure([Topic(topic)]), lambda: bus.end(topic), lambda: bus.reader(topic)):
        with pytest.raises(BusUnavailable, match=nowhere):
            call()
    bus.reader(topic, offset=0).close()
    assert time.monotonic() - began < 4
    bus.close()


def test_a_topic_that_is_missing_is_named(bus: KafkaBus, kafka: Broker, topic: str) -> None:
    """Who asks for the end of a topic, or a partition, that nobody made learns so in time."""
    hasty = KafkaBus(kafka.address, "hasty", wait_seconds=0.5)
    with pytest.raises(BusUnavailable, match="missing"):
        hasty.end(f"{topic}-missing")
    with pytest.raises(BusUnavailable, match=topic):
        hasty.reader(topic, partition=7)
    hasty.close()


def test_a_topic_made_by_another_takes_large_messages(kafka: Broker, bus: KafkaBus, topic: str) -> None:
    """A topic of the predecessor, made with the broker's limit of 1 MB, is told to take ours."""
    from confluent_kafka.admin import AdminClient, NewTopic

    old = f"{topic}-old"
    admin = AdminClient({"bootstrap.servers": kafka.address})
    admin.create_topics([NewTopic(old, 1)])[old].result()
    bus.ensure([Topic(old)])
    bus.publish(old, bytes(12_000_000))
    assert bus.flush(WAIT)


def test_several_processes_ensure_at_once(kafka: Broker, bus: KafkaBus, topic: str) -> None:
    """Whoever comes second finds the topic there, or its partitions, and that is no error."""
    names = [f"{topic}-{number}" for number in range(5)]
    errors = []

    def ensure(partitions: int) -> None:
        other = KafkaBus(kafka.address, "other", wait_seconds=WAIT)
        try:
            other.ensure([Topic(name, partitions=partitions) for name in names])
        except Exception as error:
            errors.append(error)
        other.close()

    threads = [threading.Thread(target=ensure, args=[partitions]) for partitions in (1, 3, 3, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [bus.end(name, partition=2) for name in names] == [0] * 5


def test_nothing_is_written_on_the_terminal(nowhere: str) -> None:
    """A program whose broker is away is silent, and ends well even if it closes nothing."""
    program = f"""
from common.bus.kafka import KafkaBus
bus = KafkaBus({nowhere!r}, "silent")
reader = bus.reader("topic", offset=0)
bus.publish("topic", b"lost")
assert not bus.flush(1)
assert reader.read(1) is None
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def delete(bus: KafkaBus, topic: str) -> None:
    """Deletes a topic, and returns when it is gone."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": bus._address})
    admin.delete_topics([topic])[topic].result()
    assert until(lambda: topic not in admin.list_topics(timeout=WAIT).topics)
