"""The store in one SQLite file: embedded mode. The only importer of sqlite3."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import psutil

from common.messages import Failure, PhotoResult
from common.model import Box
from master.store import (
    Attempt,
    Counts,
    File,
    Job,
    KnownWorker,
    Lane,
    Manners,
    Photo,
    StoreBusy,
    Stored,
    StoredFace,
    StoredFailure,
    StoreError,
)
from master.store.ids import face_id

SCHEMA_VERSION = 1
BUSY_SECONDS = 30  # another process may be writing; transactions are short
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs"}

SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE photos (
    photo TEXT PRIMARY KEY, width INTEGER NOT NULL, height INTEGER NOT NULL, format TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE files (
    folder TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    sha256 TEXT, photo TEXT REFERENCES photos, skipped TEXT, error_class TEXT, error_message TEXT,
    PRIMARY KEY (folder, name)
) WITHOUT ROWID;
CREATE INDEX files_by_photo ON files (photo) WHERE photo IS NOT NULL;
CREATE INDEX files_by_skipped ON files (skipped) WHERE skipped IS NOT NULL;
CREATE INDEX files_by_error ON files (error_class) WHERE error_class IS NOT NULL;
CREATE TABLE jobs (
    photo TEXT NOT NULL REFERENCES photos, recipe TEXT NOT NULL, mtime_ns INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, begun INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (photo, recipe)
) WITHOUT ROWID;
CREATE INDEX jobs_in_order ON jobs (attempts, mtime_ns DESC, photo);
CREATE TABLE attempts (
    photo TEXT NOT NULL, recipe TEXT NOT NULL, attempt INTEGER NOT NULL, worker TEXT NOT NULL,
    incarnation TEXT NOT NULL, PRIMARY KEY (photo, recipe, attempt),
    FOREIGN KEY (photo, recipe) REFERENCES jobs ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE offsets (topic TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE mastership (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, beats INTEGER NOT NULL);
INSERT INTO mastership VALUES (1, 0, 0);
CREATE TABLE lanes (
    number INTEGER PRIMARY KEY, generation INTEGER NOT NULL, worker TEXT NOT NULL, incarnation TEXT NOT NULL
);
CREATE TABLE workers (
    name TEXT PRIMARY KEY, rate REAL, paused INTEGER NOT NULL DEFAULT 0, drain INTEGER NOT NULL DEFAULT 0, hours TEXT,
    max_load REAL
) WITHOUT ROWID;
CREATE TABLE results (
    photo TEXT NOT NULL REFERENCES photos, recipe TEXT NOT NULL, worker TEXT NOT NULL, stored_at TEXT NOT NULL,
    decode_ms REAL NOT NULL, detect_ms REAL NOT NULL, embed_ms REAL NOT NULL, total_ms REAL NOT NULL,
    PRIMARY KEY (photo, recipe)
) WITHOUT ROWID;
CREATE TABLE faces (
    face TEXT PRIMARY KEY, photo TEXT NOT NULL, recipe TEXT NOT NULL, position INTEGER NOT NULL,
    x INTEGER NOT NULL, y INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    score REAL NOT NULL, landmarks BLOB NOT NULL, embedding BLOB NOT NULL, doubt REAL NOT NULL,
    sharpness REAL NOT NULL, FOREIGN KEY (photo, recipe) REFERENCES results
);
CREATE INDEX faces_by_result ON faces (photo, recipe, position);
CREATE TABLE failures (
    photo TEXT NOT NULL REFERENCES photos, recipe TEXT NOT NULL, path TEXT NOT NULL, class TEXT NOT NULL,
    message TEXT NOT NULL, attempts INTEGER NOT NULL, worker TEXT NOT NULL, failed_at TEXT NOT NULL,
    PRIMARY KEY (photo, recipe)
) WITHOUT ROWID;
"""

# A photo is to do when it has a file, and neither a result nor a failure of the wanted recipe.
NEW_JOBS = """
INSERT OR IGNORE INTO jobs (photo, recipe, mtime_ns)
SELECT photo, :recipe, max(files.mtime_ns) FROM photos JOIN files USING (photo)
WHERE {which}
  AND NOT EXISTS (SELECT 1 FROM results WHERE results.photo = photos.photo AND results.recipe = :recipe)
  AND NOT EXISTS (SELECT 1 FROM failures WHERE failures.photo = photos.photo AND failures.recipe = :recipe)
GROUP BY photo
"""


class SqliteStore:
    """Implements master.store.Store on the given file, which is made if it is missing.

    Raises StoreError for a file on a network file system, a newer schema, or a file that is no database of ours.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.RLock()
        refuse_network(file)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # a power cut loses nothing that was reported done
            self._db.execute("PRAGMA foreign_keys = ON")
            self._make_schema()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{file} can't be used as database: {error}. Choose another with --db FILE.") from error
        self._recipe = self._setting("recipe")

    def _make_schema(self) -> None:
        with self._transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"{self.file} was written by a newer faceswarm (schema {version}, this one knows "
                    f"{SCHEMA_VERSION}). Nothing was changed; update faceswarm."
                )
            if version == 0:
                if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise StoreError(f"{self.file} is a database of another program. Choose another with --db FILE.")
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    # Nothing of this transaction is stored, so its photos stay to do. Usually the disk is full.
                    raise StoreError(f"{self.file} can't be written: {error}. What was done is kept.") from error
                raise

    def _setting(self, name: str) -> str:
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row[0] if row else ""

    def want(self, recipe: str) -> None:
        if recipe == self._recipe:
            return
        with self._transaction():
            self._db.execute("DELETE FROM jobs WHERE recipe != ?", (recipe,))
            self._db.execute(NEW_JOBS.format(which="TRUE"), {"recipe": recipe})
            self._db.execute("INSERT OR REPLACE INTO settings VALUES ('recipe', ?)", (recipe,))
        self._recipe = recipe

    def folder(self, folder: str) -> dict[str, File]:
        with self._lock:
            rows = self._db.execute("SELECT * FROM files WHERE folder = ?", (folder,)).fetchall()
        return {
            name: File(folder, name, size, mtime_ns, sha256, photo, skipped, (kind, message) if kind else None)
            for _, name, size, mtime_ns, sha256, photo, skipped, kind, message in rows
        }

    def folders(self) -> Iterator[str]:
        last = None
        while True:  # one look-up for each folder, so that nobody waits for a long read
            with self._lock:
                where = "WHERE folder > ?" if last is not None else "WHERE ? IS NULL"
                row = self._db.execute(f"SELECT min(folder) FROM files {where}", (last,)).fetchone()
            if row[0] is None:
                return
            last = row[0]
            yield last

    def paths(self, photo: str) -> list[str]:
        with self._lock:
            rows = self._db.execute(
                "SELECT iif(folder = '', name, folder || '/' || name) FROM files WHERE photo = ? ORDER BY 1", (photo,)
            ).fetchall()
        return [row[0] for row in rows]

    def record(self, files: Sequence[tuple[File, Photo | None]]) -> list[bool]:
        unknown = []
        with self._transaction():
            for file, photo in files:
                before = self._db.total_changes
                if photo:
                    self._db.execute("INSERT OR IGNORE INTO photos VALUES (?, ?, ?, ?)", photo)
                unknown.append(self._db.total_changes > before)
                self._forget(file.folder, file.name, unless=file.photo)
                self._db.execute(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (file.folder, file.name, file.size, file.mtime_ns, file.sha256, file.photo, file.skipped,
                     *(file.error or (None, None))),
                )  # fmt: skip
                if photo:
                    self._db.execute(
                        NEW_JOBS.format(which="photo = :photo"), {"photo": photo.photo, "recipe": self._recipe}
                    )
        return unknown

    def forget(self, paths: Iterable[tuple[str, str]]) -> None:
        with self._transaction():
            for folder, name in paths:
                self._forget(folder, name)

    def _forget(self, folder: str, name: str, unless: str | None = None) -> None:
        row = self._db.execute("SELECT photo FROM files WHERE folder = ? AND name = ?", (folder, name)).fetchone()
        self._db.execute("DELETE FROM files WHERE folder = ? AND name = ?", (folder, name))
        if row and row[0] and row[0] != unless:
            self._db.execute(
                "DELETE FROM jobs WHERE photo = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE photo = ?1)", row
            )

    def jobs(self, limit: int) -> list[Job]:
        with self._lock:
            rows = self._db.execute(
                "SELECT photo, recipe, (SELECT iif(folder = '', name, folder || '/' || name) FROM files"
                " WHERE files.photo = jobs.photo LIMIT 1), attempts, width * height / 1e6"
                " FROM jobs JOIN photos USING (photo) ORDER BY attempts, mtime_ns DESC, photo LIMIT ?",
                (limit,),
            ).fetchall()
        return [Job(*row) for row in rows]

    def begin(self, photo: str, recipe: str, worker: str, incarnation: str) -> int | None:
        with self._transaction():
            row = self._db.execute(
                "UPDATE jobs SET attempts = attempts + 1, begun = begun + 1"
                " WHERE photo = ? AND recipe = ? RETURNING begun",
                (photo, recipe),
            ).fetchone()
            if row is None:
                return None
            attempt: int = row[0]
            self._db.execute(
                "INSERT INTO attempts VALUES (?, ?, ?, ?, ?)", (photo, recipe, attempt, worker, incarnation)
            )
        return attempt

    def attempts(self) -> list[Attempt]:
        with self._lock:
            return [Attempt(*row) for row in self._db.execute("SELECT * FROM attempts").fetchall()]

    def end_attempt(self, photo: str, recipe: str, attempt: int, *, counts: bool) -> None:
        with self._transaction():
            ended = self._db.execute(
                "DELETE FROM attempts WHERE photo = ? AND recipe = ? AND attempt = ?", (photo, recipe, attempt)
            ).rowcount
            if ended and not counts:
                self._db.execute(
                    "UPDATE jobs SET attempts = attempts - 1 WHERE photo = ? AND recipe = ?", (photo, recipe)
                )

    def known(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        with self._lock:
            return {key for key in keys if self._has_result(*key)}

    def put(self, answers: Sequence[PhotoResult | Failure], read: tuple[str, int] | None = None) -> list[Stored]:
        with self._transaction():
            stored = [
                self._put_result(answer) if isinstance(answer, PhotoResult) else self._put_failure(answer)
                for answer in answers
            ]
            if read:
                self._db.execute("INSERT OR REPLACE INTO offsets VALUES (?, ?)", read)
        return stored

    def _put_result(self, result: PhotoResult) -> Stored:
        key = (result.photo, result.recipe)
        if self._has_result(*key):
            return "known"
        ms = result.ms
        # A result of a database that was deleted meanwhile: kept, and shown once the scan has found its file.
        self._db.execute("INSERT OR IGNORE INTO photos VALUES (?, 0, 0, '')", (result.photo,))
        self._db.execute(
            "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, result.worker, _now(), ms.decode, ms.detect, ms.embed, ms.total),
        )
        self._db.executemany(
            "INSERT INTO faces VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (face_id(*key, position), *key, position, *face.box, face.score,
                 struct.pack("<10f", *(value for point in face.landmarks for value in point)),
                 face.embedding, face.doubt, face.sharpness)
                for position, face in enumerate(result.faces)
            ],
        )  # fmt: skip
        self._db.execute("DELETE FROM failures WHERE photo = ? AND recipe = ?", key)
        self._db.execute("DELETE FROM jobs WHERE photo = ? AND recipe = ?", key)
        return "stored"

    def _put_failure(self, failure: Failure) -> Stored:
        key = (failure.photo, failure.recipe)
        if self._has_result(*key):
            return "known"
        self._db.execute("INSERT OR IGNORE INTO photos VALUES (?, 0, 0, '')", (failure.photo,))
        self._db.execute(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, failure.path, failure.kind, failure.message, failure.attempt, failure.worker, _now()),
        )
        self._db.execute("DELETE FROM jobs WHERE photo = ? AND recipe = ?", key)
        return "stored"

    def _has_result(self, photo: str, recipe: str) -> bool:
        found = self._db.execute("SELECT 1 FROM results WHERE photo = ? AND recipe = ?", (photo, recipe)).fetchone()
        return found is not None

    def offset(self, topic: str) -> int | None:
        with self._lock:
            row = self._db.execute("SELECT next FROM offsets WHERE topic = ?", (topic,)).fetchone()
        return row[0] if row else None

    def begin_epoch(self) -> int:
        with self._transaction():
            row = self._db.execute("UPDATE mastership SET epoch = epoch + 1, beats = 0 RETURNING epoch").fetchone()
        epoch: int = row[0]
        return epoch

    def beat(self, epoch: int) -> bool:
        with self._transaction():
            beaten = self._db.execute("UPDATE mastership SET beats = beats + 1 WHERE epoch = ?", (epoch,)).rowcount
        return beaten == 1

    def mastership(self) -> tuple[int, int]:
        with self._lock:
            epoch, beats = self._db.execute("SELECT epoch, beats FROM mastership").fetchone()
        return epoch, beats

    def lanes(self) -> list[Lane]:
        with self._lock:
            return [Lane(*row) for row in self._db.execute("SELECT * FROM lanes ORDER BY number").fetchall()]

    def use_lane(self, lane: Lane) -> None:
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO lanes VALUES (?, ?, ?, ?)", lane)

    def workers(self) -> list[KnownWorker]:
        with self._lock:
            rows = self._db.execute("SELECT * FROM workers ORDER BY name").fetchall()
        return [
            KnownWorker(name, rate, Manners(bool(paused), bool(drain), hours, max_load))
            for name, rate, paused, drain, hours, max_load in rows
        ]

    def put_rate(self, worker: str, rate: float) -> None:
        with self._transaction():
            self._db.execute(
                "INSERT INTO workers (name, rate) VALUES (?, ?) ON CONFLICT DO UPDATE SET rate = excluded.rate",
                (worker, rate),
            )

    def put_manners(self, worker: str, manners: Manners) -> None:
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO workers (name) VALUES (?)", (worker,))
            self._db.execute(
                "UPDATE workers SET paused = ?, drain = ?, hours = ?, max_load = ? WHERE name = ?", (*manners, worker)
            )

    def put_note(self, name: str, text: str) -> None:
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (f"note:{name}", text))

    def note(self, name: str) -> str | None:
        with self._lock:
            return self._setting(f"note:{name}") or None

    def faces(self) -> Iterator[StoredFace]:
        with self._lock:
            photos = self._db.execute(
                "SELECT photo FROM results JOIN (SELECT photo, min(iif(folder = '', name, folder || '/' || name))"
                " AS path FROM files GROUP BY photo) USING (photo) WHERE recipe = ? ORDER BY path",
                (self._recipe,),
            ).fetchall()
        for (photo,) in photos:
            paths = tuple(self.paths(photo))
            with self._lock:
                rows = self._db.execute(
                    "SELECT face, x, y, width, height, score, doubt FROM faces"
                    " WHERE photo = ? AND recipe = ? ORDER BY position",
                    (photo, self._recipe),
                ).fetchall()
            for face, x, y, width, height, score, doubt in rows:
                yield StoredFace(face, photo, self._recipe, paths, Box(x, y, width, height), score, doubt)

    def failures(self) -> Iterator[StoredFailure]:
        with self._lock:
            rows = self._db.execute(
                "SELECT path, photo, class, message, attempts, worker, failed_at FROM failures"
                " WHERE recipe = ? AND EXISTS (SELECT 1 FROM files WHERE files.photo = failures.photo)"
                " UNION ALL SELECT iif(folder = '', name, folder || '/' || name), NULL, error_class, error_message,"
                " 1, NULL, NULL FROM files WHERE error_class IS NOT NULL ORDER BY 3, 1",
                (self._recipe,),
            ).fetchall()
        yield from (StoredFailure(*row) for row in rows)

    def counts(self) -> Counts:
        present = "EXISTS (SELECT 1 FROM files WHERE files.photo = {0}.photo) AND {0}.recipe = ?"
        with self._lock:

            def count(query: str, *values: str) -> int:
                number: int = self._db.execute(query, values).fetchone()[0]
                return number

            def by_reason(query: str, *values: str) -> dict[str, int]:
                counted = (
                    f"WITH reasons (reason) AS ({query}) SELECT reason, count(*) FROM reasons GROUP BY 1 ORDER BY 1"
                )
                return dict(self._db.execute(counted, values).fetchall())

            return Counts(
                files=count("SELECT count(*) FROM files"),
                photos=count("SELECT count(DISTINCT photo) FROM files WHERE photo IS NOT NULL"),
                todo=count("SELECT count(*) FROM jobs"),
                done=count(f"SELECT count(*) FROM results WHERE {present.format('results')}", self._recipe),
                failed=by_reason(
                    f"SELECT class FROM failures WHERE {present.format('failures')}"
                    " UNION ALL SELECT error_class FROM files WHERE error_class IS NOT NULL",
                    self._recipe,
                ),
                faces=count(f"SELECT count(*) FROM faces WHERE {present.format('faces')}", self._recipe),
                skipped=by_reason("SELECT skipped FROM files WHERE skipped IS NOT NULL"),
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        with open(f"{self.file}.lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StoreBusy(f"Another faceswarm is at work on {self.file}. Wait for it, or stop it.") from error
            yield

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def refuse_network(file: Path) -> None:
    """SQLite's locks do not hold on network file systems, and a database without locks is lost sooner or later."""
    place = os.path.realpath(file)
    mounts = [m for m in psutil.disk_partitions(all=True) if Path(place).is_relative_to(m.mountpoint)]
    mount = max(mounts, key=lambda m: len(m.mountpoint), default=None)
    if mount and mount.fstype in NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"{file} is on a network file system ({mount.fstype} at {mount.mountpoint}), where SQLite can't protect"
            " it. Choose a place on this computer's own disk with --db FILE."
        )
