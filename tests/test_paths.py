"""Paths as text."""

import os

from hypothesis import example, given
from hypothesis import strategies as st

from common.paths import local_path, path_bytes, path_text


@given(st.binary())
@example(b"caf\xe9.jpg")
@example("😀.jpg".encode())
@example("\U0010ff41.jpg".encode())
@example("\U0010ff41\xff".encode() + b"\xff")
def test_every_file_name_has_a_text_and_back(raw: bytes) -> None:
    """Whatever bytes a name has, its text is storable as UTF-8 and leads back to the very bytes."""
    text = path_text(raw)
    text.encode()
    assert path_bytes(text) == raw


@given(st.binary(), st.binary())
def test_two_names_never_share_a_text(one: bytes, other: bytes) -> None:
    """Different names have different texts."""
    assert (path_text(one) == path_text(other)) == (one == other)


def test_ordinary_names_stay_as_they_are() -> None:
    """A UTF-8 name is its own text, so that people can read the database."""
    assert path_text("Weihnachten/Oma & Öpa.jpg") == "Weihnachten/Oma & Öpa.jpg"


def test_a_path_is_found_below_the_root() -> None:
    """A text is joined to where this machine has the photos, odd bytes included."""
    assert os.fsencode(local_path("/photos", path_text(b"a/\xff.jpg"))) == b"/photos/a/\xff.jpg"
