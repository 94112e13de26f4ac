"""`faceswarm worker`: slots on this computer for a master that is reached through Kafka."""

from __future__ import annotations

import logging
import os
import platform
import signal
import threading
from pathlib import Path

from common.bus import BusUnavailable
from common.config import Config
from common.imaging.decoder import Limits
from faceswarm.exits import CommandError, Exit
from faceswarm.health import Health
from faceswarm.topics import topics_of
from worker.engines.convert import load_models
from worker.engines.onnx import OnnxEngine
from worker.session import Session
from worker.slots import Settings

AGAIN_SECONDS = 5  # between tries while the broker is away
GRACE_SECONDS = 20  # to finish the photos in hand after SIGTERM; what takes longer is given back

log = logging.getLogger("faceswarm.worker")


def run_worker(config: Config, name: str | None, slots: int | None, health_file: Path | None) -> Exit:
    """The command: returns when it was asked to end, or told to leave by the master."""
    from common.bus.kafka import KafkaBus

    root = config.main.root_path_for_scanning
    if root is None:
        raise CommandError(Exit.USAGE, "A worker needs RootPathForScanning in its configuration: where the photos are.")
    load_models()
    health = Health(health_file)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    bus = KafkaBus(config.kafka.host, "faceswarm-worker")
    session: Session | None = None
    while session is None and not stop.is_set():
        try:
            session = Session(
                bus,
                topics_of(config),
                Settings(str(root), name or platform.node(), Limits(**config.decode.model_dump())),
                recipe=str(OnnxEngine.recipe),
                engine="onnx",
                slots=slots or len(os.sched_getaffinity(0)),
            )
        except BusUnavailable as error:
            log.warning("%s Trying again in %s s.", error, AGAIN_SECONDS)
            health.alive()
            stop.wait(AGAIN_SECONDS)
    if session:
        log.info("Worker %s with %s slots is ready.", name or platform.node(), slots)
        while not (stop.wait(1) or session.left or session.error):
            health.alive(done=session.done)
        session.stop(GRACE_SECONDS)
        if session.error:
            raise session.error
    bus.close()
    return Exit.OK
