"""What LedgerMind's builds and its export cost, and whether both adapters agree.

    python -m tests.benchmarks.ledgermind [--events 100000] [--days 60] [--runs 3]
        [--skip-export] [--both-adapters 100000]

Prints: dbt's own time for the mission's four models on the mission's data; the build of all models
on the given number of events, spread over the given days; medians of the incremental build of one
new day after it (with feedback for old days), of one with nothing new, which leaves all out, of the
same without leaving out, and of a full refresh, which must make equal tables; seconds and peak
memory of the process of the flow ledgermind-export, on a Prefect server and the emulator; whether
the marts of both adapters are equal row for row.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import psycopg
import yaml
from dbt.cli.main import dbtRunnerResult

from deployments.local.bigquery import BigQueryEmulator
from deployments.local.paths import LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.server import PrefectServer, own_client_environment
from flows._shared.environment import set_environment
from flows._shared.orchestration.dbt_artifacts import manifest_written_once
from flows.ledgermind.raw import operational
from flows.ledgermind.records import FeedbackShape, Sample
from flows.ledgermind.sample import DAYS, mission_day, sample
from flows.ledgermind.settings import LedgermindBigQuerySettings
from tests.databases import copy_database
from tests.dbt_projects.warehouse import (
    PROJECTS,
    Row,
    dbt_as_in_flows,
    install_packages,
    postgres_environment,
)
from tests.ledgermind.warehouses import PROJECT, Warehouses

FOUR = (
    *("stg_suggestion_events", "mart_suggestions_daily"),
    *("mart_suggestions_feedback_daily", "mart_suggestions_kpis"),
)

is_close = partial(math.isclose, rel_tol=1e-9)

LATE_FEEDBACK = """
insert into suggestion_feedback (id, event_id, txn_id, action, label, created_at)
select gen_random_uuid(), id, txn_id, 'reject', 'Health', created_at + interval '1 minute'
from suggestion_events order by created_at limit 5
"""

EXPORT = """
import time
from pathlib import Path
started = time.monotonic()
from flows.ledgermind.flow import export_tables
assert export_tables(return_state=True).is_completed()
status = Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
Path(RESULT).write_text(f"{time.monotonic() - started} {peak}")
"""


def run(
    url: str, state: Path, *options: str, leaves_out: bool = True
) -> tuple[float, dict[str, float]]:
    """A build of all models, as a flow's: seconds of the command, and of each model."""
    seconds, outcome = timed(
        url, state, "build", "--resource-type", "model", *options, leaves_out=leaves_out
    )
    assert outcome.success, outcome.exception or [
        each.message for each in outcome.result.results if str(each.status) == "error"
    ]
    return seconds, {
        each.node.name: getattr(each, "execution_time", 0.0) for each in outcome.result.results
    }


def timed(
    url: str, state: Path, *command: str, leaves_out: bool = True
) -> tuple[float, dbtRunnerResult]:
    arguments = [*command, "--target", "pg_local"]
    arguments += ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    arguments += ["--target-path", str(state), "--log-path", str(state / "logs")]
    # As in a flow, where dbt writes no log of its own and its manifest once.
    arguments += ["--log-level", "none", "--log-level-file", "none"]
    with (
        set_environment({**postgres_environment(url), "DO_NOT_TRACK": "1"}),
        manifest_written_once(command[0], lambda parents: None),
    ):
        began = time.monotonic()
        outcome = dbt_as_in_flows(arguments, leaves_out)
    return time.monotonic() - began, outcome


def without_last_day(made: Sample) -> tuple[Sample, Sample]:
    """What is there on the evening before the last day of events, and what that day brings.

    Feedback of later days has not happened yet: it is left out.
    """
    last = max(event.created_at.date() for event in made.events)
    return (
        replace(
            made,
            events=[event for event in made.events if event.created_at.date() < last],
            feedback=[each for each in made.feedback if each.created_at.date() < last],
        ),
        Sample(
            [],
            [],
            [],
            [event for event in made.events if event.created_at.date() == last],
            [each for each in made.feedback if each.created_at.date() == last],
        ),
    )


def in_a_process(result: Path) -> tuple[float, float]:
    """Seconds and peak MiB of a process that does nothing but the flow ledgermind-export.

    It is started with the variables of its deployment.
    """
    declared = yaml.safe_load((PROJECTS.parent / "prefect.yaml").read_text())["deployments"]
    export = next(each for each in declared if each["name"] == "ledgermind-export-nightly")
    environment = {**os.environ, **export["work_pool"]["job_variables"]["env"]}
    command = [sys.executable, "-c", f"RESULT = {str(result)!r}\n{EXPORT}"]
    subprocess.run(command, env=environment, check=True)
    seconds, peak = result.read_text().split()
    return float(seconds), float(peak)


def say(what: str, value: str) -> None:
    sys.stdout.write(f"{what:<52}{value}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=DAYS, help="over which events are spread")
    parser.add_argument("--runs", type=int, default=3, help="of which medians are shown")
    parser.add_argument("--skip-export", action="store_true")
    parser.add_argument("--both-adapters", type=int, metavar="EVENTS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        install_packages("ledgermind", root)
        server = EmbeddedPostgres(root / "postgres", first_port=57320)
        server.start()
        emulator = BigQueryEmulator(LocalPaths(root), first_port=47050)
        try:
            mission(server, root)
            url = grown(server, root, options)
            if not options.skip_export:
                export(url, emulator.start(), root)
            if options.both_adapters:
                both_adapters(server, emulator.start(), root, options.both_adapters)
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


def grown(server: EmbeddedPostgres, root: Path, options: argparse.Namespace) -> str:
    """Several times from the same day: what is new, nothing new, and all of it."""
    first, later = without_last_day(sample(options.events, days=options.days))
    known = {event.id for event in later.events}
    late = sum(each.event_id is not None and each.event_id not in known for each in later.feedback)
    say("events", f"{len(first.events):,} and {len(later.events):,} of one new day")
    say("feedback of that day", f"{len(later.feedback):,}, {late:,} of it on older events")
    before = server.create_database("before")
    with psycopg.connect(before, autocommit=True) as connection:
        operational.create_operational_database(connection, first)
    first_build, _ = run(before, root / "before")
    with psycopg.connect(before, autocommit=True) as connection:
        operational.write_rows(connection, later, FeedbackShape.V2)
        connection.execute(LATE_FEEDBACK)
        connection.execute("analyze")
    trials = []
    for number in range(options.runs):
        url = copy_database(server, "before", "grown")
        if not number:
            # A flow finds its project parsed.
            timed(url, root / "grown", "parse")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("checkpoint")
        new_day, parts = run(url, root / "grown")
        nothing, _ = run(url, root / "grown")
        unplanned, _ = run(url, root / "grown", leaves_out=False)
        warehouses = Warehouses(url, "", LedgermindBigQuerySettings(), root)
        tables = warehouses.tables()
        warehouses.execute("create schema incremental")
        for table in tables:
            warehouses.execute(f"create table incremental.{table} as table analytics.{table}")
        full, slowest = run(url, root / "grown", "--full-refresh")
        trials.append((new_day, nothing, unplanned, full))
        other = [each for each, columns in tables.items() if not is_same(warehouses, each, columns)]
        if other:
            raise SystemExit(f"the incremental build differs from a full refresh: {other}")
    new_day, nothing, unplanned, full = (median(each) for each in zip(*trials, strict=True))
    say("first build, all models", f"{first_build:.2f} s")
    say("incremental build of the new day", f"{new_day:.2f} s")
    say("build of nothing new", f"{nothing:.2f} s")
    say("the same without leaving out", f"{unplanned:.2f} s")
    say("leaving out / without", f"{median(left / whole for _, left, whole, _ in trials):.3f}")
    say("full refresh, to equal tables", f"{full:.2f} s")
    say("new day / full refresh", f"{median(day / full for day, _, _, full in trials):.1%}")
    for title, seconds in (("incremental", parts), ("full", slowest)):
        for name in sorted(seconds, key=lambda model: -seconds[model])[:3]:
            say(f"  {title}, {name}", f"{seconds[name]:.2f} s")
    return url


def is_same(warehouses: Warehouses, table: str, columns: list[str]) -> bool:
    """Whether a table has the same facts as its copy, each as often."""
    facts = ", ".join(columns)
    here, there = (
        warehouses.query(
            f"select {facts} from {one}.{table} except all select {facts} from {other}.{table}"
        )
        for one, other in (("analytics", "incremental"), ("incremental", "analytics"))
    )
    return are_alike(here, there)


def are_alike(here: Sequence[Row], there: Sequence[Row]) -> bool:
    """Whether rows differ at most in what floats lose by the order in which they are added."""

    def parted(rows: Sequence[Row]) -> list[tuple[str, list[float]]]:
        return sorted(
            (
                repr([float if isinstance(value, float) else value for value in row]),
                [value for value in row if isinstance(value, float)],
            )
            for row in rows
        )

    return len(here) == len(there) and all(
        one == other and all(map(is_close, floats, others))
        for (one, floats), (other, others) in zip(parted(here), parted(there), strict=True)
    )


def export(url: str, endpoint: str, root: Path) -> None:
    paths = LocalPaths(root)
    prefect = PrefectServer(paths, first_port=47300)
    variables = {
        **own_client_environment(paths, prefect.start()),
        "BIGQUERY_EMULATOR_HOST": endpoint,
    }
    try:
        with set_environment({**variables, "LEDGERMIND_DATABASE_URL": url}):
            command = [sys.executable, "-m", "blocks", "register", "ledgermind"]
            subprocess.run(command, check=True, stdout=subprocess.PIPE)
            for name in ("first export", "second export"):
                seconds, peak = in_a_process(root / "measured")
                say(f"{name}, seconds", f"{seconds:.1f}")
                say(f"{name}, peak MiB of the flow's process", f"{peak:.0f}")
    finally:
        prefect.stop()


def both_adapters(server: EmbeddedPostgres, endpoint: str, root: Path, events: int) -> None:
    url = server.create_database("both")
    settings = LedgermindBigQuerySettings(dataset="both_marts", raw_dataset="both_raw")
    warehouses = Warehouses(url, endpoint, settings, root / "both")
    with psycopg.connect(url, autocommit=True) as connection:
        operational.create_operational_database(connection, sample(events), FeedbackShape.V1)
    for name, work in (
        ("export", warehouses.export),
        ("build and tests on PostgreSQL", lambda: warehouses.build("pg_local")),
        ("build and tests on the emulator", lambda: warehouses.build("bigquery")),
    ):
        started = time.monotonic()
        work()
        say(f"{events:,} events, {name}", f"{time.monotonic() - started:.1f} s")
    here, there = warehouses.postgres_contents(), warehouses.bigquery_contents()
    differing = [table for table in here if here[table] != there[table]]
    rows = sum(map(len, here.values()))
    say(
        f"{len(here)} tables of {rows:,} rows are equal",
        "yes" if not differing else f"NO {differing}",
    )


if __name__ == "__main__":
    main()
