"""A run that is told to stop: nothing of it goes on in the warehouse."""

import signal
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import duckdb
import pytest
from prefect.client.orchestration import get_client

from deployments.kubernetes.execute import CANCELLED
from deployments.local.processes import wait_until
from flows._shared.orchestration.bigquery import EMULATOR, BigQueryAccess
from tests._shared.slow_sample import SLOW, answers, working, write_slow
from tests.dbt_projects.warehouse import postgres_environment
from tests.forked import ended, forked, tell

SECONDS_TO_END = 5
_started: list[ForkServerProcess] = []
BUILD = """
import signal, sys
from prefect import flow
from deployments.kubernetes import engine
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
from flows._shared.orchestration.failed_run import summarized
@summarized(f"slow-{sys.argv[1]}", "slow")
@flow
def run():
    build_dbt("slow", {}, DbtOptions(target=sys.argv[1]), command="build")
signal.signal(engine.CANCELLED, engine.abort)
run()
"""
QUERY = """
import sys
from prefect.utilities.engine import capture_sigterm
from flows._shared.postgres import connected
with capture_sigterm(), connected(sys.argv[1], "the marts") as connection:
    connection.execute("select pg_sleep(120)")
"""
BARE_QUERY = """
import sys, psycopg
psycopg.connect(sys.argv[1]).execute("select pg_sleep(120)")
"""
IN_THREADS = """
import sys
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner
from flows._shared.orchestration.cancellation import threads_that_stop
from flows._shared.postgres import connected
@task
def wait(url):
    with connected(url, "the raw tables") as connection:
        connection.execute("select pg_sleep(120)")
@flow
def run():
    with threads_that_stop(ThreadPoolTaskRunner(max_workers=2)) as runner:
        runner.submit(wait, {"url": sys.argv[1]}).wait()
run()
"""
LOAD = f"""
import sys
from pathlib import Path
from prefect.utilities.engine import capture_sigterm
from flows.agent_analytics.raw import Store
store = Store(Path(sys.argv[1]))
with capture_sigterm(), store.locked("a load", 1, print), store.connect() as connection:
    connection.execute("create table loaded (n bigint)")
    connection.begin()
    connection.execute("insert into loaded values (1)")
    try:
        print("loading", flush=True)
        connection.execute('''insert into loaded {SLOW["duckdb"]}''')
    finally:
        print("ended", flush=True)
"""


def start(said: Path, script: str, *arguments: str, **variables: str) -> ForkServerProcess:
    """A process whose output goes to a file."""
    process = forked(said, script, *arguments, **variables)
    _started.append(process)
    return process


@pytest.fixture(autouse=True)
def _left_running() -> Iterator[None]:
    """A test that fails leaves no statement at work either."""
    yield
    while _started:
        process = _started.pop()
        process.kill()
        process.join()


@pytest.mark.parametrize(
    ("target", "hook", "told", "word"),
    [
        ("postgres", None, signal.SIGTERM, "Crash detected"),
        # The main thread is within the driver then.
        ("postgres", "on-run-start", CANCELLED, "Abort: "),
        ("duckdb", None, CANCELLED, "Abort: "),
    ],
)
def test_a_build_that_is_told_to_stop_ends_its_statements_and_says_so(
    database: str,
    prefect_server: str,
    tmp_path: Path,
    target: str,
    hook: str | None,
    told: signal.Signals,
    word: str,
) -> None:
    write_slow(tmp_path, target, hook)
    said = tmp_path / "said"
    process = start(
        said,
        BUILD,
        target,
        **postgres_environment(database),
        SLOW_PATH=str(tmp_path / "slow.duckdb"),
        ANALYTICS_FLOWS_DBT_PROJECTS_DIR=str(tmp_path),
        ANALYTICS_FLOWS_STATE_DIR=str(tmp_path / "state"),
    )
    if target == "postgres":
        assert wait_until(lambda: bool(working(database)), 120)
    else:
        # dbt writes what it is about to run.
        statement = tmp_path / "state" / "dbt" / "slow" / target / "run"
        assert wait_until(lambda: any(statement.rglob("slow.sql")), 120)
    tell(process, told)
    # What comes after it, a word on the server, takes as long as the server takes.
    assert wait_until(lambda: word in said.read_text(), SECONDS_TO_END), said.read_text()
    assert working(database) == []
    code = ended(process, 60)
    if told == CANCELLED:
        assert "Crash" not in said.read_text()
        return
    assert code == -signal.SIGTERM, said.read_text()
    found: Any = f"/artifacts/slow-{target}-summary/latest"
    summary = get_client(sync_client=True).request("GET", found).json()["data"]
    assert summary.startswith(f"# slow-{target}: this run failed at dbt: it crashed\n")
    assert "**Failed in dbt:** slow." in summary


def test_a_build_in_bigquery_that_is_told_to_stop_leaves_nothing_at_work(
    bigquery_emulator: str, prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EMULATOR, bigquery_emulator)
    write_slow(tmp_path, "bigquery")
    process = start(
        tmp_path / "said",
        BUILD,
        "bigquery",
        **BigQueryAccess("slow", "US").dbt_environment(),
        ANALYTICS_FLOWS_DBT_PROJECTS_DIR=str(tmp_path),
        ANALYTICS_FLOWS_STATE_DIR=str(tmp_path / "state"),
    )
    statement = tmp_path / "state" / "dbt" / "slow" / "bigquery" / "run"
    assert wait_until(lambda: any(statement.rglob("slow.sql")), 120)
    assert wait_until(lambda: not answers(bigquery_emulator), 20)
    tell(process, CANCELLED)
    assert wait_until(lambda: answers(bigquery_emulator), SECONDS_TO_END)
    # It does not begin again.
    assert ended(process, 60) is not None
    assert answers(bigquery_emulator)


@pytest.mark.parametrize("script", [QUERY, IN_THREADS])
def test_a_load_that_is_told_to_stop_ends_its_statement(
    database: str, prefect_server: str, tmp_path: Path, script: str
) -> None:
    process = start(tmp_path / "said", script, database)
    assert wait_until(lambda: bool(working(database)), 120)
    process.terminate()
    assert wait_until(lambda: working(database) == [], SECONDS_TO_END)
    assert ended(process, 60) == -signal.SIGTERM, (tmp_path / "said").read_text()


def test_the_statement_of_a_process_that_is_gone_ends(database: str, tmp_path: Path) -> None:
    process = start(tmp_path / "said", BARE_QUERY, database)
    assert wait_until(lambda: bool(working(database)), 120)
    process.kill()
    assert ended(process, 60) == -signal.SIGKILL
    assert wait_until(lambda: working(database) == [], SECONDS_TO_END)


def test_a_load_into_duckdb_that_is_told_to_stop_is_undone_and_dies_of_the_signal(
    tmp_path: Path,
) -> None:
    path, said = tmp_path / "agents.duckdb", tmp_path / "said"
    process = start(said, LOAD, str(path))
    assert wait_until(lambda: said.exists() and "loading" in said.read_text(), 120)
    # In the midst of the statement.
    time.sleep(0.5)
    asked = time.monotonic()
    process.terminate()
    assert wait_until(lambda: "ended" in said.read_text(), SECONDS_TO_END, pause=0.02)
    assert time.monotonic() - asked < SECONDS_TO_END
    assert ended(process, 60) == -signal.SIGTERM, said.read_text()
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("select count(*) from loaded").fetchone() == (0,)
