"""The bus over Apache Kafka: for a swarm. The only importer of confluent_kafka, which embedded mode does without.

What workers use (publish, flush, end, reader) keeps to what confluent-kafka 1.7 has, the newest that a 32-bit
Raspberry Pi gets; what only the master uses (ensure) is of today.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from common.bus import FLUSH_SECONDS, MAX_MESSAGE_BYTES, BusUnavailable, Record, Topic

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import Consumer, KafkaError, Message
    from confluent_kafka.admin import AdminClient, TopicDescription  # type: ignore[attr-defined]

logger = logging.getLogger(__name__)
T = TypeVar("T")

WAIT_SECONDS = 10.0  # for an answer of the broker, or for room to publish
TRY_SECONDS = 5.0  # for one request
PAUSE_SECONDS = 0.1  # between two requests
RESEND_SECONDS = 1.0  # between tries of what the broker refused, such as messages to a topic that is missing
POLL_SECONDS = 0.1  # acknowledgements are taken at once; this is how long closing may take
LOOK_SECONDS = 5.0  # between looks whether a topic that is read is still the same

ENVELOPE_BYTES = 4096  # what Kafka's batch and record headers may add to a value; in fact some hundred
BATCH_BYTES = 2**20  # small messages that wait are sent together up to this size, so no topic may allow less
LARGEST = MAX_MESSAGE_BYTES + ENVELOPE_BYTES  # bytes, as the broker counts
UNACKNOWLEDGED_BYTES = 8 * MAX_MESSAGE_BYTES  # kept in memory while the broker is away
MESSAGE_BYTES = 256  # what librdkafka and we keep beside each value

CONNECTION: dict[str, Any] = {
    "reconnect.backoff.max.ms": 1000,
    "socket.keepalive.enable": True,
    # A topic that vanished and was made again is known within this time.
    "topic.metadata.refresh.interval.ms": 5000,
    "message.max.bytes": LARGEST,
}
PRODUCER: dict[str, Any] = {
    "acks": "all",
    # Once a broker's data was wiped, an idempotent producer is dead. Its price is that a message may come twice.
    "enable.idempotence": False,
    "max.in.flight": 1,  # or a message sent again would come after its successors
    "linger.ms": 0,
    "batch.size": BATCH_BYTES,
    "message.timeout.ms": 0,  # never given up
    # Never reached, since publish() counts for itself: it knows of what was refused, too.
    "queue.buffering.max.kbytes": 2 * UNACKNOWLEDGED_BYTES // 1024,
    "queue.buffering.max.messages": 2 * UNACKNOWLEDGED_BYTES // MESSAGE_BYTES,
}
CONSUMER: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",  # after the broker's data was wiped, nothing new is skipped
    "fetch.message.max.bytes": LARGEST,
    "fetch.max.bytes": 2 * LARGEST,
    "receive.message.max.bytes": 3 * LARGEST,  # a fetch ends with a whole message, so it may be larger than asked for
    "queued.max.messages.kbytes": 2 * LARGEST // 1024,  # read ahead; the default would be four times as much memory
}


class _Outgoing(NamedTuple):
    number: int  # in the order of publishing
    topic: str
    value: bytes
    partition: int


class KafkaBus:
    """Implements common.bus.Bus. Needs no broker to be made; ``wait_seconds`` is how long its calls wait for one."""

    def __init__(
        self,
        bootstrap: str,
        client_id: str,
        *,
        wait_seconds: float = WAIT_SECONDS,
        settings: Mapping[str, Any] | None = None,  # more of librdkafka's, as for TLS and passwords
    ) -> None:
        import confluent_kafka

        self._address = bootstrap
        self._wait_seconds = wait_seconds
        self._try_seconds = min(TRY_SECONDS, wait_seconds)
        self._connection = {**CONNECTION, "bootstrap.servers": bootstrap, "client.id": client_id, **(settings or {})}
        self._sized: set[str] = set()  # topics known to allow messages of the size asked for

        self._producer = confluent_kafka.Producer({**self._connection, **PRODUCER}, logger=_Log())
        self._changed = threading.Condition()  # guards the next six
        self._last = 0  # number of the last message published
        self._unacknowledged: OrderedDict[int, int] = OrderedDict()  # number -> bytes, in the order of publishing
        self._bytes = 0  # their sum
        self._refused: deque[_Outgoing] = deque()  # those of them that wait here to be sent again
        self._troubled: set[str] = set()  # topics whose refusal is in the log already
        self._closed = False

        self._readers: weakref.WeakSet[KafkaReader] = weakref.WeakSet()
        self._readers_lock = threading.Lock()
        self._has_ids = hasattr(confluent_kafka, "TopicCollection")  # the client of a Raspberry Pi knows none
        self._looking: AdminClient | None = None
        self._look_at = 0.0  # by the monotonic clock

        self._thread = threading.Thread(target=self._serve, name="kafka", daemon=True)
        self._thread.start()

    # Publishing. Messages are numbered; librdkafka reports each as delivered or refused, in _serve's thread.

    def publish(self, topic: str, value: bytes, partition: int = 0) -> None:
        if len(value) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(value)} bytes for {topic}; {MAX_MESSAGE_BYTES} are allowed")
        size = len(value) + MESSAGE_BYTES
        with self._changed:
            if not self._changed.wait_for(lambda: self._bytes + size <= UNACKNOWLEDGED_BYTES, self._wait_seconds):
                raise BusUnavailable(f"Kafka at {self._address} acknowledges nothing; {self._bytes} bytes wait for it.")
            if self._closed:
                raise BusUnavailable("This connection to Kafka is closed.")
            self._last += 1
            self._unacknowledged[self._last] = size
            self._bytes += size
            self._send(_Outgoing(self._last, topic, value, partition))

    def _send(self, message: _Outgoing) -> None:
        from confluent_kafka import KafkaException

        _, topic, value, partition = message
        try:
            self._producer.produce(topic, value, partition=partition, on_delivery=self._reported(message))
        except KafkaException as error:  # the topic or partition is known to be missing
            self._keep(message, error.args[0])

    def _reported(self, message: _Outgoing) -> Callable[[KafkaError | None, Message], None]:
        number, topic, _, partition = message  # not the value, which librdkafka keeps and gives back

        def report(error: KafkaError | None, delivered: Message) -> None:
            with self._changed:
                if self._closed:
                    pass  # purged by close()
                elif error is None:
                    self._troubled.discard(topic)
                    self._bytes -= self._unacknowledged.pop(number)
                    self._changed.notify_all()
                else:
                    self._keep(_Outgoing(number, topic, delivered.value() or b"", partition), error)

        return report

    def _keep(self, message: _Outgoing, error: KafkaError) -> None:
        if message.topic not in self._troubled:
            self._troubled.add(message.topic)
            logger.warning("Kafka does not take messages for %s (%s). They are sent again.", message.topic, error.str())
        self._refused.append(message)

    def _serve(self) -> None:
        resend_at = 0.0
        while not self._closed:
            self._producer.poll(POLL_SECONDS)
            now = time.monotonic()
            if self._refused and now >= resend_at:
                resend_at = now + RESEND_SECONDS
                self._resend()
            if now >= self._look_at:
                self._look_at = now + LOOK_SECONDS
                try:
                    self._look()
                except Exception:  # looked at again; meanwhile acknowledgements must go on being taken
                    logger.exception("looking at the topics")

    def _resend(self) -> None:
        with self._changed:
            again = sorted(self._refused)
            self._refused.clear()
            for message in again:
                self._send(message)

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        with self._changed:
            last = self._last
            return self._changed.wait_for(lambda: next(iter(self._unacknowledged), last + 1) > last, timeout)

    # Asking the broker

    def _ask(self, what: str, question: Callable[[], T | None]) -> T:
        """Asks until there is an answer that isn't None."""
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + self._wait_seconds
        while True:
            reason = "not ready"
            try:
                if (answer := question()) is not None:
                    return answer
            except KafkaException as error:
                reason = error.args[0].str()
            if time.monotonic() > deadline:
                raise BusUnavailable(f"Kafka at {self._address} does not serve, {what}: {reason}.")
            time.sleep(PAUSE_SECONDS)

    def ensure(self, topics: Sequence[Topic]) -> None:
        self._ask("making topics", lambda: self._ensured(topics))

    def _ensured(self, topics: Sequence[Topic]) -> bool | None:
        from confluent_kafka.admin import NewPartitions, NewTopic  # type: ignore[attr-defined]

        # Asked by the producer, which so learns of topics that it took for missing.
        found = self._producer.list_topics(timeout=self._try_seconds).topics
        missing = [topic for topic in topics if topic.name not in found]
        small = [t for t in topics if t.name in found and len(found[t.name].partitions) < t.partitions]
        unsized = [topic for topic in topics if topic.name not in self._sized]
        if not missing and not small and not unsized:
            ready = all(p.leader >= 0 for topic in topics for p in found[topic.name].partitions.values())
            return True if ready else None

        admin = self._admin()
        timeouts = {"operation_timeout": self._try_seconds, "request_timeout": self._try_seconds}
        if missing:
            new = [NewTopic(t.name, t.partitions, replication_factor=-1, config=_settings(t)) for t in missing]
            _settle(admin.create_topics(new, **timeouts))
            self._sized.update(topic.name for topic in missing)
        if small:
            _settle(admin.create_partitions([NewPartitions(t.name, t.partitions) for t in small], **timeouts))
        self._size([topic for topic in unsized if topic.name in found], admin)
        return None  # asked again: what was made just now takes a moment to be ready

    def _size(self, topics: Sequence[Topic], admin: Any) -> None:
        """Lets topics made by others take messages as large as ours."""
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource  # type: ignore[attr-defined]

        name = "max.message.bytes"
        for topic in topics:
            resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name)
            [described] = admin.describe_configs([resource], request_timeout=self._try_seconds).values()
            wanted = _settings(topic)[name]
            if int(described.result()[name].value) < int(wanted):
                raised = ConfigEntry(name, wanted, incremental_operation=AlterConfigOpType.SET)
                resource.add_incremental_config(raised)
                _settle(admin.incremental_alter_configs([resource], request_timeout=self._try_seconds))
            self._sized.add(topic.name)

    def end(self, topic: str, partition: int = 0) -> int:
        consumer = self._consumer()
        try:
            return self._end(consumer, topic, partition)
        finally:
            consumer.close()

    def _end(self, consumer: Consumer, topic: str, partition: int) -> int:
        from confluent_kafka import TopicPartition

        where = TopicPartition(topic, partition)
        ends = self._ask(
            f"looking for the end of {topic}",
            lambda: consumer.get_watermark_offsets(where, timeout=self._try_seconds, cached=False),
        )
        return ends[1]

    # Reading. When a topic was lost and made again, librdkafka goes on where it was, or at the new end: it takes the
    # loss for the end of a leader's term. So we look at the topics' ids ourselves, and begin anew when one changes.

    def reader(self, topic: str, partition: int = 0, offset: int | None = None) -> KafkaReader:
        consumer = self._consumer()
        topic_id = None
        try:
            if offset is None:
                topic_id = self._topic_id(topic)
                offset = self._end(consumer, topic, partition)
        except BaseException:
            consumer.close()
            raise
        reader = KafkaReader(consumer, topic, partition, offset, topic_id)
        with self._readers_lock:
            self._readers.add(reader)
        if topic_id is None:
            self._look_at = 0.0
        return reader

    def _describe(self, topics: Sequence[str]) -> dict[str, Future[TopicDescription]]:
        from confluent_kafka import TopicCollection

        with self._readers_lock:
            if self._looking is None:
                self._looking = self._admin()
        self._looking.poll(0)  # lets it log
        return self._looking.describe_topics(TopicCollection(list(topics)), request_timeout=self._try_seconds)

    def _topic_id(self, topic: str) -> str | None:
        if not self._has_ids:
            return None
        return self._ask(f"looking at {topic}", lambda: str(self._describe([topic])[topic].result().topic_id))

    def _look(self) -> None:
        with self._readers_lock:
            readers = list(self._readers)
        if not readers or not self._has_ids:
            return

        def told(future: Future[TopicDescription]) -> None:
            if not future.exception():  # else the broker is away, or the topic: looked at again
                for reader in readers:
                    reader.told(future.result().name, str(future.result().topic_id))

        for future in self._describe(sorted({reader.topic for reader in readers})).values():
            future.add_done_callback(told)

    def _admin(self) -> AdminClient:
        from confluent_kafka.admin import AdminClient

        return AdminClient({**self._connection, "logger": _Log()})  # type: ignore[dict-item]

    def _consumer(self) -> Consumer:
        from confluent_kafka import Consumer

        # The client wants a group to be named, though assign() joins none.
        group = {"group.id": self._connection["client.id"]}
        return Consumer({**self._connection, **CONSUMER, **group}, logger=_Log())

    def close(self) -> None:
        self._closed = True
        self._thread.join()
        # Or they would be sent for as long as the process lives: each refers to us, and the producer to each.
        self._producer.purge()
        self._producer.poll(0)


class KafkaReader:
    """Implements common.bus.Reader."""

    def __init__(self, consumer: Consumer, topic: str, partition: int, offset: int, topic_id: str | None) -> None:
        self.topic = topic
        self._partition = partition
        self._topic_id = topic_id
        self._anew = False
        self._consumer: Consumer | None = consumer
        self._assign(offset)

    def _assign(self, offset: int) -> None:
        from confluent_kafka import TopicPartition

        assert self._consumer
        self._consumer.assign([TopicPartition(self.topic, self._partition, offset)])

    def told(self, topic: str, topic_id: str) -> None:
        """What a topic's id is now. For any thread."""
        if topic == self.topic and topic_id != self._topic_id:
            self._anew = self._topic_id is not None
            self._topic_id = topic_id

    def read(self, timeout: float) -> Record | None:
        deadline = time.monotonic() + timeout
        while self._consumer:
            if self._anew:
                from confluent_kafka import OFFSET_BEGINNING

                self._anew = False
                self._assign(OFFSET_BEGINNING)
            rest = max(0.0, deadline - time.monotonic())
            message = self._consumer.poll(min(rest, POLL_SECONDS))
            if message is None:  # not: if not message, which an empty one is
                if rest <= POLL_SECONDS:
                    return None
            elif message.error() is None:
                return Record(message.offset() or 0, message.value() or b"")
            else:
                # The broker is away, or the topic: librdkafka goes on by itself.
                logger.debug("reading %s: %s", self.topic, message.error())
        return None

    def close(self) -> None:
        if self._consumer:
            self._consumer.close()
            self._consumer = None


def _settings(topic: Topic) -> dict[str, str]:
    retention = int(topic.retention_seconds * 1000)
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention),
        "segment.ms": str(max(1, retention // 4)),  # only whole segments are dropped
        "max.message.bytes": str(max(topic.max_message_bytes, BATCH_BYTES) + ENVELOPE_BYTES),
    }


def _settle(futures: Mapping[Any, Any]) -> None:
    """Waits for all, and raises unless each was done, by us or by another process just before us."""
    from confluent_kafka import KafkaError, KafkaException

    for future in futures.values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() not in (KafkaError.TOPIC_ALREADY_EXISTS, KafkaError.INVALID_PARTITIONS):
                raise


class _Log:
    """Takes librdkafka's log. It is for who looks for it: a broker that is away fills pages, and whoever waits for it
    says so in a line."""

    def log(self, level: int, message: str, *arguments: Any) -> None:
        logger.debug(message, *arguments)
