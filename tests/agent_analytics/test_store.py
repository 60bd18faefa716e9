"""One writer, readers on a copy, and a file that breaks."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from functools import partial
from operator import contains
from pathlib import Path

import duckdb
import pytest

from deployments.local.processes import wait_until
from flows.agent_analytics import raw
from flows.agent_analytics.records import (
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreUnusableError,
)
from flows.agent_analytics.sync import load_telemetry
from tests.agent_analytics.fleet import session, tokens

ROOT = Path(__file__).parents[2]
DAY = datetime(2026, 3, 2, tzinfo=UTC)
HOLD = """
import sys, time
from pathlib import Path
from flows.agent_analytics import raw
store = raw.Store(Path(sys.argv[1]))
with store.locked("the other build", 1, print):
    connection = store.connect()
    connection.execute("create table if not exists t as select 1 as n")
    connection.begin()
    connection.execute("insert into t select n from range(100000) as r (n)")
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
    connection.commit()
    connection.close()
"""


def holder(store: raw.Store, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.path), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def fill(store: raw.Store, rows: int) -> None:
    with store.connect() as connection:
        connection.execute("create schema if not exists mart")
        connection.execute(
            f"create or replace table mart.t as select n, md5(n::varchar) x from range({rows}) r(n)"
        )


def test_a_second_writer_waits_says_for_whom_and_then_works(store: raw.Store) -> None:
    said: list[str] = []
    with holder(store, 1.5) as process:
        with store.locked("this build", 30, said.append), store.connect() as connection:
            rows = connection.execute("select count(*) from t").fetchone()
        assert process.wait(10) == 0
    assert rows == (100_001,)
    assert len(said) == 1
    assert f"the other build (process {process.pid}, since 2" in said[0]


def test_a_writer_that_waited_too_long_fails_and_may_try_again(store: raw.Store) -> None:
    with holder(store, 5) as process:
        with (
            pytest.raises(StoreBusyError, match=r"the other build.*still holds it"),
            store.locked("this build", 0.3, lambda _: None),
        ):
            pass
        process.kill()


def test_a_killed_writer_leaves_neither_its_lock_nor_half_of_its_rows(store: raw.Store) -> None:
    with holder(store, 60) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with store.locked("this build", 1, lambda _: None):
        assert not store.recover(lambda _: None)
        with store.connect() as connection:
            assert connection.execute("select count(*) from t").fetchone() == (1,)


def test_a_program_without_manners_is_told_apart_from_damage(store: raw.Store) -> None:
    code = (
        "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); "
        "print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store.path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StoreBusyError, match="does not wait"):
            store.connect()
        process.kill()


def test_readers_never_wait_and_never_see_a_half_published_copy(store: raw.Store) -> None:
    fill(store, 1_000)
    store.publish()
    seen: set[int] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with duckdb.connect(str(store.published_path), read_only=True) as connection:
                row = connection.execute("select count(x) from mart.t").fetchone()
                assert row is not None
                seen.add(row[0])
            time.sleep(0.005)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with store.locked("build", 1, lambda _: None):
            for rows in (2_000, 50_000):
                fill(store, rows)
                store.publish()
                assert wait_until(partial(contains, seen, rows), 60)
    finally:
        stop.set()
        reader.join()
    assert seen <= {1_000, 2_000, 50_000}


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "empty of sense"])
def test_a_damaged_file_is_replaced_by_the_published_copy_and_kept(
    store: raw.Store, damage: str
) -> None:
    fill(store, 50_000)
    store.publish()
    content = store.path.read_bytes()
    broken = {
        "truncated": content[:5_000],
        "overwritten": b"\0" * 12_288 + content[12_288:],
        "empty of sense": b"this is no database at all" * 1_000,
    }[damage]
    store.path.write_bytes(broken)
    said: list[str] = []
    assert store.recover(said.append)
    assert "published copy" in said[0]
    with store.connect() as connection:
        assert connection.execute("select count(x) from mart.t").fetchone() == (50_000,)
    kept = list(store.path.parent.glob("*.damaged-*"))
    assert [path.read_bytes() for path in kept] == [broken]


def test_damage_without_a_published_copy_says_what_to_do(store: raw.Store) -> None:
    store.path.write_bytes(b"nonsense" * 4_000)
    with pytest.raises(StoreDamagedError, match="Put a good copy in its place"):
        store.recover(lambda _: None)
    assert store.path.exists()


def test_after_recovery_the_lost_files_are_read_again(store: raw.Store, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    work = session("s", DAY)
    (inbox / "a.jsonl").write_text(tokens(work, {"input": 1}, 0, 1) + "\n")
    load_telemetry(store, [str(inbox)], 1_000_000)
    store.publish()
    (inbox / "b.jsonl").write_text(tokens(work, {"input": 2}, 1, 2) + "\n")
    load_telemetry(store, [str(inbox)], 1_000_000)
    store.path.write_bytes(b"gone" * 5_000)
    assert store.recover(lambda _: None)
    assert load_telemetry(store, [str(inbox)], 1_000_000).rows_new == 1


def test_marts_are_exported_as_parquet_from_the_published_copy(
    store: raw.Store, tmp_path: Path
) -> None:
    fill(store, 1_000)
    store.publish()
    (written,) = store.export_marts(tmp_path / "parquet")
    assert written.name == "t.parquet"
    assert duckdb.sql(f"select count(*), max(n) from '{written}'").fetchall() == [(1_000, 999)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_full_disk_is_told_and_leaves_what_was_published(
    store: raw.Store, tmp_path: Path
) -> None:
    """Whether the system says so or DuckDB."""
    fill(store, 10)
    store.publish()
    fill(store, 20)
    unfinished = store.published_path.with_name(f"{store.path.name}.unfinished")
    unfinished.symlink_to("/dev/full")
    with pytest.raises(StoreFullError, match=r"disk is full .* Make room"):
        store.publish()
    unfinished.unlink()
    with store.reader() as connection:
        assert connection.execute("select count(*) from mart.t").fetchone() == (10,)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/t.parquet.unfinished").symlink_to("/dev/full")
    with pytest.raises(StoreFullError):
        store.export_marts(tmp_path / "out")


def test_words_of_the_input_are_no_full_disk() -> None:
    with pytest.raises(duckdb.ConversionException) as error:
        duckdb.sql("select cast('No space left on device' as integer)").fetchall()
    assert not raw.is_full(error.value)
    assert raw.is_full("Runtime Error in model x\n  IO Error: x: No space left on device")


def test_a_file_of_an_earlier_version_gains_columns_that_survive_a_kill(store: raw.Store) -> None:
    with store.connect() as connection:
        raw.ensure_schema(connection)
        connection.execute("drop view raw.otel_metrics")
        for table, column in (("otel_points", "observations"), ("copilot_metrics", "ai_credits")):
            connection.execute(f"alter table raw.{table} drop column {column}")
        connection.execute("force checkpoint")
    killed = (
        "import os, sys; from pathlib import Path; from flows.agent_analytics import raw; "
        "connection = raw.Store(Path(sys.argv[1])).connect(); raw.ensure_schema(connection); "
        "connection.execute('create table written as select 1 as n'); os._exit(0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", killed, str(store.path)], env=environment, check=True)
    assert store.wal_path.exists()
    store.verify()
    with store.connect() as connection:
        assert connection.execute("select n from written").fetchone() == (1,)
        assert connection.execute("select observations from raw.otel_metrics").fetchall() == []
        assert connection.execute("select ai_credits from raw.copilot_metrics").fetchall() == []


def test_a_place_that_cannot_be_written_to_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    store = raw.Store(tmp_path / "a-file" / "agents.duckdb")
    with pytest.raises(StoreUnusableError, match="Correct `database_path`"):
        store.connect()
    with (
        pytest.raises(StoreUnusableError, match="cannot be written to"),
        store.locked("a run", 0, print),
    ):
        pass
