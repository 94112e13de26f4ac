"""The process of one slot: a loaded engine and a decoder, answering jobs until its parent closes the socket.

Run as ``python -m worker.slot FD``; the first message holds what it needs to know, the answer to it is the recipe.
"""

from __future__ import annotations

import signal
import sys
from multiprocessing.connection import Connection

import msgpack

from common.imaging.decoder import Decoder, Limits
from common.messages import PhotoJob, decode, encode
from worker.engines import Engine
from worker.handle import handle


def make_engine(threads: int) -> Engine:
    """The best engine that this machine has. Raises ModelError if its models can't be loaded."""
    from worker.engines.onnx import OnnxEngine

    return OnnxEngine(threads=threads)


def main(descriptor: int) -> None:
    """Answers one job after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when we end
    connection = Connection(descriptor)
    try:
        settings = msgpack.unpackb(connection.recv_bytes())
        with Decoder(Limits(**settings["limits"])) as decoder:
            engine = make_engine(settings["threads"])
            connection.send_bytes(str(engine.recipe).encode())
            while True:
                job = decode(connection.recv_bytes())
                assert isinstance(job, PhotoJob)
                answer = handle(job, decoder=decoder, engine=engine, root=settings["root"], worker=settings["worker"])
                connection.send_bytes(encode(answer))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is done with us, or gone; a job in hand is dealt again


if __name__ == "__main__":
    main(int(sys.argv[1]))
