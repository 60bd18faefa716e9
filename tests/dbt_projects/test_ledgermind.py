"""LedgerMind's marts on PostgreSQL and on the BigQuery emulator, from one set of models."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from google.cloud import bigquery

from deployments.local.postgres import EmbeddedPostgres
from flows._shared.environment import set_environment
from flows.ledgermind.raw import operational
from flows.ledgermind.records import EXAMPLE_QUERY, FeedbackShape, Sample
from flows.ledgermind.sample import mission_day, sample
from flows.ledgermind.settings import LedgermindBigQuerySettings
from flows.report.making import read_from
from tests.contracts import queries
from tests.databases import copy_database
from tests.dbt_projects.warehouse import Row, install_packages
from tests.deployments.grafana.panels import assert_panels_answer
from tests.ledgermind.warehouses import Warehouses
from tests.report.on_builds import ledgermind_page_is_right
from tests.report.shown import page_of

NOVEMBER_4 = date(2025, 11, 4)
DATABASE = "ledgermind_marts"
ADAPTERS = ("pg_local", "bigquery")
# Far behind the newest day: a reaction written with an old date, one deleted, one rewritten in
# place, an event rewritten in place.
OLD_DAYS_CHANGE = """
insert into suggestion_feedback
select gen_random_uuid(), id, 'accept', null, null, created_at + interval '1 minute'
from suggestion_events where created_at::date = '{days[15]}' limit 3;
delete from suggestion_feedback where id = (
    select min(id::text)::uuid from suggestion_feedback where created_at::date = '{days[8]}'
);
update suggestion_feedback set action = 'undo' where id = (
    select min(id::text)::uuid from suggestion_feedback
    where created_at::date = '{days[12]}' and action <> 'undo'
);
update suggestion_events set mode = case mode when 'auto' then 'model' else 'auto' end
where id = (
    select min(id::text)::uuid from suggestion_events where created_at::date = '{days[20]}'
);
"""
# What LedgerMind's own migrations did to feedback, and more of their kind.
OWNERS_MIGRATION = """
create type suggestion_action as enum ('accept', 'reject');
create type requested_mode as enum ('auto', 'model', 'heuristic');
do $$ begin
    execute format('create type category as enum (''Other'', %s)', (
        select string_agg(distinct quote_literal(label), ', ') from transaction_labels
        where label <> 'Other'
    ));
end $$;
update suggestion_feedback set action = 'reject' where action = 'undo';
alter table suggestion_feedback rename column reason to "Reason";
alter table suggestion_feedback
    drop column user_ts,
    add column txn_id integer not null default 0,
    add column label category not null default 'Other',
    add column user_id varchar(128),
    alter column event_id drop not null,
    alter column action type suggestion_action using action::suggestion_action,
    alter column created_at type timestamptz using created_at at time zone 'UTC';
alter table transactions drop column description, alter column amount type numeric(14, 2),
    alter column date type timestamptz using date::timestamp at time zone 'UTC',
    alter column user_id type bigint, alter column tenant_id type bigint;
alter table suggestion_events
    drop column features_hash,
    add column created_at_utc timestamptz default now(),
    alter column candidates type text,
    alter column mode type requested_mode using mode::requested_mode,
    alter column created_at type timestamptz using created_at at time zone 'UTC';
alter table suggestion_feedback add column created_at_utc timestamptz default now();
alter table model_registry drop column notes, drop column created_at;
alter table ml_features drop column tokens,
    alter column is_weekend type smallint using is_weekend::integer,
    alter column ts_month type timestamptz using ts_month::timestamp at time zone 'UTC';
alter table transactions drop column created_at;
alter table transaction_labels drop column created_at, alter column source type varchar(20),
    alter column label type category using label::category;
"""
# Keys of other types, one table of two that are joined before the other.
KEYS_MIGRATION = """
alter table suggestion_feedback alter action type text; drop type suggestion_action;
alter table suggestion_events alter mode type text, alter candidates type json
    using candidates::json;
drop type requested_mode;
alter table suggestion_events alter id type text, alter txn_id type bigint;
alter table transactions alter id type bigint;
alter table ml_features alter merchant type char(60), alter mcc type char(4);
alter table transaction_labels alter label type char(40);
"""
# Half of the transactions get keys that are no numbers or are written otherwise; the others large.
OTHER_KEY = """(case when {key} % 4 = 0 then 'uuid-' || {key} when {key} % 2 = 0 then '00' || {key}
    else ({key} + 9000000000000000000)::text end)"""
NAMED_TRANSACTIONS = f"""
alter table ml_features drop constraint ml_features_txn_id_fkey,
    alter txn_id type text using {OTHER_KEY.format(key="txn_id")};
alter table transaction_labels drop constraint transaction_labels_txn_id_fkey,
    alter txn_id type text using {OTHER_KEY.format(key="txn_id")};
alter table transactions alter id type text using {OTHER_KEY.format(key="id")};
update suggestion_events set txn_id = {OTHER_KEY.format(key="txn_id::bigint")};
"""


def other_number(number: int | None) -> int | None:
    return int(number) + 9_000_000_000_000_000_000 if number and number % 2 else None


EVALUATED = """
select txn_id, feedback_id, action, suggested_label, true_label, is_accepted
from analytics.fct_suggestions_eval order by feedback_id
"""
# A label that is corrected, one that is gone and one of what had none; a reaction whose own label
# is another, and one that is to another event.
LABELS_CHANGE = """
create temporary table answered as
    select distinct txn_id from suggestion_events
    where id in (select event_id from suggestion_feedback);
update transaction_labels set label = 'Corrected{number}'
where txn_id = (select min(txn_id) from answered join transaction_labels using (txn_id));
delete from transaction_labels
where txn_id = (select max(txn_id) from answered join transaction_labels using (txn_id));
insert into transaction_labels (txn_id, label, source, created_at, updated_at)
select min(txn_id), 'New{number}', 'human', now(), now()
from answered left join transaction_labels using (txn_id) where label is null;
update suggestion_feedback set label = 'Rewritten{number}'
where id = (select min(id::text)::uuid from suggestion_feedback where event_id is not null);
"""
MOVED_REACTION = """
update suggestion_feedback set event_id = (select min(id::text)::uuid from suggestion_events)
where id = (select max(id::text)::uuid from suggestion_feedback where event_id is not null);
"""
TRAINED = "select txn_id from analytics.fct_training_view order by 1"


# Written after a build has read, before its tests count.
MEANWHILE = """
insert into suggestion_events (id, txn_id, model_id, candidates, mode, created_at)
select gen_random_uuid(), min(id), 'lgbm@new', '[]', 'auto', now() at time zone 'UTC'
from transactions;
insert into suggestion_feedback
select (jsonb_populate_record(reaction, jsonb_build_object(
    'id', gen_random_uuid(), 'created_at', now() at time zone 'UTC'))).*
from suggestion_feedback as reaction limit 1;
"""
# Of a model of its own and of one that answers.
AHEAD = """
insert into suggestion_events (id, txn_id, model_id, candidates, mode, created_at)
select gen_random_uuid(), min(txn_id), unnest(array['lgbm@ahead', max(model_id)]), '[]', 'auto',
    '2031-05-05' from suggestion_events;
"""
OF_WHAT_IS_THERE = (
    *(
        "every_event_of_the_source_is_built_once",
        "every_feedback_row_with_an_event_is_counted_once",
    ),
    *("daily_events_equal_all_suggestions", "daily_verdicts_equal_the_answered_events"),
    "kpi_events_equal_all_suggestions",
)
EXPIRING = "{partition_expiration_days: 90}"
# tests/ledgermind/test_flow.py runs every test on both.
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
MARTS_OF_DAYS = ("mart_suggestions_daily", "fct_suggestions_eval")
OF_DAYS = ("--select", "+mart_suggestions_tenant_daily", *(f"+{each}" for each in MARTS_OF_DAYS))


@pytest.fixture(scope="module")
def database(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """One database for all tests here, since dbt parses a project anew for another."""
    state = tmp_path_factory.mktemp("dbt")
    install_packages("ledgermind", state)
    yield postgres.create_database(DATABASE), state
    postgres.drop_database(DATABASE)


@pytest.fixture
def warehouses(database: tuple[str, Path], bigquery_emulator: str) -> Warehouses:
    """No operational tables, no copy and no marts."""
    url, state = database
    made = Warehouses(url, bigquery_emulator, LedgermindBigQuerySettings(), state)
    made.execute("drop schema if exists analytics cascade")
    made.execute("drop schema public cascade")
    made.execute("create schema public")
    for dataset in (made.settings.dataset, made.settings.raw_dataset):
        made.client().delete_dataset(dataset, delete_contents=True, not_found_ok=True)
    return made


@pytest.fixture(scope="module")
def kept(postgres: EmbeddedPostgres) -> Iterator[set[FeedbackShape]]:
    """The shapes of which a database with the small sample built is kept, to be copied."""
    shapes: set[FeedbackShape] = set()
    yield shapes
    for shape in shapes:
        postgres.drop_database(f"{DATABASE}_{shape.value}")


@pytest.fixture
def built(
    warehouses: Warehouses,
    postgres: EmbeddedPostgres,
    kept: set[FeedbackShape],
    request: pytest.FixtureRequest,
) -> Warehouses:
    """The small sample, in the shape that the test names, with its marts on PostgreSQL."""
    shape: FeedbackShape = request.param
    name = f"{DATABASE}_{shape.value}"
    if shape in kept:
        copy_database(postgres, name, DATABASE)
    else:
        create(warehouses, sample(600, seed=11), shape)
        warehouses.build_untested("pg_local")
        copy_database(postgres, DATABASE, name)
        kept.add(shape)
    return warehouses


def create(warehouses: Warehouses, made: Sample, shape: FeedbackShape) -> None:
    with psycopg.connect(warehouses.url, autocommit=True) as connection:
        operational.create_operational_database(connection, made, shape)


def as_texts(contents: dict[str, list[Row]]) -> dict[str, list[list[str]]]:
    """The facts, whatever types keys have."""
    return {
        name: sorted([str(value) for value in row] for row in rows)
        for name, rows in contents.items()
    }


def append(warehouses: Warehouses, made: Sample, shape: FeedbackShape) -> None:
    with psycopg.connect(warehouses.url, autocommit=True) as connection:
        operational.write_rows(connection, made, shape)


@pytest.mark.parametrize(
    "shape", [FeedbackShape.V1, pytest.param(FeedbackShape.V2, marks=pytest.mark.exhaustive)]
)
def test_the_missions_day_gives_the_missions_figures_on_both_adapters(
    warehouses: Warehouses, shape: FeedbackShape
) -> None:
    create(warehouses, mission_day(), shape)
    warehouses.export()
    warehouses.build("pg_local", *NO_UNIT_TESTS, "--select", "+mart_suggestions_kpis")
    warehouses.build(
        "bigquery", *NO_UNIT_TESTS, "--select", "+mart_suggestions_kpis", "--vars", EXPIRING
    )

    feedback = (NOVEMBER_4, "auto", "heuristic@v1", 12, 4, 4, 0, 0.5)
    assert warehouses.query("select * from analytics.mart_suggestions_feedback_daily") == [feedback]
    kpis = (NOVEMBER_4, 12, 0, 0, 1.0, 0.5)
    assert warehouses.query("select * from analytics.mart_suggestions_kpis") == [kpis]
    shown = warehouses.query(
        "select avg_candidate_count_overall::text from analytics.mart_suggestions_kpis"
    )
    assert shown == [("1.00000000000000000000",)]
    columns = warehouses.tables()
    for table, row in (
        ("mart_suggestions_feedback_daily", feedback),
        ("mart_suggestions_kpis", kpis),
    ):
        assert warehouses.bigquery_rows(table, columns[table]) == [row]

    is_partitioned_and_clustered(warehouses)

    # LedgerMind goes on while a build reads, and there partitions of that day have expired.
    warehouses.execute(MEANWHILE)
    warehouses.test("pg_local", "--select", *OF_WHAT_IS_THERE)
    for mart in ("daily", "feedback_daily", "kpis"):
        gone = f"delete from {warehouses.settings.dataset}.mart_suggestions_{mart} where true"
        warehouses.client().query(gone).result()
    warehouses.test("bigquery", "--select", *OF_WHAT_IS_THERE, "--vars", EXPIRING)
    with pytest.raises(AssertionError, match="kpi_events_equal_all_suggestions"):
        warehouses.test("bigquery", "--select", *OF_WHAT_IS_THERE)


def is_partitioned_and_clustered(warehouses: Warehouses) -> None:
    """As the emulator keeps it of the created tables; clustering, which it forgets, as it was sent.

    What expires is computed from no more, and what is computed from stays.
    """
    client, dataset = warehouses.client(), warehouses.settings.dataset
    sent = [
        re.findall(
            r"create or replace table `[^`]+`\.`[^`]+`\.`(\w+)`(.*?)\bas \(", job.query, re.S
        )
        for job in client.list_jobs()
        if isinstance(job, bigquery.QueryJob)
    ]
    clustering = {
        name: tuple(re.findall(r"\w+", "".join(re.findall(r"cluster by ([\w, `]+)", options))))
        for ((name, options),) in filter(None, sent)
    }
    found = {}
    for table in client.list_tables(dataset):
        name, partition = table.table_id, client.get_table(table.reference).time_partitioning
        if partition:
            days = partition.expiration_ms and partition.expiration_ms / 86_400_000
            found[name] = (partition.field, days, clustering[name])
    by_model = ("mode", "model_id")
    assert found == {
        "int_suggestions": ("created_date", None, by_model),
        "int_suggestions_daily": ("created_date", None, by_model),
        "mart_suggestions_daily": ("created_date", 90, by_model),
        "mart_suggestions_feedback_daily": ("created_date", 90, by_model),
        "mart_suggestions_kpis": ("created_date", 90, ()),
    }


def test_new_late_changed_and_deleted_rows_reach_the_marts_of_both_adapters(
    warehouses: Warehouses,
) -> None:
    """The incremental build equals a full refresh, and BigQuery equals PostgreSQL."""
    shape = FeedbackShape.V1
    everything = sample(1_500, seed=3)
    days = sorted({event.created_at.date() for event in everything.events})
    last = days[-1]
    late = [event for event in everything.events if event.created_at.date() == days[10]][:5]
    held_back = {event.id for event in everything.events if event.created_at.date() == last}
    held_back |= {event.id for event in late}
    first, later = split(everything, held_back)
    create(warehouses, first, shape)
    warehouses.export()
    for adapter in ADAPTERS:
        warehouses.build_untested(adapter)
    before = warehouses.postgres_contents()
    assert warehouses.bigquery_contents() == before

    append(warehouses, later, shape)
    gone, emptied = days[3], days[5]
    warehouses.execute(
        "delete from suggestion_events where id = (select max(id::text)::uuid "
        f"from suggestion_events where created_at::date = '{gone}')"
    )
    warehouses.execute(f"delete from suggestion_events where created_at::date = '{emptied}'")
    warehouses.execute(
        "update transactions set tenant_id = 99, updated_at = '2026-01-01 00:00+00' where id = 7"
    )
    warehouses.execute(OLD_DAYS_CHANGE.format(days=days))
    warehouses.execute(AHEAD)
    warehouses.export()
    # A build that is cut off after it has seen what changed must not hide it from the next.
    warehouses.build_untested("pg_local", "--select", "int_source_days")
    warehouses.build("pg_local", *NO_UNIT_TESTS, "--exclude-resource-type", "test")
    warehouses.build_untested("bigquery")
    for adapter in ADAPTERS:
        warehouses.test(adapter, "--select", *OF_WHAT_IS_THERE)
    incremental = warehouses.postgres_contents()
    assert warehouses.bigquery_contents() == incremental

    warehouses.build_untested("pg_local", "--full-refresh")
    assert warehouses.postgres_contents() == incremental
    counted = {row[0]: row[1] for row in incremental["mart_suggestions_kpis"]}
    assert last in counted
    assert emptied not in counted
    assert "lgbm@ahead" in str(incremental["mart_suggestions_daily"])
    assert "lgbm@ahead" not in str(incremental["mart_model_comparison"])
    assert counted[gone] == {row[0]: row[1] for row in before["mart_suggestions_kpis"]}[gone] - 1
    ledgermind_page_is_right(read_from("ledgermind", warehouses.url), warehouses.query)
    assert warehouses.query(EXAMPLE_QUERY)
    assert_panels_answer("analytics-ledgermind", warehouses.query)
    what_is_cut_is_told(warehouses)
    client = warehouses.client()
    assert_panels_answer(
        "analytics-ledgermind-bigquery",
        lambda sql: [tuple(row) for row in client.query(sql).result()],
    )


def what_is_cut_is_told(warehouses: Warehouses) -> None:
    """More models than the page lists, of which those in a phase were asked least; a tenant who
    begins long after all others."""
    warehouses.execute(
        "insert into analytics.mart_model_comparison select (jsonb_populate_record(one, "
        "jsonb_build_object('model_id', 'model ' || number, 'phase', "
        "case when number > 33 then 'shadow' end, 'promotion', "
        "case when number = 35 then 'promote to canary' else 'wait' end, 'events', -number))).* "
        "from analytics.mart_model_comparison as one, generate_series(1, 35) as number "
        "where one.model_id = (select min(model_id) from analytics.mart_model_comparison);"
        "insert into analytics.mart_tenant_cohorts select (jsonb_populate_record(one, "
        "jsonb_build_object('cohort_week', cohort_week + 210))).* "
        "from analytics.mart_tenant_cohorts as one where cohort_week = "
        "(select max(cohort_week) from analytics.mart_tenant_cohorts)"
    )
    before = page_of(read_from("ledgermind", warehouses.url)).parts["cohorts"].records()
    shown = ("rpt_ledgermind_models", "rpt_ledgermind_cohorts")
    warehouses.build("pg_local", *NO_UNIT_TESTS, "--select", *shown)
    parts = page_of(read_from("ledgermind", warehouses.url)).parts
    models = parts["models"]
    assert "Ready: model 35 (promote to canary)." in models.text
    assert {"model 34", "model 35"} < {row["Model"] for row in models.records()}
    ((many,),) = warehouses.query("select count(*) from analytics.mart_model_comparison")
    hidden = many - len(models.records())
    assert f"{hidden} models are in no phase and not shown." in models.text
    weeks = {row["First week"] for row in before}
    after = {row["First week"] for row in parts["cohorts"].records()}
    assert len(after - weeks) == 1
    assert len(after) == min(12, len(weeks) + 1)
    first = f"of all who began in the weeks of {min(after)} to {max(after)}, if that week is over."
    assert first in parts["cohorts"].text


def split(everything: Sample, held_back: set[UUID]) -> tuple[Sample, Sample]:
    """The database before: without the held-back events and without late reactions to others."""
    newest = max(event.created_at for event in everything.events if event.id not in held_back)
    early = [
        reaction
        for reaction in everything.feedback
        if reaction.event_id not in held_back and reaction.created_at.replace(tzinfo=None) <= newest
    ]
    known = {reaction.id for reaction in early}
    first = Sample(
        everything.tenants,
        everything.models,
        everything.transactions,
        [event for event in everything.events if event.id not in held_back],
        early,
    )
    later = Sample(
        [],
        [],
        [],
        [event for event in everything.events if event.id in held_back],
        [reaction for reaction in everything.feedback if reaction.id not in known],
    )
    assert len(later.feedback) > len(held_back) // 4, "no late feedback in this sample"
    return first, later


@pytest.mark.parametrize("built", [FeedbackShape.V2], indirect=True)
def test_on_postgresql_rewritten_candidates_are_seen_and_tables_are_written_in_place(
    built: Warehouses,
) -> None:
    """What others built on the marts stays, a table that has lost a column is made anew, and views
    in place of the source's tables give the same marts."""
    warehouses = built
    before = warehouses.postgres_contents()
    for relation in ("mart_suggestions_daily", "fct_suggestions_eval"):
        warehouses.execute(
            f"create view public.own_{relation} as select * from analytics.{relation}"
        )
    warehouses.execute(
        'update suggestion_events set candidates = \'[{"label": "X", "confidence": 0.1}]\' '
        "where created_at::date = (select max(created_at)::date from suggestion_events)"
    )
    warehouses.execute(LABELS_CHANGE.format(number=1))
    warehouses.execute("update model_registry set phase = 'live' where phase = 'shadow'")
    warehouses.execute("alter table analytics.mart_suggestions_kpis_30d drop accept_rate_30d")
    warehouses.execute("create publication told for table analytics.fct_suggestions_eval")

    warehouses.build_untested("pg_local")
    incremental = warehouses.postgres_contents()
    differing = {name for name, rows in incremental.items() if rows != before[name]}
    rewritten = {"int_suggestions", "mart_suggestions_confidence_daily", "fct_suggestions_eval"}
    assert rewritten | {"int_comparison_days"} <= differing
    assert "mart_suggestions_feedback_daily" not in differing
    for relation in ("mart_suggestions_daily", "fct_suggestions_eval"):
        assert warehouses.query(f"select count(*) from public.own_{relation}") == warehouses.query(
            f"select count(*) from analytics.{relation}"
        )
        warehouses.execute(f"drop view public.own_{relation}")
    warehouses.execute("drop publication told")
    warehouses.execute("alter table analytics.fct_suggestions_eval replica identity default")

    warehouses.build_untested("pg_local", "--full-refresh")
    assert warehouses.postgres_contents() == incremental

    warehouses.execute("create schema shown")
    for (table,) in warehouses.query(
        "select table_name from information_schema.tables where table_schema = 'public'"
    ):
        warehouses.execute(f"create view shown.{table} as select * from public.{table}")
    with set_environment({"DBT_POSTGRES_SOURCE_SCHEMA": "shown"}):
        warehouses.build_untested("pg_local")
        assert warehouses.postgres_contents() == incremental
        warehouses.execute("delete from suggestion_feedback where action = 'reject'")
        warehouses.execute(LABELS_CHANGE.format(number=2) + MOVED_REACTION)
        warehouses.build_untested("pg_local")
    without_rejects = warehouses.postgres_contents()
    assert without_rejects != incremental
    with psycopg.connect(warehouses.url, options="-c search_path=analytics") as connection:
        for consumer, query in queries("ledgermind").items():
            assert connection.execute(query.encode()).fetchall(), consumer
    warehouses.build_untested("pg_local", "--full-refresh")
    assert warehouses.postgres_contents() == without_rejects


@pytest.mark.parametrize("built", [FeedbackShape.V1], indirect=True)
def test_the_owners_migration_runs_after_a_build_and_the_next_build_is_right(
    built: Warehouses,
) -> None:
    """Nothing here keeps LedgerMind from altering its tables, nor from altering them back."""
    warehouses = built
    before = warehouses.postgres_contents()
    daily = "select sum(accepts)::int, sum(rejects)::int, sum(undos)::int from {} order by 1"
    [(accepts, rejects, undos)] = warehouses.query(
        daily.format("analytics.mart_suggestions_feedback_daily")
    )
    assert undos
    plan = warehouses.query("explain select * from analytics.stg_suggestion_feedback")
    assert "Function Scan" not in str(plan), "what reads the view does not see the table's indexes"

    # Days are those of UTC, whatever the zone of whoever asks.
    warehouses.execute(f"alter database {DATABASE} set timezone to 'Pacific/Kiritimati'")
    try:
        warehouses.execute(OWNERS_MIGRATION)
        warehouses.build_untested("pg_local")
        migrated = warehouses.postgres_contents()
        assert warehouses.query(daily.format("analytics.mart_suggestions_feedback_daily")) == [
            (accepts, rejects + undos, 0)
        ]
        of_events = "mart_suggestions_daily"
        assert migrated[of_events] == before[of_events]
        assert {row[2:4] for row in migrated["int_suggestions"]} == {
            row[2:4] for row in before["int_suggestions"]
        }
        warehouses.execute(KEYS_MIGRATION)
        warehouses.execute(
            "create view public.own_suggestions as select event_id from analytics.int_suggestions"
        )
        with pytest.raises(AssertionError, match="'int_suggestions': 'error'"):
            warehouses.build_untested("pg_local", "--select", "stg_suggestion_events+1")
        # Somebody's view is not dropped where keys of another type make its table anew.
        warehouses.execute("drop view public.own_suggestions")
        warehouses.build_untested("pg_local")
        assert as_texts(warehouses.postgres_contents()) == as_texts(migrated)
        warehouses.execute("alter table suggestion_feedback alter event_id type text")
        changed = ("--select", "stg_suggestion_feedback+1", "int_suggestions", "+fct_training_view")
        warehouses.build_untested("pg_local", *changed)
        assert as_texts(warehouses.postgres_contents()) == as_texts(migrated)
        warehouses.execute(
            "alter table suggestion_events drop constraint suggestion_events_txn_id_fkey, "
            "alter txn_id type text"
        )
        changed = (
            "--select",
            "stg_suggestion_events+1",
            "fct_suggestions_eval",
            "+fct_training_view",
        )
        warehouses.build_untested("pg_local", *changed)
        assert as_texts(warehouses.postgres_contents()) == as_texts(migrated)
        evaluated, trained = map(warehouses.query, (EVALUATED, TRAINED))
        warehouses.execute(NAMED_TRANSACTIONS)
        made = ("--select", "+fct_suggestions_eval", "+fct_training_view")
        warehouses.build_untested("pg_local", *made)
        assert warehouses.query(EVALUATED) == [
            (other_number(number), *rest) for number, *rest in evaluated
        ]
        assert warehouses.query(TRAINED) == [
            (other_number(each),) for (each,) in trained if each % 2
        ]
        told = "every_transaction_has_a_whole_number"
        assert warehouses.test("pg_local", "--select", told)[told] == "warn"
    finally:
        warehouses.execute(f"alter database {DATABASE} reset timezone")


@pytest.mark.parametrize("built", [FeedbackShape.V1], indirect=True)
def test_a_build_whose_clock_was_ahead_hides_no_later_row(built: Warehouses) -> None:
    warehouses = built
    for table, column in (
        ("int_source_days", "changed_at"),
        ("int_suggestions", "built_at"),
        ("int_suggestions_daily", "built_at"),
        ("mart_suggestions_tenant_daily", "built_at"),
        ("dbt_places", "built_at"),
    ):
        warehouses.execute(f"update analytics.{table} set {column} = {column} + interval '1 hour'")
    warehouses.execute(
        "insert into suggestion_events (id, txn_id, model_id, candidates, mode, created_at)"
        " select gen_random_uuid(), min(txn_id), 'lgbm@late', '[]', 'auto', min(created_at)"
        " from suggestion_events;"
        " insert into suggestion_feedback (id, event_id, action, created_at)"
        " select gen_random_uuid(), id, 'accept', created_at"
        " from suggestion_events where model_id = 'lgbm@late'"
    )
    warehouses.build_untested("pg_local", *OF_DAYS)
    incremental = warehouses.postgres_contents()
    for mart in MARTS_OF_DAYS:
        assert "lgbm@late" in str(incremental[mart]), mart

    # And the one after it, though the clock still is behind.
    warehouses.execute(
        "delete from suggestion_feedback where event_id in"
        " (select id from suggestion_events where model_id = 'lgbm@late');"
        " delete from suggestion_events where model_id = 'lgbm@late'"
    )
    warehouses.build_untested("pg_local", *OF_DAYS)
    assert "lgbm@late" not in str(warehouses.postgres_contents())


@pytest.mark.parametrize("built", [FeedbackShape.V1], indirect=True)
def test_models_that_are_made_anew_side_by_side_do_not_wait_for_each_other(
    built: Warehouses,
) -> None:
    warehouses = built
    before = warehouses.postgres_contents()
    side_by_side = ("int_suggestions_daily", "mart_suggestions_tenant_daily")
    waiting = (
        "select count(*) from pg_locks "
        "where not granted and relation = 'analytics.int_suggestions'::regclass"
    )
    with ThreadPoolExecutor(1) as pool, psycopg.connect(warehouses.url) as owner:
        owner.execute("lock table analytics.int_suggestions")
        building = pool.submit(
            warehouses.build_untested, "pg_local", "--full-refresh", "--select", *side_by_side
        )
        while not building.done() and warehouses.query(waiting) != [(len(side_by_side),)]:
            time.sleep(0.01)
        owner.rollback()
        building.result()
    assert warehouses.postgres_contents() == before


def test_before_postgresql_18_a_rows_version_is_the_transaction_itself(
    warehouses: Warehouses,
) -> None:
    create(warehouses, sample(600, seed=11), FeedbackShape.V2)
    warehouses.execute("alter function pg_catalog.hashxid(xid) rename to not_there_before_18")
    try:
        warehouses.build_untested("pg_local", "--select", "int_source_days")
        for table in ("suggestion_events", "suggestion_feedback", "transactions"):
            [(checksum,)] = warehouses.query(
                "select sum(checksum) from analytics.int_source_days "
                f"where source_table = '{table}'"
            )
            assert [(checksum,)] == warehouses.query(f"select sum(xmin::text::bigint) from {table}")
    finally:
        warehouses.execute("alter function pg_catalog.not_there_before_18(xid) rename to hashxid")


CONSTRAINTS_OF_A_FORMER_CONTRACT = """
alter table analytics.dim_merchants
    alter column confidence set not null, alter column merchant drop not null
"""
FILLED_COLUMNS = """
select attname from pg_attribute
where attrelid = 'analytics.dim_merchants'::regclass and attnotnull
    and attname in ('merchant', 'confidence')
"""


@pytest.mark.parametrize("built", [FeedbackShape.V2], indirect=True)
def test_a_second_build_changes_no_row_and_empty_tables_build(built: Warehouses) -> None:
    warehouses = built
    once = warehouses.postgres_contents()

    warehouses.build_untested("pg_local")
    assert warehouses.postgres_contents() == once

    # As after an update from a version that kept no places.
    warehouses.execute("drop table analytics.dbt_places")
    warehouses.execute("delete from analytics.fct_suggestions_eval where action = 'accept'")
    warehouses.execute("update analytics.mart_suggestions_feedback_received_daily set accepts = 0")
    warehouses.execute("alter table analytics.int_comparison_days drop verdict_groups")
    changed_by_hand = ("fct_suggestions_eval", "mart_suggestions_feedback_received_daily")
    warehouses.build_untested("pg_local", "--select", *changed_by_hand, "int_comparison_days")
    assert warehouses.postgres_contents() == once

    warehouses.execute("truncate suggestion_feedback, suggestion_events, transactions cascade")
    warehouses.execute(CONSTRAINTS_OF_A_FORMER_CONTRACT)
    warehouses.build("pg_local", *NO_UNIT_TESTS)
    assert warehouses.query(FILLED_COLUMNS) == [("merchant",)]
    left = {name: rows for name, rows in warehouses.postgres_contents().items() if rows}
    # Models are registered and there is one row of figures, though nothing has been suggested.
    assert set(left) == {"mart_model_comparison", "mart_suggestions_kpis_30d"}
    assert {model[4:7] for model in left["mart_model_comparison"]} == {(0, 0, 0)}
    assert left["mart_suggestions_kpis_30d"] == [(None, 0, 0, 0, 0, None)]
