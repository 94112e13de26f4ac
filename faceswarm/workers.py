"""`faceswarm workers`, and the workers in `faceswarm status`: as the master saw them a moment ago."""

from __future__ import annotations

import json
from typing import Any

import click

from common.model import work
from faceswarm.exits import CommandError, Exit
from faceswarm.progress import duration
from master.fleet.fleet import within_hours
from master.store import Manners, Store

USUAL_MEGAPIXELS = 12.0  # of the photos still to do, whose sizes are not looked up for an estimate


def known_workers(store: Store) -> list[dict[str, Any]]:
    """The workers that are there, each with its manners; empty without a swarm."""
    manners = {worker.name: worker.manners for worker in store.workers()}
    workers: list[dict[str, Any]] = json.loads(store.note("fleet") or "[]")
    for worker in workers:
        worker["manners"] = manners.get(worker["worker"], Manners())._asdict()
    return workers


def show_workers(workers: list[dict[str, Any]], todo: int) -> None:
    """A line for each, and what they need together for what is to do."""
    throughput = 0.0
    for worker in workers:
        rate = worker["rate"]
        each = f"{rate * work(USUAL_MEGAPIXELS):.2f} s a photo" if rate else "not measured yet"
        if rate and worker["accepts"]:
            throughput += worker["slots"] / rate / work(USUAL_MEGAPIXELS)
        state = worker["problem"] or ", ".join(
            f"{name} {value}" if value is not True else name for name, value in worker["manners"].items() if value
        )
        click.echo(
            f"Worker    {worker['worker']}  {worker['architecture']}, {worker['engine']}, {worker['slots']} slots,"
            f" {each}, share {worker['share']:.0%}, {worker['in_flight']} in flight,"
            f" heard {worker['silent_seconds']:.0f} s ago" + (f"  ({state})" if state else "")
        )
    if throughput and todo:
        click.echo(f"To go     {duration(todo / throughput)} at {throughput:.1f} photos/s")
        for worker in workers:
            if worker["rate"] and worker["accepts"]:
                more = throughput + worker["slots"] / worker["rate"] / work(USUAL_MEGAPIXELS)
                click.echo(f"          one more like {worker['worker']}: {duration(todo / more)}")


def list_workers(store: Store, as_json: bool) -> None:
    """Prints every worker that is there."""
    workers = known_workers(store)
    if as_json:
        for worker in workers:
            click.echo(json.dumps(worker))
    elif workers:
        show_workers(workers, 0)
    else:
        click.echo("No worker has been heard of. `faceswarm worker` starts one.")


def set_manners(
    store: Store, name: str, pause: bool | None, drain: bool, hours: str | None, max_load: float | None
) -> None:
    """Keeps what is asked of a worker; the master follows within seconds."""
    manners = next((worker.manners for worker in store.workers() if worker.name == name), Manners())
    if hours is not None:
        try:
            within_hours("0-24" if hours == "always" else hours, 0)
        except ValueError as error:
            raise CommandError(Exit.USAGE, f'{hours} are no hours of the day; write "22-7" or "always".') from error
        manners = manners._replace(hours=None if hours == "always" else hours)
    if max_load is not None:
        manners = manners._replace(max_load=max_load or None)
    if pause is not None:
        manners = manners._replace(paused=pause, drain=False)
    if drain:
        manners = manners._replace(drain=True)
    store.put_manners(name, manners)
    click.echo(
        f"{name}: " + (", ".join(f"{key} {value}" for key, value in manners._asdict().items() if value) or "as it is")
    )
