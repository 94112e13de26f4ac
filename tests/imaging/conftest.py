"""One decoder for all tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.imaging.decoder import Decoder, Limits


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """A decoder with the limits that people have."""
    with Decoder(Limits()) as decoder:
        yield decoder
