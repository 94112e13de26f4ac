"""What master and workers call their topics. Pure."""

from __future__ import annotations

from typing import NamedTuple


class TopicNames(NamedTuple):
    """The names, from the configuration of whoever starts a master or a worker."""

    jobs: str  # a partition for each lane
    results: str
    workers: str  # only workers write here
    control: str  # only the master writes here
