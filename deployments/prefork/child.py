"""What a fresh fork does to be the process of one flow run."""

import ctypes
import gc
import os
import random
import runpy
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

PR_SET_PDEATHSIG = 1
# Read when a library is loaded or a flow is declared: where a run's differ, the warm process is no
# base for it. What Prefect says of the one run has two underscores.
READ_AT_IMPORT = (
    "PREFECT_",
    "PYTHON",
    "LD_",
    "MALLOC_",
    "GLIBC_",
    "ARROW_",
    "OMP_",
    "MKL_",
    "GRPC_",
    "LANG",
    "LC_",
)
OF_ONE_RUN = "PREFECT__"
# As `flows._shared.available_memory` asks for it.
MEMORY_VARIABLE = "ANALYTICS_FLOWS_FORK_MEMORY"


@dataclass(frozen=True)
class Request:
    """What a run shall be.

    Args:
        streams: its standard input, output and error.
        memory: bytes beyond its parent's at which it is killed; 0 for no limit.
        seconds: after which it is told to end; 0 for no limit.
    """

    environment: Mapping[str, str]
    directory: str
    streams: tuple[int, int, int]
    memory: int
    seconds: float


def become(request: Request, signals: set[signal.Signals], engine: str) -> None:
    """Take the run's streams, environment and directory in place of the parent's.

    Args:
        signals: those that the parent listens to, and has blocked while it forked.
        engine: the module that is the run, in a process of its own where it must be.
    """
    os.setsid()
    _end_with_the_parent()
    for number in signals:
        is_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    for own, given in enumerate(request.streams):
        os.dup2(given, own)
        os.close(given)
    warm = dict(os.environ)
    os.environ.clear()
    os.environ.update(request.environment)
    if request.memory:
        os.environ[MEMORY_VARIABLE] = str(request.memory)
    os.chdir(request.directory)
    if differing(warm, request.environment):
        os.execv(sys.executable, [sys.executable, "-m", engine])  # noqa: S606  there is no shell
    time.tzset()
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    sys.argv = [engine]
    gc.enable()


def run(engine: str) -> None:
    """Prefect's engine, which ends by SystemExit or an exception, as in a process of its own."""
    # Others import it, too: runpy warns of what it finds.
    sys.modules.pop(engine, None)
    runpy.run_module(engine, run_name="__main__")


def differing(warm: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """The variables of a run that cannot be changed any more once everything is imported."""
    return sorted(
        name
        for name in warm.keys() | wanted.keys()
        if name.startswith(READ_AT_IMPORT)
        and not name.startswith(OF_ONE_RUN)
        and warm.get(name) != wanted.get(name)
    )


def _end_with_the_parent() -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
