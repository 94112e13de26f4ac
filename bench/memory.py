"""Peak memory of `faceswarm index` with two jobs, all its processes together: `make bench-memory`.

Proportional set size (what two processes share counts once), and the plain sum of resident sizes beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from bench.compose import large_photo

PHOTOS = 8
SIZES = {"20 MP": (6000, 3376), "50 MP": (8688, 5792)}


def main(data: Path) -> None:
    """Prints a row for each size of photo."""
    print("| photos | peak PSS, MB | peak sum of RSS, MB |\n|---|---|---|")
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            photos = Path(folder) / "photos"
            photos.mkdir()
            for variant in range(PHOTOS):
                large_photo(data, photos / f"{variant}.jpg", size, variant)
            pss, rss = _peak(["index", str(photos), "--jobs", "2", "--db", f"{folder}/faces.db"])
        print(f"| {PHOTOS} of {name} | {pss / 1e6:.0f} | {rss / 1e6:.0f} |", flush=True)


def _peak(arguments: list[str]) -> tuple[int, int]:
    command = subprocess.Popen([sys.executable, "-m", "faceswarm", *arguments], stdout=subprocess.DEVNULL)
    peak_pss = peak_rss = 0
    root = psutil.Process(command.pid)
    while command.poll() is None:
        pss = rss = 0
        try:
            for process in [root, *root.children(recursive=True)]:
                memory = process.memory_full_info()
                pss, rss = pss + memory.pss, rss + memory.rss
        except psutil.Error:
            continue  # a process ended while it was looked at
        peak_pss, peak_rss = max(peak_pss, pss), max(peak_rss, rss)
        try:
            command.wait(0.02)
        except subprocess.TimeoutExpired:
            pass
    assert command.returncode == 0
    return peak_pss, peak_rss


if __name__ == "__main__":
    main(Path(sys.argv[1]))
