"""Scripts in processes that are forks of a warm one: what takes seconds to import is there.

For tests of what a signal does to a process. The warm process has no thread and nothing open; it
ends with the one that asked for the first fork.
"""

import os
import signal
import sys
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_forks = get_context("forkserver")
# dbt's adapters are left out: importing DuckDB begins a thread.
_forks.set_forkserver_preload(
    [
        "prefect.flow_engine",
        "prefect.task_engine",
        "deployments.kubernetes.engine",
        "flows._shared.orchestration.dbt_runner",
    ]
)


def forked(said: Path, script: str, *arguments: str, **variables: str) -> ForkServerProcess:
    """Start ``python -c script arguments`` as a fork, with this environment and ``variables``.

    Args:
        said: where its standard output and error go.
    """
    environment = {**os.environ, **variables}
    process = _forks.Process(target=_run, args=(said, script, arguments, environment))
    process.start()
    return process


def tell(process: ForkServerProcess, number: signal.Signals) -> None:
    """Send a signal."""
    assert process.pid
    os.kill(process.pid, number)


def ended(process: ForkServerProcess, seconds: float) -> int | None:
    """How a process ended, None if it has not: negative numbers are signals."""
    process.join(seconds)
    return process.exitcode


def _run(said: Path, script: str, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    with said.open("wb") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    exec(compile(script, "<string>", "exec"), {"__name__": "__main__"})
