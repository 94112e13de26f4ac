"""Whatever a file's format, mode and orientation: upright RGB pixels of the size that was asked for."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.imaging.decode import Patch
from common.imaging.decoder import Decoder, Probe
from common.model import ORIENTATIONS, Box
from tests.imaging.pictures import chunk, difference, encoded, stored, with_chunks

WIDTH, HEIGHT = 240, 180
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


TIFF_HEAD = b"II*\0\x08\0\0\0"
HALF_TAG = TIFF_HEAD + b"\xff\xff\x12\x01"
TEXT_TAG = TIFF_HEAD + b"\x01\0\x12\x01\x02\0\x02\0\0\x006\0\0\0" + bytes(4)


@pytest.fixture(scope="module")
def upright(astronaut: Image.Image) -> Image.Image:
    """A picture whose width and height differ, and which is unlike itself however it is turned."""
    return astronaut.crop((0, 0, 512, 384)).resize((WIDTH, HEIGHT))


@pytest.fixture(scope="module")
def large(astronaut: Image.Image) -> Image.Image:
    """Sizes that are no multiple of what JPEG decoders reduce by."""
    return astronaut.crop((0, 0, 512, 342)).resize((1501, 1003), Image.Resampling.BICUBIC)


def grey(image: Image.Image, highest: float, kind: str) -> Image.Image:
    """A grey picture of numbers from 0 to ``highest``."""
    return Image.fromarray((np.asarray(image.convert("L"), np.float64) / 255 * highest).astype(kind))


def seen_through(image: Image.Image) -> Image.Image:
    """The picture, its left half transparent."""
    layer = image.convert("RGBA")
    layer.paste((10, 20, 30, 0), (0, 0, image.width // 2, image.height))
    return layer


def on_white(layer: Image.Image) -> Image.Image:
    """What a person sees of it."""
    page = Image.new("RGBA", layer.size, "white")
    page.alpha_composite(layer.convert("RGBA"))
    return page.convert("RGB")


def case(name: str, upright: Image.Image) -> tuple[bytes, Image.Image]:
    """A file, and what it shows."""
    format_, mode = name.split()[:2]
    layer = seen_through(upright)
    if mode == "I;16":
        return encoded(grey(upright, 65535, "uint16"), format_), upright.convert("L")
    if mode in ("I", "F"):
        highest = float(name.split()[2])
        return encoded(grey(upright, highest, "int32" if mode == "I" else "float32"), format_), upright.convert("L")
    if mode == "P+transparency":
        paletted = layer.convert("RGB").quantize(100)
        hole = paletted.getpixel((0, 0))
        return encoded(paletted, format_, transparency=hole), on_white(layer)
    if mode in ("RGBA", "LA"):
        options = {"lossless": True} if format_ == "WEBP" else {}
        return encoded(layer.convert(mode), format_, **options), on_white(layer.convert(mode))
    if mode == "L+transparency":
        painted = layer.convert("RGB").convert("L")
        painted = painted.point(lambda value: max(value, 1))
        painted.paste(0, (0, 0, WIDTH // 2, HEIGHT))
        return encoded(painted, format_, transparency=0), on_white(layer.convert("LA"))
    if mode == "animated":
        others = [Image.new("RGB", upright.size, colour) for colour in ("red", "blue")]
        return encoded(upright, format_, save_all=True, append_images=others), upright
    image = upright.quantize(256) if mode == "P" else upright.convert(mode, dither=Image.Dither.NONE)
    options = {"quality": 95} if format_ in ("JPEG", "MPO", "WEBP", "AVIF") else {}
    options |= {"compression": name.split()[2]} if len(name.split()) > 2 else {}
    return encoded(image, format_, **options), image


CASES = [
    *("JPEG RGB", "JPEG L", "JPEG CMYK", "MPO animated"),
    *("PNG 1", "PNG L", "PNG LA", "PNG P", "PNG P+transparency", "PNG L+transparency", "PNG RGB", "PNG RGBA"),
    *("PNG I;16", "PNG animated"),
    *("TIFF 1", "TIFF L", "TIFF P", "TIFF RGB", "TIFF RGBA", "TIFF CMYK", "TIFF YCbCr", "TIFF LA", "TIFF animated"),
    *("TIFF RGB tiff_lzw", "TIFF RGB tiff_adobe_deflate", "TIFF RGB jpeg", "TIFF 1 group4"),
    *("TIFF I;16", "TIFF I 255", "TIFF I 65535", "TIFF I 2000000000", "TIFF F 1", "TIFF F 255", "TIFF F 65535"),
    *("GIF P", "GIF L", "GIF P+transparency", "GIF animated"),
    *("WEBP RGB", "WEBP RGBA", "WEBP animated", "AVIF RGB", "AVIF RGBA", "AVIF animated"),
    *("JPEG2000 RGB", "JPEG2000 L", "JPEG2000 RGBA", "JPEG2000 I;16"),
    *("BMP RGB", "BMP L", "BMP 1", "BMP P", "PPM RGB", "PPM L", "PPM 1", "PPM I;16"),
]


@pytest.mark.parametrize("name", CASES)
def test_every_format_and_mode_becomes_rgb_of_the_right_colours(
    decoder: Decoder, tmp_path: Path, upright: Image.Image, name: str
) -> None:
    """At its own size, enlarged and reduced; what is transparent is white, and of many frames the first is shown."""
    data, shown = case(name, upright)
    path = tmp_path / "picture"
    path.write_bytes(data)
    for long_side in (WIDTH, 3 * WIDTH, 100):
        probe, pixels = decoder.open(path, long_side)
        size = (long_side, long_side * HEIGHT // WIDTH)
        assert pixels.dtype == np.uint8
        assert pixels.shape == (size[1], size[0], 3)
        assert difference(pixels, shown.convert("RGB").resize(size, Image.Resampling.BILINEAR)) < 8
        assert (probe.width, probe.height, probe.photo.orientation) == (WIDTH, HEIGHT, 1)
    assert probe.format == name.split()[0].replace("MPO", "JPEG")


@pytest.mark.parametrize("low", [-5.0, 0.0])
def test_numbers_beyond_any_usual_range_are_stretched_to_what_is_there(
    decoder: Decoder, tmp_path: Path, upright: Image.Image, low: float
) -> None:
    """Scientific pictures may be negative or huge, or have no numbers in places."""
    values = np.asarray(grey(upright, 1e6, "float32")).copy() + low
    values[0, :3] = np.nan, np.inf, -np.inf
    path = tmp_path / "picture"
    Image.fromarray(values).save(path, "TIFF")
    reached = np.asarray(upright.convert("L")).max() / 255
    pixels = decoder.open(path, WIDTH)[1].astype(float) * reached
    assert np.abs(pixels - np.asarray(upright.convert("L").convert("RGB"))).mean() < 4


def test_a_picture_of_one_value_decodes(decoder: Decoder, tmp_path: Path) -> None:
    """Nothing is divided by a range of nothing."""
    path = tmp_path / "picture"
    for value in (0.0, -3.0, 1e9):
        Image.fromarray(np.full((4, 4), value, np.float32)).save(path, "TIFF")
        assert decoder.open(path, 4)[1].shape == (4, 4, 3)


@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(3000, 2), (2, 3000), (1, 1), (1, 9), (1024, 1), (999, 1001), (17, 16)])
@pytest.mark.parametrize("long_side", [1, 100, 1500])
def test_the_long_side_is_as_asked_and_the_other_in_proportion(
    decoder: Decoder, tmp_path: Path, format_: str, size: tuple[int, int], long_side: int
) -> None:
    """Also for strips, whose short side is at least one pixel."""
    path = tmp_path / "picture"
    Image.new("RGB", size, (200, 100, 50)).save(path, format_)
    probe, pixels = decoder.open(path, long_side)
    height, width = pixels.shape[:2]
    assert max(width, height) == long_side
    assert (probe.width, probe.height) == size
    scale = long_side / max(size)
    assert (width, height) == pytest.approx([max(side * scale, 1) for side in size], abs=0.5)
    assert np.abs(pixels.astype(int) - (200, 100, 50)).max() <= 4


# Orientations

TURNED = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]


def save_turned(path: Path, upright: Image.Image, format_: str, orientation: int) -> None:
    """As a camera stores it that is held this way."""
    image, exif = stored(upright, orientation)
    image.save(path, format_, exif=exif, **({"quality": 95} if format_ in ("JPEG", "WEBP", "AVIF") else {}))


@pytest.mark.parametrize("format_", TURNED)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_turned_picture_is_shown_upright_exactly_once(
    decoder: Decoder, tmp_path: Path, upright: Image.Image, format_: str, orientation: int
) -> None:
    """The whole picture, its size, and its patches; what is looked at without decoding says the same."""
    path = tmp_path / "picture"
    save_turned(path, upright, format_, orientation)
    probe, pixels = decoder.open(path, WIDTH)
    assert (probe.photo.orientation, probe.width, probe.height) == (orientation, WIDTH, HEIGHT)
    assert difference(pixels, upright) < 5
    (patch,) = decoder.patches([Box(100, 60, 40, 50)], 40)
    assert (patch.x, patch.y, patch.scale_x, patch.scale_y) == (60, 10, 1, 1)
    assert difference(patch.pixels, upright.crop((60, 10, 180, 160))) < 5
    assert decoder.probe(path) == probe


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["PNG with EXIF at its end", "PNG with XMP", "JPEG with XMP", "TIFF with XMP"])
def test_an_orientation_counts_wherever_a_format_may_have_it(
    decoder: Decoder, tmp_path: Path, upright: Image.Image, kind: str, orientation: int
) -> None:
    """Behind the pixels, or in XMP where EXIF says nothing."""
    image, exif = stored(upright, orientation)
    xmp = XMP % orientation
    if kind == "TIFF with XMP":
        data = encoded(image, "TIFF", tiffinfo={700: xmp})
    elif kind == "JPEG with XMP":
        data = encoded(image, "JPEG", quality=95, xmp=xmp)
    else:
        added = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
        data = with_chunks(encoded(image, "PNG"), added if "XMP" in kind else chunk(b"eXIf", exif.tobytes()[6:]))
    path = tmp_path / "picture"
    path.write_bytes(data)
    probe, pixels = decoder.open(path, WIDTH)
    assert (probe.photo.orientation, probe.width, probe.height) == (orientation, WIDTH, HEIGHT)
    assert difference(pixels, upright) < 5
    assert decoder.probe(path) == probe


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("value", [0, 9, 65535, b"garbage", HALF_TAG, TEXT_TAG], ids=str)
def test_an_orientation_that_makes_no_sense_is_one(
    decoder: Decoder, tmp_path: Path, upright: Image.Image, format_: str, value: int | bytes
) -> None:
    """Neither numbers out of range nor text nor broken EXIF turn a picture or lose it."""
    if isinstance(value, bytes):
        exif = b"Exif\0\0" + value
    else:
        tags = Image.Exif()
        tags[0x0112] = value
        exif = tags.tobytes()
    path = tmp_path / "picture"
    upright.save(path, format_, exif=exif, quality=95)
    probe, pixels = decoder.open(path, WIDTH)
    assert (probe.photo.orientation, probe.width, probe.height) == (1, WIDTH, HEIGHT)
    assert difference(pixels, upright) < 5
    assert decoder.probe(path) == probe


# Patches


def check_patch(patch: Patch, box: Box, full: Image.Image, min_side: int) -> None:
    """It shows what is there, all that is asked for, as fine as it must be and no finer than it may be."""
    rows, columns = patch.pixels.shape[:2]
    right, bottom = patch.x + columns * patch.scale_x, patch.y + rows * patch.scale_y
    asked = Box(box.x - box.width, box.y - box.height, 3 * box.width, 3 * box.height).clipped(*full.size)
    assert asked
    # All of it is there, and beside it no more than what reducing by 8 and by a whole number rounds to.
    extra_x, extra_y = 8 + patch.scale_x, 8 + patch.scale_y
    assert asked.x - extra_x <= patch.x <= asked.x + 1e-6
    assert asked.y - extra_y <= patch.y <= asked.y + 1e-6
    assert asked.x + asked.width - 1e-6 <= right <= asked.x + asked.width + extra_x
    assert asked.y + asked.height - 1e-6 <= bottom <= asked.y + asked.height + extra_y
    sides = box.width / patch.scale_x, box.height / patch.scale_y
    if min(box.width, box.height) < 2 * min_side:
        assert (patch.scale_x, patch.scale_y) == pytest.approx((1, 1))
    else:
        assert min(sides) >= min_side
        assert min(sides) < 2 * min_side * 1.1
    # Of the last row and column there may be less than a whole pixel.
    columns = int((min(right, full.width) - patch.x) / patch.scale_x + 1e-6)
    rows = int((min(bottom, full.height) - patch.y) / patch.scale_y + 1e-6)
    place = (patch.x, patch.y, patch.x + columns * patch.scale_x, patch.y + rows * patch.scale_y)
    expected = full.resize((columns, rows), Image.Resampling.BOX, box=place)
    assert difference(patch.pixels[:rows, :columns], expected) < 4


BOXES = [
    Box(700, 300, 40, 50),
    Box(301, 207, 161, 173),
    Box(800, 400, 390, 410),
    Box(-30, -40, 120, 100),
    Box(1450, 940, 130, 140),
    Box(1380, -50, 200, 300),
    Box(-200, 100, 700, 700),
    Box(0, 0, 1501, 1003),
]


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_patches_are_what_is_cut_from_the_whole_upright_picture(
    decoder: Decoder, tmp_path: Path, large: Image.Image, format_: str, orientation: int
) -> None:
    """Small boxes at full size, large ones reduced, each alone and all together, also partly outside the picture."""
    path = tmp_path / "picture"
    image, exif = stored(large, orientation)
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "PNG": {"compress_level": 1}}
    image.save(path, format_, exif=exif, **options.get(format_, {}))
    decoder.open(path, 300)
    for box in sorted(BOXES, key=lambda box: -box.width):  # the largest first: finer pixels are decoded on the way
        (patch,) = decoder.patches([box], 80)
        check_patch(patch, box, large, 80)
    together = decoder.patches(BOXES, 80)
    assert len(together) == len(BOXES)
    for box, patch in zip(BOXES, together):
        check_patch(patch, box, large, 80)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_mark_is_found_where_a_patch_says_it_is(decoder: Decoder, tmp_path: Path, orientation: int) -> None:
    """A point (X, Y) of the photo is at ((X - x) / scale_x, (Y - y) / scale_y) of the patch, however it was decoded."""
    width, height, side = 2001, 1333, 24
    dark = np.zeros((height, width, 3), np.uint8)
    box = Box(1103, 401, 333, 345)
    marks = [(1009, 203), (1250, 550), (1601, 902)]
    for x, y in marks:
        dark[y : y + side, x : x + side] = 255
    image, exif = stored(Image.fromarray(dark), orientation)
    path = tmp_path / "picture"
    image.save(path, "JPEG", exif=exif, quality=95, subsampling=0)
    decoder.open(path, 250)
    for min_side in (400, 160, 80, 40):  # whole, half, quarter and eighth size of the file
        (patch,) = decoder.patches([box], min_side)
        for x, y in marks:
            left, top = (x - patch.x) / patch.scale_x, (y - patch.y) / patch.scale_y
            span = side / patch.scale_x
            rows = slice(max(round(top - span), 0), round(top + 2 * span))
            columns = slice(max(round(left - span), 0), round(left + 2 * span))
            light = patch.pixels[rows, columns].mean(axis=2)
            across = (light.sum(axis=0) * (np.arange(light.shape[1]) + 0.5 + columns.start)).sum() / light.sum()
            down = (light.sum(axis=1) * (np.arange(light.shape[0]) + 0.5 + rows.start)).sum() / light.sum()
            assert (across, down) == pytest.approx((left + span / 2, top + span / 2), abs=0.25)


def test_a_large_jpeg_is_the_same_picture_at_every_scale(
    decoder: Decoder, tmp_path: Path, astronaut: Image.Image
) -> None:
    """A camera's 6000 pixels are decoded at a fraction of them where that is enough, and in full for small faces."""
    path = tmp_path / "large.jpg"
    full = astronaut.crop((0, 0, 512, 341)).resize((6000, 4000), Image.Resampling.BILINEAR)
    full.save(path, quality=90)
    for long_side in (500, 1500, 3000):
        probe, pixels = decoder.open(path, long_side)
        size = (long_side, long_side * 2 // 3)
        assert difference(pixels, full.resize(size, Image.Resampling.BILINEAR, reducing_gap=2)) < 2
    assert isinstance(probe, Probe)
    assert (probe.width, probe.height) == (6000, 4000)
    for box in (
        Box(2000, 500, 1300, 1400),
        Box(2300, 900, 400, 350),
        Box(2500, 1000, 90, 90),
        Box(5900, 3900, 200, 200),
    ):
        (patch,) = decoder.patches([box], 150)
        check_patch(patch, box, full, 150)


def test_no_boxes_have_no_patches(decoder: Decoder, tmp_path: Path, upright: Image.Image) -> None:
    """A photo without faces asks for none."""
    path = tmp_path / "picture"
    upright.save(path, "PNG")
    decoder.open(path, WIDTH)
    assert decoder.patches([], 150) == []


def test_pillow_reads_what_these_tests_write(upright: Image.Image) -> None:
    """Each file is what its name says: a picture in another mode would prove nothing."""
    modes = {"P+transparency": "P", "L+transparency": "L", "I;16": "I;16", "animated": ""}
    for name in CASES:
        format_, mode = name.split()[:2]
        image = Image.open(BytesIO(case(name, upright)[0]))
        assert image.format == format_
        if format_ not in ("GIF", "WEBP", "AVIF", "PPM") and mode != "animated":
            assert image.mode == modes.get(mode, mode)
        assert getattr(image, "n_frames", 1) == (3 if mode == "animated" else 1)
