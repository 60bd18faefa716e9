"""What the pod of a flow run starts: ``python -m deployments.kubernetes.execute``.

Prefect's engine in a process of its own (``engine.py``), begun before anything else is imported,
and beside it a watch for a cancellation of the run. ``prefect flow-run execute`` does as much with
three processes that each import Prefect, which is most of a short run: docs/decisions/0010.

SIGTERM is passed on: the engine rolls back, reports the run as Crashed, and the automation
``rerun-crashed`` starts it again elsewhere. A process that is killed reports nothing; the worker's
observer does, from the state of the Job.

The engine of a cancelled run is told so by a signal of its own, at which it ends its statements;
told to end by SIGTERM it would report Crashed, and be started again.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployments.local.api import PrefectApi

RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"
ENGINE = [sys.executable, "-m", "deployments.kubernetes.engine"]
SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_TO_END = 2.5
# Ends an engine that does not know it yet.
CANCELLED = signal.SIGUSR1


def main() -> int:
    engine = subprocess.Popen(ENGINE, stdin=subprocess.DEVNULL)

    def pass_on(number: int, frame: FrameType | None) -> None:
        engine.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    while True:
        with suppress(subprocess.TimeoutExpired):
            engine.wait(SECONDS_BETWEEN_LOOKS)
        # A run that is being cancelled takes no other end, even from an engine that is through.
        if _is_cancelling():
            _end(engine)
            _report_cancelled()
            return 0
        if engine.returncode is not None:
            # As a shell reports a process that was killed.
            return 128 - engine.returncode if engine.returncode < 0 else engine.returncode


def _end(engine: subprocess.Popen[bytes]) -> None:
    engine.send_signal(CANCELLED)
    try:
        engine.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        engine.kill()
        engine.wait()


def _is_cancelling() -> bool:
    from flows._shared.errors import PlatformError

    try:
        return str(_api().flow_run(os.environ[RUN_VARIABLE])["state"]["type"]) == "CANCELLING"
    except PlatformError as error:
        # The engine asks the same server and has its own patience with it.
        sys.stderr.write(f"{error}\n")
        return False


def _report_cancelled() -> None:
    _api().mark_cancelled(os.environ[RUN_VARIABLE], "Its process was ended on request")


@cache
def _api() -> "PrefectApi":
    # Imported once the engine is on its way: it has the processor first.
    from deployments.local.api import PrefectApi

    return PrefectApi(os.environ["PREFECT_API_URL"], os.environ)


if __name__ == "__main__":
    sys.exit(main())
