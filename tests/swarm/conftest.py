"""A swarm of real processes: broker, database, masters and workers, each of which a test may kill."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from master.store import StoreError
from master.store.mongo import MongoStore
from tests.cli import COMMAND
from tests.parts.kafka import Broker, kafka
from tests.parts.mongo import OwnServer, Server, ferretdb, new_database

__all__ = ["ferretdb", "kafka", "new_database"]

DEADLINE = 180  # s; for whatever a test waits for


class Swarm:
    """One photo root, one configuration, any number of processes."""

    def __init__(self, folder: Path, broker: Broker, server: Server, database: str) -> None:
        self.folder, self.broker, self.server = folder, broker, server
        self.photos = folder / "photos"
        self.photos.mkdir(parents=True)
        name = f"jobs_{uuid.uuid4().hex[:8]}"
        self.environment = {
            **os.environ,
            "FACESWARM_KAFKA_HOST": broker.address,
            "FACESWARM_KAFKA_IMAGE_RECOGNISE_TOPIC": name,
            "FACESWARM_KAFKA_IMAGE_RECOGNISE_RESULT_TOPIC": f"{name}_result",
            "FACESWARM_MONGO_URI": server.uri,
            "FACESWARM_MONGO_IMAGE_DB": database,
            "FACESWARM_MAIN_ROOT_PATH_FOR_SCANNING": str(self.photos),
            "FACESWARM_MAIN_CROPPED_FACES_PATH": str(folder / "crops"),
        }
        self._database = database
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        """Starts a process of this name; its log is kept."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*COMMAND, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def start_sleeper(self, name: str, slowness: float) -> None:
        """Starts a worker that sleeps instead of searching: as long as the photo's name says, times the slowness."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.swarm.sleeper", name, str(slowness)],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def store(self) -> MongoStore:
        """The swarm's store."""
        return MongoStore(self.server.uri, self._database)

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self.folder / f"{name}.log").read_text()

    def wait_for(self, condition: Callable[[MongoStore], bool], what: str) -> None:
        """Returns when the condition holds; the database may be away meanwhile."""
        deadline = time.monotonic() + DEADLINE
        pause = threading.Event()
        while True:
            try:
                store = self.store()
                try:
                    if condition(store):
                        return
                finally:
                    store.close()
            except StoreError:
                pass  # asked again
            logs = "\n".join(f"== {path.name}\n{path.read_text()[-2000:]}" for path in self.folder.glob("*.log"))
            assert time.monotonic() < deadline, f"waited in vain until {what}\n{logs}"
            pause.wait(0.2)

    def wait_until_done(self, photos: int) -> None:
        """Every one of so many photos has a result or a failure."""

        def done(store: MongoStore) -> bool:
            counts = store.counts()
            return counts.todo == 0 and counts.done + sum(counts.failed.values()) >= photos

        self.wait_for(done, f"{photos} photos are done")

    def end(self) -> None:
        """Ends every process."""
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def swarm(tmp_path: Path, kafka: Broker, ferretdb: OwnServer, new_database: Callable[[Server], str]) -> Iterator[Swarm]:
    """Broker and database run; nothing else does yet."""
    swarm = Swarm(tmp_path / "swarm", kafka, ferretdb, new_database(ferretdb))
    yield swarm
    swarm.end()
