"""A file that is not to be trusted costs itself only: never the process, the next file, or more than the limits."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import msgpack
import numpy as np
import psutil
import pytest
from PIL import Image

from common.child_process import ChildProcess, ChildTooLarge
from common.identity import picture_hash
from common.imaging.decoder import Decoder, Limits
from common.imaging.errors import KINDS, PhotoError
from common.imaging.formats import NOT_A_PHOTO, VIDEO, Skip
from common.model import Box
from tests.conftest import REPOSITORY
from tests.imaging.pictures import chunk, difference, encoded, endless_jpeg, stored, with_chunks

WAIT = 10  # s; for what must happen
SIDE = 200
ENDLESS = 20_000  # scans: more than a minute
VIDEO_HEAD = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, astronaut: Image.Image) -> Path:
    """A photo that every decoder must still open after what happened."""
    path = tmp_path_factory.mktemp("good") / "good.jpg"
    astronaut.save(path, quality=90)
    return path


@pytest.fixture(scope="module")
def hasty() -> Iterator[Decoder]:
    """A decoder with a second for a file."""
    with Decoder(Limits(seconds=0.9)) as decoder:
        yield decoder


def pid(decoder: Decoder) -> int:
    """The id of the process that decodes at the moment."""
    return decoder._child._process.pid


def child(decoder: Decoder) -> psutil.Process:
    """The process that decodes at the moment."""
    return psutil.Process(pid(decoder))


def dies(process: psutil.Process) -> bool:
    """Whether it is gone, or a corpse that nobody has buried yet, within the time that it has."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        try:
            if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return True
            process.wait(timeout=0.05)
            return True
        except psutil.NoSuchProcess:
            return True
        except psutil.TimeoutExpired:
            continue
    return False


def most_memory(decoder: Decoder) -> float:
    """The most resident memory that the child ever had, in megabytes."""
    status = Path(f"/proc/{child(decoder).pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1000


def failure(what: Callable[[], object]) -> str:
    """The kind of the PhotoError that this raises; its message is for people."""
    with pytest.raises(PhotoError) as caught:
        what()
    assert str(caught.value).startswith(KINDS[caught.value.kind])
    return caught.value.kind


# What a file is


def test_probe_tells_a_pictures_identity_size_and_format(decoder: Decoder, good: Path) -> None:
    """As the bytes in the file have them."""
    probe = decoder.probe(good)
    assert not isinstance(probe, Skip)
    data = good.read_bytes()
    assert (probe.photo.picture, probe.photo.orientation) == (picture_hash(data), 1)
    assert (probe.bytes, probe.format, probe.width, probe.height) == (len(data), "JPEG", 512, 512)
    assert decoder.open(good, SIDE)[0] == probe


def test_the_same_file_gives_the_same_bytes_in_every_decoder(decoder: Decoder, good: Path) -> None:
    """Workers agree about what they see."""
    probe, pixels = decoder.open(good, SIDE)
    (patch,) = decoder.patches([Box(200, 80, 60, 60)], 20)
    with Decoder(Limits()) as other:
        assert other.open(good, SIDE)[0] == probe
        assert np.array_equal(other.open(good, SIDE)[1], pixels)
        assert np.array_equal(other.patches([Box(200, 80, 60, 60)], 20)[0].pixels, patch.pixels)


def test_a_file_whose_picture_changed_is_another_photo(decoder: Decoder, tmp_path: Path, good: Path) -> None:
    """Each call reads the file anew; new metadata changes its own hash only."""
    path = tmp_path / "a.jpg"
    path.write_bytes(good.read_bytes())
    before, _ = decoder.open(path, SIDE)
    path.write_bytes(good.read_bytes()[:2] + b"\xff\xfe\x00\x05abc" + good.read_bytes()[2:])
    tagged, _ = decoder.open(path, SIDE)
    Image.open(good).rotate(90).save(path)
    turned, _ = decoder.open(path, SIDE)
    assert tagged.photo == before.photo != turned.photo
    assert len({before.sha256, tagged.sha256, turned.sha256}) == 3


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("zero.jpg", b"", "not an image"),
        ("text.jpg", b"no picture at all", "not an image"),
        ("random.png", bytes(range(256)) * 9, "not an image"),
        ("header.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0", "damaged"),
        ("header.png", b"\x89PNG\r\n\x1a\n", "damaged"),
        ("header.tif", b"II*\0\x08\0\0\0", "damaged"),
        ("header.webp", b"RIFF\x10\0\0\0WEBPVP8 ", "damaged"),
        ("header.gif", b"GIF89a", "damaged"),
        ("header.jp2", b"\0\0\0\x0cjP  \r\n\x87\n", "damaged"),
    ],
)
def test_a_file_without_a_picture_has_an_identity_but_no_pixels(
    decoder: Decoder, tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    """It becomes a photo of no size, and a job that fails with this reason."""
    path = tmp_path / name
    path.write_bytes(content)
    assert failure(lambda: decoder.open(path, SIDE)) == kind
    probe = decoder.probe(path)
    assert not isinstance(probe, Skip)
    assert (probe.photo.picture, probe.width, probe.height) == (picture_hash(content), 0, 0)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "JPEG2000", "BMP", "PPM", "AVIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_half_a_file_is_a_failure_that_says_so(
    decoder: Decoder, tmp_path: Path, faceless: Image.Image, format_: str, share: float
) -> None:
    """No format shows a part of a photo as if it were all of it."""
    data = encoded(faceless, format_)
    path = tmp_path / "half"
    path.write_bytes(data[: round(len(data) * share)])
    kind = failure(lambda: decoder.open(path, SIDE))
    assert kind in ("truncated", "damaged")
    if format_ in ("JPEG", "PNG"):
        assert kind == "truncated"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("clip.mp4", VIDEO_HEAD, VIDEO), ("clip.jpg", VIDEO_HEAD, VIDEO), ("a.txt", b"text", NOT_A_PHOTO)],
)
def test_what_is_no_photo_is_skipped(decoder: Decoder, tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """Looking at it says why; asking for its pixels all the same fails."""
    path = tmp_path / name
    path.write_bytes(content)
    assert decoder.probe(path) == Skip(reason)
    assert failure(lambda: decoder.open(path, SIDE)) == "skipped"


def test_a_pipe_with_a_photos_name_is_not_waited_for(hasty: Decoder, tmp_path: Path, good: Path) -> None:
    """Nobody may ever write into it."""
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    hasty.open(good, SIDE)
    before = child(hasty)
    assert failure(lambda: hasty.open(path, SIDE)) == "not an image"
    assert failure(lambda: hasty.probe(path)) == "not an image"
    assert child(hasty) == before


def test_what_cannot_be_read_raises_os_error(decoder: Decoder, tmp_path: Path) -> None:
    """A missing file and a folder are the disk's business, not the picture's."""
    before = child(decoder)
    with pytest.raises(FileNotFoundError):
        decoder.probe(tmp_path / "missing.jpg")
    with pytest.raises(FileNotFoundError):
        decoder.open(tmp_path / "missing.jpg", SIDE)
    with pytest.raises((OSError, PhotoError)):
        decoder.open(tmp_path, SIDE)
    assert child(decoder) == before


def test_a_name_that_is_no_text_is_a_name(decoder: Decoder, tmp_path: Path, good: Path) -> None:
    """Old disks have names in encodings that nobody remembers."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/Fr\xfchling 2003.jpg")
    Path(path).write_bytes(good.read_bytes())
    assert decoder.open(path, SIDE)[1].shape == (SIDE, SIDE, 3)


# What a file may cost


def test_a_file_that_takes_too_long_is_given_up(hasty: Decoder, tmp_path: Path, good: Path) -> None:
    """Also in the second try, whose deadline would allow for the start of a child; the next file is none the worse."""
    path = tmp_path / "endless.jpg"
    path.write_bytes(endless_jpeg(ENDLESS))
    hasty.open(good, SIDE)
    began = time.monotonic()
    assert failure(lambda: hasty.open(path, SIDE)) == "took too long"
    assert time.monotonic() - began < WAIT
    assert hasty.open(good, SIDE)[1].shape == (SIDE, SIDE, 3)


def test_a_child_that_hangs_is_replaced(hasty: Decoder, good: Path) -> None:
    """Stopped from outside, it cannot even end itself; the file is tried again and opens."""
    hasty.open(good, SIDE)
    stopped = child(hasty)
    stopped.suspend()
    assert hasty.open(good, SIDE)[1].shape == (SIDE, SIDE, 3)
    assert dies(stopped)
    child(hasty).suspend()
    assert len(hasty.patches([Box(0, 0, 50, 50)], 20)) == 1


def test_a_picture_with_more_pixels_than_the_limit_is_refused_unseen(tmp_path: Path) -> None:
    """Its header is enough, for looking and for opening; the child lives on."""
    path = tmp_path / "large"
    with Decoder(Limits(megapixels=0.01)) as small:
        for format_ in ("JPEG", "PNG", "TIFF", "GIF", "WEBP"):
            Image.new("RGB", (101, 100)).save(path, format_)
            assert failure(lambda: small.probe(path)) == "too large"
            assert failure(lambda: small.open(path, SIDE)) == "too large"
            Image.new("RGB", (100, 100)).save(path, format_)
            before = child(small)
            assert small.open(path, SIDE)[1].shape == (SIDE, SIDE, 3)
            assert child(small) == before


@pytest.mark.parametrize(("side", "refused"), [(21_000, True), (8_000, False)], ids=["bomb", "large"])
def test_looking_at_a_picture_does_not_decode_it(tmp_path: Path, good: Path, side: int, refused: bool) -> None:
    """A PNG of some kilobytes may have more pixels than there is memory: its header takes none."""
    path = tmp_path / "large.png"
    Image.new("1", (side, side)).save(path, compress_level=1)
    with Decoder(Limits()) as fresh:
        fresh.open(good, SIDE)
        before = most_memory(fresh)
        if refused:
            assert failure(lambda: fresh.probe(path)) == "too large"
            assert failure(lambda: fresh.open(path, SIDE)) == "too large"
        else:
            probe = fresh.probe(path)
            assert not isinstance(probe, Skip)
            assert (probe.width, probe.height) == (side, side)
        assert most_memory(fresh) - before < 30


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("PNG", {"compress_level": 1}),
        ("JPEG", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("JPEG2000", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_picture_that_needs_more_memory_than_the_limit_says_so(
    tmp_path: Path, good: Path, format_: str, options: dict[str, object]
) -> None:
    """Whichever library runs out of memory, the file is not to blame; the next one opens."""
    path = tmp_path / "large"
    Image.new("RGB", (4000, 4000), "red").save(path, format_, **options)
    with Decoder(Limits(megabytes=85)) as small:
        assert failure(lambda: small.open(path, 4000)) == "out of memory"
        assert small.open(good, SIDE)[1].shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("megabytes", [118, 130])
def test_short_of_memory_no_photo_is_taken_for_one_in_another_orientation(tmp_path: Path, megabytes: int) -> None:
    """Metadata that does not fit is no metadata that is missing: either it is read, or the file has failed."""
    path = tmp_path / "a.png"
    image, exif = stored(Image.new("RGB", (40, 30)), 6)
    much = chunk(b"xyZz", bytes(20_000_000))
    path.write_bytes(with_chunks(encoded(image, "PNG"), much, chunk(b"eXIf", exif.tobytes()[6:])))
    with Decoder(Limits(megabytes=megabytes)) as small:
        try:
            assert small.open(path, SIDE)[0].photo.orientation == 6
        except PhotoError as error:
            assert error.kind in ("out of memory", "decoder crashed")


def test_memory_is_limited_by_the_kernel_too(decoder: Decoder, good: Path) -> None:
    """A picture may take more between two looks at the child than the machine has."""
    decoder.open(good, SIDE)
    assert child(decoder).rlimit(psutil.RLIMIT_DATA)[0] == Limits().megabytes * 1_000_000


def test_a_child_larger_than_its_limit_is_killed(tmp_path: Path) -> None:
    """What the kernel does not count, as mapped files, counts while the answer is waited for."""
    path = tmp_path / "endless.jpg"
    path.write_bytes(endless_jpeg(ENDLESS))
    process = ChildProcess("common.imaging.child")
    process.send(msgpack.packb(asdict(Limits())))
    process.send(msgpack.packb(("open", os.fsencode(path), SIDE)))
    with pytest.raises(ChildTooLarge):
        process.receive(seconds=WAIT, megabytes=20)
    assert process.kill() == -signal.SIGKILL


# What a file may do


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_child_that_died_is_replaced_and_the_file_tried_again(
    decoder: Decoder, good: Path, number: signal.Signals
) -> None:
    """It may have been the kernel, short of memory, rather than the file."""
    _, pixels = decoder.open(good, SIDE)
    dead = child(decoder)
    dead.send_signal(number)
    assert np.array_equal(decoder.open(good, SIDE)[1], pixels)
    assert child(decoder) != dead
    alive = child(decoder)
    assert decoder.probe(good) == decoder.open(good, SIDE)[0]
    assert child(decoder) == alive


@contextmanager
def killed_while_busy(decoder: Decoder, times: int) -> Iterator[None]:
    """Kills the decoder's child in the middle of a picture, and as often the next one."""
    over = threading.Event()

    def watch() -> None:
        for _ in range(times):
            process = child(decoder)
            before = process.cpu_times().user
            while not over.is_set() and process.cpu_times().user - before < 0.3:
                over.wait(0.01)
            process.kill()
            while not over.is_set() and pid(decoder) == process.pid:  # which may be gone already
                over.wait(0.01)

    with ThreadPoolExecutor(1) as thread:
        watching = thread.submit(watch)
        try:
            yield
        finally:
            over.set()
        watching.result()


@pytest.mark.parametrize(("times", "scans"), [(1, 250), (2, ENDLESS)], ids=["once", "twice"])
def test_a_file_may_crash_its_decoder_once(tmp_path: Path, good: Path, times: int, scans: int) -> None:
    """Killed in the middle of the picture it is tried again; crashed twice it is the file's fault, with a reason."""
    path = tmp_path / "slow.jpg"
    path.write_bytes(endless_jpeg(scans))
    with Decoder(Limits()) as decoder:
        decoder.open(good, SIDE)
        first = child(decoder)
        with killed_while_busy(decoder, times):
            if times == 1:
                assert decoder.open(path, SIDE)[1].shape == (SIDE, SIDE, 3)
                assert child(decoder) != first
            else:
                assert failure(lambda: decoder.open(path, SIDE)) == "decoder crashed"
        assert decoder.open(good, SIDE)[1].shape == (SIDE, SIDE, 3)


def test_patches_are_cut_again_when_the_child_died(decoder: Decoder, good: Path) -> None:
    """The picture died with it, and is opened once more for them."""
    box = Box(200, 80, 60, 60)
    decoder.open(good, SIDE)
    (expected,) = decoder.patches([box], 20)
    for number in (signal.SIGKILL, signal.SIGSEGV):
        child(decoder).send_signal(number)
        (patch,) = decoder.patches([box], 20)
        assert np.array_equal(patch.pixels, expected.pixels)
        assert (patch.x, patch.y, patch.scale_x, patch.scale_y) == (
            expected.x,
            expected.y,
            expected.scale_x,
            expected.scale_y,
        )


def test_patches_are_never_cut_from_another_picture(decoder: Decoder, tmp_path: Path, good: Path) -> None:
    """Once the file shows something else, or is gone, the boxes belong to nothing."""
    path = tmp_path / "a.jpg"
    path.write_bytes(good.read_bytes())
    decoder.open(path, SIDE)
    Image.open(good).rotate(90).save(path)
    child(decoder).kill()
    assert failure(lambda: decoder.patches([Box(0, 0, 50, 50)], 20)) == "decoder crashed"
    decoder.open(path, SIDE)
    path.unlink()
    child(decoder).kill()
    with pytest.raises(FileNotFoundError):
        decoder.patches([Box(0, 0, 50, 50)], 20)
    assert decoder.open(good, SIDE)[1].shape == (SIDE, SIDE, 3)


def test_a_closed_decoder_leaves_no_process() -> None:
    """Closing ends the child at once, even one that is stopped."""
    decoder = Decoder(Limits())
    process = child(decoder)
    process.suspend()
    decoder.close()
    assert not psutil.pid_exists(process.pid)
    decoder.close()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in the middle of a picture"])
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path, good: Path, busy: bool) -> None:
    """Nothing is left behind by a process that had no chance to tidy up."""
    path = tmp_path / "endless.jpg"
    path.write_bytes(endless_jpeg(ENDLESS))
    script = """
import sys
from common.imaging.decoder import Decoder, Limits
decoder = Decoder(Limits(seconds=1))
decoder.open(sys.argv[1], 100)
print(decoder._child._process.pid, flush=True)
decoder.open(sys.argv[2], 100) if sys.argv[2] else input()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(good), str(path) if busy else ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    with parent:
        assert parent.stdout
        process = psutil.Process(int(parent.stdout.readline()))
        before = process.cpu_times().user
        deadline = time.monotonic() + WAIT
        while busy and process.cpu_times().user - before < 0.1:
            assert time.monotonic() < deadline, "it does not begin with the picture"
        parent.kill()
    assert dies(process)


# Files from outside


def outcome(decoder: Decoder, file: Path) -> str:
    """What becomes of a file: each of these is an answer, anything else an error in the test."""
    try:
        probe, pixels = decoder.open(file, SIDE)
    except PhotoError as error:
        assert error.kind in KINDS
        found = decoder.probe(file) if error.kind != "too large" else None
        assert isinstance(found, Skip) == (error.kind == "skipped")
        return error.kind
    assert max(pixels.shape[:2]) == SIDE
    assert pixels.dtype == np.uint8
    assert decoder.probe(file) == probe
    assert (probe.width >= probe.height) == (pixels.shape[1] >= pixels.shape[0])
    return "pixels"


@pytest.mark.parametrize("folder", ["broken", "formats", "exif"])
def test_every_real_file_ends_as_pixels_or_with_a_reason(decoder: Decoder, shared_data: Path, folder: str) -> None:
    """Broken, strange and hostile files included."""
    files = sorted(file for file in (shared_data / folder).rglob("*") if file.is_file())
    outcomes = {file: outcome(decoder, file) for file in files}
    assert list(outcomes.values()).count("pixels") >= {"broken": 5, "formats": 40, "exif": 100}[folder]
    crashed = [file for file, kind in outcomes.items() if kind == "decoder crashed"]
    assert not crashed


def test_broken_files_fail_for_their_reasons(decoder: Decoder, shared_data: Path) -> None:
    """The reason is what a person acts on."""
    reasons = {
        "zero_byte.jpg": "not an image",
        "text_named.jpg": "not an image",
        "header_only.jpg": "truncated",
        "truncated.jpg": "truncated",
        "truncated_half.jpg": "truncated",
        "truncated_image.png": "truncated",
    }
    assert {name: outcome(decoder, shared_data / "broken" / name) for name in reasons} == reasons


@pytest.mark.parametrize("shape", ["landscape", "portrait"])
def test_eight_orientations_of_a_real_photo_show_one_picture(decoder: Decoder, shared_data: Path, shape: str) -> None:
    """Whichever way the camera was held, the photo is upright and of the same size."""
    folder = shared_data / "exif" / "orientation"
    third, pixels = decoder.open(folder / f"{shape}_3.jpg", SIDE)
    for orientation in range(1, 9):
        probe, others = decoder.open(folder / f"{shape}_{orientation}.jpg", SIDE)
        assert (probe.photo.orientation, probe.width, probe.height) == (orientation, third.width, third.height)
        # The first was scaled by another program, which makes 16; a mirrored one makes 37.
        assert difference(pixels, others) < (20 if orientation == 1 else 4)
