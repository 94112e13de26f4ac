"""A real Kafka broker: one given by address, or one of our own from Maven Central, which tests may kill and wipe.

A folder's conftest.py imports the fixture `kafka` by name.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest

VERSION = "4.3.1"  # 4.4.0 is listed on Maven Central but does not resolve
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
DOWNLOAD_SECONDS = 600  # 44 MB
START_SECONDS = 60  # 2 to 4 on two cores; more where two brokers start beside other tests
JAVA = [
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Dlog4j2.level=WARN",
]

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>faceswarm</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version>
    </dependency>
  </dependencies>
</project>
"""

# One node that is everything. The short session lets it come back 4 s after a SIGKILL instead of 11.
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=300
log.cleaner.dedupe.buffer.size=4194304
"""


class Broker:
    """A broker somewhere else: it can be used, not killed."""

    def __init__(self, address: str) -> None:
        self.address = address

    def kill(self) -> None:
        """SIGKILL, as when the power of its machine fails."""
        pytest.skip("the broker of KAFKA_TEST_ADDRESS is not ours to kill")

    def start(self) -> None:
        """Starts it on the data that it had, unless it is running; returns when it answers."""

    def wipe(self) -> None:
        """Kills it and starts it again with nothing: no topic, another cluster id."""
        pytest.skip("the broker of KAFKA_TEST_ADDRESS is not ours to wipe")


class OwnBroker(Broker):
    """A broker in a process of its own, below a folder of its own, always on the same port."""

    def __init__(self, java: str, jars: Path, folder: Path) -> None:
        port, controller = _free_ports(2)
        super().__init__(f"127.0.0.1:{port}")
        self._java = [java, *JAVA, "-cp", f"{jars}/*"]
        self._data = folder / "data"
        self._log = folder / "broker.log"
        self._properties = folder / "server.properties"
        self._properties.write_text(PROPERTIES.format(port=port, controller=controller, data=self._data))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process:
            return
        if not self._data.exists():
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            self._run("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)).wait(
                START_SECONDS
            )
        self._process = self._run("kafka.Kafka", str(self._properties))
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.address):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Kafka did not start: {self._log.read_text(errors='replace')[-3000:]}")

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen([*self._java, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        self.kill()
        shutil.rmtree(self._data)
        self.start()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _answers(address: str) -> bool:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": address, "log_level": 0, "reconnect.backoff.max.ms": 200})
    try:
        return bool(client.list_topics(timeout=1).brokers)
    except KafkaException:
        return False  # asked again until the deadline


def _jars(maven: str) -> Path:
    """The folder of the broker's jars, fetched once for all runs; several processes may ask at once."""
    folder = platformdirs.user_cache_path("faceswarm-tests", appauthor=False) / f"kafka-{VERSION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"kafka-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, or its process dies
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as work:
                Path(work, "pom.xml").write_text(POM)
                command = [maven, "-q", "-B", f"{PLUGIN}:copy-dependencies", "-DincludeScope=runtime"]
                subprocess.run(
                    [*command, "-DoutputDirectory=jars"], cwd=work, check=True, timeout=DOWNLOAD_SECONDS, text=True,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                )  # fmt: skip
                Path(work, "jars").rename(folder)  # only ever whole
    return folder


@pytest.fixture(scope="session")
def kafka(needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker of KAFKA_TEST_ADDRESS, or one of our own; it is running whenever a test begins."""
    if address := os.environ.get("KAFKA_TEST_ADDRESS"):
        yield Broker(address)
        return
    java, maven = needs("java"), needs("mvn")
    try:
        jars = _jars(maven)
    except subprocess.SubprocessError as error:
        word = f"Kafka could not be fetched from Maven Central: {error}\n{getattr(error, 'output', '')}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(word)
    broker = OwnBroker(java, jars, tmp_path_factory.mktemp("kafka"))
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
