"""The worker that runs flows on this machine, from the local work pool.

Each run is a process of its own, or a fork of one that is warm: the type of the pool says which.
"""

import os
import sys
import time
from collections.abc import Mapping

import psutil

from deployments.apply.infrastructure import (
    POOL_VARIABLE,
    WARM_POOL_VARIABLE,
    plan_work_pool,
)
from deployments.local.api import PrefectApi
from deployments.local.paths import PROJECT_ROOT, LocalPaths, own_temporary_folder
from deployments.local.processes import (
    BackgroundProcess,
    died,
    fingerprint_of,
    is_alive,
    wait_until,
)
from flows._shared.errors import PermanentError

NAME = "local"
PROCESS, PREFORK = "process", "prefork"
# Names the type of the local work pool.
TYPE_VARIABLE = "ANALYTICS_FLOWS_LOCAL_POOL"
# macOS does not let a process fork that has loaded its frameworks.
DEFAULT_TYPE = PREFORK if sys.platform.startswith("linux") else PROCESS
POLL_SECONDS = 0.2
# Between the end of one worker and the record of the next.
REPLACED_SECONDS = 3.0
FLOW_RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"
COMMANDS = {
    PROCESS: ("deployments.local.prefect_worker", "worker", "start", "--type", PROCESS),
    PREFORK: ("deployments.prefork",),
}
# What the worker must be restarted for when it changes.
FINGERPRINTED = (
    "PREFECT_API_URL",
    "PREFECT_API_AUTH_STRING",
    POOL_VARIABLE,
    "PYTHONPATH",
    "ANALYTICS_FLOWS_STATE_DIR",
    "BIGQUERY_EMULATOR_HOST",
)


class ProcessWorker(BackgroundProcess):
    """The local worker: started if absent, shared if running with the same settings.

    Stopping it also stops the flow runs it started.
    """

    def __init__(self, paths: LocalPaths) -> None:
        super().__init__(paths.run, "worker", "the worker")

    def start(self, environment: Mapping[str, str], api: PrefectApi) -> bool:
        """Start the worker unless it runs; tells whether it was started.

        It comes up in the background: a run that is asked for meanwhile waits for it. Runs whose
        process went down with a killed predecessor are marked crashed, or they would hold the
        concurrency limit of their deployment.

        Args:
            environment: of the worker and of every flow run it starts.
            api: the server it polls.
        """
        pool = environment[POOL_VARIABLE]
        kind = _type_of(api, pool)
        wanted = f"{kind} {fingerprint_of(environment, FINGERPRINTED)}"
        with self.locked():
            record = self.running()
            if record and record.fingerprint == wanted:
                return False
            self.end()
            mark_lost_runs(api, pool)
            command = [sys.executable, "-m", *COMMANDS[kind]]
            command += ["--pool", pool, "--name", NAME]
            own = {"TMPDIR": os.environ.get("TMPDIR") or str(own_temporary_folder())}
            self.launch(command, {**environment, **own}, PROJECT_ROOT, fingerprint=wanted)
        return True

    def wait_polling(self, api: PrefectApi, pool: str) -> None:
        """Wait until it asks for runs, which takes the seconds of its imports.

        Raises:
            PermanentError: it ended; the message carries the end of its log.
        """
        while not ((record := self.running()) and api.has_polled(pool, NAME, record.created)):
            self.refuse_ended()
            time.sleep(POLL_SECONDS)

    def refuse_ended(self) -> None:
        """Raises ``PermanentError`` with the end of its log where it runs no more."""
        # Another command may be about to replace it.
        if not wait_until(lambda: self.pid is not None, REPLACED_SECONDS):
            raise died("the worker", self.log, "Mend what it names, then `flows up`")


def wanted_type() -> str:
    """Of the local work pool: the one that the user's environment names, if any.

    Raises:
        PermanentError: it names none.
    """
    named = os.environ.get(TYPE_VARIABLE) or DEFAULT_TYPE
    if named not in COMMANDS:
        raise PermanentError(
            f"starting a worker of the type {named}, which {TYPE_VARIABLE} names",
            "there is none",
            f"Name one of: {', '.join(COMMANDS)}; or unset it",
        )
    return named


def named_pools(is_served_here: bool) -> dict[str, str]:
    """The pools of deployments, as their variables.

    Args:
        is_served_here: by the local worker, whose one pool is both: of warm runs and of all others.
    """
    pool = os.environ.get(POOL_VARIABLE) or f"local-{wanted_type()}"
    warm = None if is_served_here else os.environ.get(WARM_POOL_VARIABLE)
    return {POOL_VARIABLE: pool, WARM_POOL_VARIABLE: warm or pool}


def refuse_another_pool(pool: str) -> None:
    """Before the local worker starts or is given deployments: it serves one pool.

    Raises:
        PermanentError: the user's environment names another one of warm runs.
    """
    warm = os.environ.get(WARM_POOL_VARIABLE) or pool
    if warm != pool:
        raise PermanentError(
            f"using the worker of this machine, which serves the one work pool {pool}",
            f"{WARM_POOL_VARIABLE}={warm} names another for warm runs, which nothing would take up",
            f"Unset it; it goes with a server elsewhere, which PREFECT_API_URL and {POOL_VARIABLE} "
            "name",
        )


def ensure_work_pool(api: PrefectApi, name: str, pool_type: str) -> None:
    """Create the pool, or bring its job template up to date.

    A pool under that name that no local worker serves belongs to someone else and is left alone.
    """
    found = api.work_pool(name)
    if found is None or found["type"] in COMMANDS:
        for change in plan_work_pool(api, name, found["type"] if found else pool_type):
            change.perform()


def _type_of(api: PrefectApi, name: str) -> str:
    found = api.work_pool(name)
    return str(found["type"]) if found and found["type"] in COMMANDS else PROCESS


def mark_lost_runs(api: PrefectApi, pool: str) -> None:
    """Mark crashed the runs that the server believes running and no process works on."""
    begun = api.unfinished_runs(pool)
    if not begun:
        return
    alive = _flow_runs_alive()
    for run in begun:
        if run["id"] not in alive:
            api.mark_crashed(run["id"], "Its process ended together with a worker that was stopped")


def _flow_runs_alive() -> set[str]:
    found = set()
    for process in psutil.process_iter():
        try:
            if is_alive(process):
                found.add(process.environ().get(FLOW_RUN_VARIABLE, ""))
        except (psutil.Error, OSError):
            continue
    return found
