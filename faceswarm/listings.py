"""What the listing commands print: lines for people, JSON lines for programs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from common.model import PhotoId
from faceswarm.workers import known_workers, show_workers
from master.store import Store


def list_faces(store: Store, as_json: bool) -> None:
    """Prints every stored face of the current recipe."""
    for face in store.faces():
        if as_json:
            line = {
                "photo": PhotoId.parse(face.photo).picture,
                "orientation": PhotoId.parse(face.photo).orientation,
                "paths": face.paths,
                "face": face.face,
                "box": face.box._asdict(),
                "score": face.score,
                "doubt": face.doubt,
                "recipe": face.recipe,
                "person": None,
            }
            click.echo(json.dumps(line))
        else:
            x, y, width, height = face.box
            click.echo(f"{face.face}  {width:4} x {height:<4} at {x}, {y}  score {face.score:.2f}  {face.paths[0]}")


def list_failures(store: Store, as_json: bool) -> None:
    """Prints every failure."""
    failures = list(store.failures())
    for failure in failures:
        if as_json:
            fields = failure._asdict()
            fields["class"] = fields.pop("kind")
            fields["photo"] = failure.photo and PhotoId.parse(failure.photo).picture
            click.echo(json.dumps(fields))
        else:
            click.echo(f"{failure.kind}: {failure.path}\n    {failure.message}")
    if not failures and not as_json:
        click.echo("No photo has failed.")


def show_status(store: Store, database: str, crops: Path, as_json: bool) -> None:
    """Prints the figures of the whole store."""
    counts = store.counts()
    if as_json:
        line = {**counts._asdict(), "workers": known_workers(store), "database": database, "crops": str(crops)}
        click.echo(json.dumps(line))
        return
    click.echo(f"Photos    {counts.photos:,} in {counts.files:,} files")
    click.echo(f"Done      {counts.done:,} with {counts.faces:,} faces")
    click.echo(f"To do     {counts.todo:,}")
    click.echo(f"Failed    {by_reason(counts.failed)}{'   (`faceswarm failures` lists them)' if counts.failed else ''}")
    click.echo(f"Skipped   {by_reason(counts.skipped)}")
    if workers := known_workers(store):
        show_workers(workers, counts.todo)
    click.echo(f"Database  {database}")
    click.echo(f"Crops     {crops}")


def by_reason(numbers: dict[str, int]) -> str:
    """ "9: video 8, needs HEIF support 1", most frequent first."""
    total = sum(numbers.values())
    parts = sorted(numbers.items(), key=lambda item: -item[1])
    return f"{total:,}" + (": " + ", ".join(f"{reason} {number:,}" for reason, number in parts) if total else "")
