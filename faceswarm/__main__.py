"""``python -m faceswarm``."""

from faceswarm.cli import main

main()
