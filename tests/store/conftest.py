"""The stores under test: each fixture is a way to open one database again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from master.store import Store
from master.store.mongo import MongoStore
from master.store.sqlite import SqliteStore
from tests.builders import RECIPE
from tests.parts.mongo import SERVERS, Server, ferretdb, mongo_java_server, mongod, new_database

__all__ = ["ferretdb", "mongo_java_server", "mongod", "new_database"]

Open = Callable[[], Store]
S = TypeVar("S", bound=Store)
NAMES = {server: server.replace("_", "-") for server in SERVERS}


@pytest.fixture
def to_close() -> Iterator[list[Store]]:
    """The stores that a test opened."""
    stores: list[Store] = []
    yield stores
    for store in stores:
        store.close()


@pytest.fixture(params=["sqlite", *SERVERS], ids=lambda name: NAMES.get(name, name))
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, to_close: list[Store], new_database: Callable[[Server], str]
) -> Open:
    """Each adapter in turn: opens one database, empty at first; as often as it is called."""
    if request.param == "sqlite":
        return lambda: _keep(SqliteStore(tmp_path / "faces.db"), to_close)
    server: Server = request.getfixturevalue(request.param)
    return _opening(server, new_database(server), to_close)


@pytest.fixture(params=SERVERS, ids=NAMES.get)
def open_mongo(
    request: pytest.FixtureRequest, to_close: list[Store], new_database: Callable[[Server], str]
) -> Callable[[], MongoStore]:
    """Each server of MongoDB's protocol in turn."""
    server: Server = request.getfixturevalue(request.param)
    return _opening(server, new_database(server), to_close)


def _opening(server: Server, database: str, to_close: list[Store]) -> Callable[[], MongoStore]:
    return lambda: _keep(MongoStore(server.uri, database), to_close)


def _keep(store: S, to_close: list[Store]) -> S:
    to_close.append(store)
    return store


@pytest.fixture
def store(open_store: Open) -> Store:
    """Empty, wanting RECIPE."""
    store = open_store()
    store.want(RECIPE)
    return store
