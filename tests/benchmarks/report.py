"""What the flow `report` costs beside the builds whose models it reads, and at ten times the rows.

    python -m tests.benchmarks.report [--factors 1 10] [--runs 3]

Loads the samples of all domains with their flows, builds each project from scratch in a process of
its own, then makes the report in one, some times over. Prints seconds, CPU and peak memory of these
processes, without PostgreSQL's and the server's, and their ratios.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg import sql

from deployments.local.domains import (
    LEDGERMIND_SAMPLE_EVENTS,
    QUALITY_COMPASS_SAMPLE_FACILITIES,
    SCOUT_SAMPLE_PAYLOADS,
)
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.server import own_client_environment
from flows.report.making import AGENTS, IN_POSTGRES
from flows.report.records import DOMAINS
from tests.measuring import Cost, measure, parts

COMMITS = 1_000
DEVELOPERS = 12
AGENTS_VARIABLE = "AGENT_ANALYTICS_DUCKDB_PATH"
TABLES = """
    select schemaname, tablename from pg_tables
    where schemaname in ('analytics', 'gold', 'platinum') and starts_with(tablename, 'rpt_') = %s
"""


def parameters_of(slug: str, factor: int, folder: Path) -> dict[str, Any]:
    """What makes the flow of a domain load its sample, so many times as large as `flows run`'s."""
    if slug == "github_scraper":
        return {"repositories": [str(folder / "history")]}
    if slug == "agent_analytics":
        return {"inputs": {"sample": {"developers": DEVELOPERS * factor}}}
    name, size = {
        "ledgermind": ("sample_events", LEDGERMIND_SAMPLE_EVENTS),
        "scout": ("sample_payloads", SCOUT_SAMPLE_PAYLOADS),
        "quality_compass": ("sample_facilities", QUALITY_COMPASS_SAMPLE_FACILITIES),
    }[slug]
    return {"settings": {name: size * factor}}


def load(slug: str, factor: int, folder: Path) -> None:
    """In a process of its own: register the domain's block, run its flow on its sample."""
    if slug in IN_POSTGRES:
        from blocks.registration import register

        variable = f"{slug.upper()}_DATABASE_URL"
        register([slug], {variable: os.environ[variable]})
    if slug == "github_scraper":
        from tests.github_scraper.histories import import_sample

        import_sample(folder / "history", COMMITS * factor)
    import_module(f"flows.{slug}.flow").refresh(**parameters_of(slug, factor, folder))


def build(slug: str) -> None:
    """The same of a full build of the domain's marts and the tests on them."""
    from prefect import flow

    from flows._shared.orchestration.credentials import building_block, dbt_postgres_env
    from flows._shared.orchestration.dbt import DbtOptions, build_dbt
    from flows.agent_analytics.settings import AgentAnalyticsSettings
    from flows.report.documenting import Builder
    from flows.report.settings import ReportSettings

    @flow
    def benchmark() -> None:
        environment = (
            {AGENTS_VARIABLE: str(AgentAnalyticsSettings().store_path)}
            if slug == AGENTS
            else dbt_postgres_env(building_block(Builder(getattr(ReportSettings().blocks, slug))))
        )
        build_dbt(slug, environment, DbtOptions(full_refresh=True))

    benchmark()


def make() -> None:
    """The same of the report."""
    from flows.report.operations import report

    report()


def rows_of(databases: Mapping[str, str], file: Path, *, reported: bool) -> int:
    """Rows of the report's models, or of all other tables that the builds made."""
    total = 0
    for url in databases.values():
        with psycopg.connect(url) as connection:
            for table in connection.execute(TABLES, (reported,)).fetchall():
                count = sql.SQL("select count(*) from {}").format(sql.Identifier(*table))
                total += connection.execute(count).fetchall()[0][0]
    with duckdb.connect(str(file), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_schema in ('mart', 'report') and table_type = 'BASE TABLE'"
        ).fetchall()
        for schema, table in tables:
            if (schema == "report") is reported:
                counted = connection.execute(f'select count(*) from {schema}."{table}"').fetchone()
                total += counted[0] if counted else 0
    return total


def run(factor: int, folder: Path, runs: int) -> tuple[Cost, dict[str, Cost]]:
    """The medians of the report, and what each build cost, of samples so many times as large."""
    paths = LocalPaths(folder / "state")
    with parts(folder) as (postgres, _, url):
        databases = {slug: postgres.create_database(slug) for slug in IN_POSTGRES}
        environment = {
            **os.environ,
            **own_client_environment(paths, url),
            **{f"{slug.upper()}_DATABASE_URL": each for slug, each in databases.items()},
            "PYTHONPATH": str(PROJECT_ROOT),
            "ANALYTICS_FLOWS_STATE_DIR": str(paths.cache),
        }

        def step(*words: str) -> Cost:
            command = [sys.executable, "-m", "tests.benchmarks.report", "--step", *words]
            return measure(command, environment, folder / "step.log")

        for slug in DOMAINS:
            cost = step("load", slug, str(factor), str(folder))
            say(f"  load {slug:16} {told(cost)}")
        builds = {slug: step("build", slug) for slug in DOMAINS}
        reports = [step("report") for _ in range(runs + 1)][1:]
        file = paths.cache / AGENTS / "published" / "agent_analytics.duckdb"
        say(
            f"  rows of marts {rows_of(databases, file, reported=False):,}, "
            f"of report models {rows_of(databases, file, reported=True):,}"
        )
    report = Cost(
        statistics.median(each.seconds for each in reports),
        statistics.median(each.cpu_seconds for each in reports),
        statistics.median(each.peak_mib for each in reports),
    )
    return report, builds


def told(cost: Cost) -> str:
    return f"{cost.seconds:7.2f} s  {cost.cpu_seconds:7.2f} s CPU  {cost.peak_mib:6.0f} MiB"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def compare(report: Cost, builds: Mapping[str, Cost]) -> None:
    for slug, cost in builds.items():
        say(f"  build {slug:15} {told(cost)}")
    say(f"  {'report':21} {told(report)}")
    together = [sum(values) for values in zip(*map(_figures, builds.values()), strict=True)]
    seconds, cpu, memory = (
        own / all_ for own, all_ in zip(_figures(report), together, strict=True)
    )
    say(
        f"  report to the five builds: wall {seconds:.2f}, CPU {cpu:.2f}, memory {memory:.2f}; "
        f"memory to the largest {report.peak_mib / max(e.peak_mib for e in builds.values()):.2f}"
    )


def _figures(cost: Cost) -> tuple[float, float, float]:
    return cost.seconds, cost.cpu_seconds, cost.peak_mib


def main() -> None:
    parser = argparse.ArgumentParser(description="the report against the builds that it reads")
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    match chosen.step:
        case ["load", slug, factor, folder]:
            load(slug, int(factor), Path(folder))
        case ["build", slug]:
            build(slug)
        case ["report"]:
            make()
        case _:
            benchmark(chosen.factors, chosen.runs)


def benchmark(factors: Sequence[int], runs: int) -> None:
    made = []
    for factor in factors:
        say(f"samples of {factor} times their size")
        with tempfile.TemporaryDirectory(prefix="report-benchmark-") as folder:
            report, builds = run(factor, Path(folder), runs)
        compare(report, builds)
        made.append(report)
    pairs = zip(_figures(made[-1]), _figures(made[0]), strict=True)
    seconds, cpu, memory = (last / first for last, first in pairs)
    say(
        f"report at {factors[-1]} times the samples to {factors[0]}: "
        f"wall {seconds:.2f}, CPU {cpu:.2f}, memory {memory:.2f}"
    )


if __name__ == "__main__":
    main()
