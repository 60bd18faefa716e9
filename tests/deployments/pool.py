"""Deployments of throw-away flows, made without the command line so that they take no time."""

import os
import uuid
from typing import Any

from deployments.local.api import PrefectApi
from deployments.local.worker import PROCESS, ensure_work_pool

ENTRYPOINT = "tests.deployments.example_flow.example"


class Pool:
    """A work pool of a test's own on the session's server."""

    def __init__(self, url: str, pool_type: str = PROCESS, prefix: str = "test") -> None:
        self.url = url
        self.api = PrefectApi(url, os.environ)
        self.name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        ensure_work_pool(self.api, self.name, pool_type)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(self.api.call("POST", path, body))

    def post_list(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        return list(self.api.call("POST", path, body))

    def deploy(self) -> str:
        """Make a deployment of the example flow; returns ``<flow>/<deployment>``."""
        self.deploy_on(self.name)
        return f"example/{self.name}"

    def deploy_on(self, name: str, *, is_paused: bool = False, **schedules: dict[str, Any]) -> str:
        """Make a deployment of that flow on schedules, by their slugs; returns its id."""
        flow = self.post("flows/", {"name": "example"})
        body = {
            "name": name,
            "flow_id": flow["id"],
            "work_pool_name": self.name,
            "entrypoint": ENTRYPOINT,
            "pull_steps": [],
            "paused": is_paused,
            "schedules": [
                {"slug": slug, "schedule": each, "active": True} for slug, each in schedules.items()
            ],
        }
        return str(self.post("deployments/", body)["id"])
