"""What the statistics of LedgerMind's marts promise, measured on made-up days."""

import random
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from math import sqrt
from pathlib import Path

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows.ledgermind.settings import LedgermindBigQuerySettings
from tests.dbt_projects.warehouse import install_packages
from tests.ledgermind.warehouses import Warehouses

FIRST_DAY = date(2025, 1, 6)
COLUMNS = (
    "created_date date, mode text, model_id text, engine text, confidence_bucket text, "
    "events bigint, candidates bigint, accepts bigint, rejects bigint, undos bigint"
)
Day = tuple[date, str, str, str, int, int, int]


@pytest.fixture(scope="module")
def marts(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouses]:
    state = tmp_path_factory.mktemp("dbt")
    install_packages("ledgermind", state)
    url = postgres.create_database("ledgermind_statistics")
    yield Warehouses(url, "", LedgermindBigQuerySettings(), Path(state))
    postgres.drop_database("ledgermind_statistics")


def fill(marts: Warehouses, days: Iterable[Day], phases: dict[str, str]) -> None:
    """Put days in the place of int_suggestions_daily and phases in that of stg_models."""
    with psycopg.connect(marts.url) as connection:
        connection.execute("drop schema if exists analytics cascade")
        connection.execute("create schema analytics")
        connection.execute(f"create table analytics.int_suggestions_daily ({COLUMNS})".encode())
        connection.execute("create table analytics.stg_models (model_id text, phase text)")
        with connection.cursor().copy("copy analytics.int_suggestions_daily from stdin") as copy:
            for day, mode, model, engine, events, accepts, rejects in days:
                copy.write_row(
                    (day, mode, model, engine, "75-100%", events, events, accepts, rejects, 0)
                )
        with connection.cursor().copy("copy analytics.stg_models from stdin") as copy:
            for model, phase in phases.items():
                copy.write_row((model, phase))


def build(marts: Warehouses, model: str) -> None:
    marts.build("pg_local", "--select", model, "--exclude-resource-type", "test")


def test_looking_every_day_at_equal_arms_finds_a_difference_in_at_most_one_of_twenty(
    marts: Warehouses,
) -> None:
    chance = random.Random(11)
    experiments, days, verdicts = 300, 60, 40
    phases: dict[str, str] = {}
    rows: list[Day] = []
    for number in range(experiments):
        for model, phase in ((f"lgbm@canary{number}", "canary"), (f"lgbm@live{number}", "live")):
            phases[model] = phase
            for day in range(days):
                accepts = sum(chance.random() < 0.6 for _ in range(verdicts))
                when = FIRST_DAY + timedelta(days=day)
                rows.append(
                    (when, "auto", model, f"e{number}", verdicts, accepts, verdicts - accepts)
                )
    fill(marts, rows, phases)
    build(marts, "mart_ab_comparison")

    ((looked_at, wrong),) = marts.query(
        "select count(distinct comparison), count(distinct comparison) "
        "filter (where decision in ('treatment is better', 'treatment is worse')) "
        "from analytics.mart_ab_comparison where comparison like '%against live'"
    )
    assert looked_at == experiments
    assert wrong <= 0.05 * experiments
    ((naive,),) = marts.query(
        "select count(distinct comparison) from analytics.mart_ab_comparison "
        "where treatment_verdicts >= 100 and abs(difference) > 1.96 * sqrt("
        "treatment_rate * (1 - treatment_rate) / treatment_verdicts "
        "+ control_rate * (1 - control_rate) / control_verdicts)"
    )
    assert naive > 0.15 * experiments, "these experiments would not show the error of peeking"


def test_a_real_difference_is_found_and_has_its_sign(marts: Warehouses) -> None:
    rows: list[Day] = []
    for day in range(40):
        when = FIRST_DAY + timedelta(days=day)
        rows.append((when, "auto", "lgbm@new", "lgbm", 50, 40, 10))
        rows.append((when, "auto", "lgbm@old", "lgbm", 50, 30, 20))
    fill(marts, rows, {"lgbm@new": "canary", "lgbm@old": "live"})
    build(marts, "mart_ab_comparison")

    decisions = [
        decision
        for (decision,) in marts.query(
            "select decision from analytics.mart_ab_comparison order by created_date"
        )
    ]
    assert decisions[0] == "too few verdicts"
    assert decisions[-1] == "treatment is better"
    assert "treatment is worse" not in decisions


@pytest.mark.parametrize(
    ("phase", "accepts", "verdicts", "expected"),
    [
        ("shadow", 95, 100, "promote to canary"),
        ("canary", 95, 100, "promote to live"),
        ("canary", 95, 99, "too few verdicts"),
        ("canary", 62, 100, "wait"),
        ("canary", 20, 100, "do not promote"),
        ("live", 95, 100, "live already"),
        (None, 95, 100, "not in a phase"),
    ],
)
def test_the_promotion_gate_reads_phase_verdicts_and_wilson_interval(
    marts: Warehouses, phase: str | None, accepts: int, verdicts: int, expected: str
) -> None:
    phases = {"lgbm@old": "live"} | ({"lgbm@new": phase} if phase else {})
    fill(
        marts,
        [
            (FIRST_DAY, "auto", "lgbm@old", "lgbm", 1000, 600, 400),
            (FIRST_DAY, "auto", "lgbm@new", "lgbm", verdicts, accepts, verdicts - accepts),
        ],
        phases,
    )
    build(marts, "mart_model_comparison")

    ((promotion, low, high),) = marts.query(
        "select promotion, wilson_low, wilson_high from analytics.mart_model_comparison "
        "where model_id = 'lgbm@new'"
    )
    assert promotion == expected
    z, rate = 1.959963984540054, accepts / verdicts
    middle = rate + z * z / 2 / verdicts
    width = z * sqrt(rate * (1 - rate) / verdicts + z * z / 4 / verdicts**2)
    assert low == pytest.approx((middle - width) / (1 + z * z / verdicts), abs=1e-12)
    assert high == pytest.approx((middle + width) / (1 + z * z / verdicts), abs=1e-12)


def test_a_quiet_weekend_is_normal_and_a_missing_or_bad_day_is_not(marts: Warehouses) -> None:
    rows: list[Day] = []
    missing, bad = FIRST_DAY + timedelta(days=58), FIRST_DAY + timedelta(days=60)
    for day in range(64):
        when = FIRST_DAY + timedelta(days=day)
        if when == missing:
            continue
        events = (40 if when.weekday() >= 5 else 200) + day % 5
        verdicts = events // 2
        accepts = verdicts // 4 if when == bad else int(verdicts * 0.6)
        rows.append((when, "auto", "lgbm@a", "lgbm", events, accepts, verdicts - accepts))
    fill(marts, rows, {})
    build(marts, "mart_suggestions_anomalies")

    found = marts.query(
        "select created_date, metric, sigmas < 0 from analytics.mart_suggestions_anomalies "
        "where is_anomaly order by 1"
    )
    assert found == [(missing, "events", True), (bad, "accept_rate", True)]
