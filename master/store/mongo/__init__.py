"""The store in a MongoDB database: the swarm. The only importer of pymongo; embedded mode imports nothing of it.

There are no transactions, so every method writes in such an order that a kill between any two writes, and the call
repeated (results come again from the bus, files from the next scan), ends as if nothing had happened. Only plain
operators are used, which every server that speaks the protocol has; docs/queries.md lists the queries, each with the
index that serves it.

    database.py   connection, indexes, errors in words, the ways to read and write
    documents.py  what is in the documents                                              pure
    changes.py    what becomes of photos when files come and go                         pure
    files.py      record and forget
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import islice

from pymongo import DeleteOne, ReplaceOne, UpdateOne

from common.messages import Failure, PhotoResult
from master.store import (
    Attempt,
    Counts,
    File,
    Job,
    KnownWorker,
    Lane,
    Manners,
    Photo,
    Stored,
    StoredFace,
    StoredFailure,
)
from master.store.mongo import documents as docs
from master.store.mongo.database import AT_ONCE, SOME, Database, worded
from master.store.mongo.documents import Document, key
from master.store.mongo.files import change_files, ended


class MongoStore:
    """Implements master.store.Store in the given database of the server at ``uri``; it is made if it is missing.

    Raises StoreError within 5 s for a server that can't be reached, and for one that refuses the login or is newer.
    """

    def __init__(self, uri: str, database: str) -> None:
        # Held by what reads, decides and writes, since only one process does so at a time: the master.
        self._lock = threading.RLock()
        self._db = Database(uri, database)
        with self._db.wording():
            self._recipe: str = self._db.setting("recipe", "text", "")

    @worded
    def want(self, recipe: str) -> None:
        if recipe == self._recipe:
            return
        with self._lock:
            # Killed from here on, no recipe is wanted, and the next start begins again.
            self._recipe = ""
            self._db.set("recipe", text="")
            self._db.jobs.delete_many({})
            for page in self._db.pages():
                photos = {key(photo["_id"], recipe): photo for photo in page}
                done = ended(self._db, photos)
                jobs = [docs.job_document(photo, recipe) for _id, photo in photos.items() if _id not in done]
                self._db.insert_absent(self._db.jobs, jobs)
            self._db.set("recipe", text=recipe)
            self._recipe = recipe

    @worded
    def folder(self, folder: str) -> dict[str, File]:
        return {document["name"]: docs.file_of(document) for document in self._db.files.find({"folder": folder})}

    def folders(self) -> Iterator[str]:
        with self._db.wording():
            every = {"$match": {"folder": {"$gte": ""}}}  # "" is the root; so the index alone answers
            for group in self._db.files.aggregate([every, {"$group": {"_id": "$folder"}}, {"$sort": {"_id": 1}}]):
                yield group["_id"]

    @worded
    def paths(self, photo: str) -> list[str]:
        document = self._db.photos.find_one({"_id": photo})
        return self._paths(document) if document else []

    def _paths(self, photo: Document) -> list[str]:
        paths = {file["path"] for file in photo["files"]}
        if photo.get("more"):
            paths.update(file["_id"] for file in self._db.files.find({"beyond": photo["_id"]}, {"_id": 1}))
        return sorted(paths)

    @worded
    def record(self, files: Sequence[tuple[File, Photo | None]]) -> list[bool]:
        given = {photo.photo: photo for _, photo in files if photo}
        with self._lock:
            known = change_files(self._db, {file.path: file for file, _ in files}, given, self._recipe)
        unknown = []
        for _, photo in files:
            unknown.append(photo is not None and photo.photo not in known)
            known |= {photo.photo} if photo else set()
        return unknown

    @worded
    def forget(self, paths: Iterable[tuple[str, str]]) -> None:
        gone = iter(paths)
        while some := list(islice(gone, AT_ONCE)):
            with self._lock:
                found = {f"{folder}/{name}" if folder else name: None for folder, name in some}
                change_files(self._db, found, {}, self._recipe)

    @worded
    def jobs(self, limit: int) -> list[Job]:
        if limit <= 0:
            return []  # to MongoDB no limit
        order = [("attempts", 1), ("mtime_ns", -1), ("_id", 1)]
        return [docs.job_of(job) for job in self._db.jobs.find({}, batch_size=limit).sort(order).limit(limit)]

    @worded
    def begin(self, photo: str, recipe: str, worker: str, incarnation: str) -> int | None:
        this = key(photo, recipe)
        with self._lock:
            while job := self._db.jobs.find_one({"_id": this}, {"begun": 1}):
                attempt: int = job["begun"] + 1
                begun = {
                    "$set": {"begun": attempt, f"open.a{attempt}": {"worker": worker, "incarnation": incarnation}},
                    "$inc": {"attempts": 1, "in_flight": 1},
                }
                if self._db.jobs.update_one({"_id": this, "begun": job["begun"]}, begun).matched_count:
                    return attempt
                # An old master took this number in between: we take the next.
        return None

    @worded
    def attempts(self) -> list[Attempt]:
        return [attempt for job in self._db.jobs.find({"in_flight": {"$gt": 0}}) for attempt in docs.attempts_of(job)]

    @worded
    def end_attempt(self, photo: str, recipe: str, attempt: int, *, counts: bool) -> None:
        one = f"open.a{attempt}"
        ended = {"$unset": {one: ""}, "$inc": {"in_flight": -1, **({} if counts else {"attempts": -1})}}
        with self._lock:
            self._db.jobs.update_one({"_id": key(photo, recipe), one: {"$exists": True}}, ended)

    @worded
    def known(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        found = self._db.by_id(self._db.results, (key(*each) for each in keys), {"_id": 1})
        return {each for each in keys if key(*each) in found}

    @worded
    def put(self, answers: Sequence[PhotoResult | Failure], read: tuple[str, int] | None = None) -> list[Stored]:
        with self._lock:
            stored = self._keep(answers) if answers else []
            if read:
                self._db.set(f"offset:{read[0]}", next=read[1])
        return stored

    def _keep(self, answers: Sequence[PhotoResult | Failure]) -> list[Stored]:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        keys = [key(answer.photo, answer.recipe) for answer in answers]
        photos = self._db.by_id(self._db.photos, (answer.photo for answer in answers), {"path": 1})
        present = {photo for photo, document in photos.items() if "path" in document}
        results: dict[str, PhotoResult] = {}
        failures: dict[str, Failure] = {}
        for _id, answer in zip(keys, answers):
            if isinstance(answer, PhotoResult):
                results.setdefault(_id, answer)
            else:
                failures[_id] = answer

        new = [docs.result_document(result, result.photo in present, now) for result in results.values()]
        known = self._db.insert_absent(self._db.results, new)
        known.update(self._db.by_id(self._db.results, (_id for _id in failures if _id not in results), {"_id": 1}))
        # A result that was there may be of a photo that became known after it.
        again = [(_id, {"$set": {"present": _id.split()[0] in present}}) for _id in results if _id in known]
        self._db.write(self._db.results, [UpdateOne({"_id": _id}, change) for _id, change in again])
        clear = [DeleteOne({"_id": _id}) for _id in (*results, *known)]
        keep = [
            ReplaceOne({"_id": _id}, docs.failure_document(failure, failure.photo in present, now), upsert=True)
            for _id, failure in failures.items()
            if _id not in results and _id not in known
        ]
        self._db.write(self._db.failures, [*clear, *keep])
        self._db.write(self._db.jobs, [DeleteOne({"_id": _id}) for _id in dict.fromkeys(keys)])

        stored: list[Stored] = []
        for _id, answer in zip(keys, answers):
            stored.append("known" if _id in known else "stored")
            if isinstance(answer, PhotoResult):
                known.add(_id)
        return stored

    @worded
    def offset(self, topic: str) -> int | None:
        offset: int | None = self._db.setting(f"offset:{topic}", "next", None)
        return offset

    @worded
    def begin_epoch(self) -> int:
        # By an insert, which every server does for one only; not by $inc, which some don't do atomically (FerretDB).
        while True:
            epoch, _ = self.mastership()
            if not self._db.insert_absent(self._db.epochs, [docs.epoch_document(epoch + 1)]):
                return epoch + 1

    @worded
    def beat(self, epoch: int) -> bool:
        latest, beats = self.mastership()
        if latest == epoch:
            self._db.epochs.update_one({"_id": docs.epoch_id(epoch)}, {"$set": {"beats": beats + 1}})
        return latest == epoch

    @worded
    def mastership(self) -> tuple[int, int]:
        latest = self._db.epochs.find_one({}, sort=[("_id", -1)]) or {"epoch": 0, "beats": 0}
        return latest["epoch"], latest["beats"]

    @worded
    def lanes(self) -> list[Lane]:
        return sorted(Lane(*(lane[field] for field in Lane._fields)) for lane in self._db.lanes.find({}))

    @worded
    def use_lane(self, lane: Lane) -> None:
        self._db.lanes.replace_one({"_id": str(lane.number)}, lane._asdict(), upsert=True)

    @worded
    def workers(self) -> list[KnownWorker]:
        return docs.known_workers(self._db.workers.find({}))

    @worded
    def put_rate(self, worker: str, rate: float) -> None:
        # Apart from the manners, which another process may be writing.
        self._db.workers.replace_one({"_id": f"rate {worker}"}, {"name": worker, "rate": rate}, upsert=True)

    @worded
    def put_manners(self, worker: str, manners: Manners) -> None:
        document = {"name": worker, "manners": manners._asdict()}
        self._db.workers.replace_one({"_id": f"manners {worker}"}, document, upsert=True)

    @worded
    def put_note(self, name: str, text: str) -> None:
        self._db.set(f"note:{name}", text=text)

    @worded
    def note(self, name: str) -> str | None:
        return self._db.setting(f"note:{name}", "text", "") or None

    def faces(self) -> Iterator[StoredFace]:
        recipe, lean = self._recipe, {"faces.embedding": 0, "faces.landmarks": 0}
        for page in self._db.pages():
            with self._db.wording():
                results = self._db.by_id(self._db.results, (key(photo["_id"], recipe) for photo in page), lean)
            for photo in page:
                result = results.get(key(photo["_id"], recipe))
                if result and result["faces"]:
                    with self._db.wording():
                        paths = tuple(self._paths(photo))
                    yield from docs.stored_faces(result, paths)

    def failures(self) -> Iterator[StoredFailure]:
        with self._db.wording():
            failed = self._db.failures.find({"recipe": self._recipe, "present": True}).sort([("class", 1), ("path", 1)])
            unread = self._db.files.find({"error_class": SOME}).sort([("error_class", 1), ("_id", 1)])
            # In the order of their first two fields: both come sorted.
            yield from heapq.merge(
                map(docs.failed_photo, failed), map(docs.unread_file, unread), key=lambda row: (row.kind, row.path)
            )

    @worded
    def counts(self) -> Counts:
        mine = {"recipe": self._recipe, "present": True}
        failed = self._db.sums(self._db.failures, mine, "$class")
        for reason, number in self._db.sums(self._db.files, {"error_class": SOME}, "$error_class").items():
            failed[reason] = failed.get(reason, 0) + number
        return Counts(
            files=self._db.files.count_documents({"_id": SOME}),
            photos=self._db.photos.count_documents({"path": SOME}),
            todo=self._db.jobs.count_documents({"_id": SOME}),
            done=self._db.results.count_documents(mine),
            failed=dict(sorted(failed.items())),
            faces=self._db.sums(self._db.results, mine, None, "$count").get(None, 0),
            skipped=self._db.sums(self._db.files, {"skipped": SOME}, "$skipped"),
        )

    @contextmanager
    def writing(self) -> Iterator[None]:
        # In a swarm whoever scans and collects is the master by its epoch, on any machine: there is nothing to lock.
        yield

    def close(self) -> None:
        self._db.client.close()
