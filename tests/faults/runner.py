"""Runs stages in forks of one warm process, so that each costs no imports.

``python -m tests.faults.runner``: a request a line of JSON on its input, an answer a line on its
output. It has no threads, which makes its forks safe.
"""

import faulthandler
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tests.faults.stages import STAGES, Place

WITH_DBT = "--dbt"
KIBIBYTE = 1 << 10
POLL_SECONDS = 0.003
TELLING_SECONDS = 0.5
FAILED = 1
CLOCK_VARIABLE = "FAKETIME_TIMESTAMP_FILE"


def _sleep(seconds: float) -> None:
    select.select([], [], [], max(0.0, seconds))


if CLOCK_VARIABLE in os.environ:
    # libfaketime refuses the clock_nanosleep of Python's own.
    time.sleep = _sleep


def start(request: Mapping[str, Any]) -> int:
    """Begin a stage; the id of its process, which leads a group of its own."""
    pid = os.fork()
    if pid:
        return pid
    status = FAILED
    try:
        os.setsid()
        with Path(request["log"]).open("a") as log:
            for descriptor in (1, 2):
                os.dup2(log.fileno(), descriptor)
            faulthandler.register(signal.SIGUSR1, file=log)
            try:
                _run(request)
                status = 0
            except BaseException:  # noqa: BLE001  whatever it is, the log tells it
                traceback.print_exc(file=log)
            log.flush()
    finally:
        os._exit(status)


def _run(request: Mapping[str, Any]) -> None:
    told = request["place"]
    paths = {name: Path(told.pop(name)) for name in ("folder", "inputs")}
    place = Place(folder=paths["folder"], inputs=paths["inputs"], **told)
    began = psutil.Process().memory_info().vms
    if more := request.get("memory"):
        resource.setrlimit(resource.RLIMIT_AS, (began + more, began + more))
    STAGES[request["domain"]][request["stage"]](place)
    Path(request["memory_file"]).write_text(str(_peak() - began))


def _peak() -> int:
    """The most bytes of addresses that this process had."""
    (line,) = [
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmPeak")
    ]
    return int(line.split()[1]) * KIBIBYTE


def wait(pid: int, seconds: float) -> dict[str, Any]:
    """How it ended: ``code`` as of `subprocess`; one that does not end in time is killed."""
    deadline = time.monotonic() + seconds
    is_hung = False
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return {"code": os.waitstatus_to_exitcode(status), "is_hung": is_hung}
        if time.monotonic() > deadline and not is_hung:
            is_hung = True
            # Its log tells where each of its threads is.
            os.kill(pid, signal.SIGUSR1)
            time.sleep(TELLING_SECONDS)
            os.killpg(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def main() -> None:
    if WITH_DBT in sys.argv:
        importlib.import_module("flows._shared.orchestration.dbt_runner")
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # What is printed must not come between the answers.
    os.dup2(2, 1)
    answers.write("{}\n")
    for line in sys.stdin:
        request = json.loads(line)
        answer = (
            wait(request["pid"], request["seconds"])
            if "pid" in request
            else {"pid": start(request)}
        )
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
