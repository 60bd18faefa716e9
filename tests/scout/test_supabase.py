"""The layers as on Supabase: TLS, a transaction pooler, row-level security, a role for dbt."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from blocks.registration import register
from deployments.local.postgres import EmbeddedPostgres
from deployments.roles import DATABASES, Names, Role, Wanted, apply
from flows._shared.orchestration import DbtOptions
from flows.scout import raw
from flows.scout.flow import embed, refresh
from flows.scout.settings import EmbeddingSettings, ScoutSettings
from tests.scout.pooler import Pooler, pooling

NAMES = Names("scout_loader", "scout_dbt", "scout_reader")
ROLES = (NAMES.loader, NAMES.transformer, NAMES.reader, "scout_owner")


@pytest.fixture
def urls(postgres: EmbeddedPostgres) -> Iterator[dict[str, str]]:
    """A database as Supabase gives it: its owner may create roles and is no superuser.

    Raw tables that an earlier version made there as its owner are handed over.
    """
    admin = postgres.create_database("scout_pooled")

    def url(role: str) -> str:
        parts = urlsplit(admin)
        return f"postgresql://{role}:{role}@{parts.hostname}:{parts.port}/scout_pooled"

    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("create role scout_owner login createrole password 'scout_owner'")
        connection.execute("alter database scout_pooled owner to scout_owner")
        connection.execute("create extension vector")
    with psycopg.connect(url("scout_owner"), autocommit=True) as connection:
        raw.ensure_schema(connection)
        roles = Wanted(DATABASES["scout"], NAMES)
        apply(connection, roles, {role: NAMES[role] for role in Role})
        assert apply(connection, roles) == []
    yield {role: url(role) for role in ROLES}
    postgres.drop_database("scout_pooled")
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for role in ROLES:
            connection.execute(f"drop role {role}".encode())


@pytest.fixture
def pooler(urls: dict[str, str], tmp_path: Path) -> Iterator[Pooler]:
    pooled = {role: urls[role] for role in (NAMES.loader, NAMES.transformer)}
    with pooling(pooled, tmp_path) as pooler:
        yield pooler


def through(pooler: Pooler, role: str, sslmode: str = "require") -> str:
    return (
        f"postgresql://{role}:x@127.0.0.1:{pooler.port}/scout_pooled"
        f"?sslmode={sslmode}&gssencmode=disable"
    )


def test_the_pooler_forgets_sessions_and_takes_no_plain_text(pooler: Pooler) -> None:
    with psycopg.connect(through(pooler, "scout_dbt"), autocommit=True) as connection:
        connection.execute("set statement_timeout = 12345")
        seen = {connection.execute("show statement_timeout").fetchone() for _ in range(3)}
        assert seen == {("0",)}
    with pytest.raises(psycopg.OperationalError, match="TLS is required"):
        psycopg.connect(through(pooler, "scout_dbt", "disable"))


def test_layers_are_built_through_a_pooler_by_a_role_that_may_only_read_payloads(
    pooler: Pooler, urls: dict[str, str], prefect_server: str, is_exhaustive: bool
) -> None:
    register(
        ["scout"],
        {
            "SCOUT_DATABASE_URL": through(pooler, "scout_loader"),
            "SCOUT_DBT_DATABASE_URL": through(pooler, "scout_dbt"),
        },
    )
    settings = ScoutSettings(sample_payloads=500, sample_end=date(2026, 10, 31))
    variables = DbtOptions(variables={"as_of_date": "2026-10-31"}, full_refresh=True)

    unit_tests = () if is_exhaustive else ("resource_type:unit_test",)
    tested = variables.model_copy(update={"exclude": unit_tests})
    built = refresh("all", settings, tested, return_state=True)
    assert built.is_completed(), built.message
    untested = variables.model_copy(update={"exclude": ("resource_type:test", *unit_tests)})
    again = refresh("silver+", settings, untested, return_state=True)
    assert again.is_completed(), again.message
    embedded = embed(EmbeddingSettings(use_hashing=True), return_state=True)
    assert embedded.is_completed(), embedded.message
    assert pooler.transactions > 100

    with psycopg.connect(urls["scout_dbt"], autocommit=True) as connection:
        (payloads,) = _one(connection, "select count(*) from scout.raw_transaction_ingestion")
        assert payloads == 500 + 8
        (judged,) = _one(
            connection,
            "select (select count(*) from silver.silver_validated_transactions)"
            " + (select count(*) from silver.silver_rejected_transactions)",
        )
        assert judged == payloads
        for forbidden in (
            "insert into scout.raw_transaction_ingestion (raw_data, source) values ('1', 'me')",
            "delete from scout.raw_transaction_ingestion",
            "select * from scout.drive_folders",
            "create table scout.mine (a integer)",
            "drop table platinum.transaction_embedding_vectors",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())
    with psycopg.connect(urls["scout_loader"], autocommit=True) as connection:
        for forbidden in (
            "delete from silver.silver_validated_transactions",
            "drop table gold.gold_monthly_summary",
            "drop view platinum.platinum_transaction_embeddings",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())
        assert _one(
            connection, "select count(*) > 0 from platinum.platinum_transaction_embeddings "
            "where embedding is not null"
        ) == (True,)  # fmt: skip
        connection.execute("grant usage on schema scout to scout_reader")
        connection.execute("grant select on scout.raw_transaction_ingestion to scout_reader")
    with psycopg.connect(urls["scout_reader"], autocommit=True) as connection:
        found = "select count(*) > 0 from platinum.similar_transactions(%s)"
        shown = "select transaction_id from platinum.platinum_transaction_embeddings limit 1"
        assert connection.execute(found, _one(connection, shown)).fetchone() == (True,)
        assert _one(connection, "select count(*) from scout.raw_transaction_ingestion") == (0,)


def _one(connection: psycopg.Connection, query: str) -> tuple[object, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row
