"""What a month costs is read from the server's figures, and none is made up."""

from datetime import UTC, datetime

import pytest
from google.cloud import bigquery

from flows._shared.bigquery_costs import (
    TEBIBYTE,
    JobCost,
    by_model,
    fetch_jobs,
    month_start,
    project,
)
from flows._shared.orchestration.bigquery import BigQueryAccess

NOW = datetime(2025, 11, 11, tzinfo=UTC)


def job(model: str, billed: int | None, slots: int | None = 1500) -> JobCost:
    return JobCost(model, NOW, billed, slots)


def test_bytes_and_slots_add_up_by_model_with_the_dearest_first() -> None:
    costs = by_model([job("a", TEBIBYTE), job("b", 3 * TEBIBYTE), job("a", None, None)], 6.25)
    assert [(c.model, c.jobs, c.jobs_told, c.usd, c.slot_seconds) for c in costs] == [
        ("b", 1, 1, 18.75, 1.5),
        ("a", 2, 1, 6.25, 1.5),
    ]


def test_a_pace_above_the_budget_is_exceeded_and_one_below_is_not() -> None:
    ten_days = by_model([job("a", 3 * TEBIBYTE)], 6.0)
    budget = project(ten_days, 50.0, NOW)
    assert budget is not None
    assert budget.spent_usd == pytest.approx(18.0)
    assert budget.projected_usd == pytest.approx(54.0)
    assert budget.is_exceeded
    within = project(ten_days, 55.0, NOW)
    assert within is not None
    assert not within.is_exceeded


def test_the_first_hour_of_a_month_is_not_multiplied_by_720() -> None:
    budget = project(
        by_model([job("a", TEBIBYTE)], 1.0), 50.0, datetime(2025, 11, 1, 1, tzinfo=UTC)
    )
    assert budget is not None
    assert budget.projected_usd == pytest.approx(30.0)


def test_without_a_figure_from_the_server_there_is_no_sum_and_no_projection(
    bigquery_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_emulator)
    client = BigQueryAccess("ledgermind-ml-analytics", "US").client()
    for domain in ("costs-test", "another"):
        labels = {"domain": domain, "model": "mart_of_costs"}
        client.query("select 1", job_config=bigquery.QueryJobConfig(labels=labels)).result()
    # The emulator keeps no labels (bqemulator 1.4.0): none of its jobs is this domain's.
    assert list(fetch_jobs(client, "costs-test", month_start(datetime.now(UTC)))) == []
    (cost,) = by_model([job("mart_of_costs", None, None)], 6.25)
    assert (cost.jobs, cost.jobs_told) == (1, 0)
    assert (cost.bytes_billed, cost.slot_seconds, cost.usd) == (None, None, None)
    assert project([cost], 50.0, NOW) is None
