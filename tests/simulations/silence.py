"""Made-up sources that rest at weekends and on holidays, and when their silence is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import yaml

from deployments.apply.files import AUTOMATIONS
from tests.simulations.histories import Numbers

YEAR = 365
SEED = 13
# Days of the year that are free: most make a weekend of three days.
HOLIDAYS = (0, 18, 46, 109, 145, 179, 242, 291, 326, 358, 359)
DAYS = np.arange(YEAR)
FREE = np.isin(DAYS % 7, (5, 6)) | np.isin(DAYS, HOLIDAYS)


@dataclass(frozen=True)
class Source:
    """Loads that change rows: so many on a working day on average, from nine to six."""

    name: str
    loads: float
    growth: float = 1.0
    variation: float = 0.0
    rests: bool = True

    def draw(self, chance: np.random.Generator) -> Numbers:
        """The hours of a year in which rows changed, in order; the first is its beginning."""
        means = self.loads * self.growth ** (DAYS / YEAR)
        if self.variation:
            means *= chance.gamma(self.variation**-2, self.variation**2, YEAR)
        if self.rests:
            means[FREE] = 0
        mornings = np.repeat(24.0 * DAYS, chance.poisson(means))
        hours = mornings + chance.uniform(9, 18, mornings.size)
        moments: Numbers = np.concatenate([[0.0], np.sort(hours)])
        return moments


def windows() -> dict[str, timedelta]:
    """How long each domain may bring no new row before it is told."""
    automations = yaml.safe_load((AUTOMATIONS / "freshness.yaml").read_text())
    return {
        each["name"].partition(" ")[0]: timedelta(seconds=each["trigger"]["within"])
        for each in automations
        if each["name"].endswith("has no new rows")
    }


def alarms_a_year(
    source: Source, windows: Mapping[str, timedelta], years: int, seed: int = SEED
) -> dict[str, float]:
    """Messages of a year in which the source is well, by window; one comes back every window."""
    chance = np.random.default_rng(seed)
    silences = np.concatenate([np.diff(source.draw(chance)) for _ in range(years)])
    return {
        domain: float(np.sum(silences // (window / timedelta(hours=1)))) / years
        for domain, window in windows.items()
    }


QUIET = (
    Source("stationary", 6, rests=False),
    Source("weekly", 6),
    Source("weekly, trending", 6, growth=3),
    Source("weekly, overdispersed", 6, variation=0.5),
)
