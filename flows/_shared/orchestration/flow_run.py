"""The flow run this code is part of, and the few calls made to the server on its behalf.

Artifacts and events are posted as plain JSON through Prefect's own client: building the same
things from Prefect's models costs more than the request does.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import MissingContextError, Pause
from prefect.states import AwaitingRetry

Rows = Sequence[Mapping[str, Any]]
MOST_ARTIFACTS = 200
Logger = logging.Logger | logging.LoggerAdapter[Any]


@dataclass(frozen=True)
class FlowRunApi:
    """The server's door, opened for one flow run. Errors are those of Prefect's client (httpx)."""

    flow_run_id: UUID
    task_run_id: UUID | None
    client: SyncPrefectClient

    def post_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.client.request("POST", "/events", json=list(events))

    def create_table(self, key: str, rows: Rows, description: str) -> UUID:
        return self._create_artifact(key, "table", json.dumps(rows, default=str), description)

    def create_markdown(self, key: str, text: str, description: str) -> UUID:
        return self._create_artifact(key, "markdown", text, description)

    def replace_table(self, artifact_id: UUID, rows: Rows) -> None:
        self.replace(artifact_id, json.dumps(rows, default=str))

    def replace(self, artifact_id: UUID, data: str) -> None:
        self.client.request(
            "PATCH", "/artifacts/{id}", path_params={"id": str(artifact_id)}, json={"data": data}
        )

    def find_artifacts(self, artifacts: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
        """Those that meet the server's filter, of any run, the newest first."""
        content = {"artifacts": dict(artifacts), "sort": "CREATED_DESC", "limit": limit}
        found = self.client.request("POST", "/artifacts/filter", json=content)
        answer: list[dict[str, Any]] = found.json()
        return answer

    def find_own_artifacts(self) -> list[dict[str, Any]]:
        """Those with a key that this run left, the newest first."""
        own = {"flow_run_id": {"any_": [str(self.flow_run_id)]}, "key": {"exists_": True}}
        return self.find_artifacts(own, MOST_ARTIFACTS)

    def describe_runs(self, runs: Sequence[UUID]) -> dict[UUID, str]:
        """Name, end and state of each run that the server still knows."""
        content = {"flow_runs": {"id": {"any_": [str(run) for run in runs]}}}
        found = self.client.request("POST", "/flow_runs/filter", json=content).json()
        return {
            UUID(each["id"]): f"{each['name']} ({each['state_name']}, {_minute(each['end_time'])})"
            for each in found
        }

    def completed_runs(self, runs: Sequence[UUID]) -> set[UUID]:
        """Those of the runs that came to a good end, of which the server still knows."""
        content = {
            "flow_runs": {
                "id": {"any_": [str(run) for run in runs]},
                "state": {"type": {"any_": ["COMPLETED"]}},
            }
        }
        found = self.client.request("POST", "/flow_runs/filter", json=content).json()
        return {UUID(each["id"]) for each in found}

    def _create_artifact(self, key: str, kind: str, data: str, description: str) -> UUID:
        content = {
            "key": key,
            "type": kind,
            "data": data,
            "description": description,
            "flow_run_id": str(self.flow_run_id),
            "task_run_id": str(self.task_run_id) if self.task_run_id else None,
        }
        return UUID(self.client.request("POST", "/artifacts/", json=content).json()["id"])


def current_flow_run() -> FlowRunApi | None:
    """None when called outside a flow run: then nothing is reported."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    task_run = task.task_run if task else None
    if task_run and task_run.flow_run_id:
        return FlowRunApi(task_run.flow_run_id, task_run.id, get_client(sync_client=True))
    if flow and flow.flow_run:
        return FlowRunApi(flow.flow_run.id, None, get_client(sync_client=True))
    return None


def suspend_until(moment: datetime, because: str) -> None:
    """End this process now and have the same flow run started again at ``moment``.

    The run waits on the server as AwaitingRetry and holds no worker. Returns where no worker
    would start it again: outside a flow run, in one that no deployment made, and in one that is
    being cancelled.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.deployment_id is None:
        return
    state: State[Any] = AwaitingRetry(scheduled_time=moment, message=f"Waiting for {because}")
    client = get_client(sync_client=True)
    answer = client.set_flow_run_state(context.flow_run.id, state)
    if answer.status is SetStateStatus.ACCEPT:
        raise Pause(f"waiting for {because} until {moment:%Y-%m-%d %H:%M} UTC", state=answer.state)


def run_logger(name: str) -> Logger:
    """The flow run's logger, or a plain one outside a run. Safe to use from any thread."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger(name)


def kebab(slug: str) -> str:
    """``github_scraper`` as Prefect shows it and as artifact keys demand it."""
    return slug.lower().replace("_", "-")


def begun_at(name: str) -> Callable[[], str]:
    """For ``@flow(flow_run_name=...)``: the flow's name and when the run began, in UTC."""
    return lambda: f"{name} {datetime.now(UTC):%Y-%m-%d %H:%M}"


def _minute(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC" if moment else "not ended"
