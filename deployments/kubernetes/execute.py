"""What the pod of a flow run starts: ``python -m deployments.kubernetes.execute``.

Prefect's engine in a process of its own (``engine.py``), begun before anything else is imported,
and beside it a watch for a cancellation of the run. ``prefect flow-run execute`` does as much with
three processes that each import Prefect, which is most of a short run: docs/decisions/0010.

SIGTERM is passed on: the engine rolls back, reports the run as Crashed, and the automation
``rerun-crashed`` starts it again elsewhere. A process that is killed reports nothing; the worker's
observer does, from the state of the Job.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployments.local.api import PrefectApi

RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"
ENGINE = [sys.executable, "-m", "deployments.kubernetes.engine"]
SECONDS_BETWEEN_LOOKS = 10.0


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
            # Told to end it would report Crashed, and be started again.
            engine.kill()
            engine.wait()
            _report_cancelled()
            return 0
        if engine.returncode is not None:
            # As a shell reports a process that was killed.
            return 128 - engine.returncode if engine.returncode < 0 else engine.returncode


def _is_cancelling() -> bool:
    from flows._shared.errors import PlatformError

    try:
        with _api() as api:
            return str(api.flow_run(os.environ[RUN_VARIABLE])["state"]["type"]) == "CANCELLING"
    except PlatformError as error:
        # The engine asks the same server and has its own patience with it.
        sys.stderr.write(f"{error}\n")
        return False


def _report_cancelled() -> None:
    with _api() as api:
        api.mark_cancelled(os.environ[RUN_VARIABLE], "Its process was ended on request")


def _api() -> "PrefectApi":
    # Imported once the engine is on its way: it has the processor first.
    from deployments.local.api import PrefectApi

    return PrefectApi(os.environ["PREFECT_API_URL"], os.environ)


if __name__ == "__main__":
    sys.exit(main())
