"""A slot that sleeps instead of searching: `python -m tests.sleeping_slot FD`. The photo's path says how long.

"0.5 name.jpg" takes half a second; "crash" in it ends the process, "missing" is not found.
"""

from __future__ import annotations

import os
import sys
import time
from multiprocessing.connection import Connection

import msgpack

from common.messages import Changed, Milliseconds, PhotoJob, PhotoResult, decode, encode
from tests.builders import face


def main(descriptor: int) -> None:
    """Answers jobs until the socket closes."""
    connection = Connection(descriptor)
    try:
        settings = msgpack.unpackb(connection.recv_bytes())
        connection.send_bytes(b"ready")
        while True:
            job = decode(connection.recv_bytes())
            assert isinstance(job, PhotoJob)
            what = {**job.model_dump(include={"photo", "recipe", "path", "attempt"}), "worker": settings["worker"]}
            if "crash" in job.path:
                os._exit(7)
            time.sleep(float(job.path.split()[0]) * float(settings.get("threads", 1)))
            ms = Milliseconds(decode=0, detect=0, embed=0, total=0)
            answer = (
                Changed(**what)
                if "missing" in job.path
                else PhotoResult(**what, megapixels=10.0, faces=(face(),), ms=ms)
            )
            connection.send_bytes(encode(answer))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
