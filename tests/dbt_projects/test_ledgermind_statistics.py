"""What the statistics of LedgerMind's marts promise, measured on made-up days."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from pathlib import Path

import numpy as np
import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows.ledgermind.settings import LedgermindBigQuerySettings
from flows.ledgermind.source import new_anomalies
from flows.report import words
from flows.report.making import read_from
from tests.dbt_projects.warehouse import in_order, install_packages
from tests.ledgermind.warehouses import Warehouses
from tests.report.shown import page_of
from tests.simulations.comparing import MODELS
from tests.simulations.compiled import Simulated, compile_models
from tests.simulations.experiments import EQUAL, phases

FIRST_DAY = date(2025, 1, 6)
COLUMNS = (
    "created_date date, mode text, model_id text, engine text, confidence_bucket text, "
    "events bigint, candidates bigint, accepts bigint, rejects bigint, undos bigint"
)
VERDICT_COLUMNS = (
    "created_date date, verdict_date date, mode text, model_id text, engine text, "
    "tenant_key text, accepts bigint, rejects bigint"
)
WATCHED = ("int_watched_days", "int_watched_departures", "mart_suggestions_anomalies")
COMPARISONS = ("int_comparison_days", "int_comparison_looks")
TENANTS = 8
Day = tuple[date, str, str, str, int, int, int]
Verdicts = tuple[date, date, str, str, str, str, int, int]


@pytest.fixture(scope="module")
def marts(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouses]:
    state = tmp_path_factory.mktemp("dbt")
    install_packages("ledgermind", state)
    url = postgres.create_database("ledgermind_statistics")
    yield Warehouses(url, "", LedgermindBigQuerySettings(), Path(state))
    postgres.drop_database("ledgermind_statistics")


def fill(
    marts: Warehouses,
    days: Iterable[Day],
    phases: dict[str, str],
    verdicts: Iterable[Verdicts] | None = None,
) -> None:
    """Put days in the place of int_suggestions_daily and phases in that of stg_models.

    Verdicts, in the place of int_verdicts_daily, are those of the days by eight tenants, unless
    others are given.
    """
    days = list(days)
    with psycopg.connect(marts.url) as connection:
        connection.execute("drop schema if exists analytics cascade")
        connection.execute("create schema analytics")
        connection.execute(f"create table analytics.int_suggestions_daily ({COLUMNS})".encode())
        connection.execute(
            f"create table analytics.int_verdicts_daily ({VERDICT_COLUMNS})".encode()
        )
        connection.execute("create table analytics.stg_models (model_id text, phase text)")
        with connection.cursor().copy("copy analytics.int_suggestions_daily from stdin") as copy:
            for day, mode, model, engine, events, accepts, rejects in days:
                copy.write_row(
                    (day, mode, model, engine, "75-100%", events, events, accepts, rejects, 0)
                )
        # What comes after it takes its place after it.
        connection.execute("alter table analytics.int_suggestions_daily add built_at timestamp")
        with connection.cursor().copy("copy analytics.int_verdicts_daily from stdin") as copy:
            for row in by_tenant(days) if verdicts is None else verdicts:
                copy.write_row(row)
        with connection.cursor().copy("copy analytics.stg_models from stdin") as copy:
            for model, phase in phases.items():
                copy.write_row((model, phase))


def by_tenant(days: Iterable[Day], tenants: int = TENANTS) -> Iterator[Verdicts]:
    """The days' verdicts in equal parts, given on the day of the suggestion."""
    for day, mode, model, engine, _, accepts, rejects in days:
        for tenant in range(tenants):
            name = f"tenant:{tenant}"
            accepted, rejected = (accepts + tenant) // tenants, (rejects + tenant) // tenants
            yield (day, day, mode, model, engine, name, accepted, rejected)


def build(marts: Warehouses, *models: str) -> None:
    marts.build("pg_local", "--select", *models, "--exclude-resource-type", "test")


def canary_against_live(
    accepts: int, live_accepts: int, days: int, *, verdicts: int = 50, live_engine: str = "lgbm"
) -> list[Day]:
    rows: list[Day] = []
    for day in range(days):
        when = FIRST_DAY + timedelta(days=day)
        rejects, live_rejects = verdicts - accepts, verdicts - live_accepts
        rows.append((when, "auto", "lgbm@new", "lgbm", verdicts, accepts, rejects))
        rows.append((when, "auto", "live@old", live_engine, verdicts, live_accepts, live_rejects))
    return rows


def test_the_marts_sql_says_in_postgresql_what_the_simulations_found_in_duckdb(
    marts: Warehouses,
) -> None:
    experiment, runs = EQUAL[2], 20
    drawn = experiment.draw(np.random.default_rng(5), runs).rows(0)
    models = phases(runs)
    given = dict(zip(models["model_id"].to_pylist(), models["phase"].to_pylist(), strict=True))
    fill(marts, [], given, (tuple(row.values()) for row in drawn.to_pylist()))
    build(marts, *MODELS)

    simulated = Simulated("analytics")
    simulated.put("int_verdicts_daily", drawn)
    simulated.put("stg_models", models)
    simulated.build(compile_models("ledgermind", marts.state / "compiled", *MODELS))
    for model in ("int_comparison_looks", "mart_ab_comparison"):
        query = f"select * from analytics.{model}"
        here, there = in_order(marts.query(query)), in_order(simulated.query(query))
        assert len(here) >= 5 * runs
        assert here == there
    simulated.close()


def test_a_real_difference_is_found_with_its_sign_and_the_first_decision_stands(
    marts: Warehouses,
) -> None:
    rows = canary_against_live(40, 30, 14)
    # From then on the two are equal: what was decided stays.
    fortnight = timedelta(days=14)
    for day, mode, model, *_ in canary_against_live(30, 30, 30):
        rows.append((day + fortnight, mode, model, "lgbm", 50, 30, 20))
    fill(marts, rows, {"lgbm@new": "canary", "live@old": "live"})
    build(marts, *MODELS)

    decisions = [
        decision
        for (decision,) in marts.query(
            "select decision from analytics.mart_ab_comparison order by created_date"
        )
    ]
    assert decisions[0] == "too few verdicts"
    assert decisions[4] == "open", "no look has been taken yet"
    assert decisions[-1] == "treatment is better"
    assert "treatment is worse" not in decisions


def test_modes_are_told_as_an_observation_and_two_tenants_decide_nothing(
    marts: Warehouses,
) -> None:
    days: list[Day] = []
    for day in range(14):
        when = FIRST_DAY + timedelta(days=day)
        days.append((when, "auto", "lgbm@a", "lgbm", 50, 40, 10))
        days.append((when, "model", "lgbm@a", "lgbm", 50, 20, 30))
    last = (
        "select decision, evidence from analytics.mart_ab_comparison "
        "order by created_date desc limit 1"
    )
    fill(marts, days, {})
    build(marts, *MODELS)
    assert marts.query(last) == [("observed higher", "observation")]

    fill(marts, days, {}, by_tenant(days, tenants=2))
    build(marts, *MODELS)
    assert marts.query(last) == [("not enough clusters", "observation")]


def test_a_later_verdict_does_not_open_an_earlier_look_again(marts: Warehouses) -> None:
    days = canary_against_live(32, 30, 14)
    late = [
        (day, day + timedelta(days=20), mode, model, engine, f"tenant:{number}", 60, 0)
        for number in range(TENANTS)
        for day, mode, model, engine, *_ in days
        if model == "lgbm@new"
    ]
    phases = {"lgbm@new": "canary", "live@old": "live"}
    looks = (
        "select difference_low, difference_high from analytics.int_comparison_looks "
        "where look_day <= 14 order by look_day"
    )
    fill(marts, days, phases)
    build(marts, *MODELS)
    before = marts.query(looks)
    fill(marts, days, phases, [*by_tenant(days), *late])
    build(marts, *MODELS)
    assert marts.query(looks) == before
    assert len(before) == 2


@pytest.mark.parametrize(
    ("phase", "days", "expected"),
    [
        ("shadow", canary_against_live(45, 30, 14), "promote to canary"),
        ("canary", canary_against_live(45, 30, 14), "promote to live"),
        # Ninety-five of a hundred on one day are no fortnight.
        ("canary", canary_against_live(95, 60, 1, verdicts=100), "wait"),
        ("canary", canary_against_live(9, 6, 9, verdicts=10), "too few verdicts"),
        ("canary", canary_against_live(31, 30, 14), "wait"),
        ("canary", canary_against_live(20, 30, 14), "do not promote"),
        (
            "canary",
            canary_against_live(45, 30, 14, live_engine="x"),
            "nothing live to compare with",
        ),
        ("live", canary_against_live(45, 30, 14), "live already"),
        (None, canary_against_live(45, 30, 14), "not in a phase"),
    ],
)
def test_the_promotion_gate_compares_with_live_of_the_same_engine_at_looks(
    marts: Warehouses, phase: str | None, days: list[Day], expected: str
) -> None:
    fill(marts, days, {"live@old": "live"} | ({"lgbm@new": phase} if phase else {}))
    build(marts, *COMPARISONS, "mart_model_comparison")

    ((promotion, accepts, verdicts, low, high),) = marts.query(
        "select promotion, accepts, verdicts, wilson_low, wilson_high "
        "from analytics.mart_model_comparison where model_id = 'lgbm@new'"
    )
    assert promotion == expected
    z, rate = 1.959963984540054, accepts / verdicts
    middle = rate + z * z / 2 / verdicts
    width = z * sqrt(rate * (1 - rate) / verdicts + z * z / 4 / verdicts**2)
    assert low == pytest.approx((middle - width) / (1 + z * z / verdicts), abs=1e-12)
    assert high == pytest.approx((middle + width) / (1 + z * z / verdicts), abs=1e-12)


def page_tells_the_outages(marts: Warehouses, missing: date, again: date, running: date) -> None:
    build(marts, "mart_suggestions_feedback_daily", "rpt_ledgermind_daily")
    shown = page_of(read_from("ledgermind", marts.url))
    part = shown.parts["daily"]
    rows = {row["Day"]: row for row in part.records()}
    assert len(rows) == 71
    for outage in (missing, again, running):
        row = rows[str(outage)]
        assert (row["Suggestions"], row["Accepted of judged"]) == ("0", words.ABSENT)
        assert row["Unusual"] == "yes"
    unusual = sum(row["Unusual"] == "yes" for row in rows.values())
    assert f"{unusual} unusual days of " in part.text
    eve = running - timedelta(days=1)
    assert f"On {eve}, the last finished day with verdicts, " in part.text
    told = shown.parts[""].text
    assert f"On {running} the number of suggestions was unusual: 0, expected " in told
    assert f"On {again} the number" not in told


def test_outages_and_bad_days_are_told_once_each_and_a_quiet_weekend_is_not(
    marts: Warehouses,
) -> None:
    """The last outage is yesterday's: nothing of it, nor of today, is in the database."""
    today = datetime.now(UTC).date()
    missing, again, bad, running = (today - timedelta(days=days) for days in (12, 10, 7, 1))
    rows: list[Day] = [(today, "auto", "lgbm@a", "lgbm", 3, 0, 3)]
    for ago in range(70, 0, -1):
        when = today - timedelta(days=ago)
        if when in (missing, again, running):
            continue
        events = (40 if when.weekday() >= 5 else 200) + ago % 5
        verdicts = events // 2
        accepts = 0 if when == bad else int(verdicts * 0.6)
        rows.append((when, "auto", "lgbm@a", "lgbm", events, accepts, verdicts - accepts))
    fill(marts, rows, {})
    build(marts, *WATCHED)

    found = marts.query(
        "select created_date, metric, window_sigmas < 0, owner "
        "from analytics.mart_suggestions_anomalies where is_new order by 1"
    )
    owner = "analytics@ledgermind.example"
    assert found == [
        (missing, "events", True, owner),
        (again, "events", True, owner),
        (bad, "accept_rate", True, owner),
        (running, "events", True, owner),
    ]
    ((last,),) = marts.query("select max(created_date) from analytics.mart_suggestions_anomalies")
    assert last == running
    page_tells_the_outages(marts, missing, again, running)
    with psycopg.connect(marts.url) as connection:
        told = new_anomalies(connection)
    assert [(each.metric, each.day, each.observed, each.owner) for each in told] == [
        ("events", running, 0, owner)
    ]
