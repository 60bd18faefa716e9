"""What Scout's load and builds cost.

    python -m tests.benchmarks.scout [--payloads 1000000] [--folder FOLDER] [--rounds 3]

On an embedded PostgreSQL of its own, with seconds and peak memory of each step:

- the load of a CSV file with that many payloads, and its ratio to a bare COPY: of the same rows, as
  the load leaves them, from a file in COPY's own format into a table of the same columns, types and
  primary key. The bare COPY reads no CSV, hashes nothing and keeps no other index either. Both are
  done in turn; a load keeps two cores busy and a bare COPY one, so that the ratio of times is that
  of a machine with two to spare, and the CPU of the database's process is told beside it;
- the first build as a full refresh does it, models and all tests;
- the load and the next build of 1 % new payloads, as the flow does it: models and all tests but
  those tagged whole_table. These payloads are of the last week, but for some late ones and some
  corrections, up to 60 days back;
- the same for another 1 %, of any day of 800, so that every month of every category changes.

Memory is that of this process, which loads and runs dbt, and apart from it what the processes of
PostgreSQL hold beside its shared buffers. Files already in FOLDER are used again.
"""

import argparse
import csv
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg

from deployments.local.postgres import EmbeddedPostgres
from flows.scout import raw
from flows.scout.records import Entity
from flows.scout.sample import COLUMNS, products, transactions
from flows.scout.source import examine, list_files, read_rows
from tests.dbt_projects.warehouse import Warehouse, install_packages

END = date(2026, 10, 31)
COPIED = (
    "raw_data, source, source_filename, ingested_at, ingestion_batch_id, content_hash, file_id, "
    "line_number"
)
PRODUCTS = 2_000
SLOWEST = 12
LATE_DAYS = 60
# As the flow builds: what reads whole tables is tested by the weekly full refresh.
WITHOUT_TESTS_OF_WHOLE_TABLES = ("--exclude", "tag:whole_table")
MEBIBYTE = 1 << 20


class Memory(threading.Thread):
    """The most that this process, and that PostgreSQL's, have held since ``reset``."""

    def __init__(self, postmaster: int) -> None:
        super().__init__(daemon=True)
        self._self, self._postmaster = psutil.Process(), psutil.Process(postmaster)
        self.own = self.postgres = 0

    def reset(self) -> None:
        self.own = self.postgres = 0

    def run(self) -> None:
        while True:
            self.own = max(self.own, self._self.memory_info().rss)
            held = 0
            # Processes of PostgreSQL end at any time, and with them what can be read of them.
            with suppress(psutil.NoSuchProcess):
                for process in self._postmaster.children():
                    memory = process.memory_info()
                    held += memory.rss - memory.shared
            self.postgres = max(self.postgres, held)
            time.sleep(0.2)


@dataclass
class Bench:
    memory: Memory

    @contextmanager
    def timed(self, what: str) -> Iterator[list[float]]:
        """The seconds of a step, in a list that is filled when it ends."""
        seconds: list[float] = []
        self.memory.reset()
        began = time.monotonic()
        yield seconds
        seconds.append(time.monotonic() - began)
        own, postgres = self.memory.own // MEBIBYTE, self.memory.postgres // MEBIBYTE
        print(f"{what}: {seconds[0]:.1f} s, {own} MiB here, {postgres} MiB PostgreSQL", flush=True)


def write_csv(path: Path, payloads: Iterable[dict[str, Any]]) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_suffix(".part")
    with half_written.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(payloads)
    half_written.rename(path)


def delivery(size: int) -> Iterator[dict[str, Any]]:
    """Payloads of the last week; one in twenty is late, one in fifty corrects an earlier one."""
    since = (END - timedelta(days=LATE_DAYS)).isoformat()
    earlier = (each for each in transactions(100 * size, 1, END) if since < str(each["date"]) < "3")
    for number, payload in enumerate(transactions(size, 2, END)):
        changes = {}
        if any(digit in str(payload["date"]) for digit in "0123456789"):
            age = number % 7 if number % 20 else number % LATE_DAYS
            changes["date"] = (END - timedelta(days=age)).isoformat()
        if number % 50 == 0:
            changes["transaction_id"] = next(earlier)["transaction_id"]
        yield payload | changes


def load(connection: psycopg.Connection, folder: Path) -> int:
    ((file,), _) = list_files(str(folder))
    facts = examine(file, "cp1252")
    counts = raw.load_file(
        connection, Entity.TRANSACTION, file.name, file.source, facts, "benchmark",
        datetime.now(UTC), lambda: read_rows(file, facts.encoding),
    )  # fmt: skip
    return counts.rows_loaded


def load_products(connection: psycopg.Connection, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "products.json").write_text(json.dumps(list(products(PRODUCTS, 1))))
    ((file,), _) = list_files(str(folder))
    facts = examine(file, "cp1252")
    raw.load_file(
        connection, Entity.PRODUCT, file.name, file.source, facts, "benchmark",
        datetime.now(UTC), lambda: read_rows(file, facts.encoding),
    )  # fmt: skip


def copy_bare(connection: psycopg.Connection, bytes_of_rows: Path) -> None:
    with (
        connection.transaction(),
        connection.cursor().copy(f"copy scout.bare ({COPIED}) from stdin".encode()) as copy,
        bytes_of_rows.open("rb") as source,
    ):
        while chunk := source.read(1 << 20):
            copy.write(chunk)


def cpu_seconds(process: int) -> float:
    return sum(psutil.Process(process).cpu_times()[:2])


def compare_with_bare_copy(
    connection: psycopg.Connection, first: Path, bytes_of_rows: Path, rounds: int
) -> None:
    """Load and copy in turn, and print the medians of their ratios."""
    ways: dict[str, tuple[str, Callable[[], object]]] = {
        "load": (
            "scout.raw_transaction_ingestion, scout.raw_files, scout.raw_ingestion_quarantine",
            lambda: load(connection, first),
        ),
        "bare COPY": ("scout.bare", lambda: copy_bare(connection, bytes_of_rows)),
    }
    measured: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (filled, work) in ways.items():
            connection.execute(f"truncate {filled}".encode())
            began = time.monotonic(), time.process_time(), cpu_seconds(connection.info.backend_pid)
            work()
            ended = time.monotonic(), time.process_time(), cpu_seconds(connection.info.backend_pid)
            seconds, here, there = (
                after - before for before, after in zip(began, ended, strict=True)
            )
            measured[way].append((seconds, here, there))
            print(f"  {way}: {seconds:.1f} s; CPU {here:.1f} s here, {there:.1f} s PostgreSQL")
    for place, what in ((0, "time"), (2, "CPU of PostgreSQL")):
        ratio = median(
            loading[place] / bare[place]
            for loading, bare in zip(measured["load"], measured["bare COPY"], strict=True)
        )
        print(f"  load / bare COPY, {what}, median of {rounds}: {ratio:.2f}")


def measure_load(bench: Bench, url: str, first: Path, scratch: Path, rounds: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        raw.ensure_schema(connection)
        load_products(connection, scratch / "products")
        print(f"held before: {psutil.Process().memory_info().rss // MEBIBYTE} MiB here")
        with bench.timed(f"load of {first}") as loading:
            loaded = load(connection, first)
        print(f"  {loaded:,} payloads loaded, {loaded / loading[0]:,.0f} a second")
        bytes_of_rows = scratch / "rows"
        with (
            bytes_of_rows.open("wb") as target,
            connection.cursor().copy(
                f"copy scout.raw_transaction_ingestion ({COPIED}) to stdout".encode()
            ) as rows,
        ):
            for chunk in rows:
                target.write(chunk)
        connection.execute(
            "create table scout.bare (like scout.raw_transaction_ingestion including all)"
        )
        compare_with_bare_copy(connection, first, bytes_of_rows, rounds)
        bytes_of_rows.unlink()
        connection.execute("drop table scout.bare")


def build(bench: Bench, warehouse: Warehouse, what: str, *options: str) -> tuple[float, float]:
    """Seconds of the whole build, and of those in which a model was built."""
    with bench.timed(what) as seconds:
        statuses = warehouse.dbt("build", *options)
    bad = {name: status for name, status in statuses.items() if status in ("error", "fail")}
    results = json.loads((warehouse.state / "target" / "run_results.json").read_text())["results"]
    spans = [
        (datetime.fromisoformat(step["started_at"]), datetime.fromisoformat(step["completed_at"]))
        for each in results
        for step in each["timing"]
        if each["unique_id"].startswith("model.") and step["name"] == "execute"
    ]
    building, until = 0.0, datetime.min.replace(tzinfo=UTC)
    for started, ended in sorted(spans):
        building += max(0.0, (ended - max(started, until)).total_seconds())
        until = max(until, ended)
    print(f"  of these {building:.1f} s with a model being built; not good: {bad or 'nothing'}")
    for each in sorted(results, key=lambda each: -each["execution_time"])[:SLOWEST]:
        print(f"    {each['execution_time']:7.1f} s  {each['unique_id']}")
    return seconds[0], building


def measure_builds(bench: Bench, url: str, deliveries: Mapping[str, Path], scratch: Path) -> None:
    state = scratch / "dbt"
    state.mkdir()
    install_packages("scout", state)
    day = json.dumps({"as_of_date": END.isoformat()})
    warehouse = Warehouse("scout", url, state, day, writes_json=True)
    at_first = build(bench, warehouse, "first build")
    for what, folder in deliveries.items():
        with psycopg.connect(url, autocommit=True) as connection, bench.timed(f"load of {what}"):
            load(connection, folder)
        then = build(bench, warehouse, f"build with {what}", *WITHOUT_TESTS_OF_WHOLE_TABLES)
        print(f"  this / first: {then[0] / at_first[0]:.3f}, models {then[1] / at_first[1]:.3f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payloads", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="of the load and the bare COPY")
    parser.add_argument("--load-only", action="store_true", help="build nothing")
    parser.add_argument("--generate-only", action="store_true", help="write the files and stop")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scout-benchmark-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        files = options.folder or scratch
        first, later, spread = (
            files / f"{which}-{options.payloads}" for which in ("first", "later", "spread")
        )
        size = options.payloads // 100
        write_csv(first / "transactions.csv", transactions(options.payloads, 1, END))
        write_csv(later / "transactions.csv", delivery(size))
        write_csv(spread / "transactions.csv", transactions(size, 3, END))
        if options.generate_only:
            return 0
        cluster = EmbeddedPostgres(scratch / "postgres", is_durable=False).start()
        try:
            assert cluster.pid
            memory = Memory(cluster.pid)
            memory.start()
            url = cluster.create_database("scout")
            bench = Bench(memory)
            measure_load(bench, url, first, scratch, options.rounds)
            if not options.load_only:
                deliveries = {"1 % more": later, "1 % more of any day": spread}
                measure_builds(bench, url, deliveries, scratch)
        finally:
            cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
