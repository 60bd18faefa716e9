"""Made-up sources that rest at weekends and on holidays, and when their silence is told."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import numpy as np
import yaml

from deployments.apply.files import AUTOMATIONS

YEAR = 365
SEED = 13
# Days of the year that are free: most make a weekend of three days.
HOLIDAYS = (0, 18, 46, 109, 145, 179, 242, 291, 326, 358, 359)


@dataclass(frozen=True)
class Source:
    """Loads that change rows: so many on a working day on average, from nine to six."""

    name: str
    loads: float
    growth: float = 1.0
    variation: float = 0.0
    rests: bool = True

    def draw(self, chance: np.random.Generator) -> list[timedelta]:
        moments = [timedelta()]
        for day in range(YEAR):
            if self.rests and (day % 7 in (5, 6) or day in HOLIDAYS):
                continue
            mean = self.loads * self.growth ** (day / YEAR)
            if self.variation:
                mean *= chance.gamma(self.variation**-2, self.variation**2)
            hours = np.sort(chance.uniform(9, 18, chance.poisson(mean)))
            moments += [timedelta(days=day, hours=float(hour)) for hour in hours]
        return moments


def windows() -> dict[str, timedelta]:
    """How long each domain may bring no new row before it is told."""
    automations = yaml.safe_load((AUTOMATIONS / "freshness.yaml").read_text())
    return {
        each["name"].partition(" ")[0]: timedelta(seconds=each["trigger"]["within"])
        for each in automations
        if each["name"].endswith("has no new rows")
    }


def alarms_a_year(source: Source, window: timedelta, years: int, seed: int = SEED) -> float:
    """Messages of a year in which the source is well; one comes back every window."""
    chance = np.random.default_rng(seed)
    told = 0
    for _ in range(years):
        moments = source.draw(chance)
        told += sum((b - a) // window for a, b in pairwise(moments))
    return told / years


QUIET = (
    Source("stationary", 6, rests=False),
    Source("weekly", 6),
    Source("weekly, trending", 6, growth=3),
    Source("weekly, overdispersed", 6, variation=0.5),
)
