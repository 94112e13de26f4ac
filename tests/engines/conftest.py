"""Pixels that several of these tests look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from worker.engines import Pixels
from worker.engines.convert import ModelPaths, load_models


@pytest.fixture(scope="session")
def models() -> ModelPaths:
    """The converted models; the first run of the tests on a machine converts them."""
    return load_models()


@pytest.fixture(
    scope="session",
    params=[
        "astronaut",
        "astronaut turned",
        "astronaut enlarged",
        "groups/compreface_015_6.jpg",
        "groups/wider_train_20_Family_Group_Family_Group_20_59.jpg",
        "identities/az_Family1-Mom/Family1-Mom1.jpg",
    ],
)
def photo(request: pytest.FixtureRequest, astronaut: Image.Image) -> Pixels:
    """Photos with faces: one that everybody has, and some of the shared data where that is."""
    views: dict[str, Callable[[], Image.Image]] = {
        "astronaut": lambda: astronaut,
        "astronaut turned": lambda: astronaut.rotate(25, Image.Resampling.BICUBIC, expand=True),
        "astronaut enlarged": lambda: astronaut.resize((2000, 2000), Image.Resampling.BICUBIC),
    }
    if request.param in views:
        return np.asarray(views[request.param]())
    shared: Path = request.getfixturevalue("shared_data")
    return np.asarray(Image.open(shared / request.param).convert("RGB"))
