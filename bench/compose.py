"""Makes the large photos that are measured, out of the given real ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 6000, 3376  # px; the predecessor's own example: 20 MP, a 12 MB JPEG
GRAIN = 4  # standard deviation of the noise laid over all, without which an enlarged photo makes too small a file
FACES = [0.05, 0.1, 0.15]  # of the photo's width: what the boxes pasted in are wide


def large_photo(data: Path, target: Path, size: tuple[int, int] = SIZE, variant: int = 0) -> Path:
    """Writes a JPEG of the given size: the 20.7 MP camera photo of ``data/large``, scaled and cropped, with faces from
    ``data/groups`` pasted in. Each is enlarged so that its box (from the ground truth) is one of FACES wide.

    ``variant`` takes other faces and other grain, so that the pictures differ.
    """
    width, height = size
    background = next((data / "large").glob("*.jpg"))
    with Image.open(background) as camera:
        scale = max(width / camera.width, height / camera.height)
        page = camera.convert("RGB").resize((round(camera.width * scale), round(camera.height * scale)))
    page = page.crop((0, 0, width, height))
    grain = np.random.default_rng(variant).normal(0, GRAIN, (height, width, 1)).round().astype(np.int16)
    page = Image.fromarray((np.asarray(page) + grain).clip(0, 255).astype(np.uint8))
    truth = json.loads((data / "groups" / "ground_truth.json").read_text())
    candidates = [
        (name, box) for name, photo in sorted(truth.items()) for box in photo.get("boxes_xywh", []) if box[2] >= 80
    ]
    column = 0
    for number, share in enumerate(FACES):
        name, (x, y, w, h) = candidates[(variant * len(FACES) + number * 7) % len(candidates)]
        factor = share * width / w
        with Image.open(data / "groups" / name) as photo:
            around = photo.convert("RGB").crop((x - w // 2, y - h // 2, x + w + w // 2, y + h + h // 2))
        patch = around.resize((round(around.width * factor), round(around.height * factor)), Image.Resampling.BICUBIC)
        page.paste(patch, (column, (height - patch.height) * (number % 2)))
        column += patch.width
    page.save(target, quality=93)
    return target
