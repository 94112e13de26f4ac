"""docs/queries.md is true: it lists what the MongoDB store asks, and the indexes are there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from pymongo import MongoClient

from master.store import Lane, Manners, Store
from master.store.mongo import MongoStore, documents
from master.store.mongo.database import INDEXES, PREFIX
from tests.builders import RECIPE, face, failure, key, known_file, result
from tests.conftest import REPOSITORY
from tests.parts.mongo import SERVERS, Server
from tests.store.commands import recording
from tests.store.test_interrupted import before, end, fleet, forget, put, record, want, want_back

DOCUMENT = REPOSITORY / "docs" / "queries.md"
OPERATORS = {"$in": "=", "$gt": ">", "$gte": ">", "$lt": ">", "$exists": "exists"}


class Query(NamedTuple):
    """A query without its values."""

    collection: str
    asks: str  # "recipe =, present ="
    order: str  # "attempts, -mtime_ns"


class _Calls:
    """A store that notes which of its methods are called."""

    def __init__(self, store: MongoStore, called: set[str]) -> None:
        self._store = store
        self._called = called

    def __getattr__(self, name: str) -> Any:
        self._called.add(name)
        return getattr(self._store, name)


def everything(store: Any) -> None:
    """Calls each method, in every way that asks something else."""
    before(store)
    for step in (put, record, forget, want, want_back, end, fleet):
        step(store)
    store.record([known_file(f"{number}.jpg", key("k")) for number in range(4)])
    store.forget([("", f"{number}.jpg") for number in range(3)])
    store.begin(key("k"), RECIPE, "w", "1")
    store.put([result(key("k"), face(), face()), failure(key("h"))], ("results", 1))
    store.beat(store.begin_epoch())
    store.put_manners("pi", Manners(paused=True))
    store.use_lane(Lane(0, 1, "pi", "x"))
    store.known([(key("a"), RECIPE), (key("b"), RECIPE)])
    for ask in ("attempts", "mastership", "lanes", "workers", "counts"):
        getattr(store, ask)()
    for some in (store.folders(), store.faces(), store.failures()):
        list(some)
    store.folder(""), store.paths(key("k")), store.jobs(10), store.offset("results"), store.note("fleet")
    with store.writing():
        store.close()


@pytest.fixture
def sent(
    request: pytest.FixtureRequest, new_database: Callable[[Server], str], monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """The commands that are sent for everything that a store can do."""
    monkeypatch.setattr(documents, "MAX_FILES", 2)
    server: Server = request.getfixturevalue(SERVERS[-1])
    called: set[str] = set()
    with recording() as commands:
        everything(_Calls(MongoStore(server.uri, new_database(server)), called))
    assert called >= {name for name in vars(Store) if not name.startswith("_")}
    return commands


def parts(command: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """The filters of a command, each with its order."""
    for name in ("updates", "deletes"):
        yield from ((statement["q"], {}) for statement in command.get(name, []))
    if "find" in command:
        yield command["filter"], command.get("sort", {})
    if "aggregate" in command:
        yield command["pipeline"][0]["$match"], {}


def query(command: dict[str, Any], match: dict[str, Any], order: dict[str, int]) -> Query:
    """The query without its values."""
    asks = []
    for field, value in match.items():
        operators = {OPERATORS[name] for name in value} if isinstance(value, dict) else {"="}
        asks.append(f"{re.sub('[0-9]+$', 'N', field)} {' '.join(operators)}")
    collection = str(next(iter(command.values()))).removeprefix(PREFIX)
    signed = (f"-{field}" if direction < 0 else field for field, direction in order.items())
    return Query(collection, ", ".join(asks) or "everything", ", ".join(signed))


def table() -> dict[Query, str]:
    """The queries of the document, each with its index."""
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 5 and cells[0] not in ("collection", "---"):
            rows[Query(*cells[:3])] = cells[3]
    return rows


def test_every_query_stands_in_the_table(sent: list[dict[str, Any]]) -> None:
    """What is sent is what is listed, no more and no less."""
    assert {query(command, *part) for command in sent for part in parts(command)} == set(table())


def test_every_query_has_an_index_that_fits() -> None:
    """An index serves what asks for its first fields, or for its order; what is small is read whole, and said to be."""
    for row, index in table().items():
        if index.startswith("none:"):
            assert row.asks == "everything" and not row.order
            continue
        fields = [field for field, _ in INDEXES.get(row.collection, {}).get(index, [("_id", 1)])]
        assert index in {"_id", *INDEXES.get(row.collection, {})}, row
        asked = [] if row.asks == "everything" else [part.split()[0] for part in row.asks.split(", ")]
        wanted = asked or [field.lstrip("-") for field in row.order.split(", ")]
        assert fields[0] == wanted[0], row
        assert index == "_id" or fields[: len(wanted)] == wanted, row
    used = {(row.collection, index) for row, index in table().items()}
    assert {(collection, index) for collection, indexes in INDEXES.items() for index in indexes} <= used


def test_a_real_server_plans_to_use_an_index(sent: list[dict[str, Any]], mongod: Server) -> None:
    """No query reads a whole collection, but those that say so."""
    small = {row for row, index in table().items() if index.startswith("none:")}
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        for command in sent:
            if not {query(command, *part) for part in parts(command)} - small:
                continue
            lean = {name: value for name, value in command.items() if name not in ("lsid", "$db", "writeConcern")}
            lean = {name: value for name, value in lean.items() if name not in ("txnNumber", "$clusterTime")}
            for several in ("updates", "deletes"):
                if several in lean:
                    lean[several] = lean[several][:1]  # it explains one at a time
            plan = client.get_database(command["$db"]).command("explain", lean, verbosity="queryPlanner")
            assert "COLLSCAN" not in str(plan), command
