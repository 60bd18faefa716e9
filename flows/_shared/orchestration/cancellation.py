"""A run that is told to stop ends its work in the warehouse first.

A worker stops a run with SIGTERM, which Prefect raises in the main thread as `TerminationSignal`.
dbt ends what its threads have under way for a `KeyboardInterrupt` or a `SystemExit` only, and would
let statements run on to their end.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stops_with_the_run() -> Iterator[None]:
    """While it lasts, SIGTERM is a `SystemExit` in the main thread; at its end it is what it was
    going to be."""
    listener = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(listener):
        yield
        return
    asked: list[FrameType | None] = []

    def stop(number: int, frame: FrameType | None) -> None:
        asked.append(frame)
        raise SystemExit(f"the run was told to stop (signal {number})")

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, listener)
        if asked:
            listener(signal.SIGTERM, asked[0])
