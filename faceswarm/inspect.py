"""`faceswarm inspect`: the faces in single photos, without a database."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from common.config import Config
from common.imaging.decoder import Decoder, Limits
from common.imaging.encode import draw_boxes
from common.imaging.errors import PhotoError
from common.model import Box
from faceswarm.exits import CommandError, Exit
from worker.engines import Engine
from worker.handle import Found, find_faces, unreadable
from worker.slot import make_engine

DRAWN_SIDE = 2000  # px of the copies' long side: enough to judge a box on a screen


def inspect_photos(photos: Sequence[Path], as_json: bool, draw: Path | None, config: Config) -> Exit:
    """Prints a line for each photo, also for those that fail."""
    if draw:
        try:
            draw.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(Exit.USAGE, f"{draw} can't be written ({error.strerror}).") from error
    failed = False
    with Decoder(Limits(**config.decode.model_dump())) as decoder:
        engine = make_engine(threads=len(os.sched_getaffinity(0)))
        for path in photos:
            line = _inspect(path, decoder, engine, draw)
            failed = failed or line["error"] is not None
            click.echo(json.dumps(line) if as_json else _for_people(line))
    return Exit.PHOTO_FAILED if failed else Exit.OK


def _inspect(path: Path, decoder: Decoder, engine: Engine, draw: Path | None) -> dict[str, Any]:
    line: dict[str, Any] = dict.fromkeys(["path", "photo", "sha256", "width", "height", "orientation"])
    line |= {"path": str(path), "recipe": str(engine.recipe), "faces": [], "ms": None, "error": None}
    try:
        found = find_faces(path, decoder=decoder, engine=engine)
    except PhotoError as error:
        # Nothing is stored here: the line says what is wrong with this photo, and the next one follows.
        line["error"] = {"class": error.kind, "message": str(error)}
        return line
    except OSError as error:
        line["error"] = {"class": "unreadable", "message": unreadable(error)}
        return line
    if draw:
        _draw(path, draw, decoder, found)
    probe = found.probe
    return line | {
        "photo": probe.photo.picture,
        "sha256": probe.sha256,
        "width": probe.width,
        "height": probe.height,
        "orientation": probe.photo.orientation,
        "faces": [
            {
                "box": face.box._asdict(),
                "score": face.score,
                "landmarks": face.landmarks,
                "embedding": np.frombuffer(face.embedding, "<f4").tolist(),
                "doubt": face.doubt,
                "sharpness": face.sharpness,
            }
            for face in found.faces
        ],
        "ms": found.ms.model_dump(),
    }


def _draw(path: Path, folder: Path, decoder: Decoder, found: Found) -> None:
    probe, pixels = decoder.open(path, min(DRAWN_SIDE, max(found.probe.width, found.probe.height)))
    scale = pixels.shape[1] / probe.width
    boxes = [Box(*(max(round(value * scale), 1) for value in face.box)) for face in found.faces]
    target = folder / f"{path.name}.faces.jpg"
    target.write_bytes(draw_boxes(pixels, boxes, [f"{face.score:.2f}" for face in found.faces]))


def _for_people(line: dict[str, Any]) -> str:
    if line["error"]:
        return f"{line['path']}: {line['error']['class']}. {line['error']['message']}"
    boxes = [
        "{width} x {height} at {x}, {y} (score {score:.2f})".format(**face["box"], score=face["score"])
        for face in line["faces"]
    ]
    number = {0: "no face", 1: "1 face"}.get(len(boxes), f"{len(boxes)} faces")
    return f"{line['path']}: {number}" + "".join(f"\n    {box}" for box in boxes)
