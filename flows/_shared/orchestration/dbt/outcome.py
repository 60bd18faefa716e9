"""How a dbt command ended: its nodes, and the errors it fails with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows._shared.counted import counted, left_out
from flows._shared.dbt_said import FAILED
from flows._shared.errors import PermanentError, TransientError
from flows._shared.orchestration.dbt_nodes import PASSED, TESTS, UNCHANGED, NodeResult

WARNINGS_TOLD = 20


@dataclass(frozen=True)
class DbtOutcome:
    """How a dbt command ended. ``artifacts_dir`` keeps this run's run_results.json, manifest.json,
    dbt.log and the compiled SQL of failures; ``seconds`` is wall time of the whole call. What dbt
    warned of besides results of nodes is in ``remarks``, each once."""

    nodes: tuple[NodeResult, ...]
    seconds: float
    artifacts_dir: Path
    remarks: tuple[str, ...] = ()

    @property
    def models_built(self) -> int:
        return sum(n.resource_type == "model" and n.status in PASSED for n in self.nodes)

    @property
    def tests_passed(self) -> int:
        return sum(n.resource_type in TESTS and n.status in PASSED for n in self.nodes)

    @property
    def models_unchanged(self) -> int:
        return sum(n.resource_type == "model" and n.status == UNCHANGED for n in self.nodes)

    @property
    def tests_unchanged(self) -> int:
        return sum(n.resource_type in TESTS and n.status == UNCHANGED for n in self.nodes)

    @property
    def warned(self) -> tuple[NodeResult, ...]:
        return tuple(n for n in self.nodes if n.status == "warn")

    @property
    def failed(self) -> tuple[NodeResult, ...]:
        return tuple(n for n in self.nodes if n.status in FAILED)

    @property
    def skipped(self) -> tuple[NodeResult, ...]:
        return tuple(n for n in self.nodes if n.status == "skipped")

    @property
    def warnings(self) -> int:
        return len(self.warned) + len(self.remarks)

    @property
    def told(self) -> tuple[str, ...]:
        """The warnings in words, a line each; of many the first."""
        lines = [_warning(node) for node in self.warned] + list(self.remarks)
        more = len(lines) - WARNINGS_TOLD
        return (
            *lines[:WARNINGS_TOLD],
            *([f"and {counted(more, 'more warning')}"] if more > 0 else ()),
        )

    @property
    def failures(self) -> int:
        return len(self.failed)


def built_where(outcomes: Mapping[str, DbtOutcome]) -> str:
    """What was built in each place: ``PostgreSQL: 2 models built; BigQuery: 34 models built``."""
    return "; ".join(
        f"{place}: {counted(outcome.models_built, 'model')} built"
        + (f", left out as unchanged: {unchanged}" if unchanged else "")
        for place, outcome in outcomes.items()
        for unchanged in [left_out(outcome.models_unchanged, outcome.tests_unchanged)]
    )


def _warning(node: NodeResult) -> str:
    """What a test found, by its description where it has one; how many rows, and where they are."""
    if node.resource_type != "test" or node.rows is None:
        return f"{node.name}: {node.message}"
    said = node.description.rstrip(". ") or "what it looks for is there"
    kept = (node.relation or "").replace('"', "")
    where = f", see {kept}" if kept else ""
    return f"{node.name}: {said}: {counted(node.rows, 'row')}{where}"


class DbtProjectError(PermanentError):
    """The project, its profile or its selection is wrong; nothing was built."""


class DbtUnreachableError(TransientError):
    """The warehouse did not answer dbt."""


class DbtBuildError(PermanentError):
    """Nodes failed, after everything independent of them was built."""

    def __init__(
        self, attempted: str, seen: str, remedy: str, outcome: "DbtOutcome | None" = None
    ) -> None:
        super().__init__(attempted, seen, remedy)
        self.outcome = outcome


class DbtFreshnessError(DbtBuildError):
    """Sources are older than their freshness allows, or could not be looked at."""
