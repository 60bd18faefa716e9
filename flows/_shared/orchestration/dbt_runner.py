"""Drives dbt through prefect-dbt; imported when a build begins, as both take long to import.

What prefect-dbt's runner does per node (a Prefect task in a thread of its own) costs more than dbt
itself: here it drives dbt, and nodes are reported by `NodeReporter`.
"""

# ruff: isort: split
from flows._shared.orchestration import (
    dbt_classes,  # noqa: F401  before what makes classes
    dbt_locks,  # noqa: F401  before what makes locks
)

# ruff: isort: split
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dbt_common.events.base_types import EventLevel
from prefect_dbt import PrefectDbtRunner, PrefectDbtSettings

from flows._shared.orchestration.dbt.question import Planning
from flows._shared.orchestration.dbt_artifacts import (
    artifacts_in_one_go,
    graphs_unwritten,
    manifest_written_once,
)
from flows._shared.orchestration.dbt_ended import (
    raise_what_ended_it,
    statements_that_end_with_the_run,
)
from flows._shared.orchestration.dbt_events import events_that_are_heard
from flows._shared.orchestration.dbt_flags import flags_without_stacks
from flows._shared.orchestration.dbt_macros import macros_made_when_asked_for
from flows._shared.orchestration.dbt_nodes import HEARD, NodeWatch
from flows._shared.orchestration.dbt_planned import planned
from flows._shared.orchestration.dbt_plugins import plugins_looked_for_once
from flows._shared.orchestration.dbt_postgres import reused_connections
from flows._shared.orchestration.dbt_tables import column_types_made_once
from flows._shared.orchestration.dbt_templates import templates_compiled_once

SILENT = SimpleNamespace(value="none")
ALWAYS = ["--no-send-anonymous-usage-stats", "--no-version-check", "--no-use-colors"]


class _Settings(PrefectDbtSettings):  # type: ignore[misc]
    @contextmanager
    def resolve_profiles_yml(self) -> Iterator[str]:
        """Our profiles read environment variables only: nothing to ask the server for."""
        yield str(self.profiles_dir)


class _Runner(PrefectDbtRunner):  # type: ignore[misc]
    def __init__(self, settings: PrefectDbtSettings, watch: NodeWatch) -> None:
        # Given no client the runner makes one, which starts a server where none is configured.
        super().__init__(
            settings=settings,
            raise_on_failure=False,
            disable_assets=True,
            client=SimpleNamespace(),
            _force_nodes_as_tasks=True,
        )
        self._watch = watch

    @property
    def log_level(self) -> Any:
        """dbt prints nothing and writes no log: the watch hears every line, secrets removed."""
        return SILENT

    def _create_unified_callback(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        return self._watch

    @staticmethod
    def _extract_run_artifacts(res: Any) -> dict[str, dict[str, Any]]:
        """Only hooks read them, and there are none. What ends the run is no failure of dbt's."""
        raise_what_ended_it(res.exception)
        return {}


def invoke(
    project_dir: Path,
    target_path: Path,
    arguments: list[str],
    watch: NodeWatch,
    planning: Planning,
) -> Any:
    """Run dbt and return its `dbtRunnerResult`. ValueError for whatever dbt itself raised."""
    settings = _Settings(
        project_dir=project_dir,
        profiles_dir=project_dir,
        target_path=target_path,
        # Left out it is Prefect's level, and dbt knows no "warning".
        log_level=EventLevel.INFO,
    )
    runner = _Runner(settings, watch)
    try:
        with (
            cheaper_dbt(),
            manifest_written_once(arguments[0], watch.parsed),
            planned(planning),
            statements_that_end_with_the_run(),
        ):
            return runner.invoke([*arguments, "--log-path", str(target_path / "logs"), *ALWAYS])
    finally:
        _close_duckdb()


@contextmanager
def cheaper_dbt() -> Iterator[None]:
    """While it lasts, dbt leaves out work of which nothing is seen."""
    with (
        reused_connections(),
        artifacts_in_one_go(),
        graphs_unwritten(),
        flags_without_stacks(),
        plugins_looked_for_once(),
        events_that_are_heard(HEARD),
        templates_compiled_once(),
        macros_made_when_asked_for(),
        column_types_made_once(),
    ):
        yield


def _close_duckdb() -> None:
    """Close the file that dbt-duckdb would keep open until the process ends.

    Told by `keep_open: false` to close it, it opens the file anew for every second node.
    """
    connections = sys.modules.get("dbt.adapters.duckdb.connections")
    if connections and connections.DuckDBConnectionManager._ENV:
        connections.DuckDBConnectionManager._ENV.close()
