"""What a flow run told the session's server: artifacts, events of rows that landed."""

import json
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import State

PROJECTS = Path(__file__).parents[1] / "dbt_projects"
STORED_WITHIN = 30.0
Told = dict[str, dict[str, Any]]


def run_id_of(run: State[Any] | UUID) -> UUID:
    """The flow run that ended in a state."""
    if isinstance(run, UUID):
        return run
    assert run.state_details.flow_run_id is not None
    return run.state_details.flow_run_id


def artifacts_of(run: State[Any] | UUID) -> dict[str, str]:
    """The text of each artifact of a run, by key."""
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id_of(run)]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=of_run)
    return {str(each.key): str(each.data) for each in found}


def rows_of(run: State[Any] | UUID, key: str) -> list[dict[str, Any]]:
    """The rows of a table artifact of a run."""
    return list(json.loads(artifacts_of(run)[key]))


def measures_of(run: State[Any] | UUID, slug: str) -> dict[str, Any]:
    """What the summary of a domain's run counted."""
    return {row["measure"]: row["value"] for row in rows_of(run, f"{slug}-run")}


def assert_freshness_is_told(
    run: State[Any] | UUID, slug: str, empty: Collection[str] = (), marts: Collection[str] = ()
) -> None:
    """Of each source that has a freshness, when its newest rows came; and that marts are new, these
    among them."""
    told = rows_of(run, f"{slug.replace('_', '-')}-freshness")
    content = yaml.safe_load((PROJECTS / slug / "models" / "sources.yml").read_text())
    aged = {
        table["name"]
        for source in content["sources"]
        for table in source["tables"]
        if table.get("config", {}).get("freshness", source.get("config", {}).get("freshness"))
    }
    found = {each["name"]: each["newest"] for each in told if each["kind"] == "source"}
    assert found.keys() == aged
    assert {name for name, newest in found.items() if not newest} == set(empty)
    made = {each["name"]: each["is_current"] for each in told if each["kind"] == "mart"}
    assert set(made.values()) == {True}
    assert made.keys() >= set(marts)


def landed_in(run: State[Any] | UUID, slug: str, until: Callable[[Told], bool] = bool) -> Told:
    """The payloads of the events of rows that landed, by table, once they are as they should be.

    The server stores events a moment after the run has ended.
    """
    wanted = {
        "event": {"name": [f"{slug}.rows.landed"]},
        "related": {"id": [f"prefect.flow-run.{run_id_of(run)}"]},
    }
    deadline = time.monotonic() + STORED_WITHIN
    while True:
        with get_client(sync_client=True) as client:
            answer = client.request("POST", "/events/filter", json={"filter": wanted, "limit": 50})
        payloads = [event["payload"] for event in answer.json()["events"]]
        told = {payload["table"]: payload for payload in payloads}
        assert len(told) == len(payloads), "each table is told once"
        if until(told):
            return told
        assert time.monotonic() < deadline, f"told of rows that landed: {told}"
        time.sleep(0.2)
