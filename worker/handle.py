"""One photo in, its faces out. The only place that knows the order: decode, detect, align, embed, crop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from os import PathLike
from typing import Any

from common.imaging.decoder import Decoder, Probe
from common.imaging.encode import crop_face
from common.imaging.errors import PhotoError
from common.messages import MAX_FACES, Answer, Changed, FaceFound, Failure, Milliseconds, PhotoJob, PhotoResult
from common.model import Box
from common.paths import local_path
from worker.engines import Engine, Rectangle

MIN_FACE_SIDE = 140  # px; the side of a face from which its 150 px chip (padding .20) is not enlarged


@dataclass(frozen=True)
class Found:
    """The faces of one file, best score first, and what the file is."""

    probe: Probe
    faces: tuple[FaceFound, ...]
    ms: Milliseconds


def find_faces(path: str | PathLike[str], *, decoder: Decoder, engine: Engine) -> Found:
    """Every face of the photo at a path of this machine.

    Raises PhotoError when the file shows no picture that can be used, OSError when it can't be read.
    """
    started = time.perf_counter()
    probe, picture = decoder.open(path, engine.detection_side)
    opened = time.perf_counter()
    detections = engine.detect(picture)[:MAX_FACES]
    detected = time.perf_counter()

    across, down = probe.width / picture.shape[1], probe.height / picture.shape[0]
    boxes, scores = [], []
    for detection in detections:
        left, top, right, bottom = detection.rectangle
        x, y = round(left * across), round(top * down)
        box = Box(x, y, max(round(right * across) - x, 1), max(round(bottom * down) - y, 1))
        if box.clipped(probe.width, probe.height):
            boxes.append(box)
            scores.append(detection.score)
    patches = decoder.patches(boxes, MIN_FACE_SIDE)
    cut = time.perf_counter()
    described = engine.describe(
        [
            (
                patch.pixels,
                Rectangle(
                    (box.x - patch.x) / patch.scale_x,
                    (box.y - patch.y) / patch.scale_y,
                    (box.x + box.width - patch.x) / patch.scale_x,
                    (box.y + box.height - patch.y) / patch.scale_y,
                ),
            )
            for box, patch in zip(boxes, patches)
        ]
    )
    faces = []
    for box, score, patch, description in zip(boxes, scores, patches, described):
        inside = box.clipped(probe.width, probe.height)
        assert inside  # the others were dropped above
        faces.append(
            FaceFound(
                box=inside,
                score=round(score, 4),
                landmarks=tuple(
                    # Landmarks are centres of pixels, half a pixel from their edges, by which patches are placed.
                    (
                        round(patch.x + (x + 0.5) * patch.scale_x - 0.5, 1),
                        round(patch.y + (y + 0.5) * patch.scale_y - 0.5, 1),
                    )
                    for x, y in description.landmarks.tolist()
                ),
                embedding=description.embedding.astype("<f4").tobytes(),
                doubt=round(description.doubt, 4),
                sharpness=round(description.sharpness, 2),
                crop=crop_face(patch, box),
            )
        )
    ended = time.perf_counter()
    decoding, embedding = opened - started + cut - detected, ended - cut
    return Found(probe, tuple(faces), _milliseconds(decoding, detected - opened, embedding, ended - started))


def _milliseconds(decode: float, detect: float, embed: float, total: float) -> Milliseconds:
    return Milliseconds(
        decode=round(decode * 1000, 1),
        detect=round(detect * 1000, 1),
        embed=round(embed * 1000, 1),
        total=round(total * 1000, 1),
    )


def handle(job: PhotoJob, *, decoder: Decoder, engine: Engine, root: str, worker: str) -> Answer:
    """The answer to a job; ``root`` is where this machine has the photos. Whatever the file is, there is an answer."""
    what: dict[str, Any] = {**job.model_dump(include={"photo", "recipe", "path", "attempt"}), "worker": worker}
    try:
        found = find_faces(local_path(root, job.path), decoder=decoder, engine=engine)
    except PhotoError as error:
        # The photo is kept as failed, with this class and message; its file is left as it is.
        return Failure(**what, kind=error.kind, message=str(error))
    except FileNotFoundError:
        # Renamed or deleted since it was scanned: the master looks where the picture is now.
        return Changed(**what)
    except OSError as error:
        return Failure(**what, kind="unreadable", message=unreadable(error))
    if str(found.probe.photo) != job.photo:
        return Changed(**what)
    return PhotoResult(**what, megapixels=found.probe.width * found.probe.height / 1e6, faces=found.faces, ms=found.ms)


def unreadable(error: OSError) -> str:
    """What a user can do about a file that can't be read."""
    return f"The file can't be read ({error.strerror or error}). Check its permissions and the drive that it is on."
