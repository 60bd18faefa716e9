"""Figures of Quality Compass: memory of a big load, cost of one more run.

    python -m tests.benchmarks.quality_compass --entities 1000000 --runs 20 --facilities 360

360 facilities give a run of about 6,200 classified entities, as many as the real one has. It fails
when the incremental build and a full refresh do not leave the same rows.

A database of its own is made and dropped; run files are made below the temporary folder.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from deployments.local.paths import LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from flows.quality_compass import raw, sample, source
from tests.dbt_projects.warehouse import Warehouse, install_packages

KIBIBYTE_PER_MEBIBYTE = 1024
MEBIBYTE = 1 << 20


def load(url: str, address: str) -> int:
    rows = 0
    with psycopg.connect(url, autocommit=True) as connection:
        raw.ensure_schema(connection)
        for run in source.find_runs(address):
            rows += raw.load_run(
                connection, run, lambda file: source.FileReader(file, source.Storage(), 16_000_000)
            ).rows
    return rows


def _measure(
    queue: "multiprocessing.Queue[tuple[int, float, float]]", url: str, folder: str
) -> None:
    began = time.monotonic()
    rows = load(url, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBIBYTE_PER_MEBIBYTE
    queue.put((rows, time.monotonic() - began, peak))


def big_load(url: str, folder: Path, entities: int) -> None:
    """One node file of that many entities, loaded by a process of its own."""
    run = sample.write_run(folder, "20240115060000", 40, seed=1, metrics=("losIndex",))
    (node,) = (run / "results" / "nodes").glob("*_vizientServiceLine__aggregate*.jsonl")
    head, *lines = node.read_text().splitlines(keepends=True)
    template = lines[0]
    facility = template.split('"value":"', 1)[1][:6]
    with node.open("w") as stream:
        stream.write(head)
        for number in range(entities):
            stream.write(template.replace(facility, f"{number:06d}"))
    say(f"file of {entities:,} entities", f"{node.stat().st_size / MEBIBYTE:,.0f} MiB")
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[tuple[int, float, float]] = context.Queue()
    process = context.Process(target=_measure, args=(queue, url, str(folder)))
    process.start()
    rows, seconds, peak = queue.get()
    process.join()
    say("rows loaded", f"{rows:,} in {seconds:.1f} s ({rows / seconds:,.0f} a second)")
    say("peak memory of the loading process", f"{peak:.0f} MiB")


def run_cost(warehouse: Warehouse, folder: Path, runs: int, facilities: int) -> None:
    """Build ``runs`` runs from scratch, then one more."""
    for number in range(runs + 1):
        run_id = f"{2023 + (number + 12) // 12}{(number + 12) % 12 + 1:02d}15060000"
        sample.write_run(folder / ("late" if number == runs else "early"), run_id, facilities, 2)
    rows = load(warehouse.url, str(folder / "early"))
    untested = ("--exclude-resource-type", "test", "unit_test")
    # Parses the project once, so that no measured build has to.
    warehouse.dbt("seed")
    whole = timed(lambda: warehouse.dbt("build", "--full-refresh", *untested))
    say(f"{runs} runs, {rows:,} rows, from scratch", f"{whole:.1f} s")
    nothing = timed(lambda: warehouse.dbt("build", *untested))
    say("nothing new", f"{nothing:.1f} s, {nothing / whole:.1%} of from scratch")
    rows = load(warehouse.url, str(folder / "late"))
    one = timed(lambda: warehouse.dbt("build", *untested))
    say(f"one more run, {rows:,} rows", f"{one:.1f} s, {one / whole:.1%} of from scratch")
    built = digests(warehouse)
    warehouse.dbt("build", "--full-refresh", *untested)
    rebuilt = digests(warehouse)
    different = [name for name in built | rebuilt if built.get(name) != rebuilt.get(name)]
    if different:
        raise SystemExit(f"incremental and full builds differ in {', '.join(different)}")
    say(f"{len(built)} tables against a full refresh", "the same rows")


def digests(warehouse: Warehouse) -> dict[str, list[tuple[object, ...]]]:
    """Number and hash of the rows of each table, whatever their order."""
    names = warehouse.query(
        "select tablename from pg_tables where schemaname = 'analytics' "
        "and tablename <> 'facilities_snapshot'"
    )
    return {
        name: warehouse.query(
            "select count(*), md5(coalesce(string_agg(hash, '' order by hash), '')) "
            f"from (select md5(t::text) as hash from analytics.{name} t) as hashes"
        )
        for (name,) in names
    }


def timed(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def say(what: str, figure: str) -> None:
    sys.stdout.write(f"{what:45} {figure}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--facilities", type=int, default=360)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cluster = EmbeddedPostgres(LocalPaths(folder).postgres, first_port=57320, is_durable=False)
        cluster.start()
        try:
            if options.entities:
                big_load(cluster.create_database("big"), folder / "big", options.entities)
                cluster.drop_database("big")
            if options.runs:
                install_packages("quality_compass", folder)
                warehouse = Warehouse(
                    "quality_compass", cluster.create_database("runs"), folder / "state"
                )
                run_cost(warehouse, folder / "runs", options.runs, options.facilities)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
