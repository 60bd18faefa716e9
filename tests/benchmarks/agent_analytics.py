"""Loading OTLP and building the agent marts, at a size given on the command line.

    python -m tests.benchmarks.agent_analytics --points 1000000

Prints, as JSON, seconds, processor seconds (which compare better on a busy machine) and peak memory
of each phase, each in a process of its own: DuckDB's own JSON reader on the file (shape guessed,
points and events unnested into two tables, nothing told apart), the load, the full build, and load
and incremental build of one more day with commits on every day. Of a build also what dbt says it
took, without the start of dbt. It fails when the incremental build and a full refresh do not leave
the same rows. With ``--folder`` the input is kept and used again.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from flows.agent_analytics import raw, sample, source
from flows.agent_analytics.settings import AgentAnalyticsSettings
from flows.agent_analytics.sync import load_telemetry
from tests.agent_analytics.fleet import GOOD, MARKS, Marts

PEOPLE = 40
POINTS_PER_DAY = 12_100
NATIVE = """
create table points as
with resources as (
    select unnest(resourceMetrics) as r from read_json('{path}', format = 'newline_delimited')
), scopes as (
    select r.resource as resource, unnest(r.scopeMetrics) as s from resources
), metrics as (
    select resource, unnest(s.metrics) as m from scopes
)
select resource, m.name, unnest(m.sum.dataPoints) as p from metrics;

create table events as
with resources as (
    select unnest(resourceLogs) as r from read_json('{path}', format = 'newline_delimited')
), scopes as (
    select r.resource as resource, unnest(r.scopeLogs) as s from resources
)
select resource, unnest(s.logRecords) as l from scopes;
"""


PHASES = (
    *("native", "load", "load_commits", "seed", "build"),
    *("load_day", "load_commits_day", "build_day"),
)


def write(path: Path, days: int, first: int = 0) -> None:
    start = sample.START + timedelta(days=first)
    _write_lines(path, sample.telemetry(days, PEOPLE, seed=first, start=start))


def write_commits(path: Path, days: int, first: int = 0) -> None:
    start = sample.START + timedelta(days=first)
    made = sample.commits(days, PEOPLE, seed=first, start=start)
    _write_lines(path, (json.dumps(row) for row in made))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    unfinished = path.with_name(f"{path.name}.tmp")
    with unfinished.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    unfinished.rename(path)


def load_commits(store: raw.Store, path: Path) -> None:
    with store.connect() as connection:
        raw.ensure_schema(connection)
        raw.load_commits(connection, source.read_commit_rows(path))


def native(path: Path, folder: Path) -> None:
    with duckdb.connect(str(folder / "native.duckdb")) as connection:
        connection.execute("set threads = 2")
        connection.execute("set preserve_insertion_order = false")
        connection.execute(NATIVE.format(path=path))


def build(marts: Marts, *options: str) -> float:
    """The models alone; dbt's own seconds. What it says of a failure is on standard output."""
    statuses = marts.dbt("run", *options)
    if bad := {name: status for name, status in statuses.items() if status not in GOOD}:
        raise RuntimeError(f"not built: {bad}")
    results = json.loads((marts.state / "target" / "run_results.json").read_text())
    return float(results["elapsed_time"])


def differing(marts: Marts, folder: Path) -> list[str]:
    """Tables that a full refresh does not leave with the rows they have; sums of floats may differ
    in their last digits."""
    kept = folder / "incremental.duckdb"
    shutil.copyfile(marts.store.path, kept)
    build(marts, "--full-refresh")
    with duckdb.connect(str(marts.store.path)) as connection:
        connection.execute(f"attach '{kept}' as incremental (read_only)")
        columns = connection.execute(
            "select table_schema || '.' || table_name, list(case data_type when 'DOUBLE' then "
            "'round(' || column_name || ', 6)' else column_name end) "
            "from information_schema.columns where table_catalog = 'agents' and "
            "table_schema in ('staging', 'intermediate', 'mart') and column_name not in "
            f"{MARKS} group by all order by all"
        ).fetchall()
        return [
            table
            for table, facts in columns
            if any(
                connection.execute(
                    f"select {', '.join(facts)} from {one}.{table} except all "
                    f"select {', '.join(facts)} from {other}.{table} limit 1"
                ).fetchall()
                for one, other in (("agents", "incremental"), ("incremental", "agents"))
            )
        ]


def phase(name: str, folder: Path) -> dict[str, float]:
    """One phase in this process: what it takes, and the process's peak memory."""
    marts = Marts(raw.Store(folder / "agents.duckdb"), folder, writes_json=True)
    batch_bytes = AgentAnalyticsSettings().batch_megabytes * 1_000_000
    work: dict[str, Callable[[], object]] = {
        "native": lambda: native(folder / "history.jsonl", folder),
        "load": lambda: load_telemetry(marts.store, [f"{folder}/history.jsonl"], batch_bytes),
        "seed": lambda: marts.dbt("seed"),
        "build": lambda: build(marts),
        "load_commits": lambda: load_commits(marts.store, folder / "commits.jsonl"),
        "load_commits_day": lambda: load_commits(marts.store, folder / "commits_day.jsonl"),
        "load_day": lambda: load_telemetry(marts.store, [f"{folder}/day.jsonl"], batch_bytes),
        "build_day": lambda: build(marts),
    }
    began, processor_began = time.monotonic(), time.process_time()
    outcome = work[name]()
    seconds = round(time.monotonic() - began, 1)
    processor_seconds = round(time.process_time() - processor_began, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "peak_megabytes": peak,
    } | ({"dbt_seconds": round(outcome, 1)} if isinstance(outcome, float) else {})


def measure(points: int, folder: Path) -> dict[str, Any]:
    days = max(2, points // POINTS_PER_DAY)
    if not (folder / "history.jsonl").exists():
        write(folder / "history.jsonl", days)
    if not (folder / "day.jsonl").exists():
        write(folder / "day.jsonl", 1, first=days)
    write_commits(folder / "commits.jsonl", days)
    write_commits(folder / "commits_day.jsonl", 1, first=days)
    size = (folder / "history.jsonl").stat().st_size
    results: dict[str, Any] = {"days": days, "megabytes": round(size / 1e6)}
    for name in PHASES:
        command = [sys.executable, "-m", "tests.benchmarks.agent_analytics", "--phase", name]
        child = subprocess.run(
            [*command, "--folder", str(folder)], stdout=subprocess.PIPE, check=True
        )
        results[name] = json.loads(child.stdout.splitlines()[-1])
        sys.stderr.write(f"{name} {results[name]}\n")
        (folder / "native.duckdb").unlink(missing_ok=True)
    for part, whole in (("load", "native"), ("build_day", "build")):
        for figure in results[part].keys() - {"peak_megabytes"}:
            if figure in results[whole]:
                ratio = round(results[part][figure] / results[whole][figure], 3)
                results[f"{part} / {whole}, {figure}"] = ratio
    marts = Marts(raw.Store(folder / "agents.duckdb"), folder, writes_json=True)
    results["points"] = marts.one("select count(*) from raw.otel_points")
    results["events"] = marts.one("select count(*) from raw.otel_logs")
    results["database_megabytes"] = round(marts.store.path.stat().st_size / 1e6)
    results["differing_tables"] = differing(marts, folder)
    (folder / "incremental.duckdb").unlink()
    marts.store.path.unlink()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=500_000)
    parser.add_argument("--folder", type=Path, help="where the input is kept")
    parser.add_argument("--phase", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase:
        sys.stdout.write(json.dumps(phase(options.phase, options.folder)) + "\n")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = measure(options.points, folder)
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
        if results["differing_tables"]:
            raise SystemExit("the incremental build and a full refresh differ")


if __name__ == "__main__":
    main()
