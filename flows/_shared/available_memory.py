"""How much memory this process may take before it is killed, and a limit below that."""

import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

# Bytes that a warm process lets its forks take: no system knows of that limit.
FORK_VARIABLE = "ANALYTICS_FLOWS_FORK_MEMORY"
# What a database may have of it: Python, its libraries and what a database does not count need the
# rest.
SHARE = 0.6
UNITS = {
    f"{letter}{middle}B": base**power
    for power, letter in enumerate("KMGT", 1)
    for middle, base in (("", 1000), ("i", 1024))
}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B)")


def within_memory(wanted: str, root: Path = Path("/")) -> str:
    """A size such as ``2GB``, or its share of what this process may take where that is less.

    Args:
        root: where ``proc`` and ``sys`` are.

    Raises:
        ValueError: it is no size with one of ``UNITS``.
    """
    told = SIZE.fullmatch(wanted.strip())
    if told is None:
        raise ValueError(f"{wanted} is no size such as 2GB or 512MiB")
    may_take = int(SHARE * min(_limits(root)))
    if float(told[1]) * UNITS[told[2]] <= may_take:
        return wanted
    return f"{may_take // UNITS['MB']}MB"


def _limits(root: Path) -> Iterator[int]:
    yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft
    if of_fork := int(os.environ.get(FORK_VARIABLE) or 0):
        yield of_fork
    for told in _of_groups(root):
        try:
            yield int(told.read_text())
        except (OSError, ValueError):
            # There is none, or it says "max".
            continue


def _of_groups(root: Path) -> Iterator[Path]:
    """Where the control groups of this process, of either version, tell of their memory."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        groups = root / "sys/fs/cgroup"
        # A container sees its own group as the root, whatever the path of it is outside.
        within = Path(own.lstrip("/"))
        for path in (within, *within.parents):
            if controllers:
                yield groups / "memory" / path / "memory.limit_in_bytes"
            else:
                yield groups / path / "memory.max"
