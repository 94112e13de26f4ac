"""The swarm end to end: real photos, a real broker, a real database, processes that are killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.cli import COMMAND, json_lines
from tests.swarm.conftest import DEADLINE, Swarm

pytestmark = pytest.mark.slow


def test_a_swarm_finds_what_embedded_mode_finds(swarm: Swarm, album: Path, tmp_path: Path) -> None:
    """Two workers and a master store the very faces, failures and crops that one command does."""
    shutil.copytree(album, swarm.photos, dirs_exist_ok=True)
    swarm.start("master", "master")
    for number in (1, 2):
        swarm.start(f"worker{number}", "worker", "--name", f"worker{number}", "--slots", "1")
    swarm.wait_until_done(5)
    listed = {}
    for command in ("faces", "failures", "status"):
        done = subprocess.run(
            [*COMMAND, command, "--json"], env=swarm.environment, capture_output=True, text=True, check=True
        )
        listed[command] = done.stdout
    database = tmp_path / "embedded.db"
    subprocess.run([*COMMAND, "index", str(swarm.photos), "--db", str(database)], check=True, capture_output=True)
    embedded = subprocess.run(
        [*COMMAND, "faces", "--json", "--db", str(database)], capture_output=True, text=True, check=True
    )
    assert listed["faces"] == embedded.stdout
    assert [line["class"] for line in json_lines("failures", "--db", database)] == ["truncated"]
    assert '"truncated"' in listed["failures"]
    assert '"worker1"' in listed["status"]
    crops = {path.name: path.read_bytes() for path in (swarm.folder / "crops").rglob("*.jpg")}
    assert crops == {path.name: path.read_bytes() for path in (tmp_path / "embedded-crops").rglob("*.jpg")}


def sleepy_photos(root: Path, number: int, seconds: float) -> None:
    """Tiny photos that differ, named after the time that a sleeping worker takes for them."""
    for index in range(number):
        Image.new("RGB", (16, 12), (index % 256, index // 256, 7)).save(root / f"{seconds} {index:05}.png")


def test_nothing_is_lost_or_doubled_whoever_is_killed(swarm: Swarm) -> None:
    """Workers, master, broker and database are killed in random order: every photo ends with one result."""
    photos = int(os.environ.get("FACESWARM_CHAOS_PHOTOS", "600"))
    sleepy_photos(swarm.photos, photos, 0.05)
    random_ = random.Random(int(os.environ.get("FACESWARM_CHAOS_SEED", "7")))
    swarm.start("master", "master")
    workers = {"fast": 1.0, "middle": 3.0, "slow": 10.0}
    for name, slowness in workers.items():
        swarm.start_sleeper(name, slowness)
    frozen: list[str] = []
    for step in range(10):
        wanted = photos * (step + 1) // 14
        swarm.wait_for(lambda store, wanted=wanted: store.counts().done >= wanted, f"{wanted} photos are done")  # type: ignore[misc]
        victim = random_.choice(["master", "broker", "database", "freeze", *workers])
        if victim == "broker":
            swarm.broker.kill()
            swarm.broker.start()
        elif victim == "database":
            swarm.server.kill()
            swarm.server.start()
        elif victim == "freeze":
            name = random_.choice([name for name in workers if name not in frozen])
            swarm.processes[name].send_signal(signal.SIGSTOP)
            frozen.append(name)
        elif victim == "master":
            swarm.kill("master")
            swarm.start("master", "master")
        else:
            if victim in frozen:
                frozen.remove(victim)
            swarm.kill(victim)
            swarm.start_sleeper(victim, workers[victim])
        if len(frozen) == 2:
            swarm.processes[frozen.pop(0)].send_signal(signal.SIGCONT)
    for name in frozen:
        swarm.processes[name].send_signal(signal.SIGCONT)
    swarm.wait_until_done(photos)
    store = swarm.store()
    counts = store.counts()
    faces = list(store.faces())
    store.close()
    assert (counts.done, counts.todo, counts.failed) == (photos, 0, {})
    assert len(faces) == len({face.photo for face in faces}) == photos


def test_a_worker_that_ends_gives_its_jobs_to_others(swarm: Swarm) -> None:
    """SIGTERM: it gives back what it has, leaves, and the rest is done by the other one."""
    sleepy_photos(swarm.photos, 40, 0.1)
    swarm.start("master", "master")
    swarm.start_sleeper("stays", 1.0)
    swarm.start_sleeper("leaves", 100.0)
    swarm.wait_for(lambda store: any(attempt.worker == "leaves" for attempt in store.attempts()), "it has a job")
    leaving = swarm.processes["leaves"]
    leaving.terminate()
    assert leaving.wait(DEADLINE) == 0
    swarm.wait_until_done(40)


def test_a_second_master_waits_until_it_is_needed(swarm: Swarm) -> None:
    """Only one master deals; when it is killed the other one takes over."""
    sleepy_photos(swarm.photos, 60, 0.2)
    swarm.start("first", "master")
    swarm.start_sleeper("worker", 1.0)
    swarm.wait_for(lambda store: store.counts().done >= 3, "the first master is at work")
    swarm.start("second", "master")
    swarm.wait_for(lambda store: store.counts().done >= 20, "more is done")
    store = swarm.store()
    epoch, _ = store.mastership()
    store.close()
    assert epoch == 1
    swarm.kill("first")
    swarm.wait_until_done(60)
    store = swarm.store()
    assert store.mastership()[0] == 2
    store.close()


def test_master_and_worker_wait_for_a_broker_that_is_not_there_yet(swarm: Swarm) -> None:
    """Started before the broker, they say so and go on by themselves when it is there."""
    sleepy_photos(swarm.photos, 5, 0.05)
    swarm.broker.kill()
    swarm.start("master", "master")
    swarm.start_sleeper("worker", 1.0)
    swarm.wait_for(lambda _: "Trying again" in swarm.log("master"), "the master has said that it waits")
    swarm.broker.start()
    swarm.wait_until_done(5)
