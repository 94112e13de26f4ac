"""What the MongoDB store's documents look like. Pure: values in, documents out, and back.

Every _id is a natural key as text, so that writing twice is writing once. Text that people or programs made up is only
ever a value, never a field's name. What is None is left out, so that sparse indexes stay small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from common.messages import Failure, PhotoResult
from common.model import Box
from master.store import Attempt, File, Job, KnownWorker, Manners, Photo, StoredFace, StoredFailure
from master.store.ids import face_id

Document = dict[str, Any]

MAX_FILES = 1000  # of one photo, in its document (.1 MB): a camera without signal saves one picture every minute
UNFINISHED = -1  # bytes: no file has this size, so the next look at the path writes it again


def key(photo: str, recipe: str) -> str:
    """The _id of what belongs to a photo and a recipe. No photo's key has a blank in it."""
    return f"{photo} {recipe}"


def of_photo(photo: str) -> Document:
    """The filter for everything of a photo, by any recipe, served by the index on _id."""
    return {"_id": {"$gt": f"{photo} ", "$lt": f"{photo}!"}}  # "!" comes next after the blank


def file_document(file: File, beyond: bool) -> Document:
    """``beyond``: the document of its photo is full, and does not list it."""
    kind, message = file.error or (None, None)
    fields = {
        "_id": file.path, "folder": file.folder, "name": file.name, "size": file.size, "mtime_ns": file.mtime_ns,
        "sha256": file.sha256, "photo": file.photo, "skipped": file.skipped, "error_class": kind,
        "error_message": message, "beyond": file.photo if beyond else None,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def file_of(document: Document) -> File:
    """The inverse. One that was being written when the master was killed is like no file, so it is looked at again."""
    folder, name, size, mtime_ns = (document[field] for field in ("folder", "name", "size", "mtime_ns"))
    if "claims" in document:
        return File(folder, name, UNFINISHED, UNFINISHED, photo=document["claims"][-1])
    error = (document["error_class"], document["error_message"]) if "error_class" in document else None
    sha256, photo, skipped = (document.get(field) for field in ("sha256", "photo", "skipped"))
    return File(folder, name, size, mtime_ns, sha256, photo, skipped, error)


def photo_document(photo: Photo) -> Document:
    """A photo, of which no file is known yet."""
    return {"_id": photo.photo, "width": photo.width, "height": photo.height, "format": photo.format, "files": []}


def with_files(photo: Document, lost: Iterable[str], gained: Mapping[str, int]) -> Document:
    """The photo's document without the files lost, and with those gained (modification times by path)."""
    files = {file["path"]: file["mtime_ns"] for file in photo["files"]}
    for path in lost:
        files.pop(path, None)
    changed = {**photo}
    for path, mtime_ns in gained.items():
        if path in files or len(files) < MAX_FILES:
            files[path] = mtime_ns
        else:
            changed["more"] = True  # there are files with "beyond"
    changed["files"] = [{"path": path, "mtime_ns": files[path]} for path in sorted(files)]
    changed.pop("path", None)
    if files:
        changed["path"] = min(files)  # by which photos with a file are found, in the order of their paths
    return changed


def lists(photo: Document, path: str) -> bool:
    """Whether the photo's document lists this file."""
    return any(file["path"] == path for file in photo["files"])


def job_document(photo: Document, recipe: str) -> Document:
    """A job for a photo that has a file: all that jobs() tells is in it."""
    return {
        "_id": key(photo["_id"], recipe), "photo": photo["_id"], "recipe": recipe, "path": photo["path"],
        "mtime_ns": max(file["mtime_ns"] for file in photo["files"]),
        "megapixels": photo["width"] * photo["height"] / 1e6,
        "attempts": 0,  # that count
        "begun": 0,  # the number of the latest attempt
        "in_flight": 0,  # how many are open
        "open": {},  # attempts without an answer, by "a" and their number
    }  # fmt: skip


def job_of(document: Document) -> Job:
    """The inverse, as far as others care."""
    return Job(*(document[name] for name in ("photo", "recipe", "path", "attempts", "megapixels")))


def attempts_of(job: Document) -> Iterator[Attempt]:
    """The open attempts of a job."""
    for number, by in job["open"].items():
        yield Attempt(job["photo"], job["recipe"], int(number[1:]), by["worker"], by["incarnation"])


def result_document(result: PhotoResult, present: bool, now: str) -> Document:
    """A result with its faces, one document, so that it is stored whole or not at all: 500 faces are .5 MB.

    ``present``: its photo has a file; kept here so that counting needs no join.
    """
    return {
        "_id": key(result.photo, result.recipe), "photo": result.photo, "recipe": result.recipe, "present": present,
        "worker": result.worker, "stored_at": now, "ms": result.ms.model_dump(), "count": len(result.faces),
        "faces": [
            {
                "face": face_id(result.photo, result.recipe, position), "box": list(face.box), "score": face.score,
                "landmarks": [float(value) for point in face.landmarks for value in point],
                "embedding": face.embedding, "doubt": face.doubt, "sharpness": face.sharpness,
            }
            for position, face in enumerate(result.faces)
        ],
    }  # fmt: skip


def stored_faces(result: Document, paths: tuple[str, ...]) -> Iterator[StoredFace]:
    """The faces of a result."""
    for face in result["faces"]:
        box, score, doubt = Box(*face["box"]), face["score"], face["doubt"]
        yield StoredFace(face["face"], result["photo"], result["recipe"], paths, box, score, doubt)


def failure_document(failure: Failure, present: bool, now: str) -> Document:
    """A failure; ``present`` as for a result."""
    return {
        "_id": key(failure.photo, failure.recipe), "photo": failure.photo, "recipe": failure.recipe,
        "present": present, "path": failure.path, "class": failure.kind, "message": failure.message,
        "attempts": failure.attempt, "worker": failure.worker, "failed_at": now,
    }  # fmt: skip


def failed_photo(failure: Document) -> StoredFailure:
    """A failure as it is listed."""
    fields = (failure[name] for name in ("path", "photo", "class", "message", "attempts", "worker", "failed_at"))
    return StoredFailure(*fields)


def unread_file(file: Document) -> StoredFailure:
    """A file that could not even be read, as it is listed."""
    return StoredFailure(file["_id"], None, file["error_class"], file["error_message"], 1, None, None)


def epoch_id(epoch: int) -> str:
    """Of equal length, so that the order of the ids is that of the numbers."""
    return f"{epoch:012}"


def epoch_document(epoch: int) -> Document:
    """A master that has just begun."""
    return {"_id": epoch_id(epoch), "epoch": epoch, "beats": 0}


def known_workers(documents: Iterable[Document]) -> list[KnownWorker]:
    """The workers that were measured, or told their manners, or both."""
    rates, manners = {}, {}
    for document in documents:
        if "rate" in document:
            rates[document["name"]] = document["rate"]
        else:
            manners[document["name"]] = Manners(**document["manners"])
    return [KnownWorker(name, rates.get(name), manners.get(name, Manners())) for name in sorted({*rates, *manners})]
