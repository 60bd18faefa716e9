"""A run that is told to stop ends its work in the warehouse first.

Prefect raises `TerminationSignal` in the main thread at SIGTERM, the engine of a pod `Abort` when
its run is cancelled. Threads hear of neither: what they have under way is ended here. Nor does a
main thread that waits within a driver: a thread beside it hears in its place. A process that has
not ended its work in time is killed. DuckDB ends with it, and a PostgreSQL that looks for
its clients (`client_connection_check_interval`) ends the statements of one that is gone.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from prefect.exceptions import Abort, TerminationSignal
from prefect.task_runners import ThreadPoolTaskRunner

from flows._shared.postgres import end_statements

TOLD_TO_STOP = (TerminationSignal, Abort)
# At which these are raised: the second one is the pod's, `deployments.kubernetes.execute`.
TELLING = (signal.SIGTERM, signal.SIGUSR1)
SECONDS_TO_END = 2.5
SECONDS_TO_HEAR = 0.5

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
def heard_beside(react: Callable[[], None]) -> Iterator[None]:
    """While it lasts, ``react`` is called, by a thread, where the run was told to stop and the
    block has not ended soon after.

    Python calls handlers of signals when the main thread is back from the driver that it called. It
    writes their numbers to a socket at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers, written = socket.socketpair()
    written.setblocking(False)
    # An event loop of the main thread reads what it is told there.
    before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
    is_over = threading.Event()

    def listen() -> None:
        with numbers:
            while told := numbers.recv(1):
                if before != -1:
                    os.write(before, told)
                if told[0] in TELLING and not is_over.wait(SECONDS_TO_HEAR):
                    react()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        is_over.set()
        signal.set_wakeup_fd(before)
        written.close()
        listener.join(SECONDS_TO_END)


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
