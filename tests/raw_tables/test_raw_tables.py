"""Raw tables as the first commits made them become, by a run of today's, those of a new database.

Beside this file lie the statements of then (2026-11-21), one file for each domain.
"""

from collections.abc import Callable
from pathlib import Path

import duckdb
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from deployments.local.postgres import EmbeddedPostgres
from flows._shared import raw_tables
from flows.agent_analytics import raw as agents
from flows.agent_analytics.records import StoreOutdatedError
from flows.github_scraper import raw as github
from flows.quality_compass import raw as compass
from flows.scout import raw as scout
from flows.scout.records import SchemaRefusedError
from flows.webhooks.inbox import prepare_inbox

HERE = Path(__file__).parent
DATABASE = "test_upgrading"
READER = "reader_of_raw_tables"
Ensure = Callable[[psycopg.Connection], None]

ON_POSTGRES: dict[str, Ensure] = {
    "github_scraper": github.ensure_schema,
    "scout": scout.ensure_schema,
    "quality_compass": compass.ensure_schema,
}

REPOSITORY = """
insert into public.repositories (url) values ('https://github.com/Acme/Tool.git');
insert into public.contributors (identity_key, email) values ('email:ann@acme.com', 'ann@acme.com');
"""

# What makes a table what it is, whatever the order in which it came to be.
SHAPE = """
select
    'column',
    attrelid::regclass::text,
    attname || ' ' || format_type(atttypid, atttypmod)
    || case when attnotnull then ' not null' else '' end
    || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
from pg_attribute
inner join pg_class on pg_class.oid = attrelid
inner join pg_namespace on pg_namespace.oid = relnamespace
left join pg_attrdef on adrelid = attrelid and adnum = attnum
where
    attnum > 0
    and not attisdropped
    and relkind in ('r', 'p', 'v')
    and nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
union all
select 'constraint', conrelid::regclass::text, pg_get_constraintdef(oid)
from pg_constraint
where
    connamespace::regnamespace::text not in ('pg_catalog', 'information_schema')
    and contype <> 'n'
union all
select 'index', tablename, regexp_replace(indexdef, 'INDEX \\S+ ON', 'INDEX ON')
from pg_indexes
where schemaname not in ('pg_catalog', 'information_schema')
union all
select 'trigger', tgrelid::regclass::text, pg_get_triggerdef(oid)
from pg_trigger
where not tgisinternal
"""


def shape(connection: psycopg.Connection) -> set[tuple[str, str, str]]:
    return set(connection.execute(SHAPE.encode()).fetchall())


@pytest.mark.parametrize("domain", ON_POSTGRES)
def test_tables_of_the_first_commit_become_those_of_a_new_database(
    domain: str, postgres: EmbeddedPostgres
) -> None:
    of_then = (HERE / f"{domain}.sql").read_text() + REPOSITORY * (domain == "github_scraper")
    shapes = []
    for before in ("", of_then):
        postgres.drop_database(DATABASE)
        with psycopg.connect(postgres.create_database(DATABASE), autocommit=True) as connection:
            connection.execute(before.encode())
            for _ in range(2):
                ON_POSTGRES[domain](connection)
            shapes.append(shape(connection))
    postgres.drop_database(DATABASE)
    assert shapes[1] == shapes[0]


def test_a_role_that_owns_its_database_and_no_more_makes_and_fills_all_raw_tables(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.drop_database(DATABASE)
    url = postgres.create_database(DATABASE)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role raw_tables_owner login password 'owner'")
        connection.execute(f"alter database {DATABASE} owner to raw_tables_owner")
    try:
        owned = make_conninfo(url, user="raw_tables_owner", password="owner")
        with (
            psycopg.connect(owned, autocommit=True) as connection,
            pytest.raises(SchemaRefusedError, match="create extension vector"),
        ):
            scout.ensure_schema(connection)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create extension vector")
        with psycopg.connect(owned, autocommit=True) as connection:
            for ensure in (*ON_POSTGRES.values(), prepare_inbox):
                ensure(connection)
            connection.execute(REPOSITORY.encode())
            connection.execute("select public.recount_contributions('{1}')")
    finally:
        postgres.drop_database(DATABASE)
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute("drop role raw_tables_owner")


USER_TABLES = """
select quote_ident(schemaname) || '.' || quote_ident(tablename)
from pg_tables
where
    schemaname not in ('pg_catalog', 'information_schema')
    and tablename <> 'made_raw_tables'
"""
MADE = ("github_api", "scout", "public", "webhooks")


def test_tables_that_are_as_they_should_be_are_not_locked_and_a_change_waits_for_nobody_for_long(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = dict(ON_POSTGRES, webhooks=prepare_inbox)
    monkeypatch.setattr(raw_tables, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(raw_tables, "PAUSES", (0.01,))
    with (
        psycopg.connect(database, autocommit=True) as connection,
        psycopg.connect(database, application_name="an-idle-one") as idle,
    ):
        for ensure in every.values():
            ensure(connection)
        tables = ", ".join(name for (name,) in connection.execute(USER_TABLES))
        connection.execute("set statement_timeout = '10s'")
        idle.execute(f"lock table {tables} in access exclusive mode".encode())
        for ensure in every.values():
            ensure(connection)
        idle.rollback()
        for schema in MADE:
            connection.execute(f"delete from {schema}.made_raw_tables".encode())
        idle.execute(f"lock table {tables} in row exclusive mode".encode())
        for ensure in every.values():
            with pytest.raises(raw_tables.RawTablesLockedError) as caught:
                ensure(connection)
            told = str(caught.value)
            assert f"pid {idle.info.backend_pid} (an-idle-one, user " in told
            assert "idle in transaction since" in told
            assert "pg_terminate_backend" in caught.value.remedy
        idle.rollback()
        for schema in MADE:
            idle.execute(f"lock table {schema}.made_raw_tables in access exclusive mode".encode())
        for ensure in every.values():
            with pytest.raises(raw_tables.RawTablesLockedError, match=r"made_raw_tables.*0.2 s"):
                ensure(connection)
        idle.rollback()
        monkeypatch.setattr(raw_tables, "TURN_SECONDS", 0.3)
        idle.execute("select pg_advisory_xact_lock(7310001)")
        with pytest.raises(raw_tables.RawTablesLockedError, match=r"the turn .* within 0.3 s"):
            github.ensure_schema(connection)
        idle.rollback()
        for ensure in every.values():
            ensure(connection)
        connection.execute("grant execute on function public.complete_commit() to public")
        github.ensure_schema(connection)
        assert connection.execute(
            "select has_function_privilege('public', 'public.complete_commit()', 'execute')"
        ).fetchone() == (False,), "what somebody opened is closed again"
        connection.execute("drop index public.commits_date, scout.raw_ingestion_quarantine_file_id")
        connection.execute("alter table public.raw_runs drop column started_at")
        connection.execute("drop trigger take_positions_in_order on webhooks.deliveries")
        gone = shape(connection)
        for ensure in every.values():
            ensure(connection)
        assert len(shape(connection) - gone) == 4, "what somebody took away is made again"


@pytest.mark.parametrize(
    "shape",
    [
        "create table scout.made_raw_tables (name text primary key, made_at timestamptz)",
        "create table scout.made_raw_tables (name int, fingerprint text, made_at timestamptz)",
        "create table scout.made_raw_tables (name text, fingerprint text, made_at timestamptz)",
        "create view scout.made_raw_tables as select '' as name, '' as fingerprint",
        "create sequence scout.made_raw_tables",
    ],
)
def test_another_table_where_it_is_remembered_what_was_made_is_told(
    database: str, shape: str
) -> None:
    tables = raw_tables.RawTables("the tables", "scout", 1, "create schema if not exists scout")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create schema scout")
        connection.execute(shape.encode())
        with pytest.raises(raw_tables.NotRememberedError, match=r"scout\.made_raw_tables"):
            raw_tables.ensure_raw_tables(connection, tables)


def columns(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, ...]]:
    return set(
        connection.execute(
            "select table_name, column_name, data_type from information_schema.columns "
            "where table_schema = 'raw'"
        ).fetchall()
    )


def test_a_store_of_the_first_day_gets_the_columns_of_a_new_one() -> None:
    found = []
    for before in ("", (HERE / "agent_analytics.sql").read_text()):
        with duckdb.connect() as connection:
            connection.execute(before)
            agents.ensure_schema(connection)
            found.append(columns(connection))
    assert found[1] == found[0]


def test_a_store_with_metrics_in_one_table_is_refused_with_what_to_do() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema raw; create table raw.otel_metrics (id bigint)")
        with pytest.raises(StoreOutdatedError, match="load what it was made from anew"):
            agents.ensure_schema(connection)
        assert columns(connection) == {("otel_metrics", "id", "BIGINT")}


def merge_accounts(connection: psycopg.Connection) -> None:
    github.merge_accounts(connection)


def revert_a_merge(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="there is no merge 1"):
        connection.execute("select public.revert_contributor_merge(1)")


def begin_a_build(connection: psycopg.Connection) -> None:
    with scout.one_build_at_a_time(connection):
        pass


def remove_a_run(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="There is no run none"):
        connection.execute("select public.remove_run('none')")


@pytest.mark.parametrize(
    ("ensure", "work", "turns"),
    [
        (github.ensure_schema, merge_accounts, "github_api.merge_turns"),
        (github.ensure_schema, revert_a_merge, "github_api.merge_turns"),
        (scout.ensure_schema, begin_a_build, "scout.builds"),
        (compass.ensure_schema, remove_a_run, "public.load_turns"),
    ],
)
def test_who_only_reads_holds_up_no_load_and_no_build(
    database: str, ensure: Ensure, work: Ensure, turns: str
) -> None:
    schema = turns.partition(".")[0]
    with (
        psycopg.connect(database, autocommit=True) as owner,
        psycopg.connect(database, autocommit=True) as reader,
    ):
        ensure(owner)
        owner.execute("set lock_timeout = '5s'")
        owner.execute(f"create role {READER}".encode())
        try:
            owner.execute(f"grant usage on schema {schema} to {READER}".encode())
            owner.execute(f"grant select on all tables in schema {schema} to {READER}".encode())
            reader.execute(f"set role {READER}".encode())
            for lock in (7_310_002, 7_310_022, 7_510_002):
                reader.execute("select pg_advisory_lock(%s)", (lock,))
            reader.execute("begin")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), reader.transaction():
                reader.execute(f"lock table {turns} in row share mode".encode())
            reader.execute(f"lock table {turns} in access share mode".encode())
            work(owner)
            reader.execute("rollback")
        finally:
            reader.close()
            owner.execute(f"drop owned by {READER}; drop role {READER}".encode())
