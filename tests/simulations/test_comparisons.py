"""A/B verdicts and promotions decide between equal arms no more often than they promise."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.simulations.comparing import MODELS, PROMOTION, Decided, decided, promoted
from tests.simulations.compiled import compile_models
from tests.simulations.experiments import DIFFERENT, EQUAL, Experiment

ALPHA = 0.05
CLUSTERED = next(each for each in EQUAL if each.name == "clustered, 10 tenants an arm")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return compile_models("ledgermind", tmp_path_factory.mktemp("compiled"), *MODELS)


def holds(found: Decided) -> bool:
    """A promotion follows one side of the same interval."""
    return found.either <= ALPHA and max(found.better, found.worse) <= ALPHA / 2


def test_verdicts_of_ten_tenants_an_arm_are_not_taken_for_independent_ones(
    models: Mapping[str, str],
) -> None:
    assert holds(decided(models, CLUSTERED, 200))


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return compile_models("ledgermind", tmp_path_factory.mktemp("gate"), *PROMOTION)


def test_the_gate_promotes_one_of_forty_equal_canaries_at_most_and_a_better_one_often(
    gate: Mapping[str, str],
) -> None:
    assert promoted(gate, CLUSTERED, 100) <= ALPHA / 2
    assert promoted(gate, replace(DIFFERENT[0], effect=0.1), 50) >= 0.9


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("experiment", EQUAL, ids=lambda each: each.name)
def test_equal_canaries_are_promoted_in_one_of_forty_experiments_at_most(
    gate: Mapping[str, str], experiment: Experiment
) -> None:
    assert promoted(gate, experiment, 2_000) <= ALPHA / 2


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("experiment", EQUAL, ids=lambda each: each.name)
def test_equal_arms_are_told_apart_in_at_most_one_of_twenty_experiments(
    models: Mapping[str, str], experiment: Experiment
) -> None:
    assert holds(decided(models, experiment, 2_000))


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("experiment", DIFFERENT, ids=lambda each: each.name)
def test_a_difference_of_three_tenths_is_found_with_its_sign(
    models: Mapping[str, str], experiment: Experiment
) -> None:
    found = decided(models, replace(experiment, effect=0.3), 200)
    assert found.better > 0.6
    assert found.worse == 0
