"""Reads dlib's public weight files and writes them as the models that the engines run, once for each machine.

Imported by engines. ``python -m worker.engines.convert [DIR]`` converts ahead of time, for images that ship no weights.
"""

from worker.engines.convert.cache import ModelPaths, load_models
from worker.engines.convert.weights import ModelError

__all__ = ["ModelError", "ModelPaths", "load_models"]
