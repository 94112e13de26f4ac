"""The real broker of the tests of this folder."""

from tests.parts.kafka import kafka

__all__ = ["kafka"]
