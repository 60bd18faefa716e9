"""Loads runs of Quality Compass into a warehouse of the tests, and builds them."""

from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg

from flows.quality_compass import raw, source
from flows.quality_compass.rules.reading import run_start
from tests.dbt_projects.warehouse import Warehouse

PASSED = {"success", "pass", "warn", "no-op"}


def make_empty(warehouse: Warehouse) -> None:
    warehouse.execute("drop schema if exists public cascade; create schema public")
    warehouse.execute("drop schema if exists analytics cascade")
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        raw.ensure_schema(connection)


def load(warehouse: Warehouse, address: Path) -> None:
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        for run in source.find_runs(str(address)):
            raw.load_run(
                connection,
                run,
                lambda file: source.FileReader(file, source.Storage(), 16_000_000),
                start=run_start(
                    run.run_id, source.read_manifest(run, source.Storage()), ZoneInfo("UTC")
                ),
            )


def build(warehouse: Warehouse, *options: str, is_tested: bool = False) -> dict[str, str]:
    """Build without unit tests, which do not depend on the rows: the checklist runs them."""
    untested = [] if is_tested else ["test"]
    without = ["--exclude-resource-type", "unit_test", *untested]
    statuses = warehouse.dbt("build", *options, *without)
    assert not {name: status for name, status in statuses.items() if status not in PASSED}
    return statuses
