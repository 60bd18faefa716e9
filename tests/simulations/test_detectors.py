"""The anomaly detector: rare false alarms, and what it finds."""

import pytest

from tests.simulations.compiled import compile_models
from tests.simulations.histories import (
    MODEL,
    QUIET,
    History,
    alarms_a_year,
    detector,
    found_drops,
    found_outages,
)

FALSE_ALARMS_A_YEAR = 2.0


@pytest.fixture(scope="module")
def query(tmp_path_factory: pytest.TempPathFactory) -> str:
    return detector(compile_models("ledgermind", tmp_path_factory.mktemp("compiled"), MODEL))


def test_a_drop_by_three_tenths_is_found_in_three_days_and_a_second_outage_the_day_after(
    query: str,
) -> None:
    assert found_drops(query, History(100), 200)[2] >= 0.9
    assert found_outages(query, History(100, has_weeks=True), 50) == [1, 1]


def test_weekdays_are_no_alarm(query: str) -> None:
    assert alarms_a_year(query, History(50, has_weeks=True), 10) <= FALSE_ALARMS_A_YEAR


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("history", QUIET, ids=lambda each: f"{each.name} {each.mean}")
def test_false_alarms_are_at_most_two_a_year(query: str, history: History) -> None:
    assert alarms_a_year(query, history, 100) <= FALSE_ALARMS_A_YEAR
