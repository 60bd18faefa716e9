"""The one door to PostgreSQL, on a real server."""

from urllib.parse import urlsplit

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows._shared.errors import TransientError
from flows._shared.postgres import (
    APPLICATION,
    EVERY_ROW,
    READ_ONLY,
    DatabaseRefusedError,
    DatabaseUnreachableError,
    connected,
    end_statements,
    open_connection,
)
from tests.databases import reader_of
from tests.ports import own_ports

SECRET = "s3cr3t-of-the-test"


def test_a_server_that_is_down_is_told_with_a_remedy_and_tried_again() -> None:
    port = next(own_ports(24_900))
    with pytest.raises(DatabaseUnreachableError, match="Check that it is up") as caught:
        open_connection(f"postgresql://me:{SECRET}@127.0.0.1:{port}/none", "the marts")
    assert isinstance(caught.value, TransientError)
    assert str(caught.value).startswith("Connecting to the marts")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("wrong", ["password", "database", "user"])
def test_what_is_refused_for_good_is_not_tried_again(
    postgres: EmbeddedPostgres, wrong: str
) -> None:
    parts = urlsplit(postgres.url())
    login = {"user": parts.username, "password": parts.password, "database": "postgres"}
    login[wrong] = SECRET
    url = (
        f"postgresql://{login['user']}:{login['password']}@127.0.0.1:{parts.port}"
        f"/{login['database']}"
    )
    with pytest.raises(DatabaseRefusedError) as caught:
        open_connection(url, "the marts")
    assert str(parts.password) not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        f"host=localhost password={SECRET} 'x",
        f"postgresql://me:{SECRET}@h:no/x?y",
        f"postgres//me:{SECRET}",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(address: str) -> None:
    with pytest.raises((DatabaseRefusedError, DatabaseUnreachableError)) as caught:
        open_connection(address, "the marts")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://me:p@{SECRET}@127.0.0.1:1/db",
        f"postgresql://me:{SECRET}@@127.0.0.1:1/db",
        f"postgres://me:p/{SECRET}@127.0.0.1:1/db",
        f"postgresql://me:{SECRET}/x@127.0.0.1:1/db",
        f"postgresql://me@corp:{SECRET}@127.0.0.1:1/db",
        f"POSTGRESQL://me:p@{SECRET}@127.0.0.1:1/db",
        f"host=p@{SECRET}@127.0.0.1 port=1",
        f"host=127.0.0.1 port={SECRET}",
    ],
)
def test_the_rest_of_a_password_is_no_host_that_is_told(address: str) -> None:
    with pytest.raises(DatabaseRefusedError) as caught:
        open_connection(address, "the marts")
    assert caught.value.seen == "its address cannot be read"
    assert SECRET not in str(caught.value)


def test_a_password_that_the_client_repeats_is_taken_out() -> None:
    port = next(own_ports(24_900))
    with pytest.raises(DatabaseUnreachableError) as caught:
        open_connection(f"postgresql://me:refused%21@127.0.0.1:{port}/refused!", "the marts")
    assert "refused!" not in str(caught.value)
    with pytest.raises(DatabaseUnreachableError) as caught:
        open_connection(f"postgresql://me:127.0.0.1@127.0.0.1:{port}/db", "the marts")
    assert "127.0.0.1" not in str(caught.value)


def test_a_connection_that_breaks_off_in_the_midst_is_tried_again(
    postgres: EmbeddedPostgres, database: str
) -> None:
    def work() -> None:
        with connected(database, "the marts") as connection:
            connection.execute("create table kept (id int)")
            with psycopg.connect(postgres.url(), autocommit=True) as other:
                other.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
            connection.execute("insert into kept values (1)")

    with pytest.raises(DatabaseUnreachableError, match="Working in the marts"):
        work()


def test_what_ends_a_program_stays_what_it_is_where_its_statement_cannot_be_cancelled(
    database: str,
) -> None:
    def told_to_stop() -> None:
        with connected(database, "the tables") as connection:
            connection.close()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        told_to_stop()
    with connected(database, "the tables") as connection:
        connection.close()
        end_statements()


def test_an_error_of_a_statement_stays_what_it_is(database: str) -> None:
    with (
        pytest.raises(psycopg.errors.UndefinedTable),
        connected(database, "the marts") as connection,
    ):
        connection.execute("select * from nothing_of_that_name")


def test_a_connection_says_whose_it_is_and_prepares_nothing(database: str) -> None:
    with connected(database, "the marts", options=READ_ONLY) as connection:
        for _ in range(7):
            name = connection.execute("show application_name").fetchone()
        prepared = connection.execute("select count(*) from pg_prepared_statements").fetchone()
        only_reads = connection.execute("show default_transaction_read_only").fetchone()
    assert (name, prepared, only_reads) == ((APPLICATION,), (0,), ("on",))
    with connected(f"{database}?application_name=mine", "the marts") as connection:
        assert connection.execute("show application_name").fetchone() == ("mine",)


def test_who_is_to_read_every_row_and_may_not_is_told_rather_than_shown_fewer(
    database: str,
) -> None:
    count = "select count(*) from seen"
    with (
        reader_of(database, "postgres_peeper") as url,
        psycopg.connect(database, autocommit=True) as owner,
    ):
        owner.execute(
            "create table seen (id integer); insert into seen values (1), (2);"
            "grant select on seen to postgres_peeper; alter table seen enable row level security;"
            "create policy few on seen using (id = 1)"
        )
        with (
            pytest.raises(DatabaseRefusedError, match=r"alter role .* bypassrls"),
            connected(url, "the table", options=EVERY_ROW) as connection,
        ):
            connection.execute(count)
        owner.execute("alter role postgres_peeper bypassrls")
        with connected(url, "the table", options=EVERY_ROW) as connection:
            assert connection.execute(count).fetchone() == (2,)


def test_a_session_has_the_settings_that_statements_rest_on(database: str) -> None:
    name = database.rpartition("/")[2].partition("?")[0]
    others = {
        "bytea_output": "escape",
        "datestyle": "German",
        "extra_float_digits": "-5",
        "intervalstyle": "sql_standard",
        "quote_all_identifiers": "on",
        "search_path": "elsewhere",
        "timezone": "Asia/Tokyo",
    }
    with psycopg.connect(database) as connection:
        for setting, value in others.items():
            connection.execute(f"alter database {name} set {setting} to '{value}'".encode())
    shown = (
        "select timestamptz '2026-03-04 05:06:07+00'::text, (0.1::float8 + 0.2)::text, "
        "'\\x00'::bytea::text, make_interval(days => 2)::text, 'pg_class'::regclass::text, "
        "current_setting('search_path')"
    )
    for autocommit in (True, False):
        with connected(database, "the marts", autocommit=autocommit) as connection:
            found = [connection.execute(shown).fetchone()]
            connection.rollback()
            found.append(connection.execute(shown).fetchone())
        assert found == 2 * [
            (
                *("2026-03-04 05:06:07+00", "0.30000000000000004", "\\x00"),
                *("2 days", "pg_class", '"$user", public'),
            )
        ]
    with connected(f"{database}?options=-csearch_path%3Dmine", "the marts") as connection:
        assert connection.execute("show search_path").fetchone() == ("mine",)
