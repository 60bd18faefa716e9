"""Made-up histories of daily counts and shares, and what the mart of anomalies says of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from tests.simulations.compiled import Simulated

Days = np.ndarray[tuple[int, int], np.dtype[np.int64]]
Marks = np.ndarray[tuple[int, int], np.dtype[np.bool_]]
Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

MODELS = ("int_watched_departures", "mart_suggestions_anomalies")
BASELINE = 56
YEAR = 365
SEED = 3
# Weekdays are counted from 1 January 2024: histories have days before it.
FIRST_DAY = date(2023, 11, 6)
FIRST_PERIOD = (FIRST_DAY - date(2024, 1, 1)).days
WEEK = np.array([1.2, 1.25, 1.2, 1.15, 1.1, 0.4, 0.3])
WORKING_WEEK = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0])


@dataclass(frozen=True)
class History:
    """Counts of days around a mean, which may have a week, a growth in a year, own rates.

    One that ``rests`` has nothing at weekends.
    ``variation`` is the coefficient of variation of the days' own rates (gamma), ``memory`` the
    correlation of a day's rate with that of the day before. ``verdicts`` of the counts' days make
    it a history of shares, whose rate is ``mean``.
    """

    mean: float
    has_weeks: bool = False
    growth: float = 1.0
    variation: float = 0.0
    memory: float = 0.0
    verdicts: float = 0.0
    rests: bool = False

    @property
    def name(self) -> str:
        parts = [
            ("weekly", self.has_weeks),
            ("resting at weekends", self.rests),
            ("trending", self.growth != 1),
            ("overdispersed", self.variation > 0),
            ("with memory", self.memory > 0),
        ]
        kind = ", ".join(part for part, is_so in parts if is_so) or "stationary"
        return f"{kind}, share {self.mean} of {self.verdicts}" if self.verdicts else kind

    def draw(self, chance: np.random.Generator, histories: int, days: int) -> "Drawn":
        shape = (histories, days)
        if self.verdicts:
            verdicts = chance.poisson(self._season(days) * self.verdicts, shape)
            odds = np.log(self.mean / (1 - self.mean)) + np.log(self.growth) * _years(days)
            rates = 1 / (1 + np.exp(-odds - np.log(self._rates(chance, shape))))
            return Drawn(chance.binomial(verdicts, rates), verdicts)
        means = self.mean * self.growth ** _years(days) * self._season(days)
        return Drawn(chance.poisson(means * self._rates(chance, shape)), None)

    def _season(self, days: int) -> Numbers:
        if not (self.has_weeks or self.rests):
            return np.ones(days)
        season: Numbers = (WORKING_WEEK if self.rests else WEEK)[np.arange(days) % 7]
        return season

    def _rates(self, chance: np.random.Generator, shape: tuple[int, int]) -> Numbers:
        if not self.variation:
            return np.ones(shape)
        if not self.memory:
            gamma: Numbers = chance.gamma(self.variation**-2, self.variation**2, shape)
            return gamma
        logs = chance.normal(size=shape)
        for day in range(1, shape[1]):
            fresh = np.sqrt(1 - self.memory**2) * logs[:, day]
            logs[:, day] = self.memory * logs[:, day - 1] + fresh
        size = np.sqrt(np.log1p(self.variation**2))
        lognormal: Numbers = np.exp(size * logs - size * size / 2)
        return lognormal


def _years(days: int) -> Numbers:
    years: Numbers = np.arange(days) / YEAR
    return years


@dataclass(frozen=True)
class Drawn:
    """Counts, or accepts among verdicts, by history and day."""

    counts: Days
    verdicts: Days | None

    def rows(self) -> pa.Table:
        """Those of int_watched_days; the metric's name is the history's number."""
        counts = self.counts
        history, day = np.meshgrid(*map(np.arange, counts.shape), indexing="ij")
        if self.verdicts is None:
            observed = counts.astype(float)
            value, weight = 2 * np.sqrt(counts + 0.375), np.ones(counts.shape)
        else:
            verdicts = self.verdicts
            observed = np.where(verdicts > 0, counts / np.maximum(verdicts, 1), np.nan)
            value = 2 * np.arcsin(np.sqrt((counts + 0.375) / (verdicts + 0.75)))
            weight = np.where(verdicts > 0, verdicts + 0.5, 0.0)
        return pa.table(
            {
                "created_date": pa.array(np.datetime64(FIRST_DAY) + day.ravel()),
                "metric": history.ravel().astype(str),
                "scale": ["count" if self.verdicts is None else "share"] * counts.size,
                "period": day.ravel() + FIRST_PERIOD,
                "observed": pa.array(observed.ravel(), from_pandas=True),
                "value": value.ravel(),
                "weight": weight.ravel(),
            }
        )


@dataclass(frozen=True)
class Judged:
    """What the mart says of each history and day; ``lasted`` on the day after an anomaly."""

    rises: Marks
    falls: Marks
    told: Marks
    lasted: Days


def judged(models: Mapping[str, str], drawn: Drawn) -> Judged:
    simulated = Simulated("analytics")
    simulated.put("int_watched_days", drawn.rows())
    simulated.build(models)
    found = simulated.query(
        f"select cast(metric as integer), created_date - date '{FIRST_DAY}', is_anomaly, "
        f"window_sigmas > 0, is_new, departed_days from analytics.{MODELS[-1]} "
        "where departed_days > 0"
    )
    simulated.close()
    rises, falls, told = (np.zeros(drawn.counts.shape, dtype=bool) for _ in range(3))
    lasted = np.zeros(drawn.counts.shape, dtype=int)
    for history, day, is_anomaly, is_rise, is_new, days in found:
        if is_anomaly:
            (rises if is_rise else falls)[history, day] = True
            told[history, day] = is_new
        else:
            lasted[history, day] = days
    return Judged(rises, falls, told, lasted)


@dataclass(frozen=True)
class FalseAlarms:
    """A year of a history in which nothing happens: alarms that are told, and days in alarm."""

    told: float
    days: float


def false_alarms(
    models: Mapping[str, str], history: History, histories: int, seed: int = SEED
) -> FalseAlarms:
    drawn = history.draw(np.random.default_rng(seed), histories, BASELINE + YEAR)
    seen = judged(models, drawn)
    days = (seen.rises | seen.falls)[:, BASELINE:]
    return FalseAlarms(
        float(seen.told[:, BASELINE:].sum() / histories), float(days.sum() / histories)
    )


def found_drops(
    models: Mapping[str, str], history: History, histories: int, seed: int = SEED
) -> list[float]:
    """Shares of persistent drops by 30 % that are found within 1, 2, 3 and 7 days."""
    chance = np.random.default_rng(seed)
    counts = history.draw(chance, histories, BASELINE + 21).counts
    first = BASELINE + 14
    counts[:, first:] = chance.binomial(counts[:, first:], 0.7)
    falls = judged(models, Drawn(counts, None)).falls
    return [float(falls[:, first : first + days].any(axis=1).mean()) for days in (1, 2, 3, 7)]


def found_outages(
    models: Mapping[str, str],
    history: History,
    histories: int,
    apart: int = 5,
    seed: int = SEED,
) -> list[float]:
    """Shares of outages of one day that are told the day after: the first, one some days later."""
    counts = history.draw(np.random.default_rng(seed), histories, BASELINE + 21).counts
    first = BASELINE + 14
    counts[:, [first, first + apart]] = 0
    seen = judged(models, Drawn(counts, None))
    return [float((seen.falls & seen.told)[:, day].mean()) for day in (first, first + apart)]


@dataclass(frozen=True)
class Lasted:
    """Of departures that last for some days: the share of their days that is told, alarms and
    recoveries of each, and what is told of it in the two months after."""

    days: float
    told: float
    recoveries: float
    days_after: float
    rises_after: float


def lasting_departures(
    models: Mapping[str, str],
    history: History,
    histories: int,
    days: int = 60,
    left: float = 0.0,
    seed: int = SEED,
) -> Lasted:
    """Departures in which a share of the events is ``left``, after ten weeks."""
    chance = np.random.default_rng(seed)
    first = BASELINE + 14
    counts = history.draw(chance, histories, first + days + 60).counts
    during, after = slice(first, first + days), slice(first + days, None)
    counts[:, during] = chance.binomial(counts[:, during], left)
    seen = judged(models, Drawn(counts, None))
    return Lasted(
        days=float(seen.falls[:, during].mean()),
        told=float(seen.told[:, during].sum() / histories),
        recoveries=float((seen.lasted[:, after] == days).sum() / histories),
        days_after=float((seen.falls | seen.rises)[:, after].sum() / histories),
        rises_after=float((seen.told & seen.rises)[:, after].sum() / histories),
    )


QUIET = (
    tuple(
        History(mean, has_weeks, growth, variation, memory)
        for has_weeks in (False, True)
        for growth, variation, memory in (
            (1.0, 0.0, 0.0),
            (3.0, 0.0, 0.0),
            (1 / 3, 0.0, 0.0),
            (1.0, 0.35, 0.0),
            (3.0, 0.35, 0.0),
            (1.0, 0.7, 0.0),
            (1.0, 0.2, 0.5),
        )
        for mean in (0.5, 5, 50, 1000)
    )
    + tuple(
        History(0.6, has_weeks, growth, variation, verdicts=verdicts)
        for has_weeks in (False, True)
        for growth, variation in ((1.0, 0.0), (3.0, 0.0), (1.0, 0.35))
        for verdicts in (5, 50, 500)
    )
    + tuple(
        History(mean, variation=variation, rests=True)
        for variation in (0.0, 0.2, 0.35)
        for mean in (5, 50, 1000)
    )
)
