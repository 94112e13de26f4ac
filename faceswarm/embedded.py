"""Embedded mode: master and worker in one command, over the memory bus and SQLite."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from common.bus.memory import MemoryBus
from common.config import Config
from common.imaging.decoder import Decoder, Limits
from common.imaging.formats import usable_again
from common.model import Recipe
from faceswarm.topics import topics_of
from master.crops import Crops
from master.run import Master
from master.scan.scan import Scan, Tally, count_files
from master.store import Store
from worker.session import Session
from worker.slots import Settings

ROUND_SECONDS = 0.1  # between looks at what else is to do, while no answer comes
WORKER = "embedded"


class IndexRun:
    """One run of `faceswarm index`: run() does the work, the figures are for whoever shows progress meanwhile."""

    def __init__(self, root: Path, *, store: Store, crops: Crops, recipe: Recipe, slots: int, config: Config) -> None:
        limits = Limits(**config.decode.model_dump())
        self._ignore = [*config.main.ignore_path_for_scanning, str(crops.folder)]
        self._root = str(root)
        store.want(str(recipe))
        for lost in store.attempts():  # of a run that was killed: they count, since one of their photos may be why
            store.end_attempt(lost.photo, lost.recipe, lost.attempt, counts=True)
        self.backlog = store.counts().todo  # photos known and to do before this run
        self._decoder = Decoder(limits)
        self._scan = Scan(self._root, store=store, decoder=self._decoder, ignore=self._ignore, usable=usable_again())
        bus, topics = MemoryBus(), topics_of(config)
        self.master = Master(
            store,
            bus,
            topics,
            crops=crops,
            recipe=str(recipe),
            look_again=self._scan.look_again,
            now=time.monotonic(),
        )
        self._session = Session(
            bus,
            topics,
            Settings(self._root, WORKER, limits),
            recipe=str(recipe),
            engine="onnx",
            slots=slots,
        )
        self.stopped = False  # stop() was called
        self._scan_error: BaseException | None = None
        self.total: int | None = None  # files below the root, once counted

    @property
    def tally(self) -> Tally:
        return self._scan.tally

    @property
    def done(self) -> int:
        return self.master.done

    @property
    def faces(self) -> int:
        return self.master.faces

    @property
    def failed(self) -> int:
        return self.master.failed

    def stop(self) -> None:
        """Asks run() to end as soon as the photos in hand are finished. For any thread, or a signal handler."""
        self.stopped = True
        self._scan.stop()

    def run(self) -> None:
        """Returns when everything is done, or stop() was called.

        Raises StoreError when the database or the crops can't be written, WorkerError when no engine starts. In every
        case what was stored is kept, and the next run goes on from there.
        """
        scanning = threading.Thread(target=self._scanning, name="scan", daemon=True)
        counting = threading.Thread(target=self._counting, name="count", daemon=True)
        try:
            scanning.start()
            counting.start()
            while not self.stopped:
                scanned = not scanning.is_alive()
                if self._scan_error or self._session.error:
                    raise self._scan_error or self._session.error  # type: ignore[misc]
                if scanned:
                    self._scan.drain()
                self.master.round(time.monotonic(), ROUND_SECONDS)
                if scanned and self.master.idle:
                    return
        finally:
            self._scan.stop()
            scanning.join()
            self._session.stop()
            if not self._session.error and not self._scan_error:
                self.master.round(time.monotonic(), 0, deal=False)  # what was finished while we stopped
            self._decoder.close()

    def _scanning(self) -> None:
        try:
            self._scan.run()
        except BaseException as error:  # handed to run(), which ends; what was recorded is kept
            self._scan_error = error

    def _counting(self) -> None:
        files = count_files(self._root, self._ignore, lambda: self.stopped)
        if not self.stopped:
            self.total = files
