import os
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import yaml
from jinja2 import Template
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from psycopg.conninfo import conninfo_to_dict

from flows._shared.orchestration.credentials import (
    MissingBlockError,
    UnusableBlockError,
    building_block,
    dbt_postgres_env,
    marts_block,
    postgres_url,
    reading_block,
)
from flows.github_scraper.settings import GithubScraperSettings

PROJECTS = Path(__file__).parents[2] / "dbt_projects"
AWKWARD = "p@ss:w/rd%20 #?é"


@pytest.fixture
def block_name(prefect_server: str) -> str:
    return f"test-{uuid4().hex}-postgres"


def components(**changes: object) -> ConnectionComponents:
    parts = {
        "driver": SyncDriver.POSTGRESQL_PSYCOPG2,
        "username": "some@one",
        "password": AWKWARD,
        "host": "db.example",
        "port": 6543,
        "database": "ledger mind",
        "query": {"sslmode": "require"},
    }
    return ConnectionComponents.model_validate(parts | changes)


def test_a_block_becomes_a_url_whatever_its_password_holds(block_name: str) -> None:
    SqlAlchemyConnector(connection_info=components()).save(block_name)

    assert conninfo_to_dict(postgres_url(block_name)) == {
        "user": "some@one",
        "password": AWKWARD,
        "host": "db.example",
        "port": "6543",
        "dbname": "ledger mind",
        "sslmode": "require",
    }


def test_a_block_becomes_the_variables_of_profiles(block_name: str) -> None:
    SqlAlchemyConnector(connection_info=components()).save(block_name)

    assert dbt_postgres_env(block_name) == {
        "DBT_POSTGRES_HOST": "db.example",
        "DBT_POSTGRES_PORT": "6543",
        "DBT_POSTGRES_USER": "some@one",
        "DBT_ENV_SECRET_POSTGRES_PASSWORD": AWKWARD,
        "DBT_POSTGRES_DATABASE": "ledger mind",
        "DBT_POSTGRES_SSLMODE": "require",
    }


def test_marts_are_built_with_the_block_beside_that_of_loads(block_name: str) -> None:
    beside = block_name.replace("-postgres", "-dbt-postgres")
    settings = GithubScraperSettings(database_block=block_name)
    named = GithubScraperSettings(database_block=block_name, dbt_block="named")
    assert building_block(named) == "named"
    assert building_block(settings) == block_name, "none is registered"
    assert reading_block(block_name) == block_name, "none is registered"

    SqlAlchemyConnector(connection_info=components()).save(block_name)
    SqlAlchemyConnector(connection_info=components(username="dbt", query={})).save(beside)
    assert building_block(settings) == marts_block(settings) == beside
    assert reading_block(block_name) == block_name
    reader = block_name.replace("-postgres", "-reader-postgres")
    SqlAlchemyConnector(connection_info=components(username="reader")).save(reader)
    assert reading_block(block_name) == marts_block(settings) == reader
    for other in ({"database": "another"}, {"port": 5433}, {"host": "another.example"}):
        SqlAlchemyConnector(connection_info=components(**other)).save(beside, overwrite=True)
        with pytest.raises(UnusableBlockError, match="another host, port or database"):
            building_block(settings)


@pytest.mark.parametrize(
    ("host", "query", "mode"),
    [
        ("db.example", {}, "require"),
        ("10.0.0.7", {}, "require"),
        ("127.0.0.1.example", {}, "require"),
        ("localhost,db.example", {}, "require"),
        ("localhost", {"host": "db.example"}, "require"),
        ("db.example", {"sslmode": "disable"}, "disable"),
        ("localhost", {}, "prefer"),
        ("127.0.0.1", {}, "prefer"),
        ("::1", {}, "prefer"),
        ("", {"host": "/var/run/postgresql"}, "prefer"),
        ("127.0.0.1", {"sslmode": "verify-full"}, "verify-full"),
    ],
)
def test_what_leaves_this_machine_is_encrypted_unless_the_block_says_otherwise(
    block_name: str, host: str, query: dict[str, str], mode: str
) -> None:
    SqlAlchemyConnector(connection_info=components(host=host, query=query)).save(block_name)

    assert dbt_postgres_env(block_name)["DBT_POSTGRES_SSLMODE"] == mode
    assert conninfo_to_dict(postgres_url(block_name)).get("sslmode", "prefer") == mode


@pytest.mark.parametrize("profile", sorted(PROJECTS.glob("*/profiles.yml")), ids=str)
def test_no_profile_of_production_goes_on_in_clear(
    profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBT_POSTGRES_SSLMODE", raising=False)
    ((_, content),) = yaml.safe_load(profile.read_text()).items()
    for target, output in content["outputs"].items():
        if output["type"] != "postgres":
            continue
        for host, mode in (("db.example", "require"), ("127.0.0.1", "prefer")):
            monkeypatch.setenv("DBT_POSTGRES_HOST", host)
            rendered = Template(output["sslmode"]).render(env_var=os.environ.get)
            assert rendered == ("require" if target == "prod" else mode)


def test_a_block_given_as_a_url_opens_a_connection(block_name: str, database: str) -> None:
    url = database.replace("postgresql://", "postgresql+psycopg2://", 1)
    SqlAlchemyConnector(connection_info=url).save(block_name)

    with psycopg.connect(postgres_url(block_name)) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "info",
    [
        components(host="s3cr3t@127.0.0.1"),
        components(query={"host": "x,s3cr3t@127.0.0.1"}),
        "postgresql://me:pa/s3cr3t@127.0.0.1:1/db",
        "postgresql://me:1/s3cr3t@127.0.0.1:1/db",
    ],
)
def test_the_rest_of_a_password_is_no_host_that_dbt_gets(block_name: str, info: object) -> None:
    SqlAlchemyConnector.model_validate({"connection_info": info}).save(block_name)

    for read in (postgres_url, dbt_postgres_env):
        with pytest.raises(UnusableBlockError, match="percent-encode") as caught:
            read(block_name)
        assert "s3cr3t" not in str(caught.value)


def test_a_missing_block_says_how_to_register_it(prefect_server: str) -> None:
    with pytest.raises(MissingBlockError, match="flows blocks register"):
        postgres_url("no-such-postgres")


def test_a_block_of_another_database_is_refused(block_name: str) -> None:
    info = ConnectionComponents(driver=SyncDriver.SQLITE_PYSQLITE, database=":memory:")
    SqlAlchemyConnector(connection_info=info).save(block_name)

    with pytest.raises(UnusableBlockError):
        postgres_url(block_name)
