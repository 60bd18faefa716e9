"""Rows of LedgerMind's tables that a sender can write and that must stop nobody else's marts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows.ledgermind.raw import operational
from flows.ledgermind.records import FeedbackShape
from flows.ledgermind.sample import sample
from flows.ledgermind.settings import LedgermindBigQuerySettings
from tests.databases import database_of
from tests.dbt_projects.poison import Told, assert_each_is_named, assert_nobody_is_stopped
from tests.dbt_projects.warehouse import Row, Warehouse, install_packages
from tests.ledgermind.warehouses import Warehouses

DATABASE = database_of(Path(__file__))
LONG, VERY_LONG = "ab%'{{ x }}\\\n🦆" * 400, "x" * 1_000_000
TIMES = (
    *("9999-12-31 23:00", "infinity", "-infinity", "10000-01-01", "294276-12-31", "0044-03-15 BC"),
    *("1970-01-01", "1999-12-31 23:59:59.999999", "2100-01-01"),
)
# What a later version of LedgerMind's tables may take.
LAXER_TABLES = """
alter table model_registry drop constraint model_registry_model_id_key;
alter table suggestion_events drop constraint suggestion_events_txn_id_fkey,
    alter mode drop not null, alter candidates drop not null, alter created_at drop not null,
    alter txn_id drop not null;
alter table suggestion_feedback alter action drop not null, alter created_at drop not null,
    alter event_id drop not null;
alter table transactions alter merchant type text, alter category type text,
    alter user_id type text, alter date drop not null, alter updated_at drop not null,
    alter created_at drop not null;
alter table transaction_labels alter label type text, alter label drop not null,
    alter updated_at drop not null, alter source drop not null;
alter table ml_features alter ts_month drop not null, alter abs_amount drop not null,
    alter merchant type text;
"""
GOOD: dict[str, dict[str, str | None]] = {
    "transactions": {
        "user_id": "3", "tenant_id": "5", "date": "2025-11-03", "merchant": "Shop",
        "amount": "-7", "category": "Food", "month": "2025-11", "created_at": "2025-11-03",
        "updated_at": "2025-11-03",
    },
    "suggestion_events": {
        "model_id": "lgbm@poison", "mode": "auto", "created_at": "2025-11-03 08:00",
        "candidates": '[{"label": "Food", "confidence": 0.5}]',
    },
    "suggestion_feedback": {"action": "accept", "created_at": "2025-11-03 09:00"},
    "transaction_labels": {
        "label": "Food", "source": "human", "created_at": "2025-11-03", "updated_at": "2025-11-03",
    },
    "ml_features": {
        "ts_month": "2025-11-01", "amount": "-7", "abs_amount": "7", "merchant": "Shop",
        "hour_of_day": "8", "dow": "0",
    },
    "model_registry": {"model_id": "lgbm@registered", "created_at": "2025-11-03"},
}  # fmt: skip


@dataclass(frozen=True)
class Poison:
    """A row like a good one but for ``changes``. One that is kept apart is so for ``reason``."""

    table: str
    changes: dict[str, str | None]
    reason: str = ""


def of(table: str, column: str, *values: str | None, reason: str = "") -> dict[str, Poison]:
    return {
        f"{table}.{column} {str(value)[:40]!r} of {len(value or '')}": Poison(
            table, {column: value}, reason
        )
        for value in values
    }


def candidates(*values: str) -> list[str]:
    return [f'[{{"label": {value}, "confidence": {value}}}]' for value in values]


EVENTS = "suggestion_events"
FEEDBACK = "suggestion_feedback"
POISON = {
    **of(EVENTS, "created_at", *TIMES, None, reason="implausible_time"),
    **of(EVENTS, "created_at", "2000-01-01", "2099-12-31 23:59:59.999999"),
    **of(EVENTS, "mode", "", "shadow", "AUTO", " auto", VERY_LONG, "'; drop table x", None),
    **of(EVENTS, "model_id", "", LONG, VERY_LONG, f"{VERY_LONG}y", "🦆" * 300, "a|b", None),
    **of(EVENTS, "features_hash", VERY_LONG),
    **of(EVENTS, "candidates", "{}", "null", "1", "[]", "[null]", "[[]]", '"[]"', None),
    **of(EVENTS, "candidates", *candidates("1e400", "-1", '"NaN"', "1.0000001", "9" * 20_000)),
    **of(EVENTS, "candidates", *candidates(json.dumps(VERY_LONG), '{"a": 1}', "1e-9999", "null")),
    **of(EVENTS, "candidates", "[" * 3_000 + "]" * 3_000, json.dumps([{}] * 100_000)),
    **of(EVENTS, "txn_id", "-2147483648", "2147483647", None),
    **of(FEEDBACK, "created_at", *TIMES, None, reason="implausible_time"),
    **of(FEEDBACK, "created_at", "2000-01-01", "2099-12-31 23:59:59.999999"),
    **of(FEEDBACK, "action", "", "snooze", "ACCEPT", VERY_LONG, None),
    **of(FEEDBACK, "event_id", None, "00000000-0000-0000-0000-000000000000"),
    **of(FEEDBACK, "reason", VERY_LONG),
    **of("transactions", "updated_at", "infinity", "-infinity", "10000-01-01", "2099-12-31", None),
    **of("transactions", "date", "infinity", "-infinity", "5874897-12-31", "4713-01-01 BC", None),
    **of("transactions", "amount", "NaN", "infinity", "-infinity", "1e308", "0"),
    **of("transactions", "merchant", "", LONG, VERY_LONG, None),
    **of("transactions", "category", "", LONG, VERY_LONG),
    **of("transactions", "deleted_at", "infinity", "-infinity"),
    **of("transactions", "tenant_id", "-2147483648"),
    "a user with a long name": Poison("transactions", {"user_id": LONG, "tenant_id": None}),
    "another of its kind": Poison("transactions", {"user_id": f"{LONG}y", "tenant_id": None}),
    "nobody's": Poison("transactions", {"user_id": None, "tenant_id": None}),
    "of no time": Poison("transactions", {"created_at": "infinity", "updated_at": None}),
    **of("transaction_labels", "label", "", LONG, VERY_LONG, None),
    **of("transaction_labels", "source", "oracle", VERY_LONG, None),
    **of("transaction_labels", "updated_at", "infinity", "-infinity", "0044-03-15 BC", None),
    **of("ml_features", "ts_month", "infinity", "5874897-12-01", "2099-12-01", None),
    **of("ml_features", "amount", "NaN", "infinity", "0"),
    **of("ml_features", "abs_amount", "-1", "NaN", None),
    **of("ml_features", "hour_of_day", "25", "-2147483648"),
    **of("ml_features", "dow", "7"),
    **of("ml_features", "channel", VERY_LONG),
    **of("model_registry", "model_id", "", LONG, VERY_LONG, f"{VERY_LONG}y"),
    "retired": Poison("model_registry", {"model_id": "lgbm@a", "phase": "retired"}),
    "a phase in capitals": Poison("model_registry", {"model_id": "lgbm@b", "phase": "CANARY10"}),
    "a long phase": Poison("model_registry", {"model_id": "lgbm@c", "phase": VERY_LONG}),
    "of the future": Poison("model_registry", {"model_id": "lgbm@d", "created_at": "infinity"}),
}
TOLD = {
    "no_cohort_of_tenants_is_older_than_its_last_week_by_ten_years",
    "no_row_of_ledgermind_is_kept_apart",
    "accepted_values_stg_suggestion_events_mode_as_sent__auto__model__heuristic",
    "accepted_values_stg_suggestion_feedback_action_as_sent__accept__reject__undo",
    "accepted_values_stg_transaction_labels_label_source__human__rule__import",
    "every_phase_that_is_registered_is_known",
    "not_after_month_end_fct_training_view_txn_date__ts_month",
    "not_null_stg_ml_features_ts_month",
    "not_null_stg_suggestion_events_mode_as_sent",
    "not_null_stg_suggestion_events_txn_id",
    "not_null_stg_suggestion_feedback_action_as_sent",
    "not_null_stg_transaction_labels_label",
    "not_null_stg_transaction_labels_updated_at",
    "shared_between_stg_ml_features_day_of_week__6__0",
    "shared_between_stg_ml_features_hour_of_day__23__0",
    "shared_not_in_future_stg_suggestion_events_created_at",
    "shared_not_in_future_stg_suggestion_feedback_created_at",
    "shared_not_negative_stg_ml_features_abs_amount",
}
# State of a version that took such days for days.
STATE_OF_BEFORE = """
insert into analytics.int_source_days values
    ('suggestion_events|x', 'suggestion_events', '9999-12-31', 1, 1, '2999-01-01'),
    ('suggestion_events|y', 'suggestion_events', 'infinity', 0, 0, '2999-01-01');
insert into analytics.int_suggestions_daily (day_mode_model_bucket, created_date, mode, model_id,
    events, built_at) values ('x', 'infinity', 'auto', 'x', 1, '2025-01-01');
"""


@dataclass
class Written:
    """Keys of the rows of poison and of those they hang on, by table and name."""

    keys: dict[str, dict[str, str]] = field(default_factory=dict)

    def insert(
        self, connection: psycopg.Connection, name: str, table: str, **values: str | None
    ) -> str:
        row = {**GOOD[table], **values}
        number = len(self.keys.setdefault(table, {}))
        key = "txn_id" if table in ("transaction_labels", "ml_features") else "id"
        is_named = table in (EVENTS, FEEDBACK)
        row.setdefault(key, str(uuid5(NAMESPACE_OID, name)) if is_named else str(900_000 + number))
        columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
        connection.execute(
            f"insert into {table} ({columns}) values ({places})".encode(), list(row.values())
        )
        self.keys[table][name] = str(row[key])
        return str(row[key])

    def delete(self, connection: psycopg.Connection) -> None:
        for table in (FEEDBACK, EVENTS, "transactions", "model_registry"):
            connection.execute(
                f"delete from {table} where id::text = any(%s)".encode(),
                [list(self.keys[table].values())],
            )


def write(connection: psycopg.Connection) -> Written:
    """Each poison, with a good row of every table that leads to it or from it."""
    written = Written()
    for name, poison in POISON.items():
        given = {poison.table: poison.changes}
        if poison.table == "model_registry":
            written.insert(connection, name, poison.table, **poison.changes)
            continue
        transaction = written.insert(
            connection, name, "transactions", **given.get("transactions", {})
        )
        for table in ("transaction_labels", "ml_features"):
            written.insert(
                connection, name, table, **{"txn_id": transaction, **given.get(table, {})}
            )
        event = written.insert(
            connection, name, EVENTS, **{"txn_id": transaction, **given.get(EVENTS, {})}
        )
        written.insert(connection, name, FEEDBACK, **{"event_id": event, **given.get(FEEDBACK, {})})
    return written


@dataclass
class Built:
    warehouses: Warehouses
    clean: dict[str, list[Row]] = field(repr=False)
    written: Written = field(repr=False)
    statuses: dict[str, str] = field(repr=False)


@pytest.fixture(scope="module")
def built(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A clean database and its marts, to which all poison comes at once before the next build."""
    state = tmp_path_factory.mktemp("dbt")
    install_packages("ledgermind", state)
    url = postgres.create_database(DATABASE)
    warehouses = Warehouses(url, "", LedgermindBigQuerySettings(), state)
    with psycopg.connect(url, autocommit=True) as connection:
        operational.create_operational_database(connection, sample(600, seed=11), FeedbackShape.V1)
        connection.execute(LAXER_TABLES)
        warehouses.build_untested("pg_local")
        clean = warehouses.postgres_contents()
        written = write(connection)
    statuses = Warehouse("ledgermind", url, state / "pg_local").dbt(
        "build", "--exclude-resource-type", "unit_test"
    )
    yield Built(warehouses, clean, written, statuses)
    postgres.drop_database(DATABASE)


@pytest.mark.in_order
def test_no_row_of_ledgermind_stops_the_marts_of_others_and_each_is_told(built: Built) -> None:
    """Rows of impossible times are kept apart, news is counted as other, and both are told."""
    assert_nobody_is_stopped(built.statuses)
    assert {name for name, status in built.statuses.items() if status == "warn"} == TOLD
    query = built.warehouses.query
    rejected = {
        key: Told(table, reason)
        for table, key, reason in query("select * from analytics.mart_rejected_rows")
    }
    expected = {
        built.written.keys[each.table][name]: Told(each.table, each.reason)
        for name, each in POISON.items()
        if each.reason
    }
    assert_each_is_named(expected, rejected)
    assert set(rejected) == set(expected)
    # A month that is yet to come is not the newest one: it would be the whole test set.
    assert query(
        "select max(ts_month) < '2026-01-01', max(ts_month) = '2099-12-01',"
        " count(distinct ts_month) from analytics.fct_training_view where dataset_split = 'test'"
    ) == [(False, True, 2)]
    assert query(
        "select created_date, sum(events)::int from analytics.mart_suggestions_daily"
        " group by 1 order by 1"
    ) == query(
        "select created_at::date, count(*) from suggestion_events"
        " where created_at >= '2000-01-01' and created_at < '2100-01-01' group by 1 order by 1"
    )
    assert query(
        "select feedback_date, feedback_rows from"
        " analytics.mart_suggestions_feedback_received_daily order by 1"
    ) == query(
        "select created_at::date, count(*) from suggestion_feedback"
        " where created_at >= '2000-01-01' and created_at < '2100-01-01' group by 1 order by 1"
    )


@pytest.mark.in_order
def test_news_counts_as_other_and_long_names_stay_apart(built: Built) -> None:
    query, keys = built.warehouses.query, built.written.keys
    modes: dict[str, str] = dict(
        query("select event_id::text, mode from analytics.int_suggestions")
    )
    sent = {
        POISON[name].changes.get("mode", "auto"): modes.get(key)
        for name, key in keys[EVENTS].items()
        if POISON[name].table == EVENTS and "mode" in POISON[name].changes
    }
    assert sent == {mode: "auto" if mode == "AUTO" else "other" for mode in sent}
    long = query(
        "select count(distinct model_id), max(length(model_id)) from analytics.int_suggestions"
        " where model_id like 'xxx%' or model_id like 'ab|%%' escape '|'"
    )
    assert long == [(3, 200)]
    assert query(
        "select count(distinct tenant_key), max(length(tenant_key)) <= 205"
        " from analytics.int_suggestions where tenant_key like 'user:ab|%%' escape '|'"
    ) == [(2, True)]
    assert query(
        "select count(*), count(distinct model_id) from analytics.mart_model_comparison"
        " where model_id like 'xxx%'"
    ) == [(2, 2)]


@pytest.mark.in_order
def test_nothing_of_it_stays_in_state_when_it_is_deleted(built: Built) -> None:
    warehouses = built.warehouses
    warehouses.execute(STATE_OF_BEFORE)
    with psycopg.connect(warehouses.url, autocommit=True) as connection:
        built.written.delete(connection)
    warehouses.build_untested("pg_local")
    assert warehouses.postgres_contents() == built.clean
    assert warehouses.query(
        "select count(*) from analytics.int_source_days"
        " where source_day not between '2000-01-01' and '2099-12-31'"
    ) == [(0,)]
