"""One call of dbt in this process."""

import gc
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flows._shared.orchestration.dbt.job import Job
from flows._shared.orchestration.dbt.outcome import DbtProjectError, DbtUnreachableError
from flows._shared.orchestration.dbt.question import Planning
from flows._shared.orchestration.dbt_nodes import NodeWatch

OBJECTS_BETWEEN_COLLECTIONS = 50_000
UNREACHABLE = re.compile(
    "connection refused|could not connect|connection to server .* failed|timeout expired"
    "|could not translate host name|server closed the connection|too many clients"
    "|the database system is starting up|could not set lock on file",
    re.IGNORECASE,
)
# A wrong password is told in the words of a failed connection, and no retry mends it.
REFUSED = re.compile("authentication failed|does not exist|no password supplied", re.IGNORECASE)


def invoke_dbt(
    job: Job, arguments: Sequence[str], watch: NodeWatch, planning: Planning | None = None
) -> Any:
    with rare_garbage_collection():
        # dbt takes two seconds and 60 MiB to import: only a process that builds pays for it.
        from flows._shared.orchestration.dbt_runner import invoke

        try:
            place = job.project_dir, job.target_path
            return invoke(*place, list(arguments), watch, planning or Planning(leaves_out=False))
        # prefect-dbt raises a bare ValueError for every exception of dbt.
        except ValueError as error:
            seen = job.redact(str(error).partition("': ")[2] or str(error)).strip()
    if UNREACHABLE.search(seen) and not REFUSED.search(seen):
        raise DbtUnreachableError(
            job.attempted, seen, "Check that the warehouse is up and reachable from here"
        )
    raise DbtProjectError(
        job.attempted, seen, f"Correct it in {job.project_dir} and try `dbt parse` there"
    )


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """dbt makes many objects that live until it ends: looking through them took a fifth of its CPU.

    With Python's own 700 new objects between collections, that is.
    """
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
