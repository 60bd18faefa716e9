"""The whole flow on a real server: load, build, report, and fail where something failed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State

from blocks.registration import register
from flows.github_scraper.flow import RepositoriesFailedError, refresh
from flows.github_scraper.settings import GithubScraperSettings
from tests.github_scraper.histories import History


@pytest.fixture
def settings(prefect_server: str, database: str, tmp_path: Path) -> GithubScraperSettings:
    register(["github_scraper"], {"GITHUB_SCRAPER_DATABASE_URL": database})
    return GithubScraperSettings(cache_dir=tmp_path / "mirrors")


def run_of(state: State[None]) -> FlowRun:
    assert state.state_details.flow_run_id is not None
    with get_client(sync_client=True) as client:
        return client.read_flow_run(state.state_details.flow_run_id)


def measures(flow_run_id: UUID) -> dict[str, object]:
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        )
    (run,) = (artifact for artifact in artifacts if artifact.key == "github-scraper-run")
    return {row["measure"]: row["value"] for row in json.loads(str(run.data))}


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


def test_a_run_fills_the_leaderboard_and_reports_what_it_did(
    settings: GithubScraperSettings, database: str, small_history: History
) -> None:
    state = refresh([str(small_history.path)], settings, return_state=True)
    assert state.is_completed(), state.message
    commits = int(small_history.git("rev-list", "--count", "main"))
    with psycopg.connect(database) as connection:
        counted = connection.execute(
            "select sum(commits) from analytics.leaderboard "
            "where scope = 'overall' and time_window = 'all_time'"
        ).fetchone()
    assert counted == (commits,)
    figures = measures(run_of(state).id)
    assert figures["rows_loaded"] == commits
    assert figures["failures"] == 0
    expected = {"fetch-small", "model leaderboard", "model fct_daily_commits"}
    assert expected <= names_of_task_runs(run_of(state).id, expected)


def test_a_failing_repository_fails_the_run_after_the_others_are_built(
    settings: GithubScraperSettings, database: str, small_history: History, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.git"
    state = refresh([str(missing), str(small_history.path)], settings, return_state=True)
    assert state.is_failed()
    with pytest.raises(RepositoriesFailedError, match="missing"):
        state.result()
    with psycopg.connect(database) as connection:
        assert connection.execute(
            "select path_name, state from public.repositories order by 1"
        ).fetchall() == [("missing", "failed"), ("small", "completed")]
        counted = connection.execute("select count(*) from analytics.leaderboard").fetchone()
    assert counted is not None
    assert counted[0] > 0
    again = refresh(None, settings, return_state=True)
    assert again.is_completed(), "a mistyped address given once is not looked after for ever"


def test_nothing_to_do_is_an_error_that_says_what_to_give(
    settings: GithubScraperSettings,
) -> None:
    state = refresh(None, settings, return_state=True)
    assert state.is_failed()
    with pytest.raises(Exception, match="`repositories`"):
        state.result()


MEASURED_RUN = """
import re, sys
from pathlib import Path
from flows.github_scraper.flow import refresh
from flows.github_scraper.settings import GithubScraperSettings

refresh([sys.argv[1]], GithubScraperSettings(cache_dir=Path(sys.argv[2])))
# Not ru_maxrss: a child begins with that of the process which started it.
high_water_mark = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print("peak MiB", int(high_water_mark[1]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_flow_run_over_5000_commits_stays_below_512_mib(
    settings: GithubScraperSettings, sample_history: History
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED_RUN, str(sample_history.path), str(settings.cache_dir)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    peak = int(ran.stdout.rpartition("peak MiB")[2])
    assert peak <= 512
