"""Time of `faceswarm --help`, and of `inspect` of a small photo with the models cached: `make bench-start`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 9
COMMAND = str(Path(sys.executable).with_name("faceswarm"))


def seconds(*arguments: str) -> float:
    """Median time of the command."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(arguments, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main(data: Path) -> None:
    """Prints both, beside the start of Python itself."""
    photo = min((data / "groups").glob("*.jpg"), key=lambda path: path.stat().st_size)
    print(f"python -c pass              {seconds(sys.executable, '-c', 'pass'):.2f} s")
    print(f"faceswarm --help            {seconds(COMMAND, '--help'):.2f} s")
    print(f"faceswarm inspect, {photo.stat().st_size / 1000:.0f} kB   {seconds(COMMAND, 'inspect', str(photo)):.2f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
