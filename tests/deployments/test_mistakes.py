"""The usual mistakes of a first hour, typed or given as people do: what is answered says what was
attempted, what was seen and what to do, and the tutorial lists it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prefect.client.schemas.objects import State

from blocks.registration import register
from deployments.cli.app import main
from deployments.local import runtime
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.roles.__main__ import main as of_roles
from flows._shared.errors import PlatformError
from flows._shared.orchestration.summary import Progress
from flows.agent_analytics.flow import refresh as agent_analytics
from flows.agent_analytics.prices import main as prices
from flows.github_scraper.source.command import GitLimits
from flows.github_scraper.source.git import open_mirror
from flows.quality_compass.flow import refresh as quality_compass
from flows.scout import raw
from flows.scout.flow import refresh as scout
from flows.scout.flow.intake import take_in
from flows.scout.settings import ScoutSettings

NOBODY = "http://127.0.0.1:9/api"
LISTED = (PROJECT_ROOT / "docs" / "tutorial.md").read_text()
PICTURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0"

Answers = Callable[..., str]


def says(answer: str, listed: str, *more: str) -> None:
    """An answer holds these words, the first of which the tutorial has."""
    assert listed in LISTED
    assert [each for each in (listed, *more) if each not in answer] == [], answer
    assert "Traceback" not in answer


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Answers:
    """Type a command of `flows`, in an environment of its own; what it says, on either stream."""
    monkeypatch.setattr(runtime, "LocalPaths", lambda: LocalPaths(tmp_path / "local"))
    for name in ("PREFECT_WORK_POOL", "DATABASE_URL", "SCOUT_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def answer(*words: str, ends: int, **environment: str) -> str:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        status = main(words)
        said = "\n".join(capfd.readouterr())
        assert status == ends, said
        return said

    return answer


def made(*words: str, cwd: Path = PROJECT_ROOT, **environment: str) -> tuple[int, str]:
    """How `make` ends, and what it says on either stream."""
    # Whether .venv is up to date is not asked: that looks for the newest Python each time.
    known = ["--old-file=.venv/.installed-from-lock"] if cwd == PROJECT_ROOT else []
    # What a `make` around the tests was given is not for this one.
    outer = {name: value for name, value in os.environ.items() if name[:4] != "MAKE"}
    shown = subprocess.run(
        ["make", *known, *words],
        cwd=cwd,
        env={**outer, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
    )
    return shown.returncode, shown.stdout + shown.stderr


@pytest.mark.parametrize("recipe", ["psql", "dbt"])
def test_make_without_a_domain(recipe: str) -> None:
    status, said = made(recipe)
    assert status == 2
    says(said, "Name a domain: make psql DOMAIN=scout".replace("psql", recipe))


def test_a_variable_of_make_with_a_typo() -> None:
    status, said = made("--dry-run", "run", "DOMAN=scout")
    assert status == 2
    says(said, "nothing here reads DOMAN=; did you mean DOMAIN=", "There are: ARGS BENCH DOMAIN")
    assert "bin/flows" not in said
    for typo, meant in (("domain=scout", "DOMAIN="), ("REPO=.", "REPOS="), ("ARG=-x", "ARGS=")):
        assert f"did you mean {meant}" in made("--dry-run", "run", typo)[1]
    assert "did you mean" not in made("--dry-run", "run", "COLOUR=1")[1]
    # What the environment holds is not meant for make.
    assert made("--dry-run", "run", "DOMAIN=scout", DOMAN="x", COLOUR="1")[0] == 0


def test_a_domain_where_make_takes_a_recipe() -> None:
    for goals in (["run", "scout"], ["scout", "run"], ["scout"]):
        status, said = made("--dry-run", *goals)
        assert status == 2
        says(said, "there is no recipe scout; did you mean make run DOMAIN=scout")
        assert "bin/flows" not in said
    status, said = made("--dry-run", "run", "github-scraper")
    assert status == 2
    assert "no recipe github-scraper; did you mean make run DOMAIN=github_scraper" in said
    # A recipe has the name of a room of flows.
    assert made("--dry-run", "run", "report", "DOMAIN=scout")[0] == 0


@pytest.mark.parametrize("own", ["SHELL=/bin/bash", "MAKEFLAGS=-s", "MAKE=make"])
def test_a_variable_of_make_itself_is_no_typo(own: str) -> None:
    status, said = made("--dry-run", own, "run", "DOMAIN=scout")
    assert (status, "nothing here reads" in said) == (0, False), said


@pytest.mark.parametrize("recipe", ["test", "test-all"])
def test_make_for_the_tests_of_a_domain_that_is_none(recipe: str) -> None:
    status, said = made(recipe, "DOMAIN=scuot", "PROCESSES=1", "ARGS=--collect-only tests/people")
    assert status == 2
    says(said, "there is none of that name", "Testing scuot", "github_scraper ledgermind")


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    status, said = made("PYTHON=/bin/false", "run", cwd=tmp_path)
    assert status == 2
    says(said, "is not a Python from 3.11 to 3.13", "make PYTHON=/path/to/python3.12")
    assert not (tmp_path / ".venv").exists()


def test_a_domain_that_is_none(typed: Answers) -> None:
    for command in ("run", "dbt", "psql"):
        answer = typed(command, "weather", ends=2)
        says(answer, "there is none of that name", "weather", "There are: github_scraper")
        assert "did you mean" not in answer


@pytest.mark.parametrize("command", ["run", "dbt", "psql", "check", "blocks check", "roles check"])
def test_a_domain_by_the_name_of_its_deployment(command: str, typed: Answers) -> None:
    answer = typed(*command.split(), "github-scraper-6h", ends=2)
    says(answer, "there is none of that name; did you mean github_scraper?", "github-scraper-6h")


def test_a_domain_as_its_system_is_spelled(
    typed: Answers, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reached = typed("run", "GitHub-Scraper", "--repo", "htps://github.com/o/n", ends=1)
    assert "Give a clone address" in reached
    assert "quality-compass-postgres" in typed(
        "blocks", "list", "quality-compass", ends=0, PREFECT_API_URL=""
    )
    monkeypatch.delenv("GITHUB_SCRAPER_OWNER_DATABASE_URL", raising=False)
    assert of_roles(["check", "GitHub Scraper"]) == 1
    assert "GITHUB_SCRAPER_OWNER_DATABASE_URL is not set" in capfd.readouterr().err
    assert "flows run github_scraper " in made("--dry-run", "run", "DOMAIN=github-scraper")[1]


def test_repositories_for_a_domain_that_reads_none(typed: Answers) -> None:
    answer = typed("run", "scout", "--repo", "https://github.com/o/n", ends=1)
    says(answer, "only github_scraper takes repositories", "running scout", "Leave them out")


def test_an_address_with_a_typo_is_told_before_anything_starts(
    typed: Answers, tmp_path: Path
) -> None:
    answer = typed("run", "github_scraper", "--repo", "htps://github.com/o/n", ends=1)
    says(answer, "Give a clone address such as https://github.com/owner/name", "'htps://github")
    assert not (tmp_path / "local").exists()


def test_a_server_that_is_not_there(typed: Answers, database: str) -> None:
    mine = {"PREFECT_API_URL": NOBODY, "DATABASE_URL": database}
    answer = typed("run", "scout", ends=1, **mine)
    says(answer, "which PREFECT_API_URL names: it does not answer", NOBODY, "unset PREFECT_API_URL")
    answer = typed("check", "scout", ends=1)
    says(answer, "does not answer", f"FAIL  Prefect server: {NOBODY}", "correct PREFECT_API_URL")
    answer = typed("run", "scout", ends=1, PREFECT_API_URL="127.0.0.1:4200")
    says(
        answer,
        "correct the address (http://host:4200/api)",
        "at 127.0.0.1:4200",
        "it lacks http:// or https:// in front",
    )


def test_a_work_pool_that_is_not_named_or_not_there(typed: Answers, prefect_server: str) -> None:
    answer = typed("apply", "--dry-run", ends=1, PREFECT_API_URL=prefect_server)
    says(answer, "PREFECT_WORK_POOL not set", "use `flows up`")
    answer = typed("apply", "--dry-run", ends=1, PREFECT_WORK_POOL="nobodys")
    says(answer, "the server has none of that name", "work pool nobodys", "--pool-type")


def test_a_database_that_refuses(typed: Answers, database: str) -> None:
    for wrong, listed, mend in (
        (database.replace("@", "x@", 1), "password authentication failed", "in the variable"),
        (database.rsplit("/", 1)[0] + "/nobodys", "does not exist", "in the variable"),
        (database.replace("://", "//"), "its address cannot be read", "Write it as postgresql://"),
    ):
        answer = typed("psql", "scout", "-c", "select 1", ends=1, DATABASE_URL=wrong)
        says(answer, listed, "Connecting to the database of scout", mend)
        assert wrong not in answer


def test_a_database_in_which_nothing_was_built(typed: Answers, database: str) -> None:
    answer = typed("psql", "scout", "-c", "select 6 * 7", ends=0, DATABASE_URL=database)
    says(answer, "`flows run scout` loads and builds it", "has no gold.gold_monthly_summary", "42")


def test_a_deployment_with_a_typo(prefect_server: str) -> None:
    shown = subprocess.run(
        [Path(sys.executable).with_name("prefect"), "deployment", "run", "scout/scout-on-demnd"],
        env={**os.environ, "PREFECT_API_URL": prefect_server, "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 1
    says(shown.stdout + shown.stderr, "not found", "scout/scout-on-demnd")


def ended(state: State[Any]) -> str:
    assert state.is_failed()
    return str(state.message)


@pytest.mark.parametrize(
    ("settings", "listed"),
    [
        ({"database_block": "nobodys"}, "there is no such block on this Prefect server"),
        ({"foldr": "/srv/shop"}, "Extra inputs are not permitted"),
        ({"sample_payloads": "many"}, "Input should be a valid integer"),
    ],
)
def test_settings_that_do_not_hold(
    prefect_server: str, settings: Mapping[str, Any], listed: str
) -> None:
    answer = ended(scout(settings=settings, return_state=True))
    ((name, value),) = settings.items()
    says(answer, listed, value if name == "database_block" else f"settings.{name}")


def test_a_duckdb_file_where_none_can_be(prefect_server: str, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    for path, listed in (
        (tmp_path / "a-file" / "agents.duckdb", "cannot be written to"),
        (tmp_path, "it is a folder"),
    ):
        settings: Any = {"database_path": str(path)}
        answer = ended(agent_analytics(settings=settings, return_state=True))
        says(answer, listed, str(path), "`database_path`", "AGENT_ANALYTICS_DUCKDB_PATH")


def test_an_address_without_runs(prefect_server: str, database: str, tmp_path: Path) -> None:
    register(["quality_compass"], {"QUALITY_COMPASS_DATABASE_URL": database})
    (tmp_path / "run" / "results").mkdir(parents=True)
    for name, listed in (
        ("nowhere", "there is nothing at this address"),
        ("run", "there is no results/nodes, analysis/contribution or analysis/classification"),
    ):
        runs: Any = {"addresses": [str(tmp_path / name)]}
        answer = ended(quality_compass(runs=runs, return_state=True))
        says(answer, listed, str(tmp_path / name), "Check the address")


def test_a_folder_of_scout_that_holds_nothing_of_use(
    prefect_server: str, database: str, tmp_path: Path
) -> None:
    register(["scout"], {"SCOUT_DATABASE_URL": database})
    with psycopg.connect(database, autocommit=True) as connection:
        raw.ensure_schema(connection)

    def taken(folder: Path) -> str:
        settings = ScoutSettings(folder=str(folder), inbox_block=None)
        intake = take_in(settings, Progress("scout"))
        return "\n".join([*intake.notes, *(": ".join(each) for each in intake.failed)])

    (tmp_path / "empty").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "november.csv").write_bytes(PICTURE)
    nowhere = tmp_path / "nowhere"
    says(taken(nowhere), "there is no such folder", str(nowhere), "Check the setting `folder`")
    says(taken(tmp_path / "empty"), "holds no CSV, JSON or workbook", str(tmp_path / "empty"))
    says(taken(tmp_path / "pictures"), "it is a picture", "november.csv", "Send it as CSV")


@pytest.mark.parametrize(
    ("address", "listed"),
    [
        ("/nowhere/tool", "Check the spelling of the path"),
        ("https://gihub.invalid/o/n", "Check the spelling of the host"),
    ],
)
def test_a_repository_that_is_not_there(tmp_path: Path, address: str, listed: str) -> None:
    with (
        open_mirror(address, tmp_path, GitLimits(60.0, 1 << 20, 1.0)) as mirror,
        pytest.raises(PlatformError) as refused,
    ):
        mirror.fetch()
    says(str(refused.value), listed, f"Running git ls-remote for {address}")


def test_prices_that_are_no_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prices.json").write_text("<html>")
    assert prices([str(tmp_path / "prices.json")]) == 2
    says(capsys.readouterr().err, "Give a file in LiteLLM's format", "prices.json", "JSON")
