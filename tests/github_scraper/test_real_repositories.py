"""Histories that nobody made for a test: this project's own, and those that a setting names.

    GITHUB_SCRAPER_REPOS="/srv/git/flask /srv/git/requests" pytest tests/github_scraper -k real

takes paths or clone addresses, separated by blanks.
"""

import os
import subprocess
from pathlib import Path

import pytest

from flows.github_scraper.sync import sync_repository
from tests.github_scraper.conftest import Api
from tests.github_scraper.histories import ENVIRONMENT, History
from tests.github_scraper.tables import comparable
from tests.github_scraper.test_git_path import numstat_by_commit

ROOT = Path(__file__).parents[2]
GIVEN = os.environ.get("GITHUB_SCRAPER_REPOS", "").split()


@pytest.fixture(params=[str(ROOT), *GIVEN], ids=lambda address: Path(address).name)
def real(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    """A bare clone, so that nothing of the original is touched."""
    inside = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--is-shallow-repository"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if request.param == str(ROOT) and inside.stdout.strip() != "false":
        pytest.skip("the project was installed without its whole history")
    path = tmp_path / "real.git"
    command = ["git", "clone", "--quiet", "--bare", "--", request.param, str(path)]
    subprocess.run(command, check=True, env=ENVIRONMENT | {"GIT_CONFIG_COUNT": "1",
                   "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"})  # fmt: skip
    history = History(path)
    history.git("update-ref", "refs/heads/main", history.head())
    history.git("symbolic-ref", "HEAD", "refs/heads/main")
    return history


def test_a_real_history_is_the_same_by_git_and_by_graphql(api: Api, real: History) -> None:
    url = api.server.address(api.server.add(real.path))
    api.sync(url, max_wait_seconds=7_200)
    over_api = comparable(api.connection, "graphql")
    counted = {
        row[0]: row[1:]
        for row in api.connection.execute(
            "select commit_hash, lines_added, lines_deleted, files_changed from public.commits"
        )
    }
    assert counted == numstat_by_commit(real)
    api.connection.execute("truncate public.repositories, public.contributors cascade")
    sync_repository(api.connection, url, api.settings("git"), api.mirrors)
    assert comparable(api.connection, "graphql") == over_api
