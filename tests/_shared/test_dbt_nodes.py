import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar

import httpx
from prefect import flow
from prefect.client.orchestration import get_client

from flows._shared.orchestration.dbt_nodes import (
    NodeReporter,
    NodeResult,
    NodeStatus,
    NodeWatch,
)
from flows._shared.orchestration.flow_run import FlowRunApi, current_flow_run

SECONDS_UNTIL_VISIBLE = 30
NAMES = ("orders", "totals", "customers")


class LosesItsFirstAnswer(FlowRunApi):
    """The server gets every batch; the answer to the first never arrives."""

    is_lost: ClassVar[list[bool]] = []

    def post_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        super().post_events(events)
        if not self.is_lost:
            self.is_lost.append(True)
            raise httpx.ReadTimeout("the answer was lost")


def test_a_batch_sent_again_after_a_lost_answer_loses_no_state(prefect_server: str) -> None:
    moment = datetime.now(UTC)
    watch = NodeWatch(lambda level, line: None, str)
    results = [
        NodeResult(f"model.x.{name}", name, "model", "success", None, 0.0, "OK", None)
        for name in NAMES
    ]

    @flow
    def run() -> str:
        api = current_flow_run()
        assert api is not None
        losing = LosesItsFirstAnswer(api.flow_run_id, None, api.client)
        reporter = NodeReporter(losing, watch, logging.getLogger(), lambda seen: None)
        for result in results:
            # Started and finished at the same moment, as a quick node is by dbt's clock.
            watch.statuses[result.unique_id] = NodeStatus(
                result.unique_id, result.name, "model", "success", moment, moment
            )
        reporter.start()
        until = time.monotonic() + SECONDS_UNTIL_VISIBLE
        while not losing.is_lost and time.monotonic() < until:
            time.sleep(0.05)
        reporter.finish(results)
        return str(api.flow_run_id)

    states = _states(run())

    assert states == dict.fromkeys((f"model {name}" for name in NAMES), "Completed")


def _states(run_id: str) -> dict[str, str | None]:
    """The states of the run's task runs, once all are there and the server had time for more."""
    client = get_client(sync_client=True)
    filters = {"flow_runs": {"id": {"any_": [run_id]}}}
    deadline = time.monotonic() + SECONDS_UNTIL_VISIBLE
    while True:
        found = client.request("POST", "/task_runs/filter", json=filters).json()
        if len(found) == len(NAMES) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    time.sleep(2)
    found = client.request("POST", "/task_runs/filter", json=filters).json()
    return {each["name"]: each["state"] and each["state"]["name"] for each in found}


def test_advice_on_a_finer_time_spine_is_no_warning() -> None:
    told: list[tuple[str, str]] = []
    watch = NodeWatch(lambda level, line: told.append((level, line)), str)
    advice = (
        "To avoid unexpected query errors, configuring a time spine at or below the smallest time "
        "dimension granularity is recommended. Smallest time dimension granularity: SECOND"
    )
    for text in (advice, "a metric is not valid"):
        info = SimpleNamespace(name="SemanticValidationFailure", level="warn", msg=text)
        watch(SimpleNamespace(info=info))
    assert list(watch.warnings) == ["a metric is not valid"]
    assert [level for level, _ in told] == ["info", "warn"]
