"""`faceswarm master`: the scan and the rounds of the master, over Kafka and MongoDB, for as long as it is let."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from pathlib import Path

from common.bus import Bus, BusUnavailable
from common.config import Config
from common.imaging.decoder import Decoder, Limits
from common.imaging.formats import usable_again
from faceswarm.exits import CommandError, Exit
from faceswarm.health import Health
from faceswarm.topics import topics_of
from master.crops import Crops
from master.fleet.fleet import DEAD_SECONDS
from master.run import Master, Superseded
from master.scan.scan import Scan
from master.store import Store, StoreError

ROUND_SECONDS = 0.1  # of waiting for an answer in a round
SCAN_SECONDS = 600  # between passes over the photo root
AGAIN_SECONDS = 5  # between tries while broker or database are away
NOTE_SECONDS = 2  # between notes for `faceswarm status`, and looks at what `faceswarm workers` has set

log = logging.getLogger("faceswarm.master")


class MasterProcess:
    """Waits for its turn, then scans and deals until stop(); begins anew, as another epoch, after any outage."""

    def __init__(self, root: Path, *, store: Store, bus: Bus, crops: Crops, recipe: str, config: Config) -> None:
        self._root = str(root)
        self._store = store
        self._bus = bus
        self._crops = crops
        self._recipe = recipe
        self._config = config
        self._limits = Limits(**config.decode.model_dump())
        self._stop = threading.Event()
        self._scanning = threading.Event()  # this process is the master
        self._scan: Scan | None = None

    def stop(self) -> None:
        """Ends run() soon. For any thread, or a signal handler."""
        self._stop.set()
        if self._scan:
            self._scan.stop()

    def run(self, health: Health) -> None:
        """Returns after stop()."""
        scan = threading.Thread(target=self._scan_loop, name="scan", daemon=True)
        scan.start()
        while not self._stop.is_set():
            try:
                self._stand_by(health)
                if not self._stop.is_set():
                    self._deal_loop(health)
            except Superseded:
                log.warning("Another master has taken over; this one waits until it is needed.")
            except (StoreError, BusUnavailable) as error:
                # What was kept counts; the next epoch takes the rest from the store and the workers' heartbeats.
                log.warning("%s Trying again in %s s.", error, AGAIN_SECONDS)
                self._stop.wait(AGAIN_SECONDS)
            finally:
                self._scanning.clear()
                if self._scan:
                    self._scan.stop()
        scan.join()

    def _stand_by(self, health: Health) -> None:
        """Waits until no other master beats, by this machine's own clock."""
        seen, since = self._store.mastership(), time.monotonic()
        vacant = seen[0] == 0 or self._store.note("resigned") == str(seen[0])
        if not vacant:
            log.info("Waiting until no other master is at work.")
        while not vacant and not self._stop.is_set() and time.monotonic() - since < DEAD_SECONDS:
            self._stop.wait(1)
            health.alive()
            if (now := self._store.mastership()) != seen:
                seen, since = now, time.monotonic()

    def _deal_loop(self, health: Health) -> None:
        self._store.want(self._recipe)
        master = Master(
            self._store,
            self._bus,
            topics_of(self._config),
            crops=self._crops,
            recipe=self._recipe,
            look_again=self._look_again,
            now=time.monotonic(),
        )
        log.info("Master of epoch %s.", master.epoch)
        self._scanning.set()
        noted = 0.0
        while not self._stop.is_set():
            now = time.monotonic()
            master.round(now, ROUND_SECONDS)
            health.alive(done=master.done, failed=master.failed)
            if now - noted >= NOTE_SECONDS:
                noted = now
                self._store.put_note("fleet", json.dumps(master.fleet.portrait(now)))
                master.fleet.read_manners()
        self._store.put_note("resigned", str(master.epoch))

    def _look_again(self, path: str) -> None:
        if self._scan:
            self._scan.look_again(path)

    def _scan_loop(self) -> None:
        while not self._stop.is_set():
            if not self._scanning.wait(1):
                continue
            try:
                with Decoder(self._limits) as decoder:
                    self._one_pass(decoder)
            except StoreError as error:
                # What was recorded counts; the next pass finds the rest.
                log.warning("The scan stopped: %s", error)
                self._stop.wait(AGAIN_SECONDS)
            except Exception:
                # A fault of ours ends this pass, not the master: what was recorded counts, and the next pass goes on.
                log.exception("The scan stopped")
                self._stop.wait(AGAIN_SECONDS)

    def _one_pass(self, decoder: Decoder) -> None:
        ignore = [*self._config.main.ignore_path_for_scanning, str(self._crops.folder)]
        self._scan = scan = Scan(self._root, store=self._store, decoder=decoder, ignore=ignore, usable=usable_again())
        scan.run()
        tally = scan.tally
        log.info(
            "Scanned %s files: %s new, %s moved, %s unchanged, %s gone.",
            tally.files, tally.new, tally.moved, tally.unchanged, tally.missing,
        )  # fmt: skip
        for problem in tally.problems:
            log.warning(problem)
        until = time.monotonic() + SCAN_SECONDS
        while self._scanning.is_set() and not self._stop.is_set() and time.monotonic() < until:
            scan.drain()
            self._stop.wait(1)


def run_master(config: Config, health_file: Path | None) -> Exit:
    """The command: returns when it was asked to end."""
    from common.bus.kafka import KafkaBus
    from master.store.mongo import MongoStore
    from worker.engines.onnx import OnnxEngine

    root = config.main.root_path_for_scanning
    if root is None or config.mongo.uri is None or config.main.cropped_faces_path is None:
        raise CommandError(
            Exit.USAGE,
            "A master needs RootPathForScanning, CroppedFacesPath and [mongo] Uri in its configuration; "
            "see docs/configuration.md.",
        )
    crops = Crops(config.main.cropped_faces_path)
    health = Health(health_file)
    stop = threading.Event()
    process: MasterProcess | None = None

    def on_signal(*_: object) -> None:
        stop.set()
        if process:
            process.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    while not stop.is_set():
        try:
            store = MongoStore(config.mongo.uri, config.mongo.image_db)
        except StoreError as error:
            log.warning("%s Trying again in %s s.", error, AGAIN_SECONDS)
            health.alive()
            stop.wait(AGAIN_SECONDS)
            continue
        bus = KafkaBus(config.kafka.host, "faceswarm-master")
        process = MasterProcess(root, store=store, bus=bus, crops=crops, recipe=str(OnnxEngine.recipe), config=config)
        process.run(health)
        bus.close()
        store.close()
        break
    return Exit.OK
