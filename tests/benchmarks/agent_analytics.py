"""Loading OTLP and building the agent marts, at a size given on the command line.

    python -m tests.benchmarks.agent_analytics --points 1000000

Prints, as JSON, seconds, processor seconds (which compare better on a busy machine) and peak memory
of each phase, each in a process of its own: DuckDB's own JSON reader on the file (shape guessed,
points and events unnested into two tables, nothing told apart), the load, the full build, and load
and incremental build of one more day. With ``--folder`` the input is kept and used again.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb

from flows.agent_analytics import raw, sample
from flows.agent_analytics.flow import load_telemetry
from flows.agent_analytics.settings import AgentAnalyticsSettings
from tests.agent_analytics.fleet import GOOD, Marts

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


def write(path: Path, days: int, first: int = 0) -> None:
    start = sample.START + timedelta(days=first)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(
            f"{line}\n" for line in sample.telemetry(days, PEOPLE, seed=first, start=start)
        )


def native(path: Path, folder: Path) -> None:
    with duckdb.connect(str(folder / "native.duckdb")) as connection:
        connection.execute("set threads = 2")
        connection.execute("set preserve_insertion_order = false")
        connection.execute(NATIVE.format(path=path))


def build(marts: Marts) -> None:
    """The models alone. What dbt says of a failure has gone to standard output."""
    statuses = marts.dbt("run")
    if bad := {name: status for name, status in statuses.items() if status not in GOOD}:
        raise RuntimeError(f"not built: {bad}")


def phase(name: str, folder: Path) -> dict[str, object]:
    """One phase in this process: what it takes, and the process's peak memory."""
    marts = Marts(raw.Store(folder / "agents.duckdb"), folder)
    batch_bytes = AgentAnalyticsSettings().batch_megabytes * 1_000_000
    work: dict[str, Callable[[], object]] = {
        "native": lambda: native(folder / "history.jsonl", folder),
        "load": lambda: load_telemetry(marts.store, [f"{folder}/history.jsonl"], batch_bytes),
        "seed": lambda: marts.dbt("seed"),
        "build": lambda: build(marts),
        "load_day": lambda: load_telemetry(marts.store, [f"{folder}/day.jsonl"], batch_bytes),
        "build_day": lambda: build(marts),
    }
    began, processor_began = time.monotonic(), time.process_time()
    work[name]()
    seconds = round(time.monotonic() - began, 1)
    processor_seconds = round(time.process_time() - processor_began, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "peak_megabytes": peak,
    }


def measure(points: int, folder: Path) -> dict[str, object]:
    days = max(2, points // POINTS_PER_DAY)
    if not (folder / "history.jsonl").exists():
        write(folder / "history.jsonl", days)
    if not (folder / "day.jsonl").exists():
        write(folder / "day.jsonl", 1, first=days)
    size = (folder / "history.jsonl").stat().st_size
    results: dict[str, object] = {"days": days, "megabytes": round(size / 1e6)}
    for name in ("native", "load", "seed", "build", "load_day", "build_day"):
        command = [sys.executable, "-m", "tests.benchmarks.agent_analytics", "--phase", name]
        child = subprocess.run(
            [*command, "--folder", str(folder)], stdout=subprocess.PIPE, check=True
        )
        results[name] = json.loads(child.stdout.splitlines()[-1])
        sys.stderr.write(f"{name} {results[name]}\n")
        (folder / "native.duckdb").unlink(missing_ok=True)
    marts = Marts(raw.Store(folder / "agents.duckdb"), folder)
    results["points"] = marts.one("select count(*) from raw.otel_points")
    results["events"] = marts.one("select count(*) from raw.otel_logs")
    results["database_megabytes"] = round(marts.store.path.stat().st_size / 1e6)
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
        sys.stdout.write(json.dumps(measure(options.points, folder), indent=2) + "\n")


if __name__ == "__main__":
    main()
