"""What every engine promises, whatever runs its networks."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from common.model import Recipe
from worker.engines import Description, Detection, Engine, Pixels, Rectangle
from worker.engines.onnx import OnnxEngine


@pytest.fixture(scope="module", params=["onnx"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    engines = {"onnx": OnnxEngine}
    return engines[request.param]()


@pytest.fixture(scope="module")
def portrait(engine: Engine, astronaut: Image.Image) -> Pixels:
    """The astronaut in the size that the engine wants."""
    return _sized(astronaut, engine.detection_side)


@pytest.fixture(scope="module")
def found(engine: Engine, portrait: Pixels) -> list[Detection]:
    """What the engine finds in it."""
    return engine.detect(portrait)


@pytest.fixture(scope="module")
def face(engine: Engine, found: list[Detection]) -> Rectangle:
    """The astronaut's face, in pixels of the photo of 512 px."""
    return _scaled(found[0].rectangle, 512 / engine.detection_side)


def test_the_one_face_is_found(engine: Engine, found: list[Detection]) -> None:
    """The astronaut's face is found where it is, once."""
    (detection,) = found
    left, top, right, bottom = (side * 512 / engine.detection_side for side in detection.rectangle)
    assert 155 < left < 205 < 245 < right < 290
    assert 50 < top < 100 < 145 < bottom < 195
    assert detection.score > 0.5


def test_types_are_plain(found: list[Detection]) -> None:
    """Rectangles and scores are Python's floats, which every serialiser takes."""
    assert {type(value) for value in (*found[0].rectangle, found[0].score)} == {float}


def test_detection_is_deterministic(engine: Engine, portrait: Pixels, found: list[Detection]) -> None:
    """The same pixels give the same faces, to the last bit."""
    assert engine.detect(portrait.copy()) == found


def test_the_best_comes_first(engine: Engine, astronaut: Image.Image) -> None:
    """A face is found before its blurred copy, though that stands first in the picture."""
    canvas = Image.new("RGB", (1024, 512))
    for place, side in enumerate([60, 512]):
        canvas.paste(astronaut.resize((side, side)).resize((512, 512), Image.Resampling.BICUBIC), (512 * place, 0))
    sharp, blurred = engine.detect(_sized(canvas, engine.detection_side))
    assert sharp.score > blurred.score
    assert sharp.rectangle.left > blurred.rectangle.left


def test_no_face_no_detection(engine: Engine, faceless: Image.Image) -> None:
    """Nothing is found where nobody is."""
    assert engine.detect(_sized(faceless, engine.detection_side)) == []


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 1500), (3, 1500), (1500, 3), (20, 1500), (1500, 20), (6, 6), (7, 7), (29, 31)]
)
def test_tiny_and_narrow_pictures_hold_no_face(engine: Engine, size: tuple[int, int]) -> None:
    """Pictures of any size may come, down to a pixel."""
    assert engine.detect(np.random.default_rng(2).integers(0, 256, (*size, 3), dtype=np.uint8)) == []


def test_pictures_may_be_views(engine: Engine, portrait: Pixels, found: list[Detection]) -> None:
    """A picture that is a part of a larger array gives what its copy gives."""
    large = np.zeros((portrait.shape[0] + 10, portrait.shape[1] + 20, 3), np.uint8)
    large[5:-5, 10:-10] = portrait
    view = large[5:-5, 10:-10]
    assert engine.detect(view) == found
    _assert_same(engine.describe([(view, found[0].rectangle)])[0], engine.describe([(portrait, found[0].rectangle)])[0])


def test_a_description_has_the_promised_shapes(engine: Engine, astronaut: Image.Image, face: Rectangle) -> None:
    """Landmarks are five points in the face, the embedding is 128 numbers."""
    (description,) = engine.describe([(np.asarray(astronaut), face)])
    assert (description.landmarks.shape, description.landmarks.dtype) == ((5, 2), np.float64)
    assert (description.embedding.shape, description.embedding.dtype) == ((128,), np.float32)
    assert (type(description.doubt), type(description.sharpness)) == (float, float)
    assert np.all((description.landmarks > face[:2]) & (description.landmarks < face[2:]))
    assert 0 < description.doubt < 0.5
    assert description.sharpness > 0


def test_many_faces_are_described_as_one_by_one(engine: Engine, astronaut: Image.Image, face: Rectangle) -> None:
    """Each face has its own patch, and its description does not depend on the others of the same call."""
    faces = []
    for side in range(150, 512, 20):
        left, top = max(0, round(face.left) - side // 3), max(0, round(face.top) - side // 3)
        patch = np.asarray(astronaut.crop((left, top, 512, 512)))
        faces.append((patch, Rectangle(*np.subtract(face, (left, top, left, top)).tolist())))
    descriptions = engine.describe(faces)
    assert len(descriptions) == len(faces) > 16
    for face_and_patch, description in zip(faces, descriptions, strict=True):
        _assert_same(engine.describe([face_and_patch])[0], description)


def test_no_faces_no_descriptions(engine: Engine) -> None:
    """An empty call gives an empty answer."""
    assert engine.describe([]) == []


def test_a_patch_gives_what_the_whole_photo_gives(engine: Engine, astronaut: Image.Image, face: Rectangle) -> None:
    """Half a face around the face is enough."""
    width, height = face.right - face.left, face.bottom - face.top
    left, top = int(face.left - width / 2), int(face.top - height / 2)
    patch = astronaut.crop((left, top, int(face.right + width / 2), int(face.bottom + height / 2)))
    near = Rectangle(*np.subtract(face, (left, top, left, top)).tolist())
    whole, part = engine.describe([(np.asarray(astronaut), face), (np.asarray(patch), near)])
    assert np.array_equal(part.landmarks, whole.landmarks - (left, top))
    assert np.linalg.norm(part.embedding - whole.embedding) < 0.02


@pytest.mark.parametrize("scale", [0.7, 1.5, 3])
def test_the_size_of_the_patch_hardly_matters(
    engine: Engine, astronaut: Image.Image, face: Rectangle, scale: float
) -> None:
    """The same face smaller or larger has nearly the same embedding."""
    (plain,) = engine.describe([(np.asarray(astronaut), face)])
    (other,) = engine.describe([(_sized(astronaut, round(512 * scale)), _scaled(face, round(512 * scale) / 512))])
    assert np.linalg.norm(plain.embedding - other.embedding) < 0.25


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_turned_and_put_upright_is_the_same(
    engine: Engine, astronaut: Image.Image, portrait: Pixels, found: list[Detection], quarters: int
) -> None:
    """Quarter turns and back lose nothing, also where they leave pixels in another order in memory."""
    turned = np.rot90(np.ascontiguousarray(np.rot90(portrait, quarters)), -quarters)
    assert engine.detect(turned) == found
    _assert_same(
        engine.describe([(turned, found[0].rectangle)])[0], engine.describe([(portrait, found[0].rectangle)])[0]
    )


@pytest.mark.parametrize(
    "rectangle", [(-900, -900, -800, -800), (5000, 100, 5100, 200), (0, 0, 0, 0), (-200, -200, 712, 712)]
)
def test_any_rectangle_is_described(engine: Engine, astronaut: Image.Image, rectangle: tuple[float, ...]) -> None:
    """A rectangle that is empty or outside its patch gives a description, worth nothing, and no error."""
    (description,) = engine.describe([(np.asarray(astronaut), Rectangle(*rectangle))])
    assert np.isfinite(description.embedding).all()


def test_a_blurred_face_is_less_sharp(engine: Engine, astronaut: Image.Image, face: Rectangle) -> None:
    """Sharpness tells a face from its blurred copy."""
    blurred = astronaut.resize((128, 128), Image.Resampling.BOX).resize((512, 512), Image.Resampling.BICUBIC)
    sharp, soft = engine.describe([(np.asarray(astronaut), face), (np.asarray(blurred), face)])
    assert soft.sharpness < 0.5 * sharp.sharpness


def test_the_recipe_survives_its_key(engine: Engine) -> None:
    """An engine says by a key how its faces were made."""
    assert Recipe.parse(str(engine.recipe)) == engine.recipe
    assert str(engine.detection_side) in engine.recipe.detection


def _sized(photo: Image.Image, side: int) -> Pixels:
    scale = side / max(photo.size)
    return np.asarray(photo.resize([round(length * scale) for length in photo.size], Image.Resampling.BICUBIC))


def _scaled(rectangle: Rectangle, scale: float) -> Rectangle:
    return Rectangle(*(side * scale for side in rectangle))


def _assert_same(one: Description, other: Description) -> None:
    assert np.array_equal(one.landmarks, other.landmarks)
    assert np.array_equal(one.embedding, other.embedding)
    assert (one.doubt, one.sharpness) == (other.doubt, other.sharpness)
