"""`faceswarm index`: an index run with its progress, its signals and its summary."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from common.config import Config
from faceswarm.embedded import IndexRun
from faceswarm.exits import CommandError, Exit
from faceswarm.listings import by_reason
from faceswarm.progress import Progress, duration
from master.crops import Crops
from master.store.sqlite import SqliteStore
from worker.engines.convert import load_models
from worker.engines.onnx import OnnxEngine


def index_folder(root: Path, database: Path, crops_folder: Path, jobs: int | None, config: Config) -> Exit:
    """Runs until everything below ``root`` is done or the user stops it; prints progress and a summary."""
    if not root.is_dir():
        raise CommandError(Exit.ROOT, f"{root} is not a folder, or its drive is not mounted. Nothing was changed.")
    load_models()  # the first run converts them, once for all slots
    store = SqliteStore(database)
    crops = Crops(crops_folder)
    with store.writing():
        started = time.monotonic()
        slots = jobs or len(os.sched_getaffinity(0))
        run = IndexRun(root, store=store, crops=crops, recipe=OnnxEngine.recipe, slots=slots, config=config)
        _stop_on_signals(run)
        with Progress(run):
            run.run()
    _summary(run, store, crops, time.monotonic() - started)
    store.close()
    if run.stopped:
        return Exit.INTERRUPTED
    return Exit.OK if run.tally.complete else Exit.ROOT


def _stop_on_signals(run: IndexRun) -> None:
    def stop(number: int, _: object) -> None:
        if run.stopped and number == signal.SIGINT:
            os._exit(Exit.INTERRUPTED)  # asked twice: what is in hand is dealt again by the next run
        run.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def _summary(run: IndexRun, store: SqliteStore, crops: Crops, seconds: float) -> None:
    tally, counts = run.tally, store.counts()
    answered = run.done + run.failed
    click.echo(f"Photos    {counts.photos:,} in {counts.files:,} files")
    seen = [
        ("new", tally.new),
        ("moved", tally.moved),
        ("copies", tally.copies),
        ("changed in their tags only", tally.retagged),
        ("unchanged", tally.unchanged),
        ("no longer there", tally.missing),
    ]
    click.echo("This run  " + (", ".join(f"{number:,} {word}" for word, number in seen if number) or "no file seen"))
    click.echo(f"Faces     {counts.faces:,}, of which {run.faces:,} found now")
    if counts.failed:
        click.echo(f"Failed    {by_reason(counts.failed)}   (`faceswarm failures` lists them)")
    if counts.skipped:
        click.echo(f"Skipped   {by_reason(counts.skipped)}")
    if counts.todo:
        click.echo(f"To do     {counts.todo:,}; run the same command again to go on")
    if answered:
        click.echo(f"Speed     {answered / seconds:.1f} photos/s, {answered:,} in {duration(seconds)}")
    click.echo(f"Database  {store.file}")
    click.echo(f"Crops     {crops.folder}")
    if tally.missing and not tally.unchanged:
        click.echo(
            "Note      Nothing of the last run is below this folder; its faces are kept, and shown again when it is"
        )
        click.echo("          back. To keep two collections apart, give each a database of its own with --db FILE.")
    for problem in tally.problems:
        click.echo(f"Problem   {problem}")
