"""What dbt said about each node, and how a flow run shows it.

dbt tells a callback when a node starts and when it finishes. `NodeWatch` keeps what was said, in
dbt's threads and without delay; `NodeReporter` turns the latest word on each node into a task run
on the server, a batch a second, while dbt goes on. See docs/decisions on reporting dbt nodes for
why it is done by events.
"""

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from flows._shared.dbt_said import FAILED
from flows._shared.orchestration.flow_run import FlowRunApi, Logger

PASSED = frozenset({"success", "pass"})
TESTS = frozenset({"test", "unit_test"})
# Our own word, for what a plan left out of a build.
UNCHANGED = "unchanged"
NO_OP = "no-op"
STATES = (
    {
        "started": ("RUNNING", "Running"),
        "warn": ("COMPLETED", "Warned"),
        NO_OP: ("COMPLETED", "NoOp"),
        "skipped": ("CANCELLED", "Skipped"),
    }
    | dict.fromkeys(PASSED, ("COMPLETED", "Completed"))
    | dict.fromkeys(FAILED, ("FAILED", "Failed"))
)

MESSAGES = {
    "skipped": "not built: something it depends on failed",
    NO_OP: "nothing to build: it only says who reads what is built",
}

# Warnings by which dbt tells how a node ended, or says so again at the end of a run, and selectors
# that matched nothing, which are told apart.
OF_A_NODE = re.compile(r"Log\w+Result|RunResult|NoNodesForSelectionCriteria")
# For metrics by the hour or less, of which there are none: a time of day is shown, not added up.
# Nor is it a warning that all was left out; a selection that matches nothing is refused elsewhere.
ADVICE = re.compile(
    "configuring a time spine at or below the smallest .* is recommended|^Nothing to do\\."
)
# What the watch hears of dbt's debug events.
HEARD = frozenset({"NodeStart", "NodeFinished"})

SECONDS_BETWEEN_REPORTS = 1.0
LONGEST_MESSAGE = 10_000


@dataclass(frozen=True)
class NodeResult:
    """How one node of a build ended.

    ``status`` is dbt's own word: success, pass, warn, fail, error, skipped, no-op, partial success;
    or ``unchanged``, of a node that was left out of the build.
    ``rows`` are rows written (models, seeds, snapshots) or rows that failed (tests); None where dbt
    does not say. ``compiled_path`` is set for failures, where there is SQL to look at. A mart is a
    model whose contract dbt enforces, or whose `meta` says `is_mart`. ``relation`` of a test is
    where its rows are kept, if they are.
    """

    unique_id: str
    name: str
    resource_type: str
    status: str
    rows: int | None
    seconds: float
    message: str
    relation: str | None
    compiled_path: str | None = None
    is_mart: bool = False
    materialized: str | None = None
    description: str = ""

    @property
    def label(self) -> str:
        return label(self.resource_type, self.name)


@dataclass(frozen=True)
class NodeStatus:
    """The latest word on a node: dbt's status, with dbt's own clock (UTC)."""

    unique_id: str
    name: str
    resource_type: str
    status: str
    started_at: datetime
    finished_at: datetime | None = None
    message: str = ""

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None


def is_mart(node: Any) -> bool:
    """Of a node of dbt's."""
    has_contract = bool(getattr(getattr(node, "contract", None), "enforced", False))
    meta = getattr(getattr(node, "config", None), "meta", None) or {}
    return has_contract or bool(meta.get("is_mart"))


def read_as(name: str, relation: str | None) -> str:
    """The name by which readers find a model: its own, or schema and name where they are others."""
    parts = [part.strip('"`') for part in (relation or "").split(".")]
    return name if len(parts) < 2 or parts[-1] == name else ".".join(parts[-2:])


def label(resource_type: str, name: str) -> str:
    """``model leaderboard``, ``unit test counts_merges_once``."""
    return f"{resource_type.replace('_', ' ')} {name}"


def worded(status: str, message: str) -> str:
    """A message of dbt's, or ours where it says no more than the status."""
    return message if message and message.lower() != NO_OP else MESSAGES.get(status, "")


class NodeWatch:
    """dbt's event callback: remembers nodes, hands on lines, never waits for anything."""

    def __init__(self, tell: Callable[[str, str], None], redact: Callable[[str], str]) -> None:
        self.statuses: dict[str, NodeStatus] = {}
        self.parents: Mapping[str, list[str]] = {}
        self.total: int | None = None
        self.unmatched: list[str] = []
        self.warnings: dict[str, None] = {}
        self._tell = tell
        self._redact = redact

    def __call__(self, event: Any) -> None:
        name = event.info.name
        if name == "NodeStart":
            self._started(event.data.node_info)
        elif name == "NodeFinished":
            self._finished(event.data.node_info, event.data.run_result)
        elif name == "ConcurrencyLine":
            self.total = event.data.node_count
        elif name == "NoNodesForSelectionCriteria":
            self.unmatched.append(event.data.spec_raw)
        if event.info.level in ("info", "warn", "error"):
            line = self._redact(event.info.msg).strip()
            level = "info" if ADVICE.search(line) else event.info.level
            if line:
                self._tell(level, line)
            if level == "warn" and not OF_A_NODE.match(name):
                self.warnings.setdefault(line)

    def parsed(self, parents: Mapping[str, list[str]]) -> None:
        """The nodes that each node is built from, by their unique ids."""
        self.parents = parents

    def _started(self, node: Any) -> None:
        if node.materialized == "ephemeral":
            return
        self.statuses[node.unique_id] = NodeStatus(
            node.unique_id,
            node.node_name,
            node.resource_type,
            "started",
            _utc(node.node_started_at),
        )

    def _finished(self, node: Any, result: Any) -> None:
        if node.materialized == "ephemeral":
            return
        began = self.statuses.get(node.unique_id)
        status = str(result.status or node.node_status)
        self.statuses[node.unique_id] = NodeStatus(
            node.unique_id,
            node.node_name,
            node.resource_type,
            status,
            began.started_at if began else _utc(node.node_started_at),
            _utc(node.node_finished_at),
            worded(status, self._redact(result.message)[:LONGEST_MESSAGE]),
        )


class NodeReporter:
    """Shows the nodes a `NodeWatch` has seen as task runs of a flow run.

    Runs beside dbt in one thread. A server that does not answer costs the view, never the build:
    what could not be sent is sent with the next batch, and `finish` warns of what never was. It
    does not wait until the server has written down what it acknowledged: that takes a second.
    """

    def __init__(
        self,
        api: FlowRunApi,
        watch: NodeWatch,
        logger: Logger,
        on_tick: Callable[[NodeWatch], None],
    ) -> None:
        self._api = api
        self._watch = watch
        self._logger = logger
        self._on_tick = on_tick
        self._invocation = uuid4().hex[:12]
        self._ids: dict[str, UUID] = {}
        self._reported: dict[str, str] = {}
        self._moments: dict[str, datetime] = {}
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._keep_reporting, name="dbt-nodes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, results: Iterable[NodeResult]) -> None:
        """Send the last word on every node of ``results``."""
        self._is_done.set()
        self._thread.join()
        self._settle(results)
        try:
            self._report()
        except httpx.HTTPError as error:
            self._logger.warning("the run's dbt nodes could not be reported: %s", error)

    def _settle(self, results: Iterable[NodeResult]) -> None:
        """dbt's results outrank its events: a node without a last event gets its ending here."""
        now = datetime.now(UTC)
        for result in results:
            seen = self._watch.statuses.get(result.unique_id) or NodeStatus(
                result.unique_id, result.name, result.resource_type, result.status, now
            )
            self._watch.statuses[result.unique_id] = replace(
                seen,
                status=result.status,
                message=result.message[:LONGEST_MESSAGE],
                finished_at=seen.finished_at or now,
            )
        for unique_id, status in self._watch.statuses.items():
            if not status.is_finished:
                self._watch.statuses[unique_id] = replace(
                    status, status="error", message="dbt ended before it did", finished_at=now
                )

    def _keep_reporting(self) -> None:
        while not self._is_done.wait(SECONDS_BETWEEN_REPORTS):
            try:
                self._report()
                self._on_tick(self._watch)
            except httpx.HTTPError as error:
                self._logger.debug("a batch of dbt nodes was not sent: %s", error)

    def _report(self) -> None:
        statuses = dict(self._watch.statuses)
        news = [
            node for node in statuses.values() if self._reported.get(node.unique_id) != node.status
        ]
        if not news:
            return
        for node in news:
            self._ids.setdefault(node.unique_id, uuid4())
        self._api.post_events([self._event(node, self._moment(node)) for node in news])
        self._reported.update((node.unique_id, node.status) for node in news)

    def _moment(self, node: NodeStatus) -> datetime:
        """When the node came to its state, and later than every state sent for it before.

        The server's key of a state is the task run and its time. One event that repeats a pair,
        as after an answer that was lost, makes the recorder drop the states of a whole batch.
        """
        moment = node.finished_at or node.started_at
        if before := self._moments.get(node.unique_id):
            moment = max(moment, before + timedelta(microseconds=1))
        self._moments[node.unique_id] = moment
        return moment

    def _event(self, node: NodeStatus, moment: datetime) -> dict[str, Any]:
        """The state-change event Prefect's task engine would have sent for this node."""
        kind, state = STATES.get(node.status, ("COMPLETED", node.status.title()))
        name = label(node.resource_type, node.name)
        return {
            "id": str(uuid4()),
            "occurred": moment.isoformat(),
            "event": f"prefect.task-run.{state}",
            "resource": {
                "prefect.resource.id": f"prefect.task-run.{self._ids[node.unique_id]}",
                "prefect.resource.name": name,
                "prefect.run-count": "1",
                "prefect.state-message": node.message,
                "prefect.state-name": state,
                "prefect.state-timestamp": moment.isoformat(),
                "prefect.state-type": kind,
                # The recorder leaves out every task-run event without this label.
                "prefect.orchestration": "client",
            },
            "related": [
                {
                    "prefect.resource.id": f"prefect.flow-run.{self._api.flow_run_id}",
                    "prefect.resource.role": "flow-run",
                }
            ],
            "payload": {
                "intended": {"from": None, "to": kind},
                "initial_state": None,
                "validated_state": {
                    "type": kind,
                    "name": state,
                    "message": node.message,
                    "state_details": {},
                    "data": None,
                },
                "task_run": self._task_run(node, name),
            },
        }

    def _task_run(self, node: NodeStatus, name: str) -> dict[str, Any]:
        task_run: dict[str, Any] = {
            "name": name,
            "task_key": node.unique_id,
            "dynamic_key": self._invocation,
            "run_count": 1,
            "flow_run_run_count": 1,
            "tags": ["dbt", node.resource_type],
            "task_inputs": {"upstream": self._upstream(node.unique_id)},
            "expected_start_time": node.started_at.isoformat(),
            "start_time": node.started_at.isoformat(),
        }
        if node.finished_at:
            task_run["end_time"] = node.finished_at.isoformat()
            task_run["total_run_time"] = (node.finished_at - node.started_at).total_seconds()
        return task_run

    def _upstream(self, unique_id: str) -> list[dict[str, str]]:
        """The nearest ancestors that this run shows: dbt's lineage as the run's graph."""
        parents = self._watch.parents
        shown, visited, queue = [], {unique_id}, list(parents.get(unique_id, ()))
        while queue:
            parent = queue.pop()
            if parent in visited:
                continue
            visited.add(parent)
            if parent in self._ids:
                shown.append({"input_type": "task_run", "id": str(self._ids[parent])})
            else:
                queue.extend(parents.get(parent, ()))
        return shown


def _utc(moment: str) -> datetime:
    """dbt writes UTC without saying so; an event that carries no time is happening now."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC) if moment else datetime.now(UTC)
