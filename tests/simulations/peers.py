"""Made-up peers of Quality Compass, month by month, and what its classification calls a spike."""

from dataclasses import dataclass

import numpy as np

from flows.quality_compass.rules.classification import Inputs, derive
from flows.quality_compass.settings import ClassificationSettings

MONTHS = 12
SEED = 7


@dataclass(frozen=True)
class Peers:
    """Values that vary normally, or with heavy tails (Student's with so many degrees), or grow."""

    entities: int
    freedom: float | None = None
    growth: float = 0.0

    @property
    def name(self) -> str:
        kind = "overdispersed" if self.freedom else "trending" if self.growth else "stationary"
        return f"{kind}, {self.entities} peers"


@dataclass(frozen=True)
class Spikes:
    """Of entities to which nothing happens: months in a year, and years with one at least."""

    months: float
    entities: float


def spikes(peers: Peers, years: int, seed: int = SEED) -> Spikes:
    chance = np.random.default_rng(seed)
    shape = (years, peers.entities, MONTHS)
    values = (
        chance.normal(size=shape)
        if peers.freedom is None
        else chance.standard_t(peers.freedom, shape)
    ) + peers.growth * np.arange(MONTHS)
    spread = values.std(axis=1, ddof=1, keepdims=True)
    scores = np.abs((values - values.mean(axis=1, keepdims=True)) / spread)
    settings = ClassificationSettings()
    is_spike = np.vectorize(
        lambda score: derive(Inputs(0, None, None, 1, float(score), MONTHS), settings).has_spike
    )(scores)
    return Spikes(float(is_spike.sum(axis=2).mean()), float(is_spike.any(axis=2).mean()))


QUIET = tuple(
    Peers(entities, freedom, growth)
    for freedom, growth in ((None, 0.0), (None, 0.3), (5.0, 0.0))
    for entities in (15, 60)
)
