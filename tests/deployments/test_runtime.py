import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from threading import Lock
from unittest.mock import patch

import psycopg
import pytest

from blocks import CATALOGUE
from blocks.__main__ import main as blocks_command
from blocks.registration import register
from deployments.apply.__main__ import main as apply_command
from deployments.apply.changes import PROJECT_TAG
from deployments.apply.infrastructure import pools
from deployments.local import runtime
from deployments.local.api import PrefectApi
from deployments.local.commands import told_up
from deployments.local.databases import FOLDER, embedded_addresses
from deployments.local.domains import DOMAINS, WEBHOOKS, Domain, select
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import ProcessRecord
from deployments.local.registered import by_hand, remember, told
from deployments.local.runtime import dbt_environment, printable
from deployments.local.server import external_api, sign_in
from deployments.local.worker import TYPE_VARIABLE
from deployments.roles import Role
from flows._shared.environment import set_environment
from flows._shared.errors import PermanentError
from flows.quality_compass import raw
from tests.deployments.applied import Server
from tests.deployments.pool import Pool


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, what is registered and applied is so by this process, which has imported
    what a process of its own would take seconds for."""
    commands = {"blocks": blocks_command, "deployments.apply": apply_command}
    one_at_a_time = Lock()

    def run(up: runtime.Runtime, what: str, arguments: list[str], extra: Mapping[str, str]) -> str:
        said = StringIO()
        environment = {**up.environment, **extra}
        with one_at_a_time, patch.dict(os.environ, environment, clear=True), redirect_stdout(said):
            assert commands[arguments[0]](arguments[1:]) == 0, what
        return said.getvalue()

    return lambda: monkeypatch.setattr(runtime, "_run_module", run)


@pytest.fixture
def external(
    prefect_server: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> LocalPaths:
    """A runtime for which the user's environment names every part."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("PREFECT_WORK_POOL", Pool(prefect_server).name)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("LEDGERMIND_BIGQUERY_PROJECT", "a-project-of-their-own")
    return LocalPaths(tmp_path / "local")


def test_local_runs_are_forks_where_a_process_may_fork_and_the_setting_names_another_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TYPE_VARIABLE, raising=False)
    monkeypatch.delenv("PREFECT_WORK_POOL", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_WARM_WORK_POOL", "of-a-cluster")

    def pool() -> str:
        """The one that all deployments take here."""
        (named,) = pools(runtime.environment(LocalPaths(tmp_path), "http://127.0.0.1:1/api"))
        return named

    is_linux = sys.platform.startswith("linux")
    assert pool() == ("local-prefork" if is_linux else "local-process")
    for kind in ("process", "prefork"):
        monkeypatch.setenv(TYPE_VARIABLE, kind)
        assert pool() == f"local-{kind}"
    with pytest.raises(PermanentError, match="PREFECT_WARM_WORK_POOL=of-a-cluster names another"):
        runtime.up(paths=LocalPaths(tmp_path / "local"), say=lambda _: None)
    assert not (tmp_path / "local").exists()
    monkeypatch.setenv(TYPE_VARIABLE, "threads")
    with pytest.raises(PermanentError, match="threads"):
        pool()


def test_nothing_embedded_starts_when_the_environment_names_every_part(
    external: LocalPaths,
    database: str,
    prefect_server: str,
    in_process: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    up = runtime.up(paths=external, say=said.append)
    assert up.api_url == prefect_server
    urls = {url for each in up.databases.values() for url in (each.owner, *each.roles.values())}
    assert urls == {database}
    assert not external.postgres.exists()
    assert sorted(path.name for path in external.run.glob("*.json")) == ["applied.json"]
    # Other tests of this server had blocks of these names: what the environment names goes over it.
    assert [line for line in said if not line.startswith("update ")] == [
        "Registering credential blocks",
        "Applying deployments",
    ]

    _, last = told_up(up)
    assert last.startswith(f"PREFECT_API_URL names {prefect_server}, the Prefect server of ")
    assert ": worker and receiver were not started; " in last
    monkeypatch.delenv("PREFECT_WORK_POOL")
    _, last = told_up(up)
    assert ": receiver was not started; " in last
    monkeypatch.setenv("PREFECT_WORK_POOL", up.environment["PREFECT_WORK_POOL"])
    monkeypatch.setenv("PREFECT_WARM_WORK_POOL", "warm")
    assert pools(runtime.environment(external, prefect_server))[1:] == ("warm",)
    monkeypatch.delenv("PREFECT_WARM_WORK_POOL")

    again: list[str] = []
    runtime.up(paths=external, say=again.append)
    assert again == []
    in_process()
    (optional,) = (each for each in CATALOGUE["scout"] if each.name == "scout-dbt-postgres")
    with up.api() as api:
        assert runtime._has_blocks(api, DOMAINS, [optional])
        api.call("DELETE", f"block_documents/{api.block_id('sqlalchemy-connector', optional.name)}")
        assert runtime._has_blocks(api, DOMAINS, [])
        assert not runtime._has_blocks(api, DOMAINS, [optional]), "it was registered from here"

    theirs = {"SCOUT_DATABASE_URL": "postgresql://u:hunter2@db.example/theirs"}
    with set_environment({"PREFECT_API_URL": prefect_server}):
        register(["scout"], theirs)
    with up.api() as api:
        gone = next(each for each in api.all("automations/filter") if PROJECT_TAG in each["tags"])
        api.call("DELETE", f"automations/{gone['id']}")
    named: list[str] = []
    runtime.up(paths=external, say=named.append)
    assert named[:2] == ["Registering credential blocks", "Applying deployments"]
    with up.api() as api:
        assert gone["name"] in {each["name"] for each in api.all("automations/filter")}
    assert [line for line in named if "scout-postgres: " in line], named

    # Without the address in the environment the runtime has one of its own, and leaves theirs.
    monkeypatch.delenv("DATABASE_URL")
    with set_environment({"PREFECT_API_URL": prefect_server}):
        register(["scout"], theirs)
    kept: list[str] = []
    unnamed = {name: value for name, value in up.environment.items() if name != "DATABASE_URL"}
    with up.api() as api:
        own = replace(up, environment=unnamed)
        runtime._apply(own, (*DOMAINS, WEBHOOKS), api, kept.append)
    assert kept[0].startswith("Kept as registered by hand: scout-postgres. ")
    with set_environment({"PREFECT_API_URL": prefect_server}):
        (left,) = (each for each in register(["scout"], theirs) if each.name == "scout-postgres")
        assert not left.is_change
        register(["scout"], {"SCOUT_DATABASE_URL": database})


def test_a_block_that_a_person_registered_is_kept_and_told(
    prefect_server: str, tmp_path: Path
) -> None:
    (need,) = (each for each in CATALOGUE["scout"] if each.variable == "SCOUT_DATABASE_URL")
    with set_environment({"PREFECT_API_URL": prefect_server}):
        api = PrefectApi(prefect_server, dict(os.environ))
        ours = {need.variable: "postgresql://u@ours.example/scout"}
        register(["scout"], ours)

        def kept(remembered: dict[str, str] | None, *, is_external: bool = False) -> list[str]:
            found = by_hand([need], remembered, api, is_external=is_external)
            return [each.name for each in found]

        remembered = remember([need], [], {}, api)
        assert kept(remembered) == []
        assert kept(None) == [], "of a server of this machine every block is ours"
        assert kept(None, is_external=True) == [need.name]
        register(["scout"], ours)
        assert kept(remembered) == [], "the same value is not written"
        register(["scout"], {need.variable: "postgresql://u@theirs.example/scout"})
        assert kept(remembered) == [need.name]
        for before in (remembered, None):
            again = remember([], [need], before, api)
            assert kept(again, is_external=True) == [need.name]
        said = told([need], api)
        assert said.startswith(f"Kept as registered by hand: {need.name}. ")
        assert f"prefect block delete {need.kind.block_type}/{need.name}" in said
        assert "nothing answers" not in said
        # As a copy of the clone left it.
        register(["scout"], {need.variable: "postgresql://u@127.0.0.1:9/scout"})
        assert f"At 127.0.0.1:9, which {need.name} names, nothing answers" in told([need], api)


@pytest.mark.parametrize(
    ("chosen", "domains"),
    [
        # One that gets a pod, and one that goes to warm processes.
        pytest.param(
            ["--name", "github-scraper-6h", "--name", "scout-on-demand"],
            select(["github_scraper", "scout"]),
            id="two",
        ),
        pytest.param(["--all"], DOMAINS, id="all", marks=pytest.mark.exhaustive),
    ],
)
def test_the_prefect_command_deploys_what_the_file_says(
    external: LocalPaths, prefect_server: str, chosen: list[str], domains: Sequence[Domain]
) -> None:
    environment = runtime.environment(external, prefect_server)
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", *chosen],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pool = Pool(prefect_server)
    for domain in domains:
        deployment = pool.api.deployment(domain.deployment)
        assert deployment is not None, done.stdout
        assert deployment["work_pool_name"] == environment["PREFECT_WORK_POOL"]
        assert deployment["pull_steps"] in (None, [])
        assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"
        assert not any(schedule["active"] for schedule in deployment["schedules"])


def test_the_six_hourly_deployment_asks_for_the_resources_of_the_plan(prefect_server: str) -> None:
    server = Server(prefect_server)
    assert server.apply() == 0
    deployment = server.api.deployment("github-scraper/github-scraper-6h")
    assert deployment is not None
    assert deployment["job_variables"] == {
        "cpu_request": "250m",
        "cpu_limit": "500m",
        "memory_request": "256Mi",
        "memory_limit": "512Mi",
    }
    (schedule,) = deployment["schedules"]
    assert schedule["schedule"]["cron"] == "0 */6 * * *"
    assert schedule["schedule"]["timezone"] == "UTC"


def test_the_local_servers_own_address_does_not_count_as_external(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = LocalPaths(tmp_path)
    ProcessRecord(1, 0.0, port=4207).write(paths.run / "server.json")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4207/api")
    assert external_api(paths) is None
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example.org/api/")
    assert external_api(paths) == "https://prefect.example.org/api"


def test_a_shell_that_knows_a_former_port_of_the_local_server_means_the_local_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = LocalPaths(tmp_path)
    ProcessRecord(1, 0.0, port=4202).write(paths.run / "server.json")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4201/api")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", sign_in(paths))
    assert external_api(paths) is None
    up, last = told_up(runtime.Runtime(paths, "http://127.0.0.1:4202/api", {}, {}))
    assert up.startswith("Everything is up. Prefect: http://127.0.0.1:4202 ")
    assert "former address http://127.0.0.1:4201/api" in last
    for url, auth in (
        ("http://127.0.0.1:4201/api", "of:another"),
        ("http://10.0.0.7:4201/api", sign_in(paths)),
    ):
        monkeypatch.setenv("PREFECT_API_URL", url)
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", auth)
        assert external_api(paths) == url


def test_the_users_own_prefect_settings_do_not_reach_the_local_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setenv("PREFECT_API_KEY", "key of another server")
    monkeypatch.setenv("PREFECT_PROFILE", "work")
    environment = runtime.environment(LocalPaths(tmp_path), "http://127.0.0.1:4200/api")
    assert not {"PREFECT_API_KEY", "PREFECT_PROFILE"} & environment.keys()
    assert environment["PREFECT_API_AUTH_STRING"] == sign_in(LocalPaths(tmp_path))
    assert environment["PREFECT_PROFILES_PATH"] == str(tmp_path / "prefect" / "profiles.toml")
    assert environment["PREFECT_SCHEDULES_ACTIVE"] == "false"


def test_a_server_of_the_users_own_is_not_sent_the_local_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example.org/api")
    monkeypatch.delenv("PREFECT_API_AUTH_STRING")
    environment = runtime.environment(LocalPaths(tmp_path), "https://prefect.example.org/api")
    assert "PREFECT_API_AUTH_STRING" not in environment


def test_what_is_printed_for_a_shell_holds_no_secret() -> None:
    secret = {"PREFECT_API_KEY": "k", "PREFECT_API_AUTH_STRING": "a:b", "DATABASE_URL": "d"}
    needed = {"PREFECT_HOME": "/h", "PATH": "/venv/bin:/usr/bin"}
    assert printable({**secret, **needed}) == needed


def test_a_database_url_becomes_what_the_dbt_profile_reads() -> None:
    url = "postgresql://ann:p%40ss@db.example.org:6543/marts?sslmode=require"
    assert dbt_environment(url) == {
        "DBT_POSTGRES_HOST": "db.example.org",
        "DBT_POSTGRES_PORT": "6543",
        "DBT_POSTGRES_USER": "ann",
        "DBT_ENV_SECRET_POSTGRES_PASSWORD": "p@ss",
        "DBT_POSTGRES_DATABASE": "marts",
        "DBT_POSTGRES_SSLMODE": "require",
    }


def test_clean_removes_the_state_and_may_be_repeated(tmp_path: Path) -> None:
    paths = LocalPaths(tmp_path / "local")
    (paths.cache / "git").mkdir(parents=True)
    runtime.clean(paths)
    runtime.clean(paths)
    assert not paths.state.exists()


def test_make_alone_lists_the_recipes() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory"],
        cwd=PROJECT_ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    for recipe in ("run", "test", "lint", "types", "dbt", "stop", "clean"):
        assert f"  {recipe} " in done.stdout


@pytest.fixture
def of_an_earlier_version(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of Quality Compass in which one superuser did everything."""
    url = postgres.create_database("quality_compass")
    with psycopg.connect(url, autocommit=True) as connection:
        raw.ensure_schema(connection)
        connection.execute("create schema analytics")
        connection.execute("create table analytics.fct_signals as select 1 as one")
    yield url
    postgres.drop_database("quality_compass")
    shutil.rmtree(postgres.directory / FOLDER)
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for role in Role:
            connection.execute(f"drop role if exists quality_compass_{role}".encode())


def test_an_embedded_database_of_an_earlier_version_is_handed_over_to_its_roles(
    postgres: EmbeddedPostgres, of_an_earlier_version: str
) -> None:
    found = embedded_addresses(postgres, "quality_compass")
    assert found.owner.startswith(f"{of_an_earlier_version}?sslmode=disable")
    with psycopg.connect(found.roles[Role.LOADER], autocommit=True) as connection:
        raw.ensure_schema(connection)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("drop table analytics.fct_signals")
    with psycopg.connect(found.transformer, autocommit=True) as connection:
        connection.execute("drop table analytics.fct_signals")
        connection.execute("create table analytics.fct_signals as select 2 as one")
    with psycopg.connect(found.reader) as connection:
        assert connection.execute("table analytics.fct_signals").fetchall() == [(2,)]
    files = list((postgres.directory / FOLDER).iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    for_other_servers = {"PGSSLMODE": "require", "PGCHANNELBINDING": "require"}
    with set_environment(for_other_servers):
        assert embedded_addresses(postgres, "quality_compass") == found

    files[0].unlink()
    anew = embedded_addresses(postgres, "quality_compass")
    assert anew != found
    for url in anew.roles.values():
        psycopg.connect(url).close()
