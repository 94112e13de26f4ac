"""Files come, change and go: reads what is known of them, has it decided in changes.py, and writes that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne

from master.store import Photo
from master.store.mongo import documents as docs
from master.store.mongo.changes import Changes, Found
from master.store.mongo.database import Database, Write
from master.store.mongo.documents import Document, key


def change_files(db: Database, found: Found, given: Mapping[str, Photo], recipe: str) -> set[str]:
    """Makes what is stored agree with the files found; returns those of the photos that were known before.

    ``given``: what is known of the photos found; each that has no result, failure or job of the recipe becomes a job.
    """
    changes = Changes(found, db.by_id(db.files, found))
    known = db.by_id(db.photos, {*changes.photos(), *given})
    after = changes.after(known, given)
    for photo, document in after.items():
        if document.get("more") and not document["files"]:
            after[photo] = _refilled(db, document, changes.lost.get(photo, set()))
    # In this order: whatever a kill leaves undone, the file's mark has it done again.
    db.write(db.files, _marks(changes))
    turned = [
        UpdateMany(docs.of_photo(photo), {"$set": {"present": present}})
        for photo, present in changes.turned(known, after).items()
    ]
    db.write(db.results, turned)
    db.write(db.failures, turned)
    db.write(
        db.photos,
        [
            ReplaceOne({"_id": photo}, document) if photo in known else InsertOne(document)
            for photo, document in after.items()
            if document != known.get(photo)
        ],
    )
    if recipe:
        db.write(db.jobs, [*_old_jobs(changes, after, recipe), *_new_jobs(db, given, known, after, recipe)])
    db.write(db.files, _final(changes, after))
    return set(known)


def ended(db: Database, keys: Iterable[str]) -> set[str]:
    """Those of these photos and recipes that have a result or a failure."""
    wanted, only = list(keys), {"_id": 1}
    return {*db.by_id(db.results, wanted, only), *db.by_id(db.failures, wanted, only)}


def _refilled(db: Database, photo: Document, lost: set[str]) -> Document:
    others = db.files.find({"beyond": photo["_id"]}).limit(docs.MAX_FILES + len(lost))
    return docs.with_files(photo, (), {file["_id"]: file["mtime_ns"] for file in others if file["_id"] not in lost})


def _marks(changes: Changes) -> Iterator[Write]:
    for path, fields in changes.marks.items():
        if path in changes.before:
            yield UpdateOne({"_id": path}, {"$set": fields})
        else:
            yield InsertOne({"_id": path, **fields})


def _old_jobs(changes: Changes, after: Mapping[str, Document], recipe: str) -> Iterator[Write]:
    for photo in filter(after.get, changes.lost):
        job = {"_id": key(photo, recipe)}
        if path := after[photo].get("path"):
            yield UpdateOne(job, {"$set": {"path": path}})
        else:
            yield DeleteOne(job)


def _new_jobs(
    db: Database, given: Iterable[str], known: Iterable[str], after: Mapping[str, Document], recipe: str
) -> Iterator[Write]:
    wanted = {key(photo, recipe): photo for photo in given if "path" in after[photo]}
    old = [_id for _id, photo in wanted.items() if photo in known]
    has = ended(db, old)
    has.update(db.by_id(db.jobs, [_id for _id in old if _id not in has], {"_id": 1}))
    for _id, photo in wanted.items():
        if _id not in has:
            yield InsertOne(docs.job_document(after[photo], recipe))


def _final(changes: Changes, after: Mapping[str, Document]) -> Iterator[Write]:
    for path, file in changes.found.items():
        if file is None:
            yield DeleteOne({"_id": path})
        else:
            document = docs.file_document(file, changes.beyond(file, after))
            there = path in changes.before or path in changes.marks
            yield ReplaceOne({"_id": path}, document) if there else InsertOne(document)
