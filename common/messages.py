"""What master and workers say to each other: small versioned values, MessagePack on the wire. Pure.

Fields are only ever added, and unknown ones are ignored, so that master and workers of different versions work
together. Recorded messages of every version are decoded for ever by the tests.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgpack
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from common.model import Box

VERSION = 1
EMBEDDING_BYTES = 512  # 128 float32, little endian
MAX_FACES = 500  # of one photo; a result stays below Kafka's message limit


class MessageError(ValueError):
    """These bytes are no message that this version understands."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    v: int = VERSION


class PhotoJob(_Message):
    """Master to worker: find the faces of this photo."""

    type: Literal["photo_job"] = "photo_job"
    photo: str  # common.model.PhotoId as text
    recipe: str  # common.model.Recipe as text
    path: str  # below the photo root, common.paths
    attempt: int  # 1 for the first


class FaceFound(BaseModel):
    """One face of a result."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    box: Box  # inside the picture
    score: float
    landmarks: tuple[tuple[float, float], ...]  # five points in pixels of the upright full-size picture
    embedding: Annotated[bytes, Field(min_length=EMBEDDING_BYTES, max_length=EMBEDDING_BYTES)]
    doubt: float
    sharpness: float
    crop: bytes  # JPEG


class Milliseconds(BaseModel):
    """Where the time of one photo went."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    decode: float
    detect: float
    embed: float
    total: float


class PhotoResult(_Message):
    """Worker to master: every face of one photo, one unit, also when there is none."""

    type: Literal["photo_result"] = "photo_result"
    photo: str
    recipe: str
    path: str
    attempt: int
    worker: str
    faces: Annotated[tuple[FaceFound, ...], Field(max_length=MAX_FACES)]
    ms: Milliseconds


class Failure(_Message):
    """Worker to master: this photo could not be processed, and trying again at once would not help."""

    type: Literal["failure"] = "failure"
    photo: str
    recipe: str
    path: str
    attempt: int
    worker: str
    kind: str  # the failure's class, a few words that stay the same: "truncated"
    message: str  # one sentence for people: what happened, what to do next


class Changed(_Message):
    """Worker to master: the path no longer shows this photo. No failure; the master looks at the path again."""

    type: Literal["changed"] = "changed"
    photo: str
    recipe: str
    path: str
    attempt: int
    worker: str


Answer = PhotoResult | Failure | Changed
Message = PhotoJob | Answer

_any_message: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def encode(message: Message) -> bytes:
    """The message's bytes on the wire."""
    packed: bytes = msgpack.packb(message.model_dump())
    return packed


def decode(data: bytes) -> Message:
    """The message in these bytes. Raises MessageError, whatever the bytes are."""
    try:
        return _any_message.validate_python(msgpack.unpackb(data))
    except (ValidationError, ValueError, TypeError, msgpack.UnpackException) as error:
        raise MessageError(f"{len(data)} bytes are no message: {error}") from error
