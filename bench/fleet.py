"""Unequal workers over a real broker: `make bench-fleet`.

300 photos, workers whose photos cost 1, 5 and 21 times as much (real sessions whose slots sleep), speeds unknown at the
start. The master's dealing beside an ordinary consumer group with a partition for each worker. Makespan from the first
job given to the last result kept, over the ideal of whole jobs. The group's jobs are shorter, since it takes so long.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common.bus import Topic
from common.bus.kafka import KafkaBus
from common.config import load
from faceswarm.topics import topics_of
from master.crops import Crops
from master.run import Master
from master.store import File, Photo
from master.store.sqlite import SqliteStore
from tests.parts.kafka import OwnBroker, _jars
from worker.engines.onnx import OnnxEngine

PHOTOS = 300
SECONDS, GROUP_SECONDS = 0.2, 0.02  # of a photo with a worker of speed 1
FLEETS = {"1 + 1": [1, 21], "1 + 1 + 1": [1, 5, 21], "4 + 2": [1, 1, 1, 1, 21, 21]}
RECIPE = str(OnnxEngine.recipe)


def ideal(slownesses: list[int], seconds: float) -> float:
    """The least time in which all photos fit, each done whole by one worker."""
    ends = sorted(n * slowness * seconds for slowness in slownesses for n in range(1, PHOTOS + 1))
    return ends[PHOTOS - 1]


def dealt(broker: OwnBroker, slownesses: list[int], folder: Path) -> float:
    """Makespan of the master's dealing."""
    root = folder / "photos"
    root.mkdir(parents=True)
    name = f"jobs_{folder.name}"
    environment = {
        "FACESWARM_KAFKA_HOST": broker.address,
        "FACESWARM_KAFKA_IMAGE_RECOGNISE_TOPIC": name,
        "FACESWARM_KAFKA_IMAGE_RECOGNISE_RESULT_TOPIC": f"{name}_result",
        "FACESWARM_MAIN_ROOT_PATH_FOR_SCANNING": str(root),
    }
    store = SqliteStore(folder / "f.db")
    store.want(RECIPE)
    files = [File("", f"{SECONDS} {n:05}.jpg", 1, 1, "", photo=f"{n:064x}") for n in range(PHOTOS)]
    for file in files:
        (root / file.name).touch()
    bus = KafkaBus(broker.address, "bench")
    master = Master(
        store, bus, topics_of(load(None, environment)), crops=Crops(folder / "crops"), recipe=RECIPE,
        look_again=print, now=time.monotonic(),
    )  # fmt: skip
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.swarm.sleeper", f"worker{number}", str(slowness)],
            env={**os.environ, **environment}, stderr=subprocess.DEVNULL,
        )
        for number, slowness in enumerate(slownesses)
    ]  # fmt: skip
    try:
        while sum(hand.accepts for hand in master.fleet.dealer.hands.values()) < len(slownesses):
            master.round(time.monotonic(), 0.05)
        store.record([(file, Photo(file.photo or "", 4000, 2500, "JPEG")) for file in files])
        began = time.monotonic()
        while master.done < PHOTOS:
            master.round(time.monotonic(), 0.02)
        return time.monotonic() - began
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        bus.close()
        store.close()


def _member(address: str, topic: str, slowness: int) -> None:
    from confluent_kafka import Consumer, Producer

    consumer = Consumer({"bootstrap.servers": address, "group.id": topic, "auto.offset.reset": "earliest"})
    producer = Producer({"bootstrap.servers": address, "acks": "all"})
    consumer.subscribe([topic])
    while True:
        message = consumer.poll(1)
        if message is not None and not message.error():
            time.sleep(GROUP_SECONDS * slowness)
            producer.produce(f"{topic}_done", message.value())
            producer.flush()


def grouped(broker: OwnBroker, slownesses: list[int], topic: str) -> float:
    """Makespan of a consumer group with as many partitions as members."""
    bus = KafkaBus(broker.address, "bench")
    bus.ensure([Topic(topic, len(slownesses)), Topic(f"{topic}_done")])
    done = bus.reader(f"{topic}_done", offset=0)
    for number in range(PHOTOS):
        bus.publish(topic, b"%d" % number, number % len(slownesses))
    bus.flush()
    members = [
        multiprocessing.Process(target=_member, args=(broker.address, topic, s), daemon=True) for s in slownesses
    ]
    for member in members:
        member.start()
    seen: set[bytes] = set()
    began = 0.0
    while len(seen) < PHOTOS:
        if record := done.read(1):
            began = began or time.monotonic()
            seen.add(record.value)
    for member in members:
        member.kill()
    bus.close()
    return time.monotonic() - began


def main() -> None:
    """Prints a row for each fleet."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    assert java, "java is needed for the broker"
    assert maven, "maven is needed to fetch the broker"
    with tempfile.TemporaryDirectory() as folder:
        broker = OwnBroker(java, _jars(maven), Path(folder))
        broker.start()
        try:
            print("| workers | master deals: makespan / ideal | consumer group: makespan / ideal |\n|---|---|---|")
            for number, (name, slownesses) in enumerate(FLEETS.items()):
                ours = dealt(broker, slownesses, Path(folder) / f"fleet{number}") / ideal(slownesses, SECONDS)
                group = grouped(broker, slownesses, f"group{number}") / ideal(slownesses, GROUP_SECONDS)
                print(f"| {name} | {ours:.2f} | {group:.1f} |", flush=True)
        finally:
            broker.kill()


if __name__ == "__main__":
    main()
