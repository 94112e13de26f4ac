"""Messages and values with defaults, so that a test names only what it is about."""

from __future__ import annotations

import struct

from common.messages import Changed, FaceFound, Failure, Heartbeat, Held, LaneGiven, Milliseconds, PhotoResult
from common.model import Box
from master.store import File, Photo

RECIPE = "detector/encoder"


def key(letter: str, orientation: int = 1) -> str:
    """A photo's key, told apart by a letter."""
    return letter * 64 + (f".{orientation}" if orientation != 1 else "")


def known_file(path: str, photo: str = key("a"), **more: object) -> tuple[File, Photo]:
    """A file with a photo, as a scan records it."""
    folder, _, name = path.rpartition("/")
    values = {"size": 10, "mtime_ns": 1, "sha256": "f" * 64, **more}
    return File(folder, name, photo=photo, **values), Photo(photo, 640, 480, "JPEG")  # type: ignore[arg-type]


def face(x: int = 10, crop: bytes = b"jpeg") -> FaceFound:
    """A face at column x."""
    return FaceFound(
        box=Box(x, 20, 30, 40),
        score=1.0,
        landmarks=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10)),
        embedding=struct.pack("<128f", *range(128)),
        doubt=0.1,
        sharpness=5.0,
        crop=crop,
    )


def result(photo: str = key("a"), *faces: FaceFound, worker: str = "w", path: str = "a.jpg") -> PhotoResult:
    """A worker's answer with these faces."""
    ms = Milliseconds(decode=1, detect=2, embed=3, total=6)
    return PhotoResult(photo=photo, recipe=RECIPE, path=path, attempt=1, worker=worker, faces=faces, ms=ms)


def failure(photo: str = key("a"), kind: str = "truncated", path: str = "a.jpg") -> Failure:
    """A worker's answer that says why there is none."""
    return Failure(photo=photo, recipe=RECIPE, path=path, attempt=1, worker="w", kind=kind, message="Half of it.")


HEARTBEAT = Heartbeat(
    worker="pi", incarnation="1", architecture="armv7l", engine="onnx", recipe=RECIPE, slots=1, rate=1.5,
    generation=3, held=(Held(key("a"), RECIPE, 2),),
)  # fmt: skip
LANE = LaneGiven(worker="pi", incarnation="1", epoch=4, lane=2, generation=3, offsets={"jobs": 17}, samples=("a.jpg",))


def changed(photo: str = key("a"), path: str = "a.jpg") -> Changed:
    """A worker's answer that the path shows something else."""
    return Changed(photo=photo, recipe=RECIPE, path=path, attempt=1, worker="w")
