"""The worker type ``prefork``: Prefect's process worker, whose processes are forks of a parent.

The server tells it when a run of its pool is to begin; it asks, too, as any worker does, for what
it was not told.
"""

import asyncio
import os
import shlex
import shutil
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio.abc
import psutil
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter
from prefect.logging import get_logger
from prefect.settings import get_current_settings
from prefect.types._datetime import now
from prefect.workers.process import (
    ProcessJobConfiguration,
    ProcessVariables,
    ProcessWorker,
    ProcessWorkerResult,
)
from pydantic import Field

from deployments.local.paths import PROJECT_ROOT
from deployments.prefork.relay import SOCKET_VARIABLE
from deployments.prefork.warmth import PROJECTS, QUIET, modules_of_runs

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import WorkerFlowRunResponse

ENGINE = "prefect.engine"
RELAY = Path(__file__).parent / "relay.py"
RUNS_VARIABLE, MEMORY_VARIABLE = "FLOWS_PREFORK_RUNS", "FLOWS_PREFORK_MEBIBYTES"
# Of one parent, after which it is replaced.
RUNS, MEBIBYTES = 1_000, 700
SECONDS_BEFORE_ANOTHER_TRY = (0.5, 2.0, 5.0, 15.0, 30.0)
CALLS_THAT_WAIT = 256
SECONDS_TO_END = 10.0
# For a run that is told to end: it rolls back and tells the server.
SECONDS_TO_REPORT = 30.0
SECONDS_BETWEEN_LOOKS = 0.2
# A run is there to be taken up, or has given back the slot that another waits for.
TELLING = tuple(
    f"prefect.flow-run.{state}"
    for state in ("Scheduled", "Completed", "Failed", "Crashed", "Cancelled", "TimedOut")
)
# Of events that come together.
SECONDS_BETWEEN_QUESTIONS = 0.1
SECONDS_BEFORE_LISTENING_AGAIN = 5.0


class PreforkVariables(ProcessVariables):
    memory_limit: str | None = Field(
        default=None,
        description="Memory beyond the warm process's at which a run is killed, such as 512Mi.",
    )
    time_limit: float | None = Field(
        default=None,
        description="Seconds after which a run is told to end, 30 before it is killed.",
    )


class PreforkJobConfiguration(ProcessJobConfiguration):
    memory_limit: str | None = None
    time_limit: float | None = None

    @property
    def is_relayed(self) -> bool:
        return self.command == shlex.join(self._relay())

    def prepare_for_flow_run(self, *args: Any, **kwargs: Any) -> None:
        """A run with a command of its own is a process of its own, as in a pool of processes.

        Runs work in the root of the project as the worker has it: where it is, a server that was
        told of the pool by another machine cannot know.
        """
        if self.command is None:
            self.command = shlex.join(self._relay())
        self.working_dir = self.working_dir or PROJECT_ROOT
        super().prepare_for_flow_run(*args, **kwargs)

    def _relay(self) -> list[str]:
        limits = [str(bytes_of(self.memory_limit or "0")), str(self.time_limit or 0)]
        return [sys.executable, "-I", "-S", str(RELAY), ENGINE, *limits]


class PreforkWorker(ProcessWorker):
    """Runs flows of one work pool as forks of a parent that it keeps and replaces."""

    type = "prefork"
    job_configuration = PreforkJobConfiguration
    job_configuration_variables = PreforkVariables  # type: ignore[assignment]
    _description = "Runs flows as forks of one warm process."
    _display_name = "Prefork"

    async def __aenter__(self) -> "PreforkWorker":
        self._parents = Parents()
        self._is_ending = False
        self._under_way: set[UUID] = set()
        self._is_told = asyncio.Event()
        self._asking = asyncio.Lock()
        await self._parents.open()
        try:
            await super().__aenter__()
        except BaseException:
            await self._parents.close()
            raise
        self._told = [asyncio.create_task(each()) for each in (self._listen, self._take_up_told)]
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        for task in self._told:
            task.cancel()
        await asyncio.gather(*self._told, return_exceptions=True)
        try:
            await super().__aexit__(*exc_info)
        finally:
            await self._parents.close()

    async def get_and_submit_flow_runs(self) -> list["FlowRun"]:
        """One question at a time: a run is in one answer. None once the worker is to end."""
        async with self._asking:
            if self._is_ending:
                # Its probe asks when it did so last.
                self._last_polled_time = now("UTC")
                return []
            return await super().get_and_submit_flow_runs()

    async def _submit_scheduled_flow_runs(
        self, flow_run_response: "list[WorkerFlowRunResponse]"
    ) -> list["FlowRun"]:
        """A run that crashed may be scheduled again while its hooks still run here, and holds its
        slot until they have: it is taken up after that. Prefect (3.8) would end the worker."""
        return await super()._submit_scheduled_flow_runs(
            [each for each in flow_run_response if each.flow_run.id not in self._under_way]
        )

    async def finish(self, grace_seconds: float) -> None:
        """Take up no further run, and wait for those under way.

        Those that are not over in time are told to end: each reports itself as crashed.
        """
        self._is_ending = True
        async with self._asking:
            self._logger.info("Told to end: %d runs are under way", len(self._under_way))
        if not await self._is_through(grace_seconds):
            await self._is_through(SECONDS_TO_REPORT, are_told_to_end=True)

    async def _is_through(self, seconds: float, are_told_to_end: bool = False) -> bool:
        """Whether no run is under way any more within some seconds."""
        told: set[psutil.Process] = set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._under_way or self._submitting_flow_run_ids:
                    # One that was being taken up begins meanwhile.
                    for each in self._begun() - told if are_told_to_end else ():
                        told.add(each)
                        with suppress(psutil.NoSuchProcess):
                            each.terminate()
                    await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        return not (self._under_way or self._submitting_flow_run_ids)

    def _begun(self) -> set[psutil.Process]:
        """The processes that runs were begun as."""
        return set(psutil.Process().children()) - self._parents.processes

    async def _listen(self) -> None:
        """To what the server tells of runs of this pool; a server that does not is asked only."""
        while True:
            # Without the pool there is nothing to be told of; that it is missing is in the log.
            while self._work_pool is None:
                await asyncio.sleep(SECONDS_BEFORE_LISTENING_AGAIN)
            try:
                async with get_events_subscriber(filter=self._of_interest()) as events:
                    async for _ in events:
                        self._is_told.set()
            except Exception as error:  # noqa: BLE001  whatever it is, runs are asked for
                self._logger.info("Not told of runs for a while: %s", type(error).__name__)
            await asyncio.sleep(SECONDS_BEFORE_LISTENING_AGAIN)

    def _of_interest(self) -> EventFilter:
        pool = f"prefect.work-pool.{self.work_pool.id}"
        return EventFilter(
            event=EventNameFilter(name=list(TELLING)), related=EventRelatedFilter(id=[pool])
        )

    async def _take_up_told(self) -> None:
        while True:
            await self._is_told.wait()
            self._is_told.clear()
            try:
                await self.get_and_submit_flow_runs()
            except Exception as error:  # noqa: BLE001  whatever it is, runs are asked for again
                self._logger.info("Runs are asked for later: %s", type(error).__name__)
            await asyncio.sleep(SECONDS_BETWEEN_QUESTIONS)

    async def run(
        self,
        flow_run: "FlowRun",
        configuration: PreforkJobConfiguration,  # type: ignore[override]
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        if self._parents.is_coming:
            configuration.env[SOCKET_VARIABLE] = self._parents.address
        elif configuration.is_relayed:
            configuration.command = shlex.join([sys.executable, "-m", ENGINE])
        self._under_way.add(flow_run.id)
        try:
            ended = await super().run(flow_run, configuration, task_status)
        finally:
            self._under_way.remove(flow_run.id)
            self._is_told.set()
        # A run whose process failed has been reported as crashed by then, and its hooks have run.
        # Prefect reports it once more, which would end a run that is scheduled again meanwhile.
        return ProcessWorkerResult(status_code=0, identifier=ended.identifier)

    async def _worker_metadata(self) -> None:
        """Prefect would import all integrations to tell the server which there are."""


class Parents:
    """One parent at a time takes the calls of relays; calls wait while there is none.

    The socket they call is the worker's own, so that none is refused while a parent is replaced.

    Args:
        engine: the module that a child runs.
        modules: imported before the first child; None for those that the deployed flows need.
    """

    def __init__(self, engine: str = ENGINE, modules: Sequence[str] | None = None) -> None:
        self._engine = engine
        self._modules = modules
        self._folder = Path(tempfile.mkdtemp(prefix="prefork-"))
        self._logger = get_logger("worker.prefork")
        self._serving: Process | None = None
        self._being_made: Process | None = None
        self._is_coming = True
        self._started: list[Process] = []

    @property
    def is_coming(self) -> bool:
        """Whether a parent takes calls or is about to: waiting for it takes no longer than what
        each run would import of its own, and the machine imports once."""
        return self._is_coming

    @property
    def pid(self) -> int | None:
        """Of the parent that takes calls."""
        return self._serving.pid if self._serving else None

    @property
    def processes(self) -> set[psutil.Process]:
        """All that have not ended, those that were replaced included."""
        found = {each.pid for each in self._started if each.returncode is None}
        return {psutil.Process(each) for each in found if psutil.pid_exists(each)}

    @property
    def address(self) -> str:
        return str(self._folder / "calls")

    async def open(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.address)
        self._listener.listen(CALLS_THAT_WAIT)
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the parents. The worker has ended its runs before."""
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        self._listener.close()
        if self._being_made:
            # It has no run, and hears of nothing before it has imported everything.
            with suppress(ProcessLookupError):
                self._being_made.kill()
        await asyncio.gather(*map(self._end, self._started))
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _keep(self) -> None:
        failures = 0
        while True:
            parent = self._being_made = await self._start()
            word = await self._word(parent)
            self._being_made = None
            if word == "ready":
                failures = 0
                if self._serving:
                    self._retire(self._serving)
                self._serving, self._is_coming = parent, True
                why = await self._word(parent)
                self._logger.info("Replacing the warm process %d: %s", parent.pid, why)
                if why != "worn":
                    self._serving = None
            else:
                self._is_coming = self._serving is not None
                await self._end(parent)
                await asyncio.sleep(
                    SECONDS_BEFORE_ANOTHER_TRY[min(failures, len(SECONDS_BEFORE_ANOTHER_TRY) - 1)]
                )
                failures += 1

    async def _start(self) -> Process:
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        command = ["-m", "deployments.prefork.parent", "--listener", str(self._listener.fileno())]
        command += ["--runs", os.environ.get(RUNS_VARIABLE, str(RUNS))]
        mebibytes = int(os.environ.get(MEMORY_VARIABLE, MEBIBYTES))
        command += ["--memory", str(mebibytes * 2**20), "--engine", self._engine]
        if self._modules is None:
            command += [f"--project={each}" for each in PROJECTS]
        command += modules_of_runs() if self._modules is None else self._modules
        parent = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=[self._listener.fileno()],
            cwd=PROJECT_ROOT,
            env={**os.environ, **settings, **QUIET},
            start_new_session=True,
        )
        self._started = [each for each in self._started if each.returncode is None] + [parent]
        return parent

    @staticmethod
    async def _word(parent: Process) -> str:
        """What the parent tells next; `ended` when it is gone."""
        assert parent.stdout
        word = (await parent.stdout.readline()).decode().strip()
        if word:
            return word
        return f"ended with {await parent.wait()}"

    def _retire(self, parent: Process) -> None:
        assert parent.stdin
        parent.stdin.close()

    async def _end(self, parent: Process) -> None:
        self._retire(parent)
        try:
            await asyncio.wait_for(parent.wait(), SECONDS_TO_END)
        except TimeoutError:
            parent.kill()
            await parent.wait()


def bytes_of(quantity: str) -> int:
    """Of an amount as Kubernetes writes it: 512Mi, 1Gi.

    Raises:
        ValueError: it is not written so.
    """
    for unit, factor in (("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30)):
        if quantity.endswith(unit):
            return int(float(quantity.removesuffix(unit)) * factor)
    return int(quantity)
