"""The files of the project applied to a server, and what comes of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deployments.apply.__main__ import main
from deployments.apply.infrastructure import WARM_POOL_VARIABLE
from flows._shared.environment import set_environment
from tests.deployments.pool import Pool


class Server:
    """A test's own work pool, to which the deployments of a file are applied."""

    def __init__(self, url: str) -> None:
        self.pool = Pool(url)
        self.api = self.pool.api

    def apply(self, *arguments: object, warm: str = "") -> int:
        """What the command answers; ``warm`` names a pool of warm processes."""
        with self.environment(), set_environment({WARM_POOL_VARIABLE: warm}):
            return main([str(each) for each in arguments])

    @contextmanager
    def environment(self) -> Iterator[None]:
        """The environment that names this server and pool, for the length of a block."""
        set_here = {
            "PREFECT_API_URL": self.pool.url,
            "PREFECT_WORK_POOL": self.pool.name,
            "PREFECT_SCHEDULES_ACTIVE": "false",
        }
        with set_environment(set_here):
            yield

    def runs(self, deployment: str, automation: str) -> list[dict[str, Any]]:
        """The flow runs of a deployment in this pool that an automation asked for."""
        body = {
            "deployments": {"name": {"any_": [deployment]}},
            "work_pools": {"name": {"any_": [self.pool.name]}},
        }
        found = self.api.all("flow_runs/filter", body)
        return [run for run in found if run["created_by"]["display_value"] == automation]

    def start(self, deployment: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A run of ``<flow>/<deployment>``, which no worker takes up."""
        found = self.api.deployment(deployment)
        assert found is not None, deployment
        return self.api.start_run(found["id"], parameters or {})

    def move(self, run: Mapping[str, Any], state: str, **more: str) -> None:
        """Put a run into a state, as its worker would."""
        body = {"state": {"type": state, "name": state.capitalize(), **more}}
        self.api.call("POST", f"flow_runs/{run['id']}/set_state", body)

    def send(self, *events: Mapping[str, Any]) -> None:
        self.api.call("POST", "events", list(events))  # type: ignore[arg-type]
