"""Loading OTLP and building the agent marts, at a size given on the command line.

    python -m tests.benchmarks.agent_analytics --points 1000000

Prints, as JSON: seconds and points per second of the load, of DuckDB's own JSON reader on the same
file (shape guessed, points unnested into a table), of the full build and of the incremental build
of one more day, and the peak memory of this process.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb

from flows.agent_analytics import raw, sample
from flows.agent_analytics.flow import load_telemetry
from tests.agent_analytics.fleet import Marts

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
select resource, m.name, unnest(m.sum.dataPoints) as p from metrics
"""


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return round(time.monotonic() - began, 1)


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


def measure(points: int, folder: Path) -> dict[str, object]:
    days = max(2, points // POINTS_PER_DAY)
    inbox = folder / "inbox"
    inbox.mkdir()
    write(inbox / "history.jsonl", days)
    size = (inbox / "history.jsonl").stat().st_size
    marts = Marts(raw.Store(folder / "agents.duckdb"), folder)
    results: dict[str, object] = {"days": days, "megabytes": round(size / 1e6)}
    results["load_seconds"] = timed(lambda: load_telemetry(marts.store, [str(inbox)], 256_000_000))
    results["points_and_events"] = marts.one(
        "select (select count(*) from raw.otel_metrics) + (select count(*) from raw.otel_logs)"
    )
    results["native_seconds"] = timed(lambda: native(inbox / "history.jsonl", folder))
    marts.dbt("seed")
    results["full_build_seconds"] = timed(lambda: marts.dbt("run"))
    write(inbox / "one-more-day.jsonl", 1, first=days)
    load_telemetry(marts.store, [str(inbox)], 256_000_000)
    results["one_more_day_build_seconds"] = timed(lambda: marts.dbt("run"))
    results["database_megabytes"] = round(marts.store.path.stat().st_size / 1e6)
    results["peak_megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=500_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(json.dumps(measure(options.points, Path(folder)), indent=2) + "\n")


if __name__ == "__main__":
    main()
