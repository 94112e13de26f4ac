"""How a command ended, for scripts."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; README lists them."""

    OK = 0  # done; photos that failed are listed by `faceswarm failures` and do not count as an error
    PHOTO_FAILED = 1  # inspect: at least one photo has an error
    USAGE = 2  # wrong arguments or configuration
    BUSY = 3  # another faceswarm is at work on this database
    DATABASE = 4  # the database or the folder of crops can't be used
    ENGINE = 5  # the models or the engine can't be loaded
    ROOT = 6  # the photo root is missing, empty or can't be listed: nothing was changed
    UNHEALTHY = 7  # doctor: something needs attention
    INTERNAL = 70  # a fault in faceswarm itself; nothing that was stored is lost
    INTERRUPTED = 130  # Ctrl-C; what was done is kept


class CommandError(Exception):
    """Ends the command with one line for the user."""

    def __init__(self, exit_code: Exit, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
