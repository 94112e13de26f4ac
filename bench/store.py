"""Results that the MongoDB store keeps each second, and round trips for each: `make bench-store`.

On mongo-java-server, in memory, on this machine: what the store and the driver cost, without a disk. A real server
adds the wait for its journal, once for each write of a batch; the round trips are the same.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import time
from pathlib import Path

from common.messages import PhotoResult
from master.store.mongo import MongoStore
from tests.builders import RECIPE, face, known_file, result
from tests.parts.mongo import ADDRESS, Server, java_server
from tests.store.commands import recording

PHOTOS = 10_000
BATCH = 50  # results in one put()
FACES = 5  # of a result
DATABASE = "faceswarm_bench"


def keys() -> list[str]:
    """The photos' keys, in no order, as hashes are."""
    return [os.urandom(32).hex() for _ in range(PHOTOS)]


def answer(photo: str) -> PhotoResult:
    """A result whose faces have embeddings of their own, and the crops that the store leaves out."""
    faces = [face(x * 40, crop=bytes(8_000)) for x in range(FACES)]
    embedded = (one.model_copy(update={"embedding": struct.pack("<128f", *os.urandom(128))}) for one in faces)
    return result(photo, *embedded)


def measure(server: Server) -> None:
    """Prints the rates at which photos are recorded, begun and kept."""
    store = MongoStore(server.uri, DATABASE)
    try:
        store.want(RECIPE)
        photos = keys()
        files = [known_file(f"{photo[:2]}/{photo}.jpg", photo) for photo in photos]
        began = time.perf_counter()
        for start in range(0, PHOTOS, BATCH):
            store.record(files[start : start + BATCH])
        print(f"recorded, {BATCH} at a time          {PHOTOS / (time.perf_counter() - began):6.0f} photos/s")

        some = photos[:1000]
        began = time.perf_counter()
        for photo in some:
            store.begin(photo, RECIPE, "w", "1")
        print(f"attempts begun                 {len(some) / (time.perf_counter() - began):6.0f} jobs/s")

        answers = [answer(photo) for photo in photos]
        with recording() as commands:
            began = time.perf_counter()
            for start in range(0, PHOTOS, BATCH):
                store.put(answers[start : start + BATCH], ("results", start + BATCH))
            took = time.perf_counter() - began
        print(f"put, {BATCH} at a time, {FACES} faces each   {PHOTOS / took:6.0f} results/s   (at least 500)")
        print(f"round trips                    {len(commands) / PHOTOS:6.2f} a result    (at most 1)")

        began = time.perf_counter()
        counts = store.counts()
        assert (counts.done, counts.faces, counts.todo) == (PHOTOS, PHOTOS * FACES, 0)
        print(f"counts() of {PHOTOS} photos       {(time.perf_counter() - began) * 1000:6.0f} ms")
    finally:
        store._db.client.drop_database(DATABASE)
        store.close()


def main() -> None:
    """Measures the server of MONGO_TEST_URI, or mongo-java-server."""
    if ADDRESS:
        measure(Server(ADDRESS))
        return
    java, maven = shutil.which("java"), shutil.which("mvn")
    if not (java and maven):
        raise SystemExit("This needs java and mvn on the PATH.")
    with tempfile.TemporaryDirectory() as folder:
        server = java_server(java, maven, Path(folder))
        server.start()
        try:
            measure(server)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
