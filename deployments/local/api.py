"""The few calls of Prefect's REST API that the local commands need.

Plain HTTP, because importing Prefect's own client costs seconds of every command.
"""

import json
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from flows._shared.errors import PermanentError, TransientError
from flows._shared.outgoing import trusted

TIMEOUT_SECONDS = 30.0
ERROR_LEVEL = 40
PAGE = 200
# A server on SQLite answers so while another write holds the database.
BUSY = frozenset({429, 502, 503})
PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
LET_IN = "Set PREFECT_API_AUTH_STRING (user:password) or PREFECT_API_KEY"
UNFINISHED = ("PENDING", "RUNNING", "CANCELLING")


class PrefectApi:
    """A connection to a Prefect server.

    Args:
        url: its API address, as in ``PREFECT_API_URL``.
        environment: read for ``PREFECT_API_KEY`` and ``PREFECT_API_AUTH_STRING``.

    Every call raises TransientError when the server does not answer and PermanentError when it
    refuses.
    """

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            base_url=f"{self.url}/",
            timeout=TIMEOUT_SECONDS,
            verify=trusted(),
            **_credentials(environment),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    @property
    def ui_url(self) -> str:
        return self.url.removesuffix("/api")

    def deployment(self, name: str) -> dict[str, Any] | None:
        """The deployment called ``<flow>/<deployment>``, None if there is none."""
        return self.find(f"deployments/name/{name}")

    def has_block(self, block_type: str, name: str) -> bool:
        """Whether a block document exists; its content is not asked for."""
        return self.block_id(block_type, name) is not None

    def work_pool(self, name: str) -> dict[str, Any] | None:
        return self.find(f"work_pools/{name}")

    def has_polled(self, work_pool: str, worker: str, since: float) -> bool:
        """Whether a worker of that name has asked for runs after ``since``, seconds since 1970."""
        workers = self.call("POST", f"work_pools/{work_pool}/workers/filter", {})
        heard = (each["last_heartbeat_time"] for each in workers if each["name"] == worker)
        return any(datetime.fromisoformat(each).timestamp() >= since for each in heard if each)

    def block_id(self, block_type: str, name: str) -> str | None:
        """The id of a block document, None if there is none; its content is not asked for."""
        found = self.find(f"block_types/slug/{block_type}/block_documents/name/{name}")
        return str(found["id"]) if found else None

    def block_written(self, block_type: str, name: str) -> str | None:
        """When a block document was written last, None if there is none."""
        found = self.find(f"block_types/slug/{block_type}/block_documents/name/{name}")
        return str(found["updated"]) if found else None

    def start_run(self, deployment_id: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for a run now; returns the flow run at once, not its result."""
        body = {
            "parameters": dict(parameters),
            "state": {"type": "SCHEDULED"},
            # Asked again after a busy answer, it is still one run.
            "idempotency_key": str(uuid.uuid4()),
        }
        return dict(self.call("POST", f"deployments/{deployment_id}/create_flow_run", body))

    def flow_run(self, run_id: str) -> dict[str, Any]:
        return dict(self.call("GET", f"flow_runs/{run_id}"))

    def unfinished_runs(self, work_pool: str) -> list[dict[str, Any]]:
        """The flow runs of a pool that have begun and not ended."""
        body = {
            "flow_runs": {"state": {"type": {"any_": list(UNFINISHED)}}},
            "work_pools": {"name": {"any_": [work_pool]}},
        }
        return list(self.call("POST", "flow_runs/filter", body))

    def mark_crashed(self, run_id: str, message: str) -> None:
        state = {"type": "CRASHED", "name": "Crashed", "message": message}
        self.call("POST", f"flow_runs/{run_id}/set_state", {"state": state})

    def mark_cancelled(self, run_id: str, message: str) -> None:
        state = {"type": "CANCELLED", "name": "Cancelled", "message": message}
        self.call("POST", f"flow_runs/{run_id}/set_state", {"state": state})

    def table(self, run_id: str, key: str) -> list[dict[str, Any]]:
        """The rows of the newest table artifact of a run under ``key``; empty if none."""
        body = {
            "artifacts": {"flow_run_id": {"any_": [run_id]}, "key": {"any_": [key]}},
            "sort": "UPDATED_DESC",
            "limit": 1,
        }
        found = self.call("POST", "artifacts/filter", body)
        if not found or not found[0].get("data"):
            return []
        data = found[0]["data"]
        rows = json.loads(data) if isinstance(data, str) else data
        return list(rows) if isinstance(rows, list) else []

    def error_lines(self, run_id: str, limit: int = 5) -> list[str]:
        """The first lines logged as errors by a run."""
        body = {
            "logs": {"flow_run_id": {"any_": [run_id]}, "level": {"ge_": ERROR_LEVEL}},
            "sort": "TIMESTAMP_ASC",
            "limit": limit,
        }
        return [str(line["message"]) for line in self.call("POST", "logs/filter", body)]

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Any other call; returns the JSON of the answer, None where there is none."""
        response = self._checked(self._send(method, path, body))
        return response.json() if response.content else None

    def all(self, path: str, body: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Everything that a ``.../filter`` finds, asked for page by page."""
        found: list[dict[str, Any]] = []
        while page := self.call(
            "POST", path, {**(body or {}), "limit": PAGE, "offset": len(found)}
        ):
            found += page
        return found

    def find(self, path: str) -> dict[str, Any] | None:
        """What is at a path, None if there is nothing."""
        response = self._send("GET", path, None)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return dict(self._checked(response).json())

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        for pause in PAUSES_SECONDS:
            response = self._send_once(method, path, body)
            if response.status_code not in BUSY:
                return response
            time.sleep(pause)
        return self._send_once(method, path, body)

    def _send_once(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            raise TransientError(
                f"asking the Prefect server at {self.url}",
                f"{type(error).__name__}: {error}",
                "Check `flows status`; `flows up` starts what is missing",
            ) from error

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        is_stranger = response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
        raise PermanentError(
            f"asking the Prefect server for {response.request.url.path}",
            f"it answered {response.status_code}: {response.text[:500]}",
            LET_IN
            if is_stranger
            else "If the server is not the one of requirements.lock, align the versions",
        )


def is_healthy(url: str, timeout_seconds: float = 2.0) -> bool:
    """Whether a Prefect API answers there."""
    try:
        response = httpx.get(f"{url.rstrip('/')}/health", timeout=timeout_seconds, verify=trusted())
    except httpx.TransportError:
        return False
    return response.is_success


def lacking(url: str) -> str | None:
    """What an address lacks to be that of an API; None where it may be one."""
    if "://" not in url:
        return "it lacks http:// or https:// in front"
    if not url.rstrip("/").endswith("/api") and is_healthy(f"{url.rstrip('/')}/api"):
        return "it lacks /api at its end"
    return None


def wait_healthy(url: str, seconds: float) -> bool:
    """Wait for a Prefect API to answer; tells whether it did in time."""
    deadline = time.monotonic() + seconds
    while not is_healthy(url):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _credentials(environment: Mapping[str, str]) -> dict[str, Any]:
    if key := environment.get("PREFECT_API_KEY"):
        return {"headers": {"Authorization": f"Bearer {key}"}}
    if pair := environment.get("PREFECT_API_AUTH_STRING"):
        user, _, password = pair.partition(":")
        return {"auth": (user, password)}
    return {}
