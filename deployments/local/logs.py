"""Bounds the logs of what runs in the background, which nobody looks after.

A program's log is its standard output, which cannot be given another file while it runs: what is
there is copied, and the file emptied. What the program says between the two is lost.
"""

import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from deployments.local.processes import LOGS_VARIABLE, opened_private

MOST_BYTES = 16 * 1024**2
KEPT = 2
LOOK_SECONDS = 30.0


def logs_of(state: Path) -> Iterable[Path]:
    """The logs below the folder of a local runtime: of programs, and of PostgreSQL."""
    return (*sorted(state.glob("run/*.log")), state / "postgres" / "log")


def shorten(log: Path, most_bytes: int = MOST_BYTES) -> bool:
    """Move the end of a log that is longer into ``<log>.1``, what was there into ``<log>.2``.

    Returns:
        Whether it was longer.
    """
    if log.is_symlink() or not log.is_file() or log.stat().st_size <= most_bytes:
        return False
    earlier = [log.with_name(f"{log.name}.{number}") for number in range(1, KEPT + 1)]
    for older, newer in zip(reversed(earlier), [*reversed(earlier[:-1])], strict=False):
        if newer.exists():
            newer.replace(older)
    with log.open("rb") as said:
        said.seek(-most_bytes, os.SEEK_END)
        with open(earlier[0], "wb", opener=opened_private) as kept:
            # No more than that: it may be written to faster than it is copied.
            kept.write(said.read(most_bytes))
    os.truncate(log, 0)
    return True


def keep_short(environment: Mapping[str, str], look_seconds: float = LOOK_SECONDS) -> None:
    """Do so again and again, beside what this process does, where a folder is named to it."""
    state = environment.get(LOGS_VARIABLE)
    if not state:
        return
    never = threading.Event()

    def look() -> None:
        while not never.wait(look_seconds):
            for log in logs_of(Path(state)):
                shorten(log)

    threading.Thread(target=look, name="short-logs", daemon=True).start()
