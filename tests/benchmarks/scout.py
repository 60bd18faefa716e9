"""What Scout's load and builds cost.

    python -m tests.benchmarks.scout [--payloads 1000000]

Prints seconds and peak memory of the load from CSV and its ratio to a bare COPY of the same rows,
then seconds of the first build (which also parses the project) and of the next one with 1 % new
payloads, models alone and then all tests, on an embedded PostgreSQL of its own.
"""

import argparse
import csv
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg

from deployments.local.postgres import EmbeddedPostgres
from flows.scout import raw
from flows.scout.records import Entity
from flows.scout.sample import COLUMNS, transactions
from flows.scout.source import examine, list_files, read_rows
from tests.dbt_projects.warehouse import Warehouse, install_packages

END = date(2026, 10, 31)
COPIED = (
    "raw_data, source, source_filename, ingested_at, ingestion_batch_id, content_hash, file_id, "
    "line_number"
)
MODELS_ONLY = ("--exclude-resource-type", "test")


def write_csv(path: Path, payloads: int, seed: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(transactions(payloads, seed, END))


def load(connection: psycopg.Connection, folder: Path) -> int:
    ((file,), _) = list_files(str(folder))
    facts = examine(file, "cp1252")
    counts = raw.load_file(
        connection, Entity.TRANSACTION, file.name, file.source, facts, "benchmark",
        datetime.now(UTC), lambda: read_rows(file, facts.encoding),
    )  # fmt: skip
    return counts.rows_loaded


def copy_bare(connection: psycopg.Connection, bytes_of_rows: Path) -> None:
    with (
        connection.transaction(),
        connection.cursor().copy(f"copy scout.bare ({COPIED}) from stdin".encode()) as copy,
        bytes_of_rows.open("rb") as source,
    ):
        while chunk := source.read(1 << 20):
            copy.write(chunk)


@contextmanager
def timed(what: str, seconds: dict[str, float]) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[what] = time.monotonic() - began
    print(f"{what}: {seconds[what]:.1f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payloads", type=int, default=1_000_000)
    payloads = parser.parse_args().payloads
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="scout-benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        cluster = EmbeddedPostgres(folder / "postgres", is_durable=False).start()
        try:
            measure(cluster, folder, payloads, seconds)
        finally:
            cluster.stop()
    return 0


def measure(
    cluster: EmbeddedPostgres, folder: Path, payloads: int, seconds: dict[str, float]
) -> None:
    url = cluster.create_database("scout")
    first, later = folder / "first", folder / "later"
    for place, size, seed in ((first, payloads, 1), (later, payloads // 100, 2)):
        place.mkdir()
        write_csv(place / "transactions.csv", size, seed)
    with psycopg.connect(url, autocommit=True) as connection:
        raw.ensure_schema(connection)
        with timed(f"load of {payloads:,} payloads", seconds):
            loaded = load(connection, first)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  {loaded:,} loaded, peak memory of the process {peak:.0f} MiB")
        bytes_of_rows = folder / "rows"
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
        with timed("bare COPY of the same rows", seconds):
            copy_bare(connection, bytes_of_rows)
        bytes_of_rows.unlink()
        connection.execute("drop table scout.bare")
        times = list(seconds.values())
        print(f"  load / bare COPY: {times[0] / times[1]:.2f}")
        state = folder / "dbt"
        state.mkdir()
        install_packages("scout", state)
        warehouse = Warehouse("scout", url, state, json.dumps({"as_of_date": END.isoformat()}))
        with timed("first build, models", seconds):
            warehouse.dbt("build", *MODELS_ONLY)
        with timed("tests of everything", seconds):
            warehouse.dbt("test")
        load(connection, later)
    with timed("next build with 1 % new payloads, models", seconds):
        warehouse.dbt("build", *MODELS_ONLY)
    with timed("tests of everything again", seconds):
        warehouse.dbt("test")
    ratio = seconds["next build with 1 % new payloads, models"] / seconds["first build, models"]
    print(f"  next / first, models: {ratio:.2f}")


if __name__ == "__main__":
    sys.exit(main())
