import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from blocks import CATALOGUE, BlockNeed, Kind
from blocks.__main__ import main
from blocks.registration import connection, register
from deployments.local.api import PrefectApi
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
    assert "github-scraper-postgres" in said
    assert "github-scraper-token" in said
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


def test_a_missing_value_says_which_variable_to_set(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    need = BlockNeed("new-postgres", Kind.POSTGRES, "NEW_DATABASE_URL", "a domain of tomorrow")
    monkeypatch.setitem(CATALOGUE, "new", (need,))
    with pytest.raises(PermanentError, match="Set NEW_DATABASE_URL"):
        register(["new"], {})


def test_a_block_without_a_value_is_kept_beside_one_that_is_given(prefect_server: str) -> None:
    register(["github_scraper"], {"GITHUB_SCRAPER_DATABASE_URL": URL})
    kept, token = register(["github_scraper"], {"GITHUB_TOKEN": "token-of-eve"})
    assert str(kept) == ("kept github-scraper-postgres: GITHUB_SCRAPER_DATABASE_URL is not set")
    assert token.name == "github-scraper-token"
    (again, _) = register(
        ["github_scraper"], {"GITHUB_SCRAPER_DATABASE_URL": URL, "GITHUB_TOKEN": "token-of-eve"}
    )
    assert str(again) == "unchanged github-scraper-postgres"


def run(*arguments: str, folder: Path | None = None, **variables: str) -> tuple[int, str]:
    """The command in a process of its own, with these variables only; its status and output."""
    known = {need.variable for needs in CATALOGUE.values() for need in needs} | {"DATABASE_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in known}
    mounted = ["--secrets", str(folder)] if folder else []
    done = subprocess.run(
        [sys.executable, "-m", "blocks", *arguments, *mounted],
        cwd=PROJECT_ROOT,
        env={**environment, **variables},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_dry_run_tells_which_fields_would_change_and_changes_none(prefect_server: str) -> None:
    register(["scout"], {"SCOUT_DATABASE_URL": URL})
    moved = URL.replace("db.example.org", "new.example.org").replace("s3cret", "n3w")
    (told,) = register(["scout"], {"SCOUT_DATABASE_URL": moved}, dry_run=True)
    assert str(told) == "update scout-postgres: host, password"
    (again,) = register(["scout"], {"SCOUT_DATABASE_URL": URL})
    assert str(again) == "unchanged scout-postgres"


def test_a_block_that_is_unchanged_is_not_written_again(prefect_server: str) -> None:
    api = PrefectApi(prefect_server, os.environ)
    path = "block_types/slug/sqlalchemy-connector/block_documents/name/scout-postgres"
    register(["scout"], {"SCOUT_DATABASE_URL": URL})
    before = api.call("GET", path)["updated"]
    register(["scout"], {"SCOUT_DATABASE_URL": URL})
    assert api.call("GET", path)["updated"] == before


def test_mounted_files_stand_in_for_variables_and_are_tried(
    prefect_server: str, database: str, tmp_path: Path
) -> None:
    (tmp_path / "SCOUT_DATABASE_URL").write_text(f"{database}\n")
    (tmp_path / "SCOUT_EMBEDDINGS").write_text("a-secret-of-theirs")
    (tmp_path / "..data").mkdir()
    status, said = run("register", "scout", "--check", folder=tmp_path)
    assert status == 0, said
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    assert f"ok scout-postgres: connected as analytics to {name}" in said
    assert "ok scout-embeddings: holds 18 characters" in said
    assert "a-secret-of-theirs" not in said
    status, said = run("check", "scout")
    assert (status, said.count("ok scout-")) == (0, 2)


def test_a_folder_of_secrets_that_is_not_there_is_told(tmp_path: Path) -> None:
    status, said = run("register", "scout", folder=tmp_path / "absent")
    assert status == 1
    assert "No such file or directory. Mount them there" in said


def test_a_mail_address_of_another_kind_is_refused_without_showing_it() -> None:
    with pytest.raises(PermanentError, match="not the address of a mail server") as refused:
        register(["alerts"], {"ALERTS_EMAIL_URL": "https://ann:s3cret@example.org"})
    assert "s3cret" not in str(refused.value)


def test_a_domain_of_which_nothing_is_given_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for need in CATALOGUE["alerts"]:
        monkeypatch.delenv(need.variable, raising=False)
    assert main(["register", "alerts"]) == 0
    said = capsys.readouterr().out
    assert said == (
        "nothing of alerts to register: ALERTS_WEBHOOK_URL and ALERTS_EMAIL_URL not set\n"
    )
