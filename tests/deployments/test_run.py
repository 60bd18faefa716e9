import asyncio
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from uuid import UUID

import psutil
import psycopg
import pytest
from prefect.cli.flow_runs_watching import watch_flow_run
from rich.console import Console

from deployments.local import runtime
from deployments.local.arrival import transaction_among
from deployments.local.domains import Domain, absolute, select
from deployments.local.paths import PROJECT_ROOT, LocalPaths, own_temporary_folder
from deployments.local.processes import wait_until
from deployments.local.run import Watched, final_table, live_view, plain_lines, run_domains
from deployments.local.runtime import Runtime
from deployments.local.worker import ProcessWorker, mark_lost_runs
from flows._shared.errors import PermanentError
from tests.deployments.pool import Pool


@pytest.fixture(scope="module")
def pool(prefect_server: str) -> Pool:
    return Pool(prefect_server)


@pytest.fixture(scope="module")
def environment(pool: Pool, local_paths: LocalPaths) -> Mapping[str, str]:
    return {**runtime.environment(local_paths, pool.url), "PREFECT_WORK_POOL": pool.name}


@pytest.fixture(scope="module")
def worker(
    local_paths: LocalPaths, environment: Mapping[str, str], pool: Pool
) -> Iterator[ProcessWorker]:
    own = ProcessWorker(local_paths)
    own.start(environment, pool.api)
    yield own
    own.stop()


def example(deployment: str) -> Domain:
    return Domain(
        "example", deployment, lambda repositories: {"repositories": repositories}, "select 1"
    )


def run(
    pool: Pool,
    paths: LocalPaths,
    environment: Mapping[str, str],
    *repos: str,
    watched: list[Watched] | None = None,
) -> int:
    up = Runtime(paths, pool.url, environment, {})
    return run_domains(up, [example(pool.deploy())], list(repos), watched)


def watch(watched: list[Watched], shown: io.StringIO) -> None:
    """What `prefect deployment run --watch` shows of a run, once that is asked for."""
    assert wait_until(lambda: bool(watched), 60.0)
    console = Console(file=shown, width=200)
    asyncio.run(watch_flow_run(UUID(watched[0].run_id), console, timeout=120))


def test_a_good_run_ends_0_with_its_measures_in_a_table(
    pool: Pool,
    worker: ProcessWorker,
    local_paths: LocalPaths,
    environment: Mapping[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(pool, local_paths, environment, "good") == 0
    shown = capsys.readouterr().out
    assert "example: fetch 2 of 2, 1,234 rows" in shown
    row = next(line for line in shown.splitlines() if "completed" in line and "│" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "example",
        "completed",
        "1,234",
        "3",
        "9",
        "",
        "1",
        "2.5",
    ]
    assert "/runs/flow-run/" in shown


def test_a_bad_run_ends_1_and_says_what_and_what_to_do(
    pool: Pool,
    worker: ProcessWorker,
    local_paths: LocalPaths,
    environment: Mapping[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    watched: list[Watched] = []
    by_prefect = io.StringIO()
    watching = Thread(target=watch, args=(watched, by_prefect))
    watching.start()
    assert run(pool, local_paths, environment, "bad", watched=watched) == 1
    watching.join()
    shown = capsys.readouterr().out
    assert "What to do:" in shown
    for told in (shown, by_prefect.getvalue()):
        assert "Cloning bad: there is no such repository. Check the address" in told


def test_a_worker_is_reused_until_its_settings_change_and_its_end_is_told(
    prefect_server: str,
    environment: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    paths, pool = LocalPaths(tmp_path), Pool(prefect_server)
    environment = {**environment, "PREFECT_WORK_POOL": pool.name}
    worker = ProcessWorker(paths)
    try:
        assert worker.start(environment, pool.api)
        first = worker.pid
        worker.wait_polling(pool.api, pool.name)
        assert psutil.Process(first).environ()["TMPDIR"] == str(own_temporary_folder())
        assert not worker.start(environment, pool.api)
        assert worker.pid == first
        (tmp_path / "runner_storage").touch()
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        assert worker.start({**environment, "ANALYTICS_FLOWS_STATE_DIR": "/other"}, pool.api)
        assert worker.pid not in (None, first)
        with pytest.raises(PermanentError, match="runner_storage"):
            worker.wait_polling(pool.api, pool.name)
        with pytest.raises(PermanentError, match="runner_storage"):
            run(pool, paths, environment, "good")
    finally:
        worker.stop()
    assert worker.pid is None


def test_a_temporary_folder_of_another_account_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / f"analytics-flows-{os.geteuid()}"
    folder.symlink_to(elsewhere)
    for _ in ("led nowhere", "leads to a folder"):
        with pytest.raises(PermanentError, match=r"not a folder of this account.*TMPDIR"):
            own_temporary_folder()
        elsewhere.mkdir(exist_ok=True)
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    assert own_temporary_folder().stat().st_mode & 0o777 == 0o700


def test_a_run_whose_process_is_gone_gives_its_place_to_the_next(pool: Pool) -> None:
    deployment = pool.api.deployment(pool.deploy())
    assert deployment is not None
    lost = pool.api.start_run(deployment["id"], {"repositories": []})
    for state in ("PENDING", "RUNNING"):
        pool.post(f"flow_runs/{lost['id']}/set_state", {"state": {"type": state}})
    mark_lost_runs(pool.api, pool.name)
    assert pool.api.flow_run(lost["id"])["state"]["type"] == "CRASHED"


def test_the_live_display_shows_phases_rows_and_a_hint_when_nothing_takes_the_run() -> None:
    watched = Watched(example("example/x"), "id", "http://ui", "name", seconds=90)
    watched.state = {"type": "SCHEDULED", "name": "AwaitingConcurrencySlot"}
    watched.phases = [{"phase": "build", "done": 3, "total": 12, "rows": 5000, "seconds": 1.25}]
    console = Console(file=io.StringIO(), width=120)
    console.print(live_view(watched, "see the log"))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("awaiting concurrency slot", "build", "3 of 12", "5,000", "another run of its"):
        assert text in shown


def test_a_relative_path_is_made_absolute_and_an_address_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("here") == str(tmp_path / "here")
    for address in ("https://example.org/a.git", "git@example.org:a/b.git", "file:///srv/a"):
        assert absolute(address) == address


def test_without_repositories_this_project_is_the_example() -> None:
    (domain,) = select(["github-scraper"])
    parameters = domain.parameters([])
    assert parameters == {"repositories": [str(PROJECT_ROOT)]}


def test_an_unknown_domain_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PermanentError, match=r"none of that name.*github_scraper"):
        select(["nothing"])


def watched(state: str, kind: str = "SCHEDULED", **more: object) -> Watched:
    run = Watched(
        example("example/x"), "id", "http://ui", "calm-crab", {"type": kind, "name": state}
    )
    run.seconds = 1000.0
    for name, value in more.items():
        setattr(run, name, value)
    return run


def test_a_run_that_waits_for_its_turn_is_not_said_to_have_no_worker() -> None:
    hint = "Nothing takes the run"
    for state, said in (
        ("Late", hint),
        ("AwaitingConcurrencySlot", "It waits for another run of its deployment to end"),
    ):
        lines = " ".join(line for _, line in plain_lines(watched(state), hint))
        assert said in lines
        assert (hint in lines) == (said == hint)


@pytest.mark.parametrize(("rows", "told"), [(1, "1 row"), (1200, "1,200 rows")])
def test_rows_of_a_phase_are_counted_as_one_speaks(rows: int, told: str) -> None:
    phase = {"phase": "load", "done": 2, "total": 2, "rows": rows}
    lines = [line for _, line in plain_lines(watched("Running", phases=[phase]), "")]
    assert any(line.endswith(f", {told}") for line in lines), lines


def test_a_failed_run_shows_the_counts_that_are_known() -> None:
    run = watched(
        "Failed",
        "FAILED",
        phases=[{"phase": "fetch", "done": 2, "total": 2, "rows": 1234}],
        measures={
            "rows_loaded": None,
            "models_built": 3,
            "seconds": None,
            "models_unchanged": 12,
            "tests_unchanged": 1,
        },
    )
    console = Console(width=120, file=io.StringIO())
    console.print(final_table([run]))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "1,234" in shown
    assert "12 models" in shown
    assert "1 test " in shown
    assert "1,000" in shown


def test_the_delivery_that_is_followed_is_of_the_newest_month_of_the_marts(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create schema gold")
        connection.execute("create table gold.gold_monthly_summary (month date)")
        today = datetime.now(UTC).date()
        assert today <= datetime.fromisoformat(transaction_among(database)["date"]).date()
        connection.execute(
            "insert into gold.gold_monthly_summary values ('2024-09-01'), (%s)", ["2024-10-01"]
        )
    assert transaction_among(database)["date"] == "2024-10-01"
