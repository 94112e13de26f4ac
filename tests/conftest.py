"""What many tests need: real pictures with known faces, and the folder of shared data where there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def astronaut() -> Image.Image:
    """A public-domain photo, 512 x 512, with one face."""
    import skimage.data

    return Image.fromarray(skimage.data.astronaut())


@pytest.fixture(scope="session")
def faceless() -> Image.Image:
    """A picture without a face, 640 x 480: smooth colours with some noise."""
    noise = np.random.default_rng(1).integers(0, 30, (480, 640, 3), dtype=np.uint8)
    slope = np.linspace(0, 200, 640, dtype=np.uint8)[None, :, None]
    return Image.fromarray(noise + slope)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real photos of ../shared/data are not here")
    return SHARED


@pytest.fixture
def album(tmp_path: Path, astronaut: Image.Image, faceless: Image.Image) -> Path:
    """A photo root: three photos with a face, one without, one broken, a video, a text, a copy and a subfolder."""
    root = tmp_path / "photos"
    (root / "2024" / "summer").mkdir(parents=True)
    astronaut.save(root / "astronaut.jpg", quality=90)
    astronaut.resize((900, 900)).save(root / "2024" / "large.png")
    album_page = faceless.resize((1200, 800))
    album_page.paste(astronaut.resize((400, 400)), (700, 300))
    album_page.save(root / "2024" / "summer" / "page.webp", quality=95)
    faceless.save(root / "2024" / "nobody.jpg", quality=90)
    (root / "copy of astronaut.jpg").write_bytes((root / "astronaut.jpg").read_bytes())
    (root / "2024" / "half.jpg").write_bytes((root / "astronaut.jpg").read_bytes()[:20_000])
    (root / "clip.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(100))
    (root / "notes.txt").write_text("not a photo")
    return root


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's own database; the cache of models is shared, since it is only read."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
    for name in [name for name in os.environ if name.startswith("FACESWARM_") and name != "FACESWARM_MODELS"]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def needs() -> Callable[[str], str]:
    """Finds a program that a test needs: absent, the test skips on a laptop and fails in CI."""

    def find(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"the program {program} is not installed")
        return str(path)

    return find


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs a broker or a database server is slow."""
    parts = {"kafka", "ferretdb", "mongo_java_server", "mongod"}
    for item in items:
        params = getattr(item, "callspec", None)
        values = set(map(str, params.params.values())) if params else set()
        if parts & (values | set(getattr(item, "fixturenames", ()))):
            item.add_marker(pytest.mark.slow)
