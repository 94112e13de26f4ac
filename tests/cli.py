"""The command line as a user runs it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "faceswarm"]


def faceswarm(*arguments: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command, which is to end with this exit code and never with a traceback."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def json_lines(*arguments: object, code: int = 0) -> list[dict[str, Any]]:
    """What a command prints with --json."""
    return [json.loads(line) for line in faceswarm(*arguments, "--json", code=code).stdout.splitlines()]


def content(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All of a database that does not depend on when and how often it was worked on."""
    import sqlite3

    queries = {
        "files": "SELECT folder, name, size, sha256, photo, skipped, error_class FROM files ORDER BY 1, 2",
        "photos": "SELECT * FROM photos ORDER BY 1",
        "jobs": "SELECT photo, recipe FROM jobs ORDER BY 1",
        "results": "SELECT photo, recipe FROM results ORDER BY 1",
        "faces": "SELECT * FROM faces ORDER BY 1",
        "failures": "SELECT photo, recipe, class, message FROM failures ORDER BY 1",
    }
    with sqlite3.connect(database) as db:
        return {table: db.execute(query).fetchall() for table, query in queries.items()}
