"""The connection to the server, its errors in words, and the few ways in which the store reads and writes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from bson.errors import BSONError
from pymongo import DeleteOne, InsertOne, MongoClient, ReplaceOne, UpdateMany, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern

from master.store import StoreError
from master.store.mongo.documents import Document

SCHEMA_VERSION = 1
PREFIX = "faceswarm_"  # of collections: those of the program before this one may be in the same database
ABSENT_MS = 5000  # a server that is not there is reported after this time; the caller waits, and tries again
HANGING_MS = 60_000  # a server that is there and says nothing
AT_ONCE = 500  # documents of a page
DUPLICATE_KEY = 11000
LOGIN_REFUSED = {13, 18}  # Unauthorized, AuthenticationFailed
SOME = {"$gt": ""}  # any text: served by a sparse index, which $exists is not

COLLECTIONS = ["state", "photos", "files", "jobs", "results", "failures", "epochs", "lanes", "workers"]
INDEXES: dict[str, dict[str, list[tuple[str, int]]]] = {
    "photos": {"by_path": [("path", 1)]},
    "files": {
        "by_folder": [("folder", 1)],
        "by_skipped": [("skipped", 1)],
        "by_error": [("error_class", 1)],
        "by_beyond": [("beyond", 1)],
    },
    "jobs": {"in_order": [("attempts", 1), ("mtime_ns", -1), ("_id", 1)], "in_flight": [("in_flight", 1)]},
    "results": {"present": [("recipe", 1), ("present", 1), ("count", 1)]},
    "failures": {"present": [("recipe", 1), ("present", 1), ("class", 1), ("path", 1)]},
}
SPARSE = {"by_path", "by_skipped", "by_error", "by_beyond"}  # few documents have the field, or none by now

Write = InsertOne[Document] | ReplaceOne[Document] | UpdateOne | UpdateMany | DeleteOne
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Database:
    """The collections of one database. Raises StoreError like the store itself, whose place this is."""

    def __init__(self, uri: str, name: str) -> None:
        self._server = re.sub(r"^.*@|^.*?://", "", uri).partition("/")[0]  # without user and password
        self._name = name
        try:
            self.client: MongoClient[Document] = MongoClient(
                uri, appname="faceswarm", serverSelectionTimeoutMS=ABSENT_MS, connectTimeoutMS=ABSENT_MS,
                socketTimeoutMS=HANGING_MS,
            )  # fmt: skip
        except (PyMongoError, ValueError) as error:
            raise StoreError(f"{self._server!r} is no address of a database server: {error}.") from error
        # A power cut loses nothing that was reported done.
        database = self.client.get_database(name, write_concern=WriteConcern(w="majority", j=True))
        collections = (database[PREFIX + collection] for collection in COLLECTIONS)
        self.state, self.photos, self.files, self.jobs, self.results, self.failures, *fleet = collections
        self.epochs, self.lanes, self.workers = fleet
        try:
            with self.wording():
                self._make_schema()
        except StoreError:
            self.client.close()  # nothing was written that harms
            raise

    def _make_schema(self) -> None:
        version = self.setting("schema", "version", 0)
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"The database {self._name} was written by a newer faceswarm (schema {version}, this one knows "
                f"{SCHEMA_VERSION}). Nothing was changed; update faceswarm."
            )
        for name, indexes in INDEXES.items():
            collection: Collection[Document] = getattr(self, name)
            there = collection.index_information()
            for index, keys in indexes.items():
                if index not in there:  # one by one: FerretDB breaks off when one of several is there already
                    collection.create_index(keys, name=index, sparse=index in SPARSE)
        if not version:
            self.insert_absent(self.state, [{"_id": "schema", "version": SCHEMA_VERSION}])

    @contextmanager
    def wording(self) -> Iterator[None]:
        """Turns what the driver raises into a StoreError in words."""
        # What was written before the error does no harm: the caller repeats the whole call, so no photo is lost.
        try:
            yield
        except ConnectionFailure as error:
            reason = re.split(r" \(configured|, Timeout:", str(error))[0]
            raise StoreError(
                f"The database server {self._server} can't be reached ({reason}). Is it running?"
            ) from error
        except BulkWriteError as error:
            details = error.details or {}
            problems = [*details.get("writeErrors", []), *details.get("writeConcernErrors", [])]
            raise self._unusable(problems[0].get("errmsg", error) if problems else error) from error
        except OperationFailure as error:
            if error.code in LOGIN_REFUSED:
                word = f"The database server {self._server} refuses the login. Check user, password and authSource."
                raise StoreError(word) from error
            raise self._unusable(error) from error
        except (PyMongoError, BSONError) as error:
            raise self._unusable(error) from error

    def _unusable(self, reason: object) -> StoreError:
        return StoreError(f"The database {self._name} on {self._server} can't be used: {str(reason)[:300]}.")

    def by_id(
        self, collection: Collection[Document], ids: Iterable[str], fields: Mapping[str, int] | None = None
    ) -> dict[str, Document]:
        """Those of these documents that are there."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        # Equality where it will do: FerretDB scans for $in. All in one reply, as long as it is below 16 MB.
        match = {"_id": wanted[0] if len(wanted) == 1 else {"$in": wanted}}
        return {found["_id"]: found for found in collection.find(match, fields, batch_size=len(wanted) + 1)}

    def write(self, collection: Collection[Document], writes: Iterable[Write]) -> None:
        """In any order, and in a few round trips however many there are."""
        if requests := list(writes):
            collection.bulk_write(requests, ordered=False)

    def insert_absent(self, collection: Collection[Document], new: Sequence[Document]) -> set[str]:
        """Inserts those whose _id is not there yet; returns the other ids."""
        try:
            if new:
                collection.insert_many(new, ordered=False)
        except BulkWriteError as error:
            # The others were inserted. What was there stays as it is: the first one wins whole.
            details = error.details or {}
            problems = details["writeErrors"]
            if details.get("writeConcernErrors") or any(problem["code"] != DUPLICATE_KEY for problem in problems):
                raise
            return {new[problem["index"]]["_id"] for problem in problems}
        return set()

    def sums(
        self, collection: Collection[Document], match: Document, by: str | None, what: str | int = 1
    ) -> dict[Any, int]:
        """The sum of a field, or the number of documents, for each value of another."""
        # One sum for each query: FerretDB gives 0 for a second one.
        group = {"$group": {"_id": by, "sum": {"$sum": what}}}
        return {
            each["_id"]: each["sum"] for each in collection.aggregate([{"$match": match}, group, {"$sort": {"_id": 1}}])
        }

    def setting(self, name: str, field: str, default: Any) -> Any:
        """A field of a document of ``state``."""
        return (self.state.find_one({"_id": name}) or {}).get(field, default)

    def set(self, name: str, **fields: str | int) -> None:
        """Sets fields of a document of ``state``."""
        self.state.update_one({"_id": name}, {"$set": fields}, upsert=True)

    def pages(self) -> Iterator[list[Document]]:
        """The photos with a file, in the order of their paths; by look-ups, since a reader may take its time."""
        last = ""
        while True:
            with self.wording():
                page = list(self.photos.find({"path": {"$gt": last}}).sort("path", 1).limit(AT_ONCE))
            if not page:
                return
            yield page
            last = page[-1]["path"]


class _Stored(Protocol):
    _db: Database


Self = TypeVar("Self", bound=_Stored)


def worded(method: Callable[Concatenate[Self, Arguments], Result]) -> Callable[Concatenate[Self, Arguments], Result]:
    """A method that raises StoreError in words, not what the driver raises."""

    @functools.wraps(method)
    def wrapper(self: Self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with self._db.wording():
            return method(self, *args, **kwargs)

    return cast("Callable[Concatenate[Self, Arguments], Result]", wrapper)
