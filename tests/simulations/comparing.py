"""How often the marts decide between arms of many made-up experiments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tests.simulations.compiled import Simulated
from tests.simulations.experiments import Experiment, batches, phases

PROMOTION = ("int_comparison_days", "int_comparison_looks", "mart_model_comparison")
MODELS = ("int_comparison_days", "int_comparison_looks", "mart_ab_comparison")
SEED = 11
RUNS_AT_ONCE = 100


@dataclass(frozen=True)
class Decided:
    """Shares of the experiments in which some look decided so."""

    runs: int
    better: float
    worse: float

    @property
    def either(self) -> float:
        return self.better + self.worse


def decided(
    models: Mapping[str, str], experiment: Experiment, runs: int, seed: int = SEED
) -> Decided:
    """What the compiled SQL says of so many runs, looked at every day."""
    chance = np.random.default_rng(seed)
    better = worse = 0
    for first, size in batches(runs, RUNS_AT_ONCE):
        simulated = Simulated("analytics")
        simulated.put("int_verdicts_daily", experiment.draw(chance, size).rows(first))
        simulated.put("stg_models", phases(size, first))
        simulated.build(models)
        for decision, count in simulated.query(
            "select decision, count(distinct comparison) "
            "from analytics.mart_ab_comparison group by decision"
        ):
            better += count if decision == "treatment is better" else 0
            worse += count if decision == "treatment is worse" else 0
        simulated.close()
    return Decided(runs, better / runs, worse / runs)


def promoted(
    models: Mapping[str, str], experiment: Experiment, runs: int, seed: int = SEED
) -> float:
    """The share of candidates that the gate promotes at some look.

    The first decision stands, so that the last night's gate knows of all nights before.
    """
    chance = np.random.default_rng(seed)
    count = 0
    for first, size in batches(runs, RUNS_AT_ONCE):
        simulated = Simulated("analytics")
        simulated.put("int_verdicts_daily", experiment.draw(chance, size).rows(first))
        simulated.put("stg_models", phases(size, first))
        simulated.make(
            "int_suggestions_daily",
            "select *, accepts + rejects as events from analytics.int_verdicts_daily",
        )
        simulated.build(models)
        ((found,),) = simulated.query(
            "select count(*) from analytics.mart_model_comparison "
            "where promotion = 'promote to live'"
        )
        count += found
        simulated.close()
    return count / runs


def with_effects(experiments: Iterable[Experiment], effects: Iterable[float]) -> list[Experiment]:
    return [replace(each, effect=effect) for each in experiments for effect in effects]
