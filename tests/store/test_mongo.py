"""What only a server can get wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import bson
import pytest
from pymongo import MongoClient

from common.messages import Failure, PhotoResult
from master.store import StoreError
from master.store.mongo import MongoStore, database, documents
from tests.builders import RECIPE, face, failure, key, known_file, result
from tests.parts.mongo import PASSWORD, SERVERS, Server, free_port
from tests.store.commands import recording

Open = Callable[[], MongoStore]
DOCUMENT_BYTES = 16_000_000  # MongoDB's limit, nearly


@pytest.fixture
def store(open_mongo: Open) -> MongoStore:
    """Each server in turn, empty, wanting RECIPE."""
    store = open_mongo()
    store.want(RECIPE)
    return store


def photos(count: int) -> list[str]:
    """Keys of that many photos."""
    return [f"{number:064x}" for number in range(count)]


def test_what_was_acknowledged_outlives_a_kill(
    ferretdb: Server, new_database: Callable[[Server], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is killed while answers are put: each that put() returned for is there, whole, after its restart."""
    monkeypatch.setattr(database, "ABSENT_MS", 500)
    store = MongoStore(ferretdb.uri, new_database(ferretdb))
    store.want(RECIPE)
    keys = photos(200)
    store.record([known_file(f"{photo}.jpg", photo) for photo in keys])
    kept: list[str] = []
    enough = threading.Event()

    def put() -> None:
        for start in range(0, len(keys), 5):
            try:
                store.put(
                    [result(photo, face(), face(60)) for photo in keys[start : start + 5]], ("results", start + 5)
                )
            except StoreError:
                return
            kept.extend(keys[start : start + 5])
            if len(kept) >= 50:
                enough.set()

    thread = threading.Thread(target=put)
    thread.start()
    assert enough.wait(60)
    ferretdb.kill()
    try:
        thread.join(60)
        assert 50 <= len(kept) < len(keys)
    finally:
        ferretdb.start()
    offset = store.offset("results")  # the same store goes on by itself
    assert offset is not None and offset >= len(kept)
    assert store.known([(photo, RECIPE) for photo in kept]) == {(photo, RECIPE) for photo in kept}
    counts = store.counts()
    assert counts.faces == 2 * counts.done and counts.todo + counts.done >= len(keys)
    store.put([result(photo, face(), face(60)) for photo in keys])
    counts = store.counts()
    assert (counts.todo, counts.done, counts.faces) == (0, len(keys), 2 * len(keys))
    store.close()


def test_a_server_that_is_gone_is_an_error_in_words(
    ferretdb: Server, new_database: Callable[[Server], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method says that the server can't be reached, and works again when it is back."""
    monkeypatch.setattr(database, "ABSENT_MS", 300)
    store = MongoStore(ferretdb.uri, new_database(ferretdb))
    store.want(RECIPE)
    store.record([known_file("a.jpg")])
    store.put([result(key("a"), face())])
    ferretdb.kill()
    try:
        for call in (store.counts, store.begin_epoch, lambda: list(store.faces()), lambda: list(store.folders())):
            with pytest.raises(StoreError, match="can't be reached"):
                call()
        with pytest.raises(StoreError, match="can't be reached"):
            store.put([result(key("a"))])
    finally:
        ferretdb.start()
    assert store.counts().done == 1 and len(list(store.faces())) == 1
    store.close()


def test_a_server_that_is_not_there_is_reported_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for half a minute, as the driver would: the caller tries again, and says that it waits."""
    assert database.ABSENT_MS == 5000
    monkeypatch.setattr(database, "ABSENT_MS", 300)
    port = free_port()
    began = time.monotonic()
    with pytest.raises(StoreError, match=f"127.0.0.1:{port} can't be reached .*refused.*Is it running"):
        MongoStore(f"mongodb://127.0.0.1:{port}", "faces")
    assert time.monotonic() - began < 5


def test_a_refused_login_is_said_without_the_password(ferretdb: Server) -> None:
    """A wrong password is told apart from a server that is not there; no message holds a password."""
    wrong = ferretdb.uri.replace("open%20sesame", "secret123")
    with pytest.raises(StoreError, match="refuses the login") as caught:
        MongoStore(wrong, "faces")
    assert "secret123" not in str(caught.value) and PASSWORD not in str(caught.value)
    with pytest.raises(StoreError, match="refuses the login"):
        MongoStore(ferretdb.uri.replace("faceswarm:open%20sesame@", "").replace("authSource=admin", ""), "faces")


@pytest.mark.parametrize("uri", ["", "mongodb://", "http://host", "mongodb://host:port/", "mongodb://a:b:c@host"])
def test_an_address_that_is_none_is_an_error_in_words(uri: str) -> None:
    """A mistake in the configuration is one line."""
    with pytest.raises(StoreError, match="is no address"):
        MongoStore(uri, "faces")


def test_a_newer_schema_is_refused_and_left_alone(open_mongo: Open) -> None:
    """A database of a later version is not touched."""
    store = open_mongo()
    store._db.set("schema", version=database.SCHEMA_VERSION + 1)
    with recording() as commands, pytest.raises(StoreError, match="newer faceswarm"):
        open_mongo()
    assert {next(iter(command)) for command in commands} <= {"find", "saslStart", "saslContinue", "endSessions"}


def test_opening_again_writes_nothing(open_mongo: Open) -> None:
    """Whoever only reads (the command line, beside the master) leaves indexes and documents alone."""
    open_mongo()
    with recording() as commands:
        assert open_mongo().counts().files == 0
    assert not {next(iter(command)) for command in commands} & {"insert", "update", "delete", "createIndexes"}


def test_the_database_of_the_program_before_is_left_alone(open_mongo: Open) -> None:
    """Its collections may be in the same database: all of ours have names of their own."""
    store = open_mongo()
    theirs = store._db.client.get_database(store._db._name)
    theirs["images"].insert_one({"_id": "theirs"})
    store.want(RECIPE)
    store.record([known_file("a.jpg")])
    store.put([result(key("a"), face())])
    assert all(name == "images" or name.startswith("faceswarm_") for name in theirs.list_collection_names())
    assert list(theirs["images"].find()) == [{"_id": "theirs"}]


def round_trips(store: MongoStore, answers: list[PhotoResult | Failure]) -> int:
    """Commands sent for one put()."""
    with recording() as commands:
        store.put(answers, ("results", 1))
    return len(commands)


def test_a_batch_costs_as_many_round_trips_as_one_answer(store: MongoStore) -> None:
    """Fifty results, or two hundred, with failures or seen before: what is sent does not grow."""
    keys = photos(250)
    store.record([known_file(f"{photo}.jpg", photo) for photo in keys])
    results: list[PhotoResult | Failure] = [result(photo, face()) for photo in keys[:200]]
    failures: list[PhotoResult | Failure] = [failure(photo) for photo in keys[200:]]
    assert round_trips(store, results[:1]) == round_trips(store, results[1:50]) == 5
    mixed = [results[0], results[50], failures[0]], [*results[:50], *results[51:], *failures]
    assert round_trips(store, mixed[0]) == round_trips(store, mixed[1]) <= 8


def test_recording_many_files_costs_as_many_round_trips_as_one(store: MongoStore) -> None:
    """A scan records 64 files at once; what is sent does not grow with them."""
    keys = photos(65)
    sent = []
    for some in (keys[:1], keys[1:], keys):
        with recording() as commands:
            store.record([known_file(f"{photo}.jpg", photo) for photo in some])
        sent.append(len(commands))
    assert sent[0] == sent[1] <= 6
    assert sent[2] <= 8


def test_a_photo_with_five_hundred_faces_is_one_document(store: MongoStore) -> None:
    """The largest result that a message may hold fits, whole, far below the limit of a document."""
    store.record([known_file("crowd.jpg")])
    store.put([result(key("a"), *(face(x) for x in range(500)))])
    faces = list(store.faces())
    assert [stored.box.x for stored in faces] == list(range(500))
    stored = store._db.results.find_one() or {}
    assert len(bson.encode(stored)) < DOCUMENT_BYTES / 10
    assert len(stored["faces"][499]["embedding"]) == 512


def test_a_photo_may_lie_in_any_number_of_places(store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand copies of one picture are listed in its document, and no more, since documents have a limit."""
    monkeypatch.setattr(documents, "MAX_FILES", 3)
    names = [f"{number}.jpg" for number in range(8)]
    for some in (names[:2], names[2:5], names[5:]):
        store.record([known_file(name) for name in some])
    assert len((store._db.photos.find_one() or {})["files"]) == 3
    assert store.paths(key("a")) == names
    store.put([result(key("a"), face())])
    assert [stored.paths for stored in store.faces()] == [tuple(names)]
    store.record([known_file(names[7], sha256="e" * 64, size=12)])
    while names:
        assert store.counts().photos == store.counts().done == 1
        assert store.paths(key("a")) == names
        store.forget([("", names.pop(0))])
    assert store.paths(key("a")) == [] and store.counts().photos == store.counts().done == store.counts().files == 0


def test_the_largest_list_of_files_fits(store: MongoStore) -> None:
    """A photo with as many copies as its document lists, of the longest paths that Linux has."""
    folder = "/".join(["d" * 250] * 15)
    store.record([known_file(f"{folder}/{number:0250}") for number in range(documents.MAX_FILES)])
    assert len(store.paths(key("a"))) == documents.MAX_FILES
    assert len(bson.encode(store._db.photos.find_one() or {})) < DOCUMENT_BYTES / 2


def test_stores_may_be_opened_at_once(open_mongo: Open) -> None:
    """Master and command line that start together make one schema."""
    threads = [threading.Thread(target=open_mongo) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert open_mongo().counts().files == 0


def test_an_old_master_takes_no_number_twice(
    request: pytest.FixtureRequest, new_database: Callable[[Server], str]
) -> None:
    """Attempts begun through several connections at once have different numbers (not on FerretDB: its updates race)."""
    server: Server = request.getfixturevalue(SERVERS[-1])
    name = new_database(server)
    stores = [MongoStore(server.uri, name) for _ in range(4)]
    stores[0].want(RECIPE)
    stores[0].record([known_file("a.jpg")])
    with ThreadPoolExecutor(len(stores)) as threads:
        numbers = list(threads.map(lambda store: store.begin(key("a"), RECIPE, "w", "1"), stores * 10))
    assert sorted(number or 0 for number in numbers) == list(range(1, 41))
    for store in stores:
        store.close()


def test_names_that_clash_stay_apart() -> None:
    """A photo's results are found by a range of ids that holds no other photo's."""
    bounds = documents.of_photo(key("a"))["_id"]
    assert bounds["$gt"] < documents.key(key("a"), RECIPE) < bounds["$lt"]
    for other in (key("a", 6), key("b"), key("a")[:-1]):
        assert not bounds["$gt"] < documents.key(other, RECIPE) < bounds["$lt"]


def test_a_client_is_closed_with_its_store(open_mongo: Open) -> None:
    """Nothing is left open by a store that could not be opened either."""
    store = open_mongo()
    store.close()
    with pytest.raises(StoreError):
        store.counts()
    assert isinstance(store._db.client, MongoClient)
