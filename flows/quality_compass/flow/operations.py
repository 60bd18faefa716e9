"""Flows for who runs Quality Compass: weekly maintenance, rollback of a mart, release checklist."""

import json
import time
from collections.abc import Callable
from typing import NamedTuple

import psycopg
from prefect import flow, get_run_logger, task

from flows._shared.errors import PermanentError, PlatformError
from flows._shared.orchestration.credentials import dbt_postgres_env, postgres_url
from flows._shared.orchestration.dbt import DbtOptions, build_dbt, run_dbt_freshness
from flows._shared.orchestration.flow_run import current_flow_run
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
SSL_MODES = ("require", "verify-ca", "verify-full")


class ChecklistError(PermanentError):
    """Items of the production checklist failed."""


class Item(NamedTuple):
    """One line of the checklist."""

    item: str
    is_passed: bool
    seen: str
    seconds: float


@flow(name="quality-compass-maintenance")
def maintain(settings: QualityCompassSettings = QualityCompassSettings()) -> None:
    """VACUUM ANALYZE the large tables, write fresh documentation, run every test and keep the rows
    that fail in the schema `analytics_dbt_test__audit`.

    Args:
        settings: Where the marts are.
    """
    environment = dbt_postgres_env(settings.database_block)
    for table in LARGE_TABLES:
        arguments = json.dumps({"table_name": table}, separators=(",", ":"))
        command = f"run-operation vacuum_analyze_table --args {arguments}"
        build_dbt(SLUG, environment, command=command)
    build_dbt(SLUG, environment, command="docs generate")
    outcome = build_dbt(SLUG, {**environment, "DBT_STORE_FAILURES": "true"}, command="test")
    get_run_logger().info(
        "%s tables vacuumed, %s tests passed, %s warnings",
        len(LARGE_TABLES),
        outcome.tests_passed,
        outcome.warnings,
    )


@task(name="compare mart")
def compare_mart(mart: str, settings: QualityCompassSettings) -> rollback.Comparison:
    with psycopg.connect(postgres_url(settings.database_block), autocommit=True) as connection:
        return rollback.compare(connection, mart)


@task(name="swap mart")
def swap_mart(mart: str, settings: QualityCompassSettings) -> str:
    with psycopg.connect(postgres_url(settings.database_block), autocommit=True) as connection:
        return rollback.swap(connection, mart)


@flow(name="quality-compass-rollback")
def roll_back(
    mart: str,
    revision: str,
    swap: bool = False,
    settings: QualityCompassSettings = QualityCompassSettings(),
) -> rollback.Comparison:
    """Rebuild a mart from an earlier revision of its SQL in a side schema and compare row by row.

    Leaves the comparison as the artifact `quality-compass-rollback`. After a swap, revert the
    SQL in git too: the next build uses what is in the project.

    Args:
        mart: fct_signals, fct_contributions, dim_facilities or dim_metrics.
        revision: Commit or tag whose SQL is used.
        swap: Put the rebuilt mart in place of the current one, which is kept beside it.
        settings: Where the marts are.
    """
    home = (settings.state_dir or state_dir() / SLUG) / "rollback"
    projects_dir = rollback.prepare_project(mart, revision, home)
    build_dbt(
        rollback.SIDE_PROJECT,
        dbt_postgres_env(settings.database_block),
        DbtOptions(select=(mart,), full_refresh=True),
        command="run",
        projects_dir=projects_dir,
    )
    comparison = compare_mart(mart, settings)
    kept = swap_mart(mart, settings) if swap else None
    api = current_flow_run()
    if api is not None:
        api.create_markdown(
            "quality-compass-rollback",
            _describe(mart, revision, comparison, kept),
            f"{mart} as of {revision}",
        )
    return comparison


def _describe(mart: str, revision: str, comparison: rollback.Comparison, kept: str | None) -> str:
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
    lines += ["", f"Swapped; the replaced mart is in {kept}." if kept else "Nothing was swapped."]
    return "\n".join(lines)


@flow(name="quality-compass-checklist")
def check_production(settings: QualityCompassSettings = QualityCompassSettings()) -> None:
    """Go through the production checklist, every item whatever the others gave, and report each.

    Leaves the table artifact `quality-compass-checklist`; fails when an item does.

    Args:
        settings: Where the marts are.
    """
    environment = dbt_postgres_env(settings.database_block)
    production = DbtOptions(target="prod")

    def seeds() -> str:
        outcome = build_dbt(SLUG, environment, production, command="seed")
        return f"{len(outcome.nodes)} seeds loaded"

    def full_build() -> str:
        options = DbtOptions(target="prod", full_refresh=True)
        outcome = build_dbt(SLUG, environment, options)
        return f"{outcome.models_built} models built, {outcome.tests_passed} tests passed"

    def freshness() -> str:
        outcome = run_dbt_freshness(SLUG, environment, production)
        return f"{len(outcome.nodes)} sources looked at, {outcome.warnings} warnings"

    def documentation() -> str:
        build_dbt(SLUG, environment, production, command="docs generate")
        return "generated"

    def ssl() -> str:
        return require_ssl(settings.database_block, environment["DBT_POSTGRES_SSLMODE"])

    items = [
        _check("SSL is required and used", ssl),
        _check("seeds load on prod", seeds),
        _check("full refresh builds and every test passes on prod", full_build),
        _check("sources are fresh", freshness),
        _check("documentation is generated on prod", documentation),
    ]
    api = current_flow_run()
    if api is not None:
        rows = [
            {
                "item": each.item,
                "result": "pass" if each.is_passed else "fail",
                "seen": each.seen,
                "seconds": round(each.seconds, 1),
            }
            for each in items
        ]
        api.create_table("quality-compass-checklist", rows, "Production checklist")
    if failed := [each for each in items if not each.is_passed]:
        listed = "\n".join(f"- {each.item}: {each.seen}" for each in failed)
        raise ChecklistError(
            "going through the production checklist",
            f"{len(failed)} of {len(items)} items failed:\n{listed}",
            "Mend these before deploying",
        )


def require_ssl(database_block: str, mode: str) -> str:
    """What the connection uses. Raises PermanentError unless it is encrypted and has to be."""
    attempted = "checking that SSL is required"
    if mode not in SSL_MODES:
        raise PermanentError(
            attempted, f"sslmode is {mode}", "Register the block with ?sslmode=require in its URL"
        )
    with psycopg.connect(postgres_url(database_block)) as connection:
        row = connection.execute(
            "select version from pg_stat_ssl where pid = pg_backend_pid() and ssl"
        ).fetchone()
    if row is None:
        raise PermanentError(attempted, "the connection is not encrypted", "Turn SSL on")
    return f"sslmode {mode}, {row[0]}"


def _check(item: str, action: Callable[[], str]) -> Item:
    began = time.monotonic()
    try:
        seen, is_passed = action(), True
    except (PlatformError, psycopg.Error) as error:
        seen, is_passed = str(error), False
    get_run_logger().info("%s: %s (%s)", "pass" if is_passed else "FAIL", item, seen)
    return Item(item, is_passed, seen[:1000], time.monotonic() - began)
