"""`python -m tests.swarm.sleeper NAME SLOWNESS`: a real worker session over Kafka whose slots sleep.

SLOWNESS multiplies the sleep. Ends like `faceswarm worker`: on SIGTERM it gives back what it has.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading

from common.bus import BusUnavailable
from common.bus.kafka import KafkaBus
from common.config import load
from common.imaging.decoder import Limits
from faceswarm.topics import topics_of
from worker.engines.onnx import OnnxEngine
from worker.session import Session
from worker.slots import Settings


def main(name: str, slowness: float) -> None:
    """Works until it is told to end."""
    logging.basicConfig(level=logging.INFO)
    config = load(None)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    bus = KafkaBus(config.kafka.host, name)
    settings = Settings(
        str(config.main.root_path_for_scanning),
        name,
        Limits(),
        threads=slowness,
        module="tests.sleeping_slot",  # type: ignore[arg-type]
    )
    session = None
    while session is None and not stop.is_set():
        try:
            session = Session(bus, topics_of(config), settings, recipe=str(OnnxEngine.recipe), engine="sleep", slots=1)
        except BusUnavailable:
            stop.wait(1)
    if session:
        while not (stop.wait(0.5) or session.left or session.error):
            pass
        session.stop(grace=5)
    bus.close()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
