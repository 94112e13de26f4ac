"""Messages on the wire."""

from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.messages import DeadLetter, GivenBack, Leave, Message, MessageError, PhotoJob, Stop, decode, encode
from tests.builders import HEARTBEAT, LANE, RECIPE, changed, face, failure, key, result

GOLDEN = Path(__file__).parent / "golden"
JOB = PhotoJob(photo=key("a", 6), recipe=RECIPE, path="Oma/1.jpg", attempt=2)
EXAMPLES: dict[str, Message] = {
    "photo_job": JOB,
    "photo_result": result(key("a"), face(), face(50)),
    "failure": failure(),
    "changed": changed(),
    "heartbeat": HEARTBEAT,
    "given_back": GivenBack(worker="pi", incarnation="1", jobs=HEARTBEAT.held),
    "lane_given": LANE,
    "stop": Stop(worker="pi", incarnation="1", epoch=4, job=HEARTBEAT.held[0]),
    "dead_letter": DeadLetter(topic="jobs", offset=3, host="pi", kind="MessageError", message="no", original=b"\xff"),
    "leave": Leave(worker="pi", incarnation="1", epoch=4),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_message_survives_the_wire(name: str) -> None:
    """Every message is the same after encoding and decoding."""
    assert decode(encode(EXAMPLES[name])) == EXAMPLES[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_recorded_messages_of_version_1_are_understood(name: str) -> None:
    """The bytes that version 1 wrote mean the same to this version."""
    assert decode((GOLDEN / f"v1_{name}.msgpack").read_bytes()) == EXAMPLES[name]


def test_fields_of_a_later_version_are_ignored() -> None:
    """A field that this version does not know does not disturb it."""
    later = msgpack.packb({**JOB.model_dump(), "v": 2, "mood": "sunny"})
    assert decode(later) == JOB.model_copy(update={"v": 2})


@given(st.binary())
def test_any_other_bytes_are_a_message_error(data: bytes) -> None:
    """Whatever arrives, decoding ends in a message or in MessageError."""
    try:
        decode(data)
    except MessageError:
        pass


def test_a_short_embedding_is_refused() -> None:
    """A face whose embedding has not 128 numbers is no face."""
    spoilt = result(key("a"), face()).model_dump()
    spoilt["faces"][0]["embedding"] = b"short"
    with pytest.raises(MessageError):
        decode(msgpack.packb(spoilt))
