"""Ports that one process of a test run has for itself, however many runs share the machine.

Looking for a free port and listening on it are moments apart: two processes that begin their
search at one place would find the same.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from deployments.local.processes import is_free

LOCKS = Path(tempfile.gettempdir()) / "analytics-flows-tests-ports"
SPAN = 1000

_taken: dict[int, IO[str]] = {}


def own_ports(first: int, step: int = 1) -> Iterator[int]:
    """Free ports from ``first`` upwards that no other process takes while this one lives.

    With a ``step`` the ports between two of them are this process's, too.
    """
    return (port for port in range(first, first + SPAN, step) if _is_ours(port) and is_free(port))


def _is_ours(port: int) -> bool:
    if port in _taken:
        return True
    LOCKS.mkdir(exist_ok=True)
    lock = (LOCKS / str(port)).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    _taken[port] = lock
    return True
