"""LedgerMind's marts on tables whose owner makes them, alters them and says who may read what."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml

from deployments.local.postgres import EmbeddedPostgres
from flows._shared.environment import set_environment
from flows.ledgermind.raw import operational
from flows.ledgermind.records import FeedbackShape
from flows.ledgermind.sample import sample
from flows.ledgermind.settings import LedgermindBigQuerySettings
from tests.databases import copy_database, database_of
from tests.dbt_projects.warehouse import (
    PROJECTS,
    Row,
    dbt_as_in_flows,
    install_packages,
    postgres_environment,
)
from tests.ledgermind.warehouses import Warehouses
from tests.parsed import begin_parsed

DATABASE = database_of(Path(__file__))
READER = "ledgermind_owner_reader"
SOURCES = yaml.safe_load((PROJECTS / "ledgermind/models/sources.yml").read_text())["sources"]
READ = {
    table["name"]: [c["name"] for c in table.get("columns", ())] for table in SOURCES[0]["tables"]
}
# What a database or a role may have for a default.
DEFAULTS = {
    "datestyle": "German",
    "intervalstyle": "sql_standard",
    "extra_float_digits": "-5",
    "bytea_output": "escape",
    "timezone": "Pacific/Kiritimati",
    "search_path": "elsewhere",
    "quote_all_identifiers": "on",
}
BUILT = ("success", "pass", "warn", "no-op", "skipped")
HIDDEN = """
alter table ml_features enable row level security;
create policy own on ml_features to {role} using (txn_id < 50);
create policy everything on transactions using (true);
alter table transactions enable row level security;
"""


@dataclass(frozen=True)
class Owned:
    """A database of an owner, with marts that were built once."""

    warehouses: Warehouses

    def execute(self, statement: str) -> None:
        self.warehouses.execute(statement)

    def url_of(self, role: str) -> str:
        parts = urlsplit(self.warehouses.url)
        return f"postgresql://{role}:pw@{parts.hostname}:{parts.port}{parts.path}"

    def contents(self) -> dict[str, list[Row]]:
        return self.warehouses.postgres_contents()

    def failures(self, *options: str, role: str | None = None) -> dict[str, str]:
        """`dbt run`; what each model that could not be built says."""
        state = self.warehouses.state / "pg_local"
        url = self.url_of(role) if role else self.warehouses.url
        arguments = ["run", *options, "--exclude", "path:models/report"]
        for name in ("project-dir", "profiles-dir"):
            arguments += [f"--{name}", str(PROJECTS / "ledgermind")]
        arguments += ["--target-path", str(state), "--log-path", str(state / "logs"), "--quiet"]
        arguments += ["--no-write-json", "--log-level-file", "none"]
        with set_environment({**postgres_environment(url), "DO_NOT_TRACK": "1"}):
            begin_parsed("ledgermind", state)
            outcome = dbt_as_in_flows(arguments)
        if outcome.exception:
            raise outcome.exception
        return {
            each.node.name: " ".join(str(each.message).split())
            for each in outcome.result.results
            if str(each.status) not in BUILT
        }


@pytest.fixture(scope="module")
def kept(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """dbt's files; beside it a database that is built, to be copied."""
    state = tmp_path_factory.mktemp("dbt")
    install_packages("ledgermind", state)
    url = postgres.create_database(f"{DATABASE}_kept")
    with psycopg.connect(url, autocommit=True) as connection:
        operational.create_operational_database(connection, sample(200, seed=11), FeedbackShape.V1)
    kept = copy_database(postgres, f"{DATABASE}_kept", DATABASE)
    Warehouses(kept, "", LedgermindBigQuerySettings(), state).build_untested("pg_local")
    copy_database(postgres, DATABASE, f"{DATABASE}_kept")
    yield state
    for name in (DATABASE, f"{DATABASE}_kept"):
        postgres.drop_database(name)


@pytest.fixture
def owned(kept: Path, postgres: EmbeddedPostgres) -> Owned:
    url = copy_database(postgres, f"{DATABASE}_kept", DATABASE)
    return Owned(Warehouses(url, "", LedgermindBigQuerySettings(), kept))


@pytest.fixture
def reader(owned: Owned) -> Iterator[str]:
    """A role that builds by itself and may read the columns that are described, and no others."""
    there = owned.warehouses.query(
        "select relname, attname from pg_attribute inner join pg_class on pg_class.oid = attrelid"
        " where relnamespace = 'public'::regnamespace and attnum > 0"
    )
    grants = [
        f"grant select ({column}) on {table} to {READER}"
        for table, columns in READ.items()
        for column in columns
        if (table, column) in there
    ]
    owned.execute(
        f"drop schema analytics cascade; create role {READER} login password 'pw'; "
        f"grant create on database {DATABASE} to {READER}; "
        f"grant usage on schema public to {READER}; {'; '.join(grants)}"
    )
    yield READER
    owned.execute(f"drop owned by {READER} cascade; drop role {READER}")


def test_kinds_of_relations_and_defaults_of_the_database_change_nothing(owned: Owned) -> None:
    """Columns of a materialized view are those that it has, and values are read as they are."""
    owned.execute("alter table suggestion_events alter created_at type timestamptz")
    before = owned.contents()
    for table in ("suggestion_events", "transaction_labels", "ml_features"):
        owned.execute(
            f"alter table {table} rename to {table}_kept; "
            f"create materialized view public.{table} as select * from {table}_kept"
        )
    for name, value in DEFAULTS.items():
        owned.execute(f"alter database {DATABASE} set {name} to '{value}'")
    try:
        assert owned.failures("--full-refresh") == {}
    finally:
        with psycopg.connect(owned.warehouses.url, options="-c search_path=public") as connection:
            connection.execute(f"alter database {DATABASE} reset all".encode())
    assert owned.contents() == before


def test_a_row_that_is_edited_behind_a_view_is_seen(owned: Owned) -> None:
    owned.execute(
        "alter table suggestion_events rename to kept; "
        "create view public.suggestion_events as select * from kept"
    )
    assert owned.failures() == {}
    owned.execute(
        "update kept set candidates = '[]' "
        "where id in (select id from kept order by created_at limit 7); "
        "update kept set candidates = (select jsonb_agg(1e-16383) from generate_series(1, 70000)) "
        "where id = (select id from kept order by created_at desc limit 1)"
    )
    assert owned.failures("--select", "int_source_days", "int_suggestions") == {}
    counted = "select count(*) from analytics.int_suggestions where candidate_count = 0"
    assert owned.warehouses.query(counted) == owned.warehouses.query(
        "select count(*) from kept "
        "where case jsonb_typeof(candidates) when 'array' then candidates = '[]' else true end"
    )


def test_models_and_tenants_whose_names_read_alike_side_by_side_are_two(owned: Owned) -> None:
    owned.execute(
        "alter table transactions alter user_id type text; "
        "insert into transactions (id, user_id, date, amount, month, created_at, updated_at) "
        "values "
        "(900001, 'a|user:b', '2025-11-03', -7, '2025-11', '2025-11-03', '2025-11-03'), "
        "(900002, 'b', '2025-11-03', -7, '2025-11', '2025-11-03', '2025-11-03'); "
        "insert into suggestion_events (id, txn_id, model_id, candidates, mode, created_at) values "
        "('00000000-0000-0000-0000-000000000001', 900001, 'm', '[]', 'auto', '2025-11-03 08:00'), "
        "('00000000-0000-0000-0000-000000000002', 900002, 'm|user:a', '[]', 'auto', "
        "'2025-11-03 08:00'); "
        "insert into suggestion_feedback (id, event_id, action, created_at) "
        "select gen_random_uuid(), id, 'accept', '2025-11-03 09:00' from suggestion_events "
        "where txn_id > 900000"
    )
    made = ("--select", "int_source_days", "int_suggestions", "int_verdicts_daily")
    assert owned.failures(*made, "stg_transactions") == {}
    assert owned.warehouses.query(
        "select model_id, tenant_key, accepts from analytics.int_verdicts_daily "
        "where tenant_key like 'user:%b' order by 1"
    ) == [("m", "user:a|user:b", 1), ("m|user:a", "user:b", 1)]


MIGRATIONS = {
    "moments that are days": """
        alter table suggestion_events alter created_at type date;
        alter table suggestion_feedback alter created_at type date
    """,
    "keys in capitals": """
        alter table suggestion_feedback alter event_id type text using upper(event_id::text)
    """,
    "keys of a domain of a domain": """
        create domain key as integer;
        create domain transaction_key as key;
        alter table transactions alter id type transaction_key
    """,
}


@pytest.mark.parametrize("migration", MIGRATIONS.values(), ids=MIGRATIONS)
def test_columns_of_other_types_are_read_as_what_they_mean(owned: Owned, migration: str) -> None:
    figures = (
        "select created_date, sum(events)::int, sum(accepts + rejects + undos)::int "
        "from analytics.mart_suggestions_feedback_daily group by 1 order by 1"
    )
    before = owned.warehouses.query(figures)
    owned.execute(migration)
    assert owned.failures() == {}
    assert owned.warehouses.query(figures) == before


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "revoke select on transaction_labels from {role}",
            "grant select on public.transaction_labels to {role}",
        ),
        (
            "revoke select (date, merchant) on transactions from {role}",
            "grant select (date, merchant) on public.transactions to {role}",
        ),
        (HIDDEN, "row-level security may hide rows of public.ml_features"),
    ],
    ids=["no grant", "a grant on some columns", "row-level security"],
)
def test_what_a_role_may_not_read_is_no_row_that_is_not_there(
    owned: Owned, reader: str, statement: str, said: str
) -> None:
    assert owned.failures(role=reader) == {}
    trained = owned.warehouses.query("select count(*) from analytics.fct_training_view")
    owned.execute(statement.format(role=reader))
    failures = owned.failures(role=reader)
    assert failures
    assert all(said.format(role=reader) in each for each in failures.values()), failures
    assert owned.warehouses.query("select count(*) from analytics.fct_training_view") == trained


KEYLESS = """
alter table suggestion_feedback drop constraint suggestion_feedback_pkey;
alter table suggestion_events drop constraint suggestion_events_pkey cascade;
alter table transactions drop constraint transactions_pkey cascade;
alter table transaction_labels drop constraint transaction_labels_pkey;
alter table ml_features drop constraint ml_features_pkey;
alter table model_registry drop constraint model_registry_model_id_key,
    drop constraint model_registry_pkey;
alter table suggestion_events alter id drop not null;
"""
REPEATED = """
create temporary table repeated as
    select * from suggestion_events order by created_at desc, id limit 5;
insert into suggestion_events select * from repeated;
update repeated set created_at = created_at + interval '3 days';
insert into suggestion_events select * from repeated;
update repeated set id = null;
insert into suggestion_events select * from repeated limit 1;
insert into suggestion_feedback select * from suggestion_feedback limit 3;
insert into transactions select * from transactions limit 4;
insert into transaction_labels select * from transaction_labels limit 2;
insert into ml_features select * from ml_features limit 1;
insert into model_registry select * from model_registry limit 1;
"""


def test_rows_that_share_a_key_or_have_none_stop_nothing_and_the_first_counts(
    owned: Owned,
) -> None:
    """Which one counts is another where an earlier copy comes, or the first goes."""
    before = owned.contents()
    owned.execute(KEYLESS)
    owned.execute(REPEATED)
    statuses = owned.warehouses.build("pg_local", "--exclude-resource-type", "unit_test")
    assert statuses["no_row_of_ledgermind_is_kept_apart"] == "warn"
    assert owned.warehouses.query(
        "select source_table, reason, count(*)::int, count(row_id)::int "
        "from analytics.mart_rejected_rows group by 1, 2 order by 1, 2"
    ) == [
        ("ml_features", "repeated_key", 1, 1),
        ("model_registry", "repeated_key", 1, 1),
        ("suggestion_events", "missing_key", 1, 0),
        ("suggestion_events", "repeated_key", 10, 10),
        ("suggestion_feedback", "repeated_key", 3, 3),
        ("transaction_labels", "repeated_key", 2, 2),
        ("transactions", "repeated_key", 4, 4),
    ]
    changed = {name for name, rows in owned.contents().items() if rows != before[name]}
    assert changed == {"mart_rejected_rows"}

    figures = "select created_date, events from analytics.mart_suggestions_activity_daily"
    figures = figures.replace("events from", "suggestions from") + " order by 1"
    owned.execute(
        "insert into suggestion_events select id, txn_id, model_id, features_hash, candidates, "
        "mode, created_at - interval '9 days' from (select distinct on (id) * from "
        "suggestion_events where id is not null order by id, created_at limit 5) as firsts"
    )
    owned.warehouses.build("pg_local", "--exclude-resource-type", "unit_test")
    moved = owned.warehouses.query(figures)
    assert moved == owned.warehouses.query(
        "select created_at::date, count(*) from (select distinct on (id) * from suggestion_events "
        "where id is not null order by id, created_at) as firsts group by 1 order by 1"
    )


DROPPED = """
alter table transactions drop column category, drop column merchant, drop column amount,
    drop column date, drop column deleted_at;
alter table model_registry drop column created_at;
alter table transaction_labels drop column source, drop column created_at;
alter table ml_features drop column abs_amount, drop column mcc, drop column channel,
    drop column hour_of_day, drop column dow, drop column is_weekend, drop column is_subscription;
"""


def test_a_column_that_its_owner_drops_is_null_or_is_named_with_its_table(owned: Owned) -> None:
    """Suggestions are counted as before; what their counts need stops, with one message."""
    counted = "select * from analytics.mart_suggestions_tenant_daily order by day_tenant"
    before = owned.warehouses.query(counted)
    owned.execute(DROPPED)
    assert owned.failures() == {}
    assert owned.warehouses.query(counted) == before
    assert owned.warehouses.query("select count(*) from analytics.dim_merchants") == [(0,)]

    owned.execute("alter table transactions drop column tenant_id")
    failures = owned.failures()
    assert failures
    assert all(
        "public.transactions has no column tenant_id, " in said for said in failures.values()
    ), failures
