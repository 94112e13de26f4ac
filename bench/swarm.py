"""A swarm against embedded mode, and what a killed worker costs: `make bench-swarm`.

Overhead: photos a second of a master and a worker with two slots, over a real broker and mongo-java-server in memory,
beside `faceswarm index --jobs 2` on the same photos and cores; each from its fifth photo to its last. Takeover: seconds
from the kill -9 of the fastest of two workers until every job that it held is with the other, or done.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from master.fleet.fleet import DEAD_SECONDS
from master.store import Store, StoreError
from master.store.sqlite import SqliteStore
from tests.parts.kafka import OwnBroker, _jars
from tests.parts.mongo import java_server
from tests.swarm.conftest import Swarm
from tests.swarm.test_swarm import sleepy_photos

ROUNDS = 3
FIRST = 5  # photos that start-up may take


@contextmanager
def swarm(folder: Path) -> Iterator[Swarm]:
    """Broker, database, and nothing else yet."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    assert java, "java is needed for the broker"
    assert maven, "maven is needed to fetch the broker"
    (folder / "kafka").mkdir(parents=True)
    (folder / "mongo").mkdir()
    broker, server = OwnBroker(java, _jars(maven), folder / "kafka"), java_server(java, maven, folder / "mongo")
    broker.start()
    server.start()
    made = Swarm(folder / "swarm", broker, server, "bench")
    try:
        yield made
    finally:
        made.end()
        broker.kill()
        server.kill()


def rate(open_store: Callable[[], Store], ended: Callable[[], bool]) -> float:
    """Photos a second, from the fifth to the last."""
    began, first = 0.0, 0
    while True:
        try:
            store = open_store()
            counts = store.counts()
            store.close()
        except StoreError:
            time.sleep(0.2)
            continue
        done = counts.done + sum(counts.failed.values())
        if done >= FIRST and not began:
            began, first = time.monotonic(), done
        if began and counts.todo == 0 and done >= counts.photos and ended():
            return (done - first) / (time.monotonic() - began)
        time.sleep(0.2)


def embedded(photos: Path, folder: Path) -> float:
    """Photos a second of embedded mode."""
    database = folder / "f.db"
    command = [sys.executable, "-m", "faceswarm", "index", str(photos), "--jobs", "2", "--db", str(database)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while not database.exists():
            time.sleep(0.05)
        return rate(lambda: SqliteStore(database), lambda: run.poll() is not None)


def over_kafka(photos: Path, folder: Path) -> float:
    """Photos a second of the swarm."""
    with swarm(folder) as made:
        expected = sum(1 for _ in photos.rglob("*.jpg"))
        shutil.copytree(photos, made.photos, dirs_exist_ok=True)
        made.start("worker", "worker", "--slots", "2")
        made.start("master", "master")
        return rate(made.store, lambda: sum(made.store().counts()[1:2]) >= expected * 0.9)


def takeover(folder: Path) -> float:
    """Seconds until the jobs of the fastest worker, killed, are elsewhere."""
    with swarm(folder) as made:
        sleepy_photos(made.photos, 400, 0.3)
        made.start("master", "master")
        made.start_sleeper("fast", 1.0)
        made.start_sleeper("slow", 2.0)
        made.wait_for(lambda store: store.counts().done >= 30, "it is in the middle")
        store = made.store()
        made.kill("fast")
        killed = time.monotonic()
        held = {attempt.photo for attempt in store.attempts() if attempt.worker == "fast"}
        while any(attempt.worker == "fast" for attempt in store.attempts()) or held - _given(store, held):
            time.sleep(0.05)
        return time.monotonic() - killed


def _given(store: Store, photos: set[str]) -> set[str]:
    """Those that are with a worker, or done."""
    open_jobs = {job.photo for job in store.jobs(1000)}
    with_worker = {attempt.photo for attempt in store.attempts()}
    return {photo for photo in photos if photo in with_worker or photo not in open_jobs}


def main(data: Path) -> None:
    """Prints both figures."""
    with tempfile.TemporaryDirectory() as folder:
        rates: dict[str, list[float]] = {"embedded": [], "swarm": []}
        for number in range(ROUNDS):
            rates["embedded"].append(embedded(data / "identities", Path(folder) / f"e{number}"))
            rates["swarm"].append(over_kafka(data / "identities", Path(folder) / f"s{number}"))
            print({name: round(values[-1], 2) for name, values in rates.items()}, flush=True)
        ratio = sum(rates["swarm"]) / sum(rates["embedded"])
        print(f"photos/s of the swarm / embedded: {ratio:.2f}")
        seconds = takeover(Path(folder) / "t")
        print(f"killed worker's jobs elsewhere after {seconds:.1f} s (dead time {DEAD_SECONDS:.0f} s)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
