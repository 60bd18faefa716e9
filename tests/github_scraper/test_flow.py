"""The whole flow on a real server: load, build, report, and fail where something failed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType

from blocks.registration import register
from flows._shared.orchestration.dbt import DbtOptions
from flows.github_scraper import raw
from flows.github_scraper.__main__ import main
from flows.github_scraper.flow import RepositoriesFailedError, backfill, manage, refresh
from flows.github_scraper.records import (
    ApiConfigurationError,
    RepositoryAddressError,
    RepositoryNotKnownError,
    TokenRejectedError,
)
from flows.github_scraper.settings import GithubScraperSettings, SizeSettings
from tests.github_scraper.github_server import GithubServer, RealClock
from tests.github_scraper.histories import History
from tests.told import artifacts_of, assert_freshness_is_told, landed_in, measures_of, rows_of

# Their tests are the business of tests/dbt_projects, and of the first run here.
UNTESTED = DbtOptions(exclude=("resource_type:test", "resource_type:unit_test"))


@pytest.fixture
def settings(prefect_server: str, database: str, tmp_path: Path) -> GithubScraperSettings:
    register(["github_scraper"], {"GITHUB_SCRAPER_DATABASE_URL": database})
    return GithubScraperSettings(cache_dir=tmp_path / "mirrors")


def run_of(state: State[None]) -> FlowRun:
    assert state.state_details.flow_run_id is not None
    with get_client(sync_client=True) as client:
        return client.read_flow_run(state.state_details.flow_run_id)


def names_of_task_runs(flow_run_id: UUID, expected: set[str]) -> set[str]:
    """Task runs on the server; its recorder writes them down within a few seconds."""
    deadline = time.monotonic() + 30
    names: set[str] = set()
    while not expected <= names and time.monotonic() < deadline:
        with get_client(sync_client=True) as client:
            response = client.request(
                "POST",
                "/task_runs/filter",
                json={"flow_runs": {"id": {"any_": [str(flow_run_id)]}}},
            )
        names = {run["name"] for run in response.json()}
        time.sleep(0.5)
    return names


MEASURED_RUN = """
import re, sys
from pathlib import Path
from flows.github_scraper.flow import refresh
from flows.github_scraper.settings import GithubScraperSettings, SizeSettings

settings = GithubScraperSettings(cache_dir=Path(sys.argv[2]))
state = refresh([sys.argv[1]], settings, return_state=True)
# Not ru_maxrss: a child begins with that of the process which started it.
status = Path("/proc/self/status")
high_water_mark = re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text()) if status.exists() else None
print(state.state_details.flow_run_id, int(high_water_mark[1]) // 1024 if high_water_mark else 0)
"""


def test_a_run_over_many_commits_fills_the_leaderboard_in_512_mib_and_reports_what_it_did(
    settings: GithubScraperSettings, database: str, sample_history: History, is_exhaustive: bool
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED_RUN, str(sample_history.path), str(settings.cache_dir)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    run_id, peak = ran.stdout.splitlines()[-1].split()
    assert int(peak) <= 512
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(run_id))
    assert run.state is not None
    assert run.state.is_completed(), run.state.message
    commits = int(sample_history.git("rev-list", "--count", "main"))
    assert commits > (5_000 if is_exhaustive else 1_000)
    with psycopg.connect(database) as connection:
        counted = connection.execute(
            "select sum(commits) from analytics.leaderboard "
            "where scope = 'overall' and time_window = 'all_time'"
        ).fetchone()
    assert counted == (commits,)
    figures = measures_of(run.id, "github-scraper")
    assert figures["rows_loaded"] == commits
    assert (figures["failures"], figures["warnings"]) == (0, 0)
    assert_freshness_is_told(run.id, "github_scraper", empty={"repository_metadata"})
    landed = landed_in(run.id, "github_scraper")
    assert {table: (told["batch"], told["rows"]) for table, told in landed.items()} == {
        "commits": (run_id, commits)
    }
    expected = {"fetch-sample", "model leaderboard", "model fct_daily_commits"}
    assert expected <= names_of_task_runs(run.id, expected)


def test_a_failing_repository_fails_the_run_after_the_others_are_built(
    settings: GithubScraperSettings, database: str, small_history: History, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.git"
    both = [str(missing), str(small_history.path)]
    state = refresh(both, settings, dbt=UNTESTED, return_state=True)
    assert state.is_failed()
    with pytest.raises(RepositoriesFailedError, match=r"the others were loaded .*\n.*missing"):
        state.result()
    with psycopg.connect(database) as connection:
        assert connection.execute(
            "select path_name, state from public.repositories order by 1"
        ).fetchall() == [("missing", "failed"), ("small", "completed")]
        counted = connection.execute("select count(*) from analytics.leaderboard").fetchone()
        for _ in range(2):
            raw.record_failure(connection, str(missing), "still missing", is_permanent=True)
    assert counted is not None
    assert counted[0] > 0
    alone = refresh([str(missing)], settings, build_here=False, return_state=True)
    with pytest.raises(RepositoriesFailedError, match="1 failed, there were no others:"):
        alone.result()
    full = settings.model_copy(update={"size": SizeSettings(limit_gigabytes=0.001)})
    again = refresh(None, full, build_here=False, return_state=True)
    assert again.is_completed(), "a mistyped address is not looked after for ever"
    figures = measures_of(again, "github-scraper")
    assert (figures["models_built"], figures["warnings"]) == (0, 1), "the database is past 1 MB"
    sizes = {row["table"]: row["bytes"] for row in rows_of(again, "github-scraper-size")}
    assert sizes["commits"] > sizes["repository_heads"] > 0
    assert sizes["leaderboard"] > 0


def test_a_repository_is_retired_listed_and_resumed_and_its_rows_stay(
    settings: GithubScraperSettings,
    database: str,
    small_history: History,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = History(tmp_path / "gone.git")
    gone.point(gone.commit())
    both = [str(gone.path), str(small_history.path)]
    refresh(both, settings, build_here=False)
    gone.path.rename(tmp_path / "elsewhere.git")
    failed = refresh(None, settings, build_here=False, return_state=True)
    assert failed.is_failed()
    summary = artifacts_of(failed)["github-scraper-summary"]
    why = summary.partition("**Why:**")[2].partition("**What to do:**")[0]
    reasons = [line.strip() for line in why.splitlines() if line.strip()]
    assert [line.partition(" ")[0] for line in reasons] == ["Loading", "-"], why
    assert main(["list"]) == 0
    # They are listed as they were found: two are loaded at a time.
    assert capsys.readouterr().out.count(f"\tfailed\t{gone.path}\t") == 1
    with pytest.raises(RepositoryNotKnownError):
        manage("retire", [str(gone.path), "https://host.example/never/loaded"], None, settings)
    manage("retire", [f"{gone.path}/"], "deleted by its owner", settings)
    assert refresh(None, settings, build_here=False, return_state=True).is_completed()
    with psycopg.connect(database) as connection:
        connection.execute(
            "insert into contributor_aliases (alias, person) values"
            " ('solo@x', 'bin@x'), ('<solo@x>', 'side@x')"
        )
    named = refresh(both, settings, build_here=False, return_state=True)
    assert named.is_completed(), "a schedule with a list of its own goes on"
    summary = artifacts_of(named)["github-scraper-summary"]
    warned = summary.partition("Warnings and failures")[2]
    assert "it is several people, and merge nobody" in warned
    assert f"{gone.path} is retired and was left out" in summary
    typed = [sys.executable, "-m", "flows.github_scraper", "retire", "https://h.example/never/seen"]
    told = subprocess.run(typed, capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode == 1
    assert told.stderr == (
        "Trying to retire https://h.example/never/seen: no such repository is known. "
        "Give an address as the action `list` shows it; nothing was changed\n"
    )
    assert not told.stdout
    capsys.readouterr()
    assert main(["list"]) == 0
    told_lines = capsys.readouterr().out.splitlines()
    assert f"retired\tfailed\t{gone.path}\tdeleted by its owner" in told_lines
    assert f"active\tcompleted\t{small_history.path}\t" in told_lines
    assert len(told_lines) == len(both), "a line each, however many git told"
    with psycopg.connect(database) as connection:
        kept = "select count(*) from public.commits inner join public.repositories"
        kept += " on repositories.id = repository_id where retired_at is not null"
        assert connection.execute(kept).fetchall() == [(1,)]
    (tmp_path / "elsewhere.git").rename(gone.path)
    assert main(["resume", str(gone.path)]) == 0
    assert main(["pause", str(small_history.path)]) == 0
    assert refresh(None, settings, build_here=False, return_state=True).is_completed()
    listed = {each.url: each.schedule for each in manage(settings=settings)}
    assert listed == {str(gone.path): "active", str(small_history.path): "paused"}
    manage("retire", [str(gone.path)], None, settings)
    assert refresh(None, settings, build_here=False, return_state=True).is_completed()


def test_what_the_list_shows_is_what_is_retired(
    settings: GithubScraperSettings, database: str
) -> None:
    """The name of one that GitHub lost is another's by now; the address of a third is not kept."""
    manage(settings=settings)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into public.repositories (url, github_id) values "
            "('https://github.com/o/n#123', 123), ('https://github.com/o/n', 456), "
            "('https://user:TOKEN@host/o/r', null)"
        )
    listed = {each.url: each.schedule for each in manage(settings=settings)}
    (withheld,) = (url for url in listed if url.startswith("withheld:"))
    manage("retire", ["https://github.com/O/n#123", withheld], None, settings)
    assert {each.url: each.schedule for each in manage(settings=settings)} == {
        "https://github.com/o/n": "active",
        "https://github.com/o/n#123": "retired",
        withheld: "retired",
    }
    with pytest.raises(RepositoryAddressError) as refused:
        manage("retire", ["https://user:TOKEN@host/o/r#1"], None, settings)
    assert "TOKEN" not in str(refused.value)


def test_nothing_to_do_is_an_error_that_says_what_to_give(
    settings: GithubScraperSettings,
) -> None:
    state = refresh(None, settings, return_state=True)
    assert state.is_failed()
    with pytest.raises(Exception, match="`repositories`"):
        state.result()


@pytest.fixture
def github() -> Iterator[GithubServer]:
    """A server on the real clock, since a flow takes no other."""
    with GithubServer(clock=RealClock()).running() as server:
        yield server


def api_settings(
    settings: GithubScraperSettings, database: str, server: GithubServer, **api: object
) -> GithubScraperSettings:
    register(
        ["github_scraper"], {"GITHUB_SCRAPER_DATABASE_URL": database, "GITHUB_TOKEN": "ghp_good"}
    )
    given = {"host_url": server.url, "path": "graphql", **api}
    return GithubScraperSettings.model_validate(
        settings.model_dump() | {"token_block": "github-scraper-token", "api": given}
    )


def test_a_backfill_from_a_list_and_an_organization_reads_over_the_api(
    settings: GithubScraperSettings,
    database: str,
    github: GithubServer,
    small_history: History,
    history: History,
    tmp_path: Path,
) -> None:
    history.point(history.commit())
    listed = github.add(small_history.path, stars=5)
    github.add(history.path, owner="org", name="a")
    private = github.add(history.path, owner="org", name="b", is_private=True)
    file = tmp_path / "list.txt"
    file.write_text(f"# ours\n{github.address(listed)}  # the tool\n\n")
    given = api_settings(settings, database, github)
    state = backfill(None, ["org"], file, False, given, UNTESTED, return_state=True)
    assert state.is_completed(), state.message
    commits = int(small_history.git("rev-list", "--count", "main"))
    with psycopg.connect(database) as connection:
        assert connection.execute(
            "select path_name, count(*), min(source) from public.commits"
            " inner join public.repositories on repositories.id = repository_id"
            " group by 1 order by 1"
        ).fetchall() == [("octo/tool", commits, "graphql"), ("org/a", 1, "graphql"),
                         ("org/b", 1, "graphql")]  # fmt: skip
        assert connection.execute(
            "select stars from analytics.dim_repository where repo_name = 'tool'"
        ).fetchall() == [(5,)]
    assert measures_of(state, "github-scraper")["rows_loaded"] == commits + 2
    github.forget_counts()
    by_git = api_settings(settings, database, github, path="git")
    again = backfill(
        [github.address(private)], None, None, True, by_git,
        DbtOptions(select=("stg_repositories",)), return_state=True,
    )  # fmt: skip
    assert again.is_completed(), again.message
    assert not github.calls["history"], "read by git, with the token, from a private repository"


def test_bad_configuration_is_said_before_any_repository_is_read(
    settings: GithubScraperSettings, database: str, github: GithubServer, history: History
) -> None:
    history.point(history.commit())
    url = github.address(github.add(history.path))
    without = GithubScraperSettings.model_validate(
        settings.model_dump() | {"api": {"host_url": github.url, "path": "graphql"}}
    )
    state = refresh([url], without, return_state=True)
    with pytest.raises(ApiConfigurationError, match="`token_block`"):
        state.result()
    github.tokens = {}
    state = refresh([url], api_settings(settings, database, github), return_state=True)
    with pytest.raises(TokenRejectedError, match="github-scraper-token"):
        state.result()
    state = backfill(None, None, Path("/nowhere/list"), False, without, return_state=True)
    with pytest.raises(ApiConfigurationError, match="`file`"):
        state.result()
    assert not github.calls


PARKED_RUN = """
from datetime import UTC, datetime, timedelta
from prefect import flow
from flows._shared.orchestration.flow_run import suspend_until

@flow(name="parked")
def parked():
    suspend_until(datetime.now(UTC) + timedelta(hours=1), "GitHub's rate limits")
"""


def test_a_long_park_gives_the_worker_back_and_the_run_waits_for_its_time(
    prefect_server: str, tmp_path: Path
) -> None:
    (tmp_path / "parked_run.py").write_text(PARKED_RUN)
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("parked")
        pool = client.request(
            "POST", "/work_pools/", json={"name": f"pool-{tmp_path.name}", "type": "process"}
        ).json()
        deployment = client.create_deployment(
            flow_id, "parked", entrypoint="parked_run.py:parked", path=str(tmp_path),
            work_pool_name=pool["name"],
        )  # fmt: skip
        run = client.create_flow_run_from_deployment(deployment)
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "flow-run", "execute", str(run.id)],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        waiting = client.read_flow_run(run.id)
        assert waiting.state is not None
        assert (waiting.state.type, waiting.state.name) == (StateType.SCHEDULED, "AwaitingRetry")
        assert waiting.next_scheduled_start_time is not None
        assert waiting.next_scheduled_start_time > datetime.now(UTC) + timedelta(minutes=55)
        later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
        due = client.request(
            "POST",
            "/work_pools/{name}/get_scheduled_flow_runs",
            path_params={"name": pool["name"]},
            json={"scheduled_before": later},
        ).json()
    assert [each["flow_run"]["id"] for each in due] == [str(run.id)], "a worker starts it again"
