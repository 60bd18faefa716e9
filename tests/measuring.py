"""Whole processes and what they cost, beside a PostgreSQL and a Prefect server of their own.

What is measured imports this, too: it imports no dbt, which is 65 MiB.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.server import PrefectServer


@dataclass(frozen=True)
class Cost:
    seconds: float
    cpu_seconds: float
    peak_mib: float


def measure(command: list[str], environment: Mapping[str, str], log: Path) -> Cost:
    """Wall time and peak memory of one process; its output is kept in ``log``."""
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, cwd=PROJECT_ROOT
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@contextmanager
def parts(folder: Path) -> Iterator[tuple[EmbeddedPostgres, PrefectServer, str]]:
    """A PostgreSQL and a Prefect server with its address, whose state is below a folder."""
    paths = LocalPaths(folder / "state")
    postgres = EmbeddedPostgres(paths.postgres, first_port=55400, is_durable=False)
    server = PrefectServer(paths, first_port=44900)
    try:
        postgres.start()
        yield postgres, server, server.start()
    finally:
        server.stop()
        postgres.stop()
