"""What master and workers say to each other: small versioned values, MessagePack on the wire. Pure.

Fields are only ever added, and unknown ones are ignored, so that master and workers of different versions work
together. Recorded messages of every version are decoded for ever by the tests.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

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
    attempt: int  # told apart by this from every other attempt at the same job
    worker: str = ""  # for whom it is, and for which of its incarnations: others drop it
    incarnation: str = ""
    generation: int = 0  # of the lane: what was written for an earlier user of it is dropped
    epoch: int = 0  # of the master: what an earlier master wrote is dropped


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
    megapixels: float = 0.0  # of the full-size picture
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


class Held(NamedTuple):
    """A job that a worker has and has not answered yet."""

    photo: str
    recipe: str
    attempt: int


class Heartbeat(_Message):
    """Worker to master, every second: who it is and what it is doing. The first one asks for a lane."""

    type: Literal["heartbeat"] = "heartbeat"
    worker: str  # its name, by which its speed is remembered
    incarnation: str  # another one at every start of the worker
    highest: int = VERSION  # of the messages that it understands
    architecture: str
    engine: str
    recipe: str
    slots: int  # photos at a time
    megapixels: float | None = None  # the largest picture that its memory allows
    rate: float | None = None  # seconds a unit of work (common.model.work) and slot, as measured; None before that
    load: float | None = None  # of its computer, per core
    hour: int = 0  # of the day, on its own clock
    generation: int = 0  # of its lane; 0 while it has none
    held: tuple[Held, ...] = ()
    problem: str | None = None  # why it can't work now, in words: it gets no jobs
    leaving: bool = False  # it holds nothing any more, and this is its last word


class GivenBack(_Message):
    """Worker to master: these jobs were not made, and will not be."""

    type: Literal["given_back"] = "given_back"
    worker: str
    incarnation: str
    jobs: tuple[Held, ...]


class LaneGiven(_Message):
    """Master to worker: read this partition of the job topics, from these offsets on."""

    type: Literal["lane_given"] = "lane_given"
    worker: str
    incarnation: str
    epoch: int
    lane: int
    generation: int
    offsets: dict[str, int]  # by topic
    samples: tuple[str, ...] = ()  # paths below the photo root, of which at least one must be there


class Stop(_Message):
    """Master to worker: nobody waits for this job any more."""

    type: Literal["stop"] = "stop"
    worker: str
    incarnation: str
    epoch: int
    job: Held


class Leave(_Message):
    """Master to worker: finish what you have, then end."""

    type: Literal["leave"] = "leave"
    worker: str
    incarnation: str
    epoch: int


class DeadLetter(_Message):
    """Bytes that nobody understands, put aside before they are let go of."""

    type: Literal["dead_letter"] = "dead_letter"
    topic: str
    offset: int
    host: str  # who could not read it
    kind: str  # class and message of the error
    message: str
    original: bytes


Answer = PhotoResult | Failure | Changed
FromWorker = Heartbeat | GivenBack
Control = LaneGiven | Stop | Leave
Message = PhotoJob | Answer | FromWorker | Control | DeadLetter

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
