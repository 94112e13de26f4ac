"""The bus inside one process: for embedded mode and tests. What it holds is gone with the process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from common.bus import FLUSH_SECONDS, MAX_MESSAGE_BYTES, Record, Topic


class MemoryBus:
    """Implements common.bus.Bus. A message is dropped once every reader of its partition has read it.

    Nothing waits or is unavailable; a topic is there as soon as anyone uses it, with any partition.
    """

    def __init__(self) -> None:
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._lock = threading.Lock()

    def _partition(self, topic: str, number: int) -> _Partition:
        with self._lock:
            return self._partitions.setdefault((topic, number), _Partition())

    def publish(self, topic: str, value: bytes, partition: int = 0) -> None:
        if len(value) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(value)} bytes for {topic}; {MAX_MESSAGE_BYTES} are allowed")
        self._partition(topic, partition).append(value)

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        return True

    def ensure(self, topics: Sequence[Topic]) -> None:
        pass  # a partition is there as soon as somebody names it

    def end(self, topic: str, partition: int = 0) -> int:
        return self._partition(topic, partition).end()

    def reader(self, topic: str, partition: int = 0, offset: int | None = None) -> MemoryReader:
        return MemoryReader(self._partition(topic, partition), offset)

    def close(self) -> None:
        pass


class _Partition:
    def __init__(self) -> None:
        self.values: deque[bytes] = deque()
        self.first = 0  # offset of values[0]
        self.readers: list[MemoryReader] = []
        self.arrived = threading.Condition()

    def end(self) -> int:
        with self.arrived:  # by a lock that its holder may take again
            return self.first + len(self.values)

    def append(self, value: bytes) -> None:
        with self.arrived:
            self.values.append(value)
            self.arrived.notify_all()


class MemoryReader:
    """Implements common.bus.Reader."""

    def __init__(self, partition: _Partition, offset: int | None) -> None:
        self._partition = partition
        with partition.arrived:
            if offset is None:
                self._next = partition.end()
            else:
                self._next = offset if partition.first <= offset <= partition.end() else partition.first
            partition.readers.append(self)

    def read(self, timeout: float) -> Record | None:
        partition = self._partition
        with partition.arrived:
            if not partition.arrived.wait_for(lambda: self._next < partition.end(), timeout):
                return None
            record = Record(self._next, partition.values[self._next - partition.first])
            self._next += 1
            oldest = min(reader._next for reader in partition.readers)
            while partition.first < oldest:
                partition.values.popleft()
                partition.first += 1
            return record

    def close(self) -> None:
        with self._partition.arrived:
            if self in self._partition.readers:
                self._partition.readers.remove(self)
