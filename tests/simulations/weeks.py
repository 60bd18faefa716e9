"""Made-up weeks of spending, and what the SQL of Scout's weekly flags says of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from tests.simulations.compiled import Simulated

MODEL = "gold_category_trends"
YEAR = 52
SEED = 5
AS_OF = date(2026, 3, 15)
FIRST_WEEK = AS_OF - timedelta(days=AS_OF.weekday() + 7 * (2 * YEAR - 1))
Totals = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Marks = np.ndarray[tuple[int, int], np.dtype[np.bool_]]


@dataclass(frozen=True)
class Spending:
    """Totals of Poisson numbers of amounts, lognormal with the standard deviation ``spread``.

    ``variation`` is that of the weeks' own rates; ``growth`` a factor in a year; ``yearly`` the
    height of a wave of a year.
    """

    transactions: float
    spread: float = 0.8
    growth: float = 1.0
    variation: float = 0.0
    yearly: float = 0.0

    def draw(self, chance: np.random.Generator, series: int, weeks: int = 2 * YEAR) -> Totals:
        years = np.arange(weeks) / YEAR
        means = self.transactions * self.growth**years
        means = means * (1 + self.yearly * np.sin(2 * np.pi * years))
        rates = np.broadcast_to(means, (series, weeks))
        if self.variation:
            shape = self.variation**-2
            rates = rates * chance.gamma(shape, 1 / shape, (series, weeks))
        counts = chance.poisson(rates)
        totals = np.zeros((series, weeks))
        for number in range(int(counts.max())):
            amounts = 100 * np.exp(self.spread * chance.normal(size=(series, weeks)))
            totals += np.where(number < counts, amounts, 0)
        return totals


@dataclass(frozen=True)
class OneOrTwo:
    """One purchase of the same amount in each week, or two, by the chance of two."""

    chance_of_two: float

    def draw(self, chance: np.random.Generator, series: int, weeks: int = 2 * YEAR) -> Totals:
        return np.where(chance.random((series, weeks)) < self.chance_of_two, 2_000.0, 1_000.0)


def flagged(models: Mapping[str, str], totals: Totals) -> Marks:
    """The weeks of the last year that are flagged."""
    return _marked(models, totals, "is_anomaly")[:, YEAR:]


def _marked(models: Mapping[str, str], totals: Totals, flag: str) -> Marks:
    """The weeks of which the model says so."""
    series, week = np.nonzero(totals)
    simulated = Simulated("gold")
    simulated.put(
        "int_weekly_spend",
        pa.table(
            {
                "week": pa.array(np.datetime64(FIRST_WEEK) + 7 * week),
                "category": series.astype(str),
                "currency": ["PHP"] * len(series),
                "transaction_count": [1] * len(series),
                "total_amount": totals[series, week],
                "avg_amount": totals[series, week],
                "stddev_amount": totals[series, week],
                "unique_vendors": [1] * len(series),
            }
        ),
    )
    simulated.build(models)
    marks = np.zeros(totals.shape, dtype=bool)
    for category, when in simulated.query(
        f"select cast(category as integer), week from gold.{MODEL} where {flag}"
    ):
        marks[category, (when - FIRST_WEEK).days // 7] = True
    simulated.close()
    return marks


def flags_a_year(
    models: Mapping[str, str], spending: Spending | OneOrTwo, series: int, seed: int = SEED
) -> float:
    totals = spending.draw(np.random.default_rng(seed), series)
    return float(flagged(models, totals).sum() / series)


def found_weeks(
    models: Mapping[str, str], spending: Spending, series: int, factor: float, seed: int = SEED
) -> float:
    """The share of single weeks with so many times their total that are flagged."""
    totals = spending.draw(np.random.default_rng(seed), series)
    totals[:, YEAR + 30] *= factor
    return float(flagged(models, totals)[:, 30].mean())


def silences_a_year(
    models: Mapping[str, str], spending: Spending | OneOrTwo, series: int, seed: int = SEED
) -> float:
    """Weeks of a year in which a category that goes on is told to be silent while others go on."""
    totals = spending.draw(np.random.default_rng(seed), series)
    return float(YEAR * _marked(models, totals, "is_silent").sum() / series)


def found_silences(
    models: Mapping[str, str], spending: Spending, series: int, silent: int, seed: int = SEED
) -> float:
    """The share of categories that are told so many weeks after they fell silent, beside as many
    and one that go on.
    """
    totals = spending.draw(np.random.default_rng(seed), 2 * series + 1)
    totals[: series + 1] = 1
    totals[series + 1 :, -silent:] = 0
    return float(_marked(models, totals, "is_silent")[series + 1 :].any(axis=1).mean())


def told_in_shutdown(
    models: Mapping[str, str], spending: Spending, series: int, weeks: int, seed: int = SEED
) -> float:
    """The share that is told so many weeks after all categories but one fell silent together."""
    totals = spending.draw(np.random.default_rng(seed), series)
    totals[0] = 1
    totals[1:, -weeks:] = 0
    return float(_marked(models, totals, "is_silent").any(axis=1).mean())


QUIET = (
    OneOrTwo(0.5),
    *(
        Spending(transactions, growth=growth, variation=variation, yearly=yearly)
        for growth, variation, yearly in (
            (1.0, 0.0, 0.0),
            (3.0, 0.0, 0.0),
            (1 / 3, 0.0, 0.0),
            (1.0, 0.5, 0.0),
            (3.0, 0.5, 0.0),
            (1.0, 0.0, 0.3),
        )
        for transactions in (2, 10, 50, 200)
    ),
)
