"""Embedded mode: master and worker in one command, over the memory bus and SQLite."""

from __future__ import annotations

import threading
from pathlib import Path

from common.bus.memory import MemoryBus
from common.config import Config
from common.imaging.decoder import Decoder, Limits
from common.imaging.formats import usable_again
from common.messages import PhotoJob, PhotoResult, decode
from common.model import Recipe
from master.collect import collect
from master.crops import Crops
from master.fleet.deal import Dealer
from master.scan.scan import Scan, Tally, count_files
from master.store import Store
from worker.session import Session, Settings

LOOKAHEAD = 1  # job more than there are slots, so that no slot waits for the master
ANSWER_SECONDS = 0.2  # between looks at what else is to do, while no answer comes
WORKER = "embedded"


class IndexRun:
    """One run of `faceswarm index`: run() does the work, the figures are for whoever shows progress meanwhile."""

    def __init__(self, root: Path, *, store: Store, crops: Crops, recipe: Recipe, slots: int, config: Config) -> None:
        limits = Limits(**config.decode.model_dump())
        self._store = store
        self._crops = crops
        self._ignore = [*config.main.ignore_path_for_scanning, str(crops.folder)]
        self._root = str(root)
        store.want(str(recipe))
        for lost in store.attempts():  # of a run that was killed: they count, since one of their photos may be why
            store.end_attempt(lost.photo, lost.recipe, lost.attempt, counts=True)
        self._bus = MemoryBus()
        topics = config.kafka
        self._answers = self._bus.reader(topics.image_recognise_result_topic)
        self._dealer = Dealer(
            store, lambda job: self._bus.publish(topics.image_recognise_topic, job), slots + LOOKAHEAD
        )
        self._session = Session(
            self._bus,
            self._bus.reader(topics.image_recognise_topic),
            topics.image_recognise_result_topic,
            Settings(self._root, WORKER, limits),
            slots,
        )
        self._decoder = Decoder(limits)
        self._scan = Scan(self._root, store=store, decoder=self._decoder, ignore=self._ignore, usable=usable_again())
        self.stopped = False  # stop() was called
        self._scan_error: BaseException | None = None
        self.backlog = store.counts().todo  # photos known and to do before this run
        self.total: int | None = None  # files below the root, once counted
        self.done = 0  # photos with a result
        self.faces = 0
        self.failed = 0  # photos

    @property
    def tally(self) -> Tally:
        return self._scan.tally

    def stop(self) -> None:
        """Asks run() to end as soon as the photos in hand are finished. For any thread, or a signal handler."""
        self.stopped = True
        self._scan.stop()

    def run(self) -> None:
        """Returns when everything is done, or stop() was called.

        Raises StoreError when the database or the crops can't be written, WorkerError when no engine
        starts. In every case what was stored is kept, and the next run goes on from there.
        """
        scanning = threading.Thread(target=self._scanning, name="scan", daemon=True)
        counting = threading.Thread(target=self._counting, name="count", daemon=True)
        try:
            scanning.start()
            counting.start()
            while True:
                scanned = not scanning.is_alive()
                if self._scan_error:
                    raise self._scan_error
                if scanned:
                    self._scan.drain()
                if not self.stopped:
                    self.failed += len(self._dealer.deal())
                if not self._dealer.in_flight and (scanned or self.stopped):
                    return
                self._collect()
        finally:
            self._scan.stop()
            scanning.join()
            self._session.stop()
            self._decoder.close()

    def _collect(self) -> None:
        if (record := self._answers.read(ANSWER_SECONDS)) is None:
            if self._session.error:
                raise self._session.error
            return
        answer = decode(record.value)
        assert not isinstance(answer, PhotoJob)
        outcome = collect(answer, store=self._store, crops=self._crops, look_again=self._scan.look_again)
        self._dealer.answered(answer.photo, answer.recipe)
        if outcome == "stored" and isinstance(answer, PhotoResult):
            self.done += 1
            self.faces += len(answer.faces)
        elif outcome == "failed":
            self.failed += 1

    def _scanning(self) -> None:
        try:
            self._scan.run()
        except BaseException as error:  # handed to run(), which ends; what was recorded is kept
            self._scan_error = error

    def _counting(self) -> None:
        files = count_files(self._root, self._ignore, lambda: self.stopped)
        if not self.stopped:
            self.total = files
