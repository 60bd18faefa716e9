"""Bounds the logs of what runs in the background, which nobody looks after.

A program's log is its standard output, which cannot be given another file while it runs: what is
there is copied, and the file emptied. What the program says between the two is lost.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from deployments.local.processes import LOGS_VARIABLE, opened_private

MOST_BYTES = 16 * 1024**2
KEPT = 2
LOOK_SECONDS = 30.0

log = logging.getLogger(__name__)


def logs_of(state: Path) -> Iterable[Path]:
    """The logs below the folder of a local runtime: of programs, and of PostgreSQL."""
    return (*sorted(state.glob("run/*.log")), state / "postgres" / "log")


def shorten(path: Path, most_bytes: int = MOST_BYTES) -> bool:
    """Move the end of a log that is longer into ``<path>.1``, what was there into ``<path>.2``.

    Returns:
        Whether it was longer, and no other process does the same now.

    Raises:
        OSError: it cannot be copied, as to a full disk; it is as it was.
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size <= most_bytes:
        return False
    earlier = [path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1)]
    with open(path, "r+b", opener=_opened_itself) as said:
        try:
            fcntl.flock(said, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if os.fstat(said.fileno()).st_size <= most_bytes:
            return False
        for older, newer in zip(reversed(earlier), [*reversed(earlier[:-1])], strict=False):
            if newer.exists():
                newer.replace(older)
        said.seek(-most_bytes, os.SEEK_END)
        earlier[0].unlink(missing_ok=True)
        try:
            with open(earlier[0], "xb", opener=opened_private) as kept:
                # No more than that: it may be written to faster than it is copied.
                kept.write(said.read(most_bytes))
        except OSError:
            earlier[0].unlink(missing_ok=True)
            raise
        said.truncate(0)
    return True


def _opened_itself(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def shorten_all(state: Path) -> None:
    """Do so with each log below the folder of a local runtime; what cannot be is told and tried
    again at the next look."""
    for each in logs_of(state):
        try:
            shorten(each)
        except OSError as error:
            log.warning("%s could not be shortened: %s", each, error)


def keep_short(environment: Mapping[str, str], look_seconds: float = LOOK_SECONDS) -> None:
    """Do so again and again, beside what this process does, where a folder is named to it."""
    state = environment.get(LOGS_VARIABLE)
    if not state:
        return
    never = threading.Event()

    def look() -> None:
        while not never.wait(look_seconds):
            shorten_all(Path(state))

    threading.Thread(target=look, name="short-logs", daemon=True).start()
