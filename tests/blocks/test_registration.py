import os
import subprocess
import sys

import psycopg
import pytest

from blocks import CATALOGUE
from blocks.registration import connection, register
from deployments.local.domains import DOMAINS
from deployments.local.paths import PROJECT_ROOT
from flows._shared.errors import PermanentError

PASSWORD = "s3cret/of:the@owner"
URL = "postgresql://ann:s3cret%2Fof%3Athe%40owner@db.example.org:6543/marts?sslmode=require"


def test_every_domain_says_which_blocks_it_needs() -> None:
    assert {domain.slug for domain in DOMAINS} <= CATALOGUE.keys()
    for slug, needs in CATALOGUE.items():
        assert all(need.name.startswith(f"{slug.replace('_', '-')}-") for need in needs)


def test_a_registered_block_reaches_the_database_it_was_made_from(
    prefect_server: str, database: str
) -> None:
    from prefect_sqlalchemy import SqlAlchemyConnector

    register(["github_scraper"], {"GITHUB_SCRAPER_DATABASE_URL": database})
    with SqlAlchemyConnector.load("github-scraper-postgres") as block:
        (name,) = block.fetch_one("select current_database()")
    with psycopg.connect(database) as direct:
        assert name == direct.info.dbname


def test_registering_again_replaces_the_value(prefect_server: str) -> None:
    from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector

    for host in ("one.example.org", "two.example.org"):
        register(["github_scraper"], {"DATABASE_URL": f"postgresql://a:b@{host}/c"})
    block = SqlAlchemyConnector.load("github-scraper-postgres")
    assert isinstance(block.connection_info, ConnectionComponents)
    assert block.connection_info.host == "two.example.org"


def test_the_command_says_names_and_never_values(prefect_server: str) -> None:
    environment = {
        **os.environ,
        "GITHUB_SCRAPER_DATABASE_URL": URL,
        "GITHUB_TOKEN": "token-of-ann",
    }
    done = subprocess.run(
        [sys.executable, "-m", "blocks", "register", "github_scraper"],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout + done.stderr
    assert "registered github-scraper-postgres" in said
    assert "registered github-scraper-token" in said
    assert not [value for value in (PASSWORD, "s3cret", "token-of-ann") if value in said]

    from prefect.blocks.system import Secret

    token = Secret.load("github-scraper-token")
    assert isinstance(token, Secret)
    assert token.get() == "token-of-ann"


def test_a_url_keeps_its_odd_password_and_its_options() -> None:
    parts = connection("DATABASE_URL", URL)
    assert parts.password is not None
    assert parts.password.get_secret_value() == PASSWORD
    assert (parts.host, parts.port, parts.database) == ("db.example.org", 6543, "marts")
    assert parts.query == {"sslmode": "require"}


@pytest.mark.parametrize("wrong", ["mysql://a:s3cret@b/c", "s3cret", "postgresql://a:s3cret@b"])
def test_what_is_no_database_url_is_refused_without_showing_it(wrong: str) -> None:
    with pytest.raises(PermanentError, match="GITHUB_SCRAPER_DATABASE_URL") as refused:
        register(["github_scraper"], {"GITHUB_SCRAPER_DATABASE_URL": wrong})
    assert "s3cret" not in str(refused.value)


def test_a_missing_value_says_which_variable_to_set() -> None:
    with pytest.raises(PermanentError, match="Set GITHUB_SCRAPER_DATABASE_URL"):
        register(["github_scraper"], {})
