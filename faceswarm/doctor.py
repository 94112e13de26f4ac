"""`faceswarm doctor`: is everything there, and if not, what to do."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import psutil

from common.imaging.formats import FORMATS, missing_formats
from faceswarm.exits import Exit
from master.store import StoreError
from worker.engines.convert import ModelError, load_models
from worker.slot import make_engine

MIN_MEMORY = 1_000_000_000  # bytes; one slot with a 20 MP photo takes about half of it
MIN_DISK = 1_000_000_000  # bytes; crops take about 10 kB a face


class Finding(NamedTuple):
    """One thing looked at. ``ok`` is None for what is only told."""

    what: str
    ok: bool | None
    message: str


def examine(database: Path, crops: Path, as_json: bool) -> Exit:
    """Prints every finding; the exit code says whether one needs attention."""
    healthy = True
    for finding in _findings(database, crops):
        healthy = healthy and finding.ok is not False
        if as_json:
            click.echo(json.dumps(finding._asdict()))
        else:
            mark = {True: "ok   ", False: "WRONG", None: "     "}[finding.ok]
            click.echo(f"{mark} {finding.what:9} {finding.message}")
    return Exit.OK if healthy else Exit.UNHEALTHY


def _findings(database: Path, crops: Path) -> Iterator[Finding]:
    memory = psutil.virtual_memory().total
    yield Finding(
        "computer",
        memory >= MIN_MEMORY,
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {memory / 1e9:.1f} GB of memory"
        + ("" if memory >= MIN_MEMORY else "; at least 1 GB is needed"),
    )
    yield _tried("models", lambda: f"ready in {load_models().detector.parent}")
    yield _tried("engine", lambda: f"{make_engine(threads=1).recipe}, on the processor")
    yield Finding("formats", None, ", ".join(sorted(FORMATS)))
    for name, remedy in missing_formats():
        yield Finding("formats", None, f"{name} photos are skipped: {remedy}")
    yield _database(database)
    yield _writable("crops", crops)


def _tried(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except (ModelError, ImportError, OSError) as error:
        return Finding(what, False, str(error))


def _database(database: Path) -> Finding:
    from master.store.sqlite import SqliteStore, refuse_network

    try:
        if not database.exists():
            refuse_network(database)
            return _writable("database", database)
        store = SqliteStore(database)
        counts = store.counts()
        store.close()
    except StoreError as error:
        return Finding("database", False, str(error))
    return Finding("database", True, f"{database}: {counts.photos:,} photos, {counts.faces:,} faces")


def _writable(what: str, path: Path) -> Finding:
    folder = next(parent for parent in [path, *path.absolute().parents] if parent.is_dir())
    if not os.access(folder, os.W_OK):
        return Finding(what, False, f"{folder} can't be written by this user; choose another place")
    free = shutil.disk_usage(folder).free
    ok = free >= MIN_DISK
    return Finding(what, ok, f"{path}, {free / 1e9:.0f} GB free" + ("" if ok else "; at least 1 GB should be"))
