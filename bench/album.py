"""Photos a second of `faceswarm index` with two jobs against one: `make bench-album`."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3


def index(photos: Path, jobs: int) -> tuple[int, float]:
    """Photos answered, and seconds, of one run on an empty database."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "faceswarm", "index", photos, "--jobs", str(jobs), "--db", f"{folder}/faces.db"],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - began
    match = re.search(r"Speed .* photos/s, ([\d,]+) in", done.stdout)
    assert match, done.stdout
    return int(match[1].replace(",", "")), seconds


def main(data: Path) -> None:
    """Prints photos a second for one and two jobs, from start to end of the command, and the ratio of their medians."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for jobs, measured in rates.items():
            photos, seconds = index(data, jobs)
            measured.append(photos / seconds)
            print(f"{jobs} jobs: {photos} photos in {seconds:.1f} s, {photos / seconds:.2f}/s", flush=True)
    one, two = (statistics.median(rates[jobs]) for jobs in (1, 2))
    print(f"1 job {one:.2f} photos/s, 2 jobs {two:.2f} photos/s: {two / one:.2f} times")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
