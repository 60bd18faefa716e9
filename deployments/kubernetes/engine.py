"""Prefect's engine, whose last words are sent, and which can be told that its run is cancelled.

Told to end, the engine reports the run as Crashed and dies of the signal. Log lines and events go
out up to two seconds after they are made, so that those which tell of the end would be lost with
the process: why it ended, and in what state its tasks are. Here they are sent first.

`CANCELLED` ends it without a word on the run, as the server's own word to abort does.
"""

import os
import runpy
import signal
from threading import Thread
from types import FrameType

from prefect.events.worker import EventsWorker
from prefect.exceptions import Abort
from prefect.logging.handlers import APILogWorker

from deployments.kubernetes.execute import CANCELLED

SECONDS_TO_SEND = 10.0


def main() -> None:
    # The engine takes SIGTERM over while a flow runs, and hands it back to what was there before.
    signal.signal(signal.SIGTERM, send_and_end)
    signal.signal(CANCELLED, abort)
    runpy.run_module("prefect.engine", run_name="__main__")


def abort(number: int, frame: FrameType | None) -> None:
    raise Abort("the run was cancelled")


def send_and_end(number: int, frame: FrameType | None) -> None:
    # In a thread, because whatever the signal interrupted may hold the locks of these queues.
    sending = Thread(target=_send, daemon=True)
    sending.start()
    sending.join(SECONDS_TO_SEND)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _send() -> None:
    for queue in (APILogWorker, EventsWorker):
        queue.drain_all(timeout=SECONDS_TO_SEND)


if __name__ == "__main__":
    main()
