"""A run that is told to stop ends its work in the warehouse first.

Prefect raises `TerminationSignal` in the main thread at SIGTERM, the engine of a pod `Abort` when
its run is cancelled. Threads hear of neither: what they have under way is ended here. A process
that has not ended its work in time is killed. DuckDB ends with it, and a PostgreSQL that looks for
its clients (`client_connection_check_interval`) ends the statements of one that is gone.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from prefect.exceptions import Abort, TerminationSignal
from prefect.task_runners import ThreadPoolTaskRunner

from flows._shared.postgres import end_statements

TOLD_TO_STOP = (TerminationSignal, Abort)
SECONDS_TO_END = 2.5

R = TypeVar("R")


@contextmanager
def ended_in_time() -> Iterator[Callable[[], None]]:
    """Gives what is called when the run is told to stop: the block then ends soon, or the process
    does."""
    timers: list[threading.Timer] = []

    def told() -> None:
        timer = threading.Timer(SECONDS_TO_END, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
        timers.append(timer)

    try:
        yield told
    finally:
        for timer in timers:
            timer.cancel()


@contextmanager
def threads_that_stop(
    runner: ThreadPoolTaskRunner[R],
) -> Iterator[ThreadPoolTaskRunner[R]]:
    """A runner of tasks whose statements end with the run; left to itself it waits for them."""
    with ended_in_time() as told, runner:
        try:
            yield runner
        except TOLD_TO_STOP:
            told()
            end_statements()
            raise
