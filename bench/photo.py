"""One 20 MP photo, one core, against what the predecessor does: `make bench-photo`.

The predecessor's way: face_recognition.load_image_file, face_locations (HOG, enlarged once) and face_encodings. Beside
it the same with dlib's CNN on a copy scaled to the width that we search. Each way is run in turn, several times.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.compose import large_photo
from common.imaging.decoder import Decoder, Limits
from common.model import Box
from worker.engines.onnx import OnnxEngine
from worker.handle import find_faces

ROUNDS = 3
SAME_FACE = 0.4  # intersection over union


def main(data: Path) -> None:
    """Prints times, ratios, and whether every face of the predecessor was found."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import face_recognition
    import numpy as np
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder, Decoder(Limits()) as decoder:
        photo = large_photo(data, Path(folder) / "large.jpg")
        engine = OnnxEngine(threads=1)
        find_faces(photo, decoder=decoder, engine=engine)  # the models are loaded and warm, as in any longer run

        def ours() -> list[Box]:
            return [Box(*face.box) for face in find_faces(photo, decoder=decoder, engine=engine).faces]

        def predecessor() -> list[Box]:
            picture = face_recognition.load_image_file(str(photo))
            found = face_recognition.face_locations(picture)
            face_recognition.face_encodings(picture, found)
            return [Box(left, top, right - left, bottom - top) for top, right, bottom, left in found]

        def with_cnn() -> list[Box]:
            picture = face_recognition.load_image_file(str(photo))
            scale = picture.shape[1] / engine.detection_side
            small = Image.fromarray(picture).resize((engine.detection_side, round(picture.shape[0] / scale)))
            found = face_recognition.face_locations(np.asarray(small), number_of_times_to_upsample=0, model="cnn")
            found = [tuple(round(side * scale) for side in box) for box in found]
            face_recognition.face_encodings(picture, found)
            return [Box(left, top, right - left, bottom - top) for top, right, bottom, left in found]

        times: dict[Callable[[], list[Box]], list[float]] = {ours: [], predecessor: [], with_cnn: []}
        boxes = {}
        for _ in range(ROUNDS):
            for way, seconds in times.items():
                for _ in range(3 if way is ours else 1):
                    began = time.perf_counter()
                    boxes[way] = way()
                    seconds.append(time.perf_counter() - began)
        megabytes = photo.stat().st_size / 1e6
    mine = statistics.median(times[ours])
    print(f"20 MP photo of {megabytes:.1f} MB, one core, median of {ROUNDS} rounds")
    print("| way | seconds | faces | of them found by us | ratio |\n|---|---|---|---|---|")
    for way, seconds in times.items():
        found = sum(any(box.iou(other) >= SAME_FACE for other in boxes[ours]) for box in boxes[way])
        theirs = statistics.median(seconds)
        print(f"| {way.__name__} | {theirs:.2f} | {len(boxes[way])} | {found} | {theirs / mine:.1f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
