"""What only a file can get wrong."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from master.store import StoreBusy, StoreError
from master.store.sqlite import SCHEMA_VERSION, SqliteStore
from tests.builders import RECIPE, known_file


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A database of a later version is not touched."""
    file = tmp_path / "f.db"
    SqliteStore(file).close()
    with sqlite3.connect(file) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match="newer faceswarm"):
        SqliteStore(file)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """Somebody else's tables are not ours to write to."""
    with sqlite3.connect(tmp_path / "f.db") as db:
        db.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="another program"):
        SqliteStore(tmp_path / "f.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A text file is not overwritten."""
    (tmp_path / "f.db").write_text("dear diary, " * 100)
    with pytest.raises(StoreError, match="can't be used"):
        SqliteStore(tmp_path / "f.db")
    assert (tmp_path / "f.db").read_text().startswith("dear diary")


def test_a_place_that_can_not_be_written_is_refused(tmp_path: Path) -> None:
    """A database below a file, not a folder, is a clear error."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can't be used"):
        SqliteStore(tmp_path / "file" / "f.db")


def test_only_one_process_scans_and_collects(tmp_path: Path) -> None:
    """While one process is writing, a second one is told so; reading goes on."""
    store = SqliteStore(tmp_path / "f.db")
    other = (
        "import sys; from pathlib import Path; from master.store.sqlite import SqliteStore\n"
        "from master.store import StoreBusy\n"
        "store = SqliteStore(Path(sys.argv[1])); store.counts()\n"
        "try:\n    store.writing().__enter__()\nexcept StoreBusy:\n    print('busy')"
    )
    with store.writing():
        done = subprocess.run([sys.executable, "-c", other, str(store.file)], capture_output=True, text=True)
        assert done.stdout == "busy\n", done.stderr
    with store.writing():
        pass


def test_a_full_disk_is_an_error_in_words(tmp_path: Path) -> None:
    """When nothing more can be written, what was stored stays, and the error says so."""
    store = SqliteStore(tmp_path / "f.db")
    store.want(RECIPE)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")  # the nearest to a full disk that needs no root
    with pytest.raises(StoreError, match="kept"):
        store.record([known_file(f"{number}.jpg", f"{number:064x}") for number in range(1000)])
    assert store.counts().files == 0


def test_busy_is_a_store_error() -> None:
    """Who handles StoreError handles StoreBusy."""
    assert issubclass(StoreBusy, StoreError)
