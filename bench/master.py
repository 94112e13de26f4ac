"""Memory of the dealing master with 1,000,000 photos known and 10,000 to do: `make bench-master`.

Photos of a made-up collection in a store on SQLite (MongoDB's is another process), a worker over the memory bus that
takes jobs and answers none; the photos' files are not there, so the scan is not part of it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil

from common.bus.memory import MemoryBus
from common.messages import Heartbeat, LaneGiven, decode, encode
from common.topics import TopicNames
from master.crops import Crops
from master.run import Master
from master.store import File, Photo
from master.store.sqlite import SqliteStore

KNOWN, TODO = 1_000_000, 10_000
BATCH = 10_000
ROUNDS = 50


def main() -> None:
    """Prints the resident memory of this process."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "f.db")
        store.want("recipe/recipe")
        for first in range(0, KNOWN, BATCH):
            store.record(
                [
                    (
                        File(f"{n // 1000}", f"{n}.jpg", 1, n, "0" * 64, photo=f"{n:064x}"),
                        Photo(f"{n:064x}", 4000, 3000, "JPEG"),
                    )
                    for n in range(first, first + BATCH)
                ]
            )
            store._db.execute("DELETE FROM jobs WHERE photo >= ?", (f"{TODO:064x}",))  # as if they were done
        assert store.counts().todo == TODO
        bus, topics = MemoryBus(), TopicNames("jobs", "results", "face_jobs", "face_results", "workers", "control")
        control = bus.reader("control")
        master = Master(
            store, bus, topics, crops=Crops(Path(folder) / "c"), recipe="recipe/recipe", look_again=print, now=0.0
        )
        generation = 0
        for number in range(ROUNDS):
            beat = Heartbeat(
                worker="w", incarnation="1", architecture="x", engine="onnx", recipe="recipe/recipe", slots=1000,
                rate=0.001, generation=generation,
            )  # fmt: skip
            bus.publish("workers", encode(beat))
            master.round(time.monotonic(), 0.01)
            if (record := control.read(0)) and isinstance(lane := decode(record.value), LaneGiven):
                generation = lane.generation
            assert number < 2 or master.fleet.members
        dealt = len(store.attempts())
        memory = psutil.Process().memory_info().rss / 1e6
        print(f"{KNOWN:,} photos known, {TODO:,} to do, {dealt:,} dealt: {memory:.0f} MB resident")


if __name__ == "__main__":
    main()
