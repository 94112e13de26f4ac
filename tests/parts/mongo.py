"""Servers that speak MongoDB's protocol: one given by address, or two stand-ins of our own, which tests may kill.

No registry holds a real mongod. FerretDB is durable and asks for a login; mongo-java-server is an independent second
opinion, in memory. A folder's conftest.py imports the fixtures by name.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

ADDRESS = os.environ.get("MONGO_TEST_URI")  # of a real mongod, which then takes the place of the stand-ins
SERVERS = ["mongod"] if ADDRESS else ["ferretdb", "mongo_java_server"]  # fixtures: what a contract has to hold on

FERRETDB = "v1.24.2"
JAVA_SERVER = "1.47.0"
BUILD_SECONDS = 900  # FerretDB takes 1 to 2 minutes on two cores, its modules being fetched
START_SECONDS = 60  # .5 for FerretDB, 2 for mongo-java-server; more beside other tests
USER, PASSWORD = "faceswarm", "open sesame"

JAVA_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>faceswarm</groupId>
  <artifactId>mongo-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>de.bwaldvogel</groupId><artifactId>mongo-java-server</artifactId><version>{JAVA_SERVER}</version>
    </dependency>
  </dependencies>
</project>
"""

# Its own main() knows no port.
JAVA_MAIN = """import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;

public class Main {
    public static void main(String[] args) throws Exception {
        new MongoServer(new MemoryBackend()).bind("127.0.0.1", Integer.parseInt(args[0]));
        Thread.currentThread().join();
    }
}
"""

# The faults of FerretDB 1.24.2 that we would stumble over: file, what is there, what is put there, how often.
REPAIRS = [
    # An update keeps one query open per matched document, and waits for ever when the pool (100) has no more.
    (
        "internal/handler/msg_update.go",
        r"(result, err := common\.UpdateDocument\(ctx, c, \"update\", iter, &u\)\n)",
        "\\1\t\tcloser.Close()\n",
        1,
    ),
    # An upsert's reported index is not its place in the command.
    ("internal/handler/msg_update.go", r"for _, u := range params\.Updates", "for ui, u := range params.Updates", 1),
    ("internal/handler/msg_update.go", r"int32\(upserted\.Len\(\)\)", "int32(ui)", 1),
    # The index on _id is on another expression than the one that look-ups ask for, so that they scan.
    ("internal/backends/sqlite/metadata/metadata.go", r"\"->'\$\._id'\"", r'"->\\"_id\\""', None),
]


class Server:
    """A server somewhere else: it can be used, not killed."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def kill(self) -> None:
        """SIGKILL, as when the power of its machine fails."""
        pytest.skip("the server of MONGO_TEST_URI is not ours to kill")

    def start(self) -> None:
        """Starts it again on the data that it had; returns when it answers."""
        pytest.skip("the server of MONGO_TEST_URI is not ours to start")


class OwnServer(Server):
    """A server in a process of its own, always on the same port."""

    def __init__(self, uri: str, command: list[str], log: Path) -> None:
        super().__init__(uri)
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.uri):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self._command[0]} did not start: {self._log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


def _answers(uri: str) -> bool:
    with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=200) as client:
        try:
            client.admin.command("ping")
        except PyMongoError:
            return False  # asked again until the deadline
    return True


def free_port() -> int:
    """A port of this computer that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def ferretdb_server(go: str, folder: Path) -> OwnServer:
    """FerretDB on SQLite files below the folder, with a login; not started."""
    port = free_port()
    (folder / "data").mkdir()
    command = [
        str(_once(f"ferretdb-{FERRETDB}", lambda work: _build_ferretdb(go, work)) / "ferretdb"),
        "--handler=sqlite", f"--sqlite-url=file:{folder}/data/", "--state-dir=-", "--telemetry=disable",
        f"--listen-addr=127.0.0.1:{port}", "--debug-addr=-", "--log-level=error",
        "--test-enable-new-auth", "--setup-database=admin", f"--setup-username={USER}", f"--setup-password={PASSWORD}",
    ]  # fmt: skip
    uri = f"mongodb://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/?authSource=admin"
    return OwnServer(uri, command, folder / "ferretdb.log")


def java_server(java: str, maven: str, folder: Path) -> OwnServer:
    """mongo-java-server in memory; not started."""
    port = free_port()
    parts = _once(f"mongo-java-server-{JAVA_SERVER}", lambda work: _fetch_java_server(maven, work))
    options = ["-Xms64m", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    command = [java, *options, "-cp", f"{parts}/libs/*", f"{parts}/Main.java", str(port)]
    return OwnServer(f"mongodb://127.0.0.1:{port}", command, folder / "mongo-java-server.log")


def _once(name: str, make: Callable[[Path], None]) -> Path:
    """A folder in the user's cache that is made once for all runs; several processes may ask at once."""
    folder = platformdirs.user_cache_path("faceswarm-tests", appauthor=False) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, or its process dies
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as work:
                result = Path(work, name)
                result.mkdir()
                make(result)
                result.rename(folder)  # only ever whole
    return folder


def _fetch_java_server(maven: str, target: Path) -> None:
    (target / "pom.xml").write_text(JAVA_POM)
    (target / "Main.java").write_text(JAVA_MAIN)
    _run([maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"], target)


def _build_ferretdb(go: str, target: Path) -> None:
    # Not `go install module@version`: that asks for the list of versions, which some proxies refuse, and the published
    # module lacks a file without which the program ends at once.
    with tempfile.TemporaryDirectory() as work:
        Path(work, "go.mod").write_text("module local/ferretdb\n\ngo 1.24\n")
        module = f"github.com/FerretDB/FerretDB@{FERRETDB}"
        source = Path(work, "source")
        shutil.copytree(json.loads(_run([go, "mod", "download", "-json", module], Path(work)))["Dir"], source)
        for folder, _, files in os.walk(source):  # the module cache is read-only, and so is its copy
            os.chmod(folder, 0o755)
            for name in files:
                os.chmod(os.path.join(folder, name), 0o644)
        about = {"version": FERRETDB, "commit": "unknown", "branch": "unknown", "package": "go-proxy"}
        for name, value in about.items():
            (source / "build" / "version" / f"{name}.txt").write_text(value + "\n")
        for file, pattern, replacement, times in REPAIRS:
            text, count = re.subn(pattern, replacement, (source / file).read_text())
            assert count == times or (times is None and count), f"FerretDB {FERRETDB}: {file} is not as expected"
            (source / file).write_text(text)
        build = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", str(target / "ferretdb")]
        _run([*build, "./cmd/ferretdb"], source)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, timeout=BUILD_SECONDS, text=True, env={**os.environ, "CGO_ENABLED": "0"},
        stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    if done.returncode:
        raise subprocess.SubprocessError(f"{' '.join(command)} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _serve(make: Callable[[], OwnServer]) -> Iterator[OwnServer]:
    try:
        server = make()
    except subprocess.SubprocessError as error:
        word = f"The server could not be fetched and built: {error}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(word)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def mongod() -> Server:
    """The real server of MONGO_TEST_URI."""
    return Server(ADDRESS) if ADDRESS else pytest.skip("MONGO_TEST_URI names no server")


@pytest.fixture(scope="session")
def ferretdb(needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """FerretDB; it is running whenever a test begins."""
    go = needs("go")
    yield from _serve(lambda: ferretdb_server(go, tmp_path_factory.mktemp("ferretdb")))


@pytest.fixture(scope="session")
def mongo_java_server(needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """mongo-java-server; it is running whenever a test begins."""
    java, maven = needs("java"), needs("mvn")
    yield from _serve(lambda: java_server(java, maven, tmp_path_factory.mktemp("mongo-java-server")))


@pytest.fixture
def new_database() -> Iterator[Callable[[Server], str]]:
    """Makes up the name of a database that no other test has on that server, and drops it afterwards."""
    made = []

    def name(server: Server) -> str:
        made.append((server, f"faceswarm_test_{uuid.uuid4().hex[:12]}"))
        return made[-1][1]

    yield name
    for server, database in made:
        with MongoClient[dict[str, object]](server.uri) as client:
            client.drop_database(database)
