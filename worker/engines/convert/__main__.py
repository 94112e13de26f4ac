"""``python -m worker.engines.convert [DIR]`` converts into DIR, or where the engines look, and prints the files."""

import sys
from pathlib import Path

from worker.engines.convert import ModelError, load_models

try:
    models = load_models(*map(Path, sys.argv[1:2]))
except ModelError as error:
    sys.exit(str(error))
print(*models, sep="\n")
