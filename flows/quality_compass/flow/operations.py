"""Flows for who runs Quality Compass: weekly maintenance, rollback of a mart."""

import json
from pathlib import Path
from typing import NamedTuple

from prefect import flow, get_run_logger, task

from flows._shared.orchestration.credentials import building_block, dbt_postgres_env, secret_value
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
from flows._shared.orchestration.dbt.variables import declared_variables
from flows._shared.orchestration.flow_run import current_flow_run
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows._shared.revised import revised
from flows._shared.state import state_dir
from flows.quality_compass import rollback
from flows.quality_compass.settings import QualityCompassSettings

SLUG = "quality_compass"
LARGE_TABLES = (
    "fct_signals",
    "fct_contributions",
    "stg_entity_results",
    "stg_statistical_methods",
    "stg_anomalies",
)


@flow(
    name="quality-compass-maintenance",
    flow_run_name=RunName("quality-compass marts, upkeep at {now}"),
)
def maintain(settings: QualityCompassSettings = QualityCompassSettings()) -> None:
    """VACUUM ANALYZE the large tables, write fresh documentation, run every test and keep the rows
    that fail in the schema `quality_compass_test_failures`.

    Args:
        settings: Where the marts are.
    """
    environment = dbt_postgres_env(building_block(settings))
    arguments = json.dumps({"table_names": LARGE_TABLES}, separators=(",", ":"))
    build_dbt(SLUG, environment, command=f"run-operation vacuum_analyze_tables --args {arguments}")
    build_dbt(SLUG, environment, command="docs generate")
    outcome = build_dbt(SLUG, {**environment, "DBT_STORE_FAILURES": "true"}, command="test")
    get_run_logger().info(
        "%s tables vacuumed, %s tests passed, %s warnings",
        len(LARGE_TABLES),
        outcome.tests_passed,
        outcome.warnings,
    )


class Swapped(NamedTuple):
    """Where the replaced mart is kept, and which materialized views still show its rows."""

    kept: str
    not_refreshed: tuple[str, ...]


@task(
    name="read revision",
    retries=2,
    retry_delay_seconds=[30, 120],
    retry_condition_fn=retry_transient,
)
def prepare_project(mart: str, revision: str, home: Path, settings: QualityCompassSettings) -> Path:
    block = settings.repository_token_block
    token = secret_value(block) if block else None
    return rollback.prepare_project(mart, revision, home, settings.repository, token)


@task(name="compare mart")
def compare_mart(mart: str, settings: QualityCompassSettings) -> rollback.Comparison:
    with connect(building_block(settings)) as connection:
        return rollback.compare(connection, mart)


@task(name="swap mart")
def swap_mart(mart: str, brake: rollback.Brake | None, settings: QualityCompassSettings) -> Swapped:
    with connect(building_block(settings)) as connection:
        kept = rollback.swap(connection, mart, brake)
        return Swapped(kept, tuple(rollback.materialized_readers(connection, mart)))


@flow(
    name="quality-compass-rollback",
    flow_run_name=RunName("quality-compass marts, {mart} of {revision}, at {now}"),
)
def roll_back(
    mart: str,
    revision: str,
    swap: bool = False,
    settings: QualityCompassSettings = QualityCompassSettings(),
    dbt: DbtOptions = DbtOptions(),
) -> rollback.Comparison:
    """Rebuild a mart from an earlier revision of its SQL in a side schema and compare row by row.

    Leaves the comparison as the artifact `quality-compass-rollback`. After a swap, revert the
    SQL in git too: the next build uses what is in the project.

    Args:
        mart: fct_signals, fct_contributions, dim_facilities or dim_metrics.
        revision: Commit or tag whose SQL is used.
        swap: Put the rebuilt mart in place of the current one, which is kept beside it.
        settings: Where the marts are.
        dbt: `release_brake` lets a swap take away all rows, or more than half of them.
    """
    home = (settings.state_dir or state_dir() / SLUG) / "rollback"
    projects_dir = prepare_project(mart, revision, home, settings)
    build_dbt(
        rollback.SIDE_PROJECT,
        dbt_postgres_env(building_block(settings)),
        # The brake is asked at the swap: beside it nobody reads.
        revised(dbt, select=(mart,), full_refresh=True, release_brake=True),
        command="run",
        projects_dir=projects_dir,
    )
    comparison = compare_mart(mart, settings)
    # Written first, so that who is refused a swap sees why.
    _tell(mart, revision, comparison, None)
    if swap:
        brake = None if dbt.release_brake else _brake(dbt)
        _tell(mart, revision, comparison, swap_mart(mart, brake, settings))
    return comparison


def _brake(dbt: DbtOptions) -> rollback.Brake:
    known = declared_variables(rollback.PROJECTS / SLUG) | dbt.variables
    fall, rows = known["brake_maximum_fall"], known["brake_minimum_rows"]
    assert isinstance(fall, int | float)
    assert isinstance(rows, int | float)
    return rollback.Brake(fall, rows)


def _tell(
    mart: str, revision: str, comparison: rollback.Comparison, swapped: Swapped | None
) -> None:
    api = current_flow_run()
    if api is not None:
        api.create_markdown(
            "quality-compass-rollback",
            _describe(mart, revision, comparison, swapped),
            f"{mart} as of {revision}",
        )


def _describe(
    mart: str, revision: str, comparison: rollback.Comparison, swapped: Swapped | None
) -> str:
    verdict = "the same rows" if comparison.is_equal else "other rows"
    lines = [
        f"# {mart} as of {revision}: {verdict}",
        "",
        "| | rows |",
        "|---|---:|",
        f"| current | {comparison.current_rows} |",
        f"| rebuilt | {comparison.rebuilt_rows} |",
        f"| only current | {comparison.only_current} |",
        f"| only rebuilt | {comparison.only_rebuilt} |",
        f"| changed | {comparison.changed_rows} |",
        *(f"| changed in {name} | {count} |" for name, count in comparison.differing.items()),
    ]
    for title, names in (
        ("Columns only in the current mart", comparison.columns_only_current),
        ("Columns only in the rebuilt mart", comparison.columns_only_rebuilt),
        ("Keys to look at", comparison.examples),
    ):
        if names:
            lines += ["", f"{title}: {', '.join(names)}"]
    lines += [
        "",
        f"Swapped; what was replaced is in {swapped.kept}." if swapped else "Nothing was swapped.",
    ]
    if swapped and swapped.not_refreshed:
        lines += ["", f"Refresh these to see it: {', '.join(swapped.not_refreshed)}"]
    return "\n".join(lines)
