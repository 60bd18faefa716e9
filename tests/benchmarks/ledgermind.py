"""What LedgerMind's builds and its export cost.

    python -m tests.benchmarks.ledgermind [--events 100000] [--skip-export]

Prints: dbt's own time for the mission's four models on the mission's data; the build of all models
on the given number of events, the incremental build of one new day after it, and whether that is
equal to a full refresh; seconds and peak memory of the export to the emulator, in a process of its
own.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import psycopg
from dbt.cli.main import dbtRunner

from deployments.local.bigquery import BigQueryEmulator
from deployments.local.paths import LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from flows.ledgermind.raw import operational
from flows.ledgermind.records import FeedbackShape, Sample
from flows.ledgermind.sample import mission_day, sample
from flows.ledgermind.settings import BigQuerySettings
from tests.dbt_projects.warehouse import environment, install_packages, postgres_environment
from tests.ledgermind.warehouses import PROJECT, Warehouses

FOUR = (
    *("stg_suggestion_events", "mart_suggestions_daily"),
    *("mart_suggestions_feedback_daily", "mart_suggestions_kpis"),
)

EXPORT = """
import os, resource, time
from datetime import timedelta
from flows.ledgermind import source
from flows.ledgermind.flow import bigquery_client, export_table
from flows.ledgermind.raw.exported import ExportedDataset
from flows.ledgermind.records import EXPORTED
from flows.ledgermind.settings import BigQuerySettings
started, settings = time.monotonic(), BigQuerySettings()
dataset = ExportedDataset(bigquery_client(settings), settings.raw_dataset, settings.location)
for table in EXPORTED:
    with source.open_snapshot(os.environ["BENCH_URL"]) as connection:
        export_table(connection, dataset, table, excluded=settings.excluded_columns,
                     rows_per_load=settings.rows_per_load, lookback=timedelta(hours=24))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(time.monotonic() - started, peak)
"""


def run(url: str, state: Path, *options: str) -> tuple[float, dict[str, float]]:
    """`dbt run`: its own elapsed seconds and those of each model."""
    arguments = ["run", "--target", "pg_local", *options]
    arguments += ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    arguments += ["--target-path", str(state), "--log-path", str(state / "logs"), "--quiet"]
    with environment({**postgres_environment(url), "DO_NOT_TRACK": "1"}):
        outcome = dbtRunner().invoke(arguments)
    assert outcome.success, outcome.exception
    return outcome.result.elapsed_time, {
        each.node.name: each.execution_time for each in outcome.result.results
    }


def without_last_day(made: Sample) -> tuple[Sample, Sample]:
    last = max(event.created_at.date() for event in made.events)
    new = {event.id for event in made.events if event.created_at.date() == last}
    first = replace(
        made,
        events=[event for event in made.events if event.id not in new],
        feedback=[f for f in made.feedback if f.event_id not in new and f.created_at.date() < last],
    )
    known = {feedback.id for feedback in first.feedback}
    later = Sample(
        [],
        [],
        [],
        [event for event in made.events if event.id in new],
        [feedback for feedback in made.feedback if feedback.id not in known],
    )
    return first, later


def in_a_process() -> tuple[float, float]:
    """Seconds of the export and peak MiB of its process, which imports what the flow does."""
    command = [sys.executable, "-c", EXPORT]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, peak = told.split()
    return float(seconds), float(peak)


def say(what: str, value: str) -> None:
    sys.stdout.write(f"{what:<52}{value}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--skip-export", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        install_packages("ledgermind", root)
        server = EmbeddedPostgres(root / "postgres", first_port=57320)
        server.start()
        emulator = BigQueryEmulator(LocalPaths(root), first_port=47050)
        try:
            mission(server, root)
            url = grown(server, root, options.events)
            if not options.skip_export:
                export(url, emulator.start())
        finally:
            emulator.stop()
            server.stop()


def mission(server: EmbeddedPostgres, root: Path) -> None:
    url = server.create_database("mission")
    with psycopg.connect(url, autocommit=True) as connection:
        operational.create_operational_database(connection, mission_day())
    run(url, root / "mission")
    _, seconds = run(url, root / "mission", "--full-refresh")
    for model in FOUR:
        say(f"mission's data, {model}", f"{seconds[model]:.2f} s")
    say("mission's data, the four together", f"{sum(seconds[model] for model in FOUR):.2f} s")


def grown(server: EmbeddedPostgres, root: Path, events: int) -> str:
    url = server.create_database("grown")
    first, later = without_last_day(sample(events))
    with psycopg.connect(url, autocommit=True) as connection:
        operational.create_operational_database(connection, first)
    full, _ = run(url, root / "grown")
    with psycopg.connect(url, autocommit=True) as connection:
        operational.write_rows(connection, later, FeedbackShape.V2)
        connection.execute("analyze")
    say("events", f"{len(first.events):,} and {len(later.events):,} of one new day")
    increment, parts = run(url, root / "grown")
    warehouses = Warehouses(url, "", BigQuerySettings(), root)
    tables = warehouses.tables()
    warehouses.execute("create schema incremental")
    for table in tables:
        warehouses.execute(f"create table incremental.{table} as table analytics.{table}")
    again, slowest = run(url, root / "grown", "--full-refresh")
    is_equal = all(is_same(warehouses, table, columns) for table, columns in tables.items())
    say("first build, all models", f"{full:.2f} s")
    say("incremental build of the new day", f"{increment:.2f} s")
    say("full refresh", f"{again:.2f} s")
    say("incremental / full refresh", f"{increment / again:.1%}")
    say("incremental equals full refresh", "yes" if is_equal else "NO")
    for title, seconds in (("incremental", parts), ("full", slowest)):
        for name in sorted(seconds, key=lambda model: -seconds[model])[:3]:
            say(f"  {title}, {name}", f"{seconds[name]:.2f} s")
    return url


def is_same(warehouses: Warehouses, table: str, columns: list[str]) -> bool:
    """Whether a table has the same facts as its copy, each as often."""
    facts = ", ".join(columns)
    return not any(
        warehouses.query(
            f"select 1 from (select {facts} from {one}.{table} except all "
            f"select {facts} from {other}.{table}) as differing limit 1"
        )
        for one, other in (("analytics", "incremental"), ("incremental", "analytics"))
    )


def export(url: str, endpoint: str) -> None:
    with environment({"BENCH_URL": url, "BIGQUERY_EMULATOR_HOST": endpoint}):
        for name in ("first export", "second export"):
            seconds, peak = in_a_process()
            say(f"{name}, seconds", f"{seconds:.1f}")
            say(f"{name}, peak MiB of its process", f"{peak:.0f}")


if __name__ == "__main__":
    main()
