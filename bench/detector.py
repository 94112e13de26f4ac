"""Our detector against dlib's, and both against the truth: `make bench-detector`.

``groups`` of the data holds photos and a ground_truth.json with `boxes_xywh` or `nose_points` for each. Takes some
seven seconds a photo, nearly all of them dlib's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import dlib
import numpy as np
from PIL import Image, ImageOps

from common.model import Box
from worker.engines.convert.weights import DETECTOR
from worker.engines.onnx import OnnxEngine

SAME_FACE = 0.4  # IoU
WANTED_SIZE = 0.05  # of the photo's width: the smallest face that has to be found, sqrt of its box's area
LEAST_RECALL, HIGHEST_UNMATCHED = 0.985, 0.5  # required against dlib's network

Found = tuple[Box, float]
T = TypeVar("T")


def main(folder: Path, sample: int | None) -> None:
    """Prints the two tables. Exits with 1 if what is required is not met."""
    truth = json.loads((folder / "ground_truth.json").read_text())
    names = sorted(truth)[:: max(len(truth) // sample, 1)][:sample] if sample else sorted(truth)
    engine = OnnxEngine()
    network, hog = dlib.cnn_face_detection_model_v1(str(DETECTOR.path())), dlib.get_frontal_face_detector()

    ours, theirs, hogs, widths = [], [], [], []
    our_time = their_time = hog_time = 0.0
    for name in names:
        photo = ImageOps.exif_transpose(Image.open(folder / name)).convert("RGB")
        widths.append(photo.width)
        scale = engine.detection_side / max(photo.size)
        scaled = np.asarray(photo.resize([round(side * scale) for side in photo.size], Image.Resampling.BICUBIC))
        detections, seconds = _timed(lambda picture=scaled: engine.detect(picture))
        our_time += seconds
        ours.append([(_box(*found.rectangle, scale), found.score) for found in detections])
        detections, seconds = _timed(lambda picture=scaled: network(picture, 0))
        their_time += seconds
        theirs.append([(_dlib_box(found.rect, scale), found.confidence) for found in detections])
        original = np.asarray(photo)
        (boxes, scores, _), seconds = _timed(lambda picture=original: hog.run(picture, 1))
        hog_time += seconds
        hogs.append([(_dlib_box(box, 1), score) for box, score in zip(boxes, scores, strict=True)])

    pairs = [_pairs([box for box, _ in wanted], found) for wanted, found in zip(theirs, ours, strict=True)]
    wanted, matched = sum(map(len, theirs)), sum(map(len, pairs))
    unmatched = sorted(
        (score, name)
        for name, found, paired in zip(names, ours, pairs, strict=True)
        for index, (_, score) in enumerate(found)
        if index not in paired.values()
    )
    print(f"{len(names)} photos of {folder}, long side {engine.detection_side} px, {engine.recipe.detection}\n")
    print("| against dlib's network at the same width | |\n|---|---|")
    print(f"| its boxes found by ours | {matched} of {wanted}, {matched / wanted:.1%} |")
    missed = sorted(
        (score, name)
        for name, boxes, paired in zip(names, theirs, pairs, strict=True)
        for index, (_, score) in enumerate(boxes)
        if index not in paired
    )
    print(f"| its boxes missed by ours, its scores | {_listed(missed)} |")
    print(f"| boxes of ours that it has not, scores | {_listed(unmatched)} |")
    print(f"| its time over ours | {their_time / our_time:.1f} |\n")

    print("| against the truth | faces of 5% found | false boxes | time over ours |\n|---|---|---|---|")
    for title, found, seconds in (
        ("ours", ours, our_time),
        ("dlib's network, same width", theirs, their_time),
        ("dlib's HOG, original photo, upsampled once", hogs, hog_time),
    ):
        recall, false = _against_truth([truth[name] for name in names], found, widths)
        print(f"| {title} | {recall} | {false} | {seconds / our_time:.1f} |")
    if matched < LEAST_RECALL * wanted or any(score > HIGHEST_UNMATCHED for score, _ in unmatched):
        raise SystemExit(1)


def _against_truth(truth: list[dict[str, Any]], found: list[list[Found]], widths: list[int]) -> tuple[str, int]:
    wanted = matched = false = 0
    for known, faces, width in zip(truth, found, widths, strict=True):
        boxes = [Box(*box) for box in known.get("boxes_xywh", [])]
        paired = _pairs(boxes, faces)
        large = [index for index, box in enumerate(boxes) if (box.width * box.height) ** 0.5 >= WANTED_SIZE * width]
        wanted += len(large)
        matched += sum(index in paired for index in large)
        for index, (box, _) in enumerate(faces):
            shows_nose = any(
                0 <= x - box.x < box.width and 0 <= y - box.y < box.height for x, y in known.get("nose_points", [])
            )
            false += index not in paired.values() and not shows_nose
    return f"{matched} of {wanted}, {matched / wanted:.1%}" if wanted else "none wanted", false


def _pairs(wanted: list[Box], found: list[Found]) -> dict[int, int]:
    """Indices of wanted boxes to those of the found ones that show the same face, each used once, closest first."""
    overlaps = sorted(
        ((box.iou(other), index, place) for index, box in enumerate(wanted) for place, (other, _) in enumerate(found)),
        reverse=True,
    )
    pairs: dict[int, int] = {}
    for overlap, index, place in overlaps:
        if overlap >= SAME_FACE and index not in pairs and place not in pairs.values():
            pairs[index] = place
    return pairs


def _box(left: float, top: float, right: float, bottom: float, scale: float) -> Box:
    x, y = round(left / scale), round(top / scale)
    return Box(x, y, round(right / scale) - x, round(bottom / scale) - y)


def _dlib_box(rectangle: dlib.rectangle, scale: float) -> Box:
    return _box(rectangle.left(), rectangle.top(), rectangle.right() + 1, rectangle.bottom() + 1, scale)


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def _listed(boxes: Iterable[tuple[float, str]]) -> str:
    return ", ".join(f"{score:.2f} ({name})" for score, name in boxes) or "none"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sample", type=int, help="only so many of the photos")
    arguments = parser.parse_args()
    main(arguments.data / "groups", arguments.sample)
