import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from flows.quality_compass import raw, sample, source
from flows.quality_compass.records import LoadCounts
from flows.quality_compass.rules.reading import run_start
from flows.quality_compass.sample.entities import SERVICE_LINES

ROOT = Path(__file__).parents[2]
DATA = Path(
    os.environ.get("QUALITY_COMPASS_DATA") or ROOT.parent / "shared" / "data" / "quality_compass"
)
RUN = "20250115060000"
MAX_LINE = 16_000_000

Load = Callable[..., LoadCounts]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """One real run's node results and half of its classifications, where they are to be had."""
    if not (DATA / "classification_summary_half.csv").exists():
        pytest.skip(f"no real node results in {DATA}: set QUALITY_COMPASS_DATA to their folder")
    return DATA


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one story, a month apart. Read only."""
    folder = tmp_path_factory.mktemp("runs")
    for run_id in (RUN, "20250215060000"):
        sample.write_run(folder, run_id, 20, seed=3)
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many facilities as can be compared, and one service line. Read only."""
    folder = tmp_path_factory.mktemp("small")
    return sample.write_run(folder, RUN, 16, seed=3, service_lines=SERVICE_LINES[:1])


@pytest.fixture
def run_folder(small_run: Path, tmp_path: Path) -> Path:
    """A small run of the test's own, to be changed."""
    return Path(shutil.copytree(small_run, tmp_path / "runs" / small_run.name))


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        raw.ensure_schema(connection)
        yield connection


@pytest.fixture
def load(connection: psycopg.Connection) -> Load:
    """Load every run at an address into the test's database; the counts of the last."""

    def load(address: str | Path, max_line_bytes: int = MAX_LINE) -> LoadCounts:
        counts = None
        for run in source.find_runs(str(address)):
            counts = raw.load_run(
                connection,
                run,
                lambda file: source.FileReader(file, source.Storage(), max_line_bytes),
                start=run_start(
                    run.run_id, source.read_manifest(run, source.Storage()), ZoneInfo("UTC")
                ),
                indexes=source.read_indexes(run, source.Storage()),
            )
        assert counts is not None
        return counts

    return load


def rows(connection: psycopg.Connection, table: str) -> list[tuple[Any, ...]]:
    """Content of a raw table without what depends on when it was loaded."""
    columns = connection.execute(
        "select string_agg(quote_ident(column_name), ', ' order by ordinal_position) "
        "from information_schema.columns where table_schema = 'public' and table_name = %s "
        "and column_name not in ('id', 'loaded_at', 'changed_at', 'first_loaded_at', 'url')",
        (table,),
    ).fetchone()
    assert columns is not None
    return connection.execute(
        f"select {columns[0]} from public.{table} t order by t.run_id, {columns[0]}".encode()
    ).fetchall()


def ids(connection: psycopg.Connection, table: str) -> dict[str, list[int]]:
    """The row ids of each file: they show which rows were written anew."""
    return dict(
        connection.execute(
            f"select file_path, array_agg(id order by id) from public.{table} group by 1".encode()
        ).fetchall()
    )


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, content: list[Any]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in content))
