"""Made-up histories of daily counts, and what the detector's SQL says of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tests.simulations.compiled import Simulated

Days = np.ndarray[tuple[int, int], np.dtype[np.int64]]
Alarms = np.ndarray[tuple[int, int], np.dtype[np.bool_]]

MODEL = "mart_suggestions_anomalies"
BASELINE = 56
YEAR = 365
SEED = 3
WEEK = np.array([1.2, 1.25, 1.2, 1.15, 1.1, 0.4, 0.3])


@dataclass(frozen=True)
class History:
    """Counts of days around a mean, which may have a week, a threefold growth in a year, own rates.

    ``dispersion`` is the coefficient of variation of the days' own rates (gamma).
    """

    mean: float
    has_weeks: bool = False
    growth: float = 1.0
    dispersion: float = 0.0

    @property
    def name(self) -> str:
        parts = ["weekly" if self.has_weeks else "", "trending" if self.growth != 1 else ""]
        parts.append("overdispersed" if self.dispersion else "")
        return ", ".join(part for part in parts if part) or "stationary"

    def draw(self, chance: np.random.Generator, histories: int, days: int) -> Days:
        day = np.arange(days)
        means = self.mean * self.growth ** (day / YEAR)
        if self.has_weeks:
            means = means * WEEK[day % 7]
        rates = np.broadcast_to(means, (histories, days))
        if self.dispersion:
            shape = self.dispersion**-2
            rates = rates * chance.gamma(shape, 1 / shape, (histories, days))
        drawn: Days = chance.poisson(rates)
        return drawn


def detector(models: Mapping[str, str]) -> str:
    """The part of the mart's SQL that reads `measured` and judges it."""
    text = models[MODEL]
    start, end = text.index("departures as ("), text.index("compared as (")
    return f"with {text[start:end].rstrip().rstrip(',')} select * from departures"


def alarms(query: str, counts: Days) -> tuple[Alarms, Alarms]:
    """Where the detector says that a window ending on this day has risen, and fallen."""
    histories, days = counts.shape
    series, period = np.meshgrid(np.arange(histories), np.arange(days), indexing="ij")
    simulated = Simulated("analytics")
    simulated.put(
        "measured",
        pa.table(
            {
                "series": series.ravel(),
                "period": period.ravel(),
                "value": (2 * np.sqrt(counts + 0.375)).ravel(),
                "weight": np.ones(counts.size),
            }
        ),
    )
    found = simulated.query(
        f"select series, period, window_score > 0 from ({query}) "
        "where abs(window_score) > window_bound"
    )
    simulated.close()
    rises, falls = np.zeros(counts.shape, dtype=bool), np.zeros(counts.shape, dtype=bool)
    for history, day, is_rise in found:
        (rises if is_rise else falls)[history, day] = True
    return rises, falls


def alarms_a_year(query: str, history: History, histories: int, seed: int = SEED) -> float:
    """Anomalies that are told, a year of a history in which nothing happens."""
    counts = history.draw(np.random.default_rng(seed), histories, BASELINE + YEAR)
    rises, falls = alarms(query, counts)
    flagged = (rises | falls)[:, BASELINE:]
    told = flagged.copy()
    for before in (1, 2, 3):
        told[:, before:] &= ~flagged[:, :-before]
    return float(told.sum() / histories)


def found_drops(query: str, history: History, histories: int, seed: int = SEED) -> list[float]:
    """Shares of persistent drops by 30 % that are found within 1, 2, 3 and 7 days."""
    chance = np.random.default_rng(seed)
    counts = history.draw(chance, histories, BASELINE + 21)
    first = BASELINE + 14
    counts[:, first:] = chance.binomial(counts[:, first:], 0.7)
    _, falls = alarms(query, counts)
    return [float(falls[:, first : first + days].any(axis=1).mean()) for days in (1, 2, 3, 7)]


def found_outages(query: str, history: History, histories: int, seed: int = SEED) -> list[float]:
    """Shares of outages of one day that are found the day after: the first, one five days later."""
    counts = history.draw(np.random.default_rng(seed), histories, BASELINE + 21)
    first = BASELINE + 14
    counts[:, [first, first + 5]] = 0
    _, falls = alarms(query, counts)
    return [float(falls[:, day].mean()) for day in (first, first + 5)]


QUIET = tuple(
    History(mean, has_weeks, growth, dispersion)
    for has_weeks in (False, True)
    for growth, dispersion in ((1.0, 0.0), (3.0, 0.0), (1.0, 0.35))
    for mean in (0.5, 5, 50, 1000)
)
