"""The anomaly detector: rare false alarms, and what it finds."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.simulations import peers, silence, weeks
from tests.simulations.compiled import compile_models
from tests.simulations.histories import (
    BASELINE,
    FIRST_DAY,
    MODELS,
    QUIET,
    SEED,
    Drawn,
    History,
    false_alarms,
    found_drops,
    found_outages,
    judged,
    lasting_departures,
)

FALSE_ALARMS_A_YEAR = 2.0
IN_SHORT = (
    History(50, has_weeks=True, growth=3, variation=0.35),
    History(50, variation=0.35, rests=True),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return compile_models("ledgermind", tmp_path_factory.mktemp("compiled"), *MODELS)


def test_a_drop_by_three_tenths_is_found_in_three_days_and_a_second_outage_the_day_after(
    models: Mapping[str, str], is_exhaustive: bool
) -> None:
    drops, outages = (200, 20) if is_exhaustive else (50, 8)
    assert found_drops(models, History(100), drops)[2] >= 0.9
    for apart in (2, 5):
        assert found_outages(models, History(100, has_weeks=True), outages, apart) == [1, 1]


def test_an_outage_of_two_months_is_told_once_and_on_each_day_and_its_end_is_no_rise(
    models: Mapping[str, str], is_exhaustive: bool
) -> None:
    for history in (History(100), History(100, has_weeks=True, variation=0.2)):
        lasted = lasting_departures(models, history, 20 if is_exhaustive else 10)
        assert (lasted.days, lasted.told) == (1, 1), lasted
        assert lasted.recoveries >= 0.9, lasted
        assert lasted.rises_after == 0, lasted


def test_a_level_that_was_accepted_is_told_no_more_and_another_departure_from_it_is(
    tmp_path: Path,
) -> None:
    """In the simulation a metric's name is its history's number."""
    first, accepted = BASELINE + 14, BASELINE + 24
    counts = History(100).draw(np.random.default_rng(SEED), 1, accepted + 50).counts
    counts[:, first:] //= 2
    counts[:, accepted + 40] = 0
    level = f"0 {FIRST_DAY + timedelta(days=accepted)}"
    models = compile_models("ledgermind", tmp_path, *MODELS, variables={"accepted_levels": [level]})
    told = judged(models, Drawn(counts, None)).falls[0]
    assert told[first:accepted].all()
    assert np.flatnonzero(told[accepted:]).tolist() == [40]


def test_weekdays_growth_and_days_of_their_own_are_no_alarm(
    models: Mapping[str, str], is_exhaustive: bool
) -> None:
    for history in IN_SHORT:
        histories = 10 if is_exhaustive else 5
        assert false_alarms(models, history, histories).told <= FALSE_ALARMS_A_YEAR, history.name


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("history", QUIET, ids=lambda each: f"{each.name} {each.mean}")
def test_false_alarms_are_at_most_two_a_year(models: Mapping[str, str], history: History) -> None:
    assert false_alarms(models, history, 100).told <= FALSE_ALARMS_A_YEAR


@pytest.fixture(scope="module")
def weekly_models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    as_of = {"as_of_date": weeks.AS_OF.isoformat()}
    folder = tmp_path_factory.mktemp("compiled")
    return compile_models("scout", folder, weeks.MODEL, variables=as_of)


def test_a_category_whose_spending_grows_is_flagged_in_two_weeks_a_year_at_most(
    weekly_models: Mapping[str, str],
) -> None:
    for spending in (weeks.Spending(50, growth=1 / 3), weeks.OneOrTwo(0.5)):
        assert weeks.flags_a_year(weekly_models, spending, 20) <= 2, spending
    assert weeks.found_weeks(weekly_models, weeks.Spending(200), 20, factor=2) == 1


def test_a_category_that_falls_silent_alone_is_told_and_one_that_rests_now_and_then_is_not(
    weekly_models: Mapping[str, str], is_exhaustive: bool
) -> None:
    resting = 100 if is_exhaustive else 40
    for spending in (weeks.Spending(0.5), weeks.Spending(2, variation=0.5)):
        told = weeks.silences_a_year(weekly_models, spending, resting)
        assert told <= FALSE_ALARMS_A_YEAR, spending
    assert weeks.found_silences(weekly_models, weeks.Spending(10), 20, silent=2) == 1
    for usual in (1, 10):
        assert weeks.told_in_shutdown(weekly_models, weeks.Spending(usual), 21, weeks=8) == 0


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("spending", weeks.QUIET, ids=str)
def test_flags_of_weeks_are_at_most_two_a_year(
    weekly_models: Mapping[str, str], spending: weeks.Spending | weeks.OneOrTwo
) -> None:
    assert weeks.flags_a_year(weekly_models, spending, 200) <= FALSE_ALARMS_A_YEAR
    assert weeks.silences_a_year(weekly_models, spending, 200) <= FALSE_ALARMS_A_YEAR


@pytest.mark.parametrize("quiet", peers.QUIET, ids=lambda each: each.name)
def test_an_entity_to_which_nothing_happens_spikes_in_two_months_a_year_at_most(
    quiet: peers.Peers,
) -> None:
    assert peers.spikes(quiet, 20).months <= FALSE_ALARMS_A_YEAR


@pytest.mark.parametrize("source", silence.QUIET, ids=lambda each: each.name)
def test_a_source_that_rests_at_weekends_is_not_told_to_be_silent(source: silence.Source) -> None:
    windows = silence.windows()
    assert len(windows) == 4
    told = silence.alarms_a_year(source, windows, 100)
    assert max(told.values()) <= FALSE_ALARMS_A_YEAR, told
