"""Made-up experiments: verdicts of a candidate and of the live model, by tenant and day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

FIRST_DAY = date(2025, 1, 6)
Counts = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Rates = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class Experiment:
    """How verdicts come about.

    ``concentration`` is that of the beta distribution of tenants' own rates; None gives all the
    same. ``drift`` is the standard deviation, on the scale of log odds, of the common walk at
    its last day. Arms run within tenants where ``tenants_of_candidate`` is None.
    """

    name: str
    tenants_of_live: int
    tenants_of_candidate: int | None
    verdicts_of_candidate: float
    verdicts_of_live: float
    rate: float
    concentration: float | None = None
    drift: float = 0.0
    grows: bool = False
    effect: float = 0.0
    days: int = 200

    def draw(self, chance: np.random.Generator, runs: int) -> "Drawn":
        tenants = self.tenants_of_live + (self.tenants_of_candidate or 0)
        rates = self._rates(chance, runs, tenants)
        shares = np.zeros((2, tenants))
        if self.tenants_of_candidate is None:
            shares[:] = 1 / tenants
        else:
            shares[0, : self.tenants_of_candidate] = 1 / self.tenants_of_candidate
            shares[1, self.tenants_of_candidate :] = 1 / self.tenants_of_live
        volumes = shares * np.array([[self.verdicts_of_candidate], [self.verdicts_of_live]])
        growth = np.ones((2, self.days))
        if self.grows:
            growth[0] = np.linspace(0.1, 1, self.days)
        verdicts = chance.poisson(
            volumes[None, :, :, None] * growth[None, :, None, :],
            (runs, 2, tenants, self.days),
        )
        both = np.stack([np.clip(rates + self.effect, 0, 1), rates], axis=1)
        return Drawn(verdicts, chance.binomial(verdicts, both))

    def _rates(self, chance: np.random.Generator, runs: int, tenants: int) -> Rates:
        rates = np.full((runs, tenants), self.rate)
        if self.concentration is not None:
            shape = self.rate * self.concentration, (1 - self.rate) * self.concentration
            rates = np.clip(chance.beta(*shape, (runs, tenants)), 1e-9, 1 - 1e-9)
        odds = np.log(rates / (1 - rates))[:, :, None] * np.ones(self.days)
        if self.drift:
            steps = chance.normal(size=(runs, 1, self.days)) * self.drift / np.sqrt(self.days)
            odds = odds + np.cumsum(steps, axis=2)
        moved: Rates = 1 / (1 + np.exp(-odds))
        return moved


@dataclass(frozen=True)
class Drawn:
    """Verdicts and accepts by run, arm (candidate, live), tenant and day."""

    verdicts: Counts
    accepts: Counts

    def rows(self, first_run: int) -> pa.Table:
        """Those of int_verdicts_daily; the engine's name is the run's."""
        run, arm, tenant, day = np.nonzero(self.verdicts)
        verdicts = self.verdicts[run, arm, tenant, day]
        accepts = self.accepts[run, arm, tenant, day]
        number = (run + first_run).astype(str)
        prefix = np.where(arm == 0, "lgbm@candidate", "lgbm@live")
        days = pa.array(np.datetime64(FIRST_DAY) + day)
        return pa.table(
            {
                "created_date": days,
                "verdict_date": days,
                "mode": pa.array(["heuristic"] * len(run)),
                "model_id": np.char.add(prefix, number),
                "engine": np.char.add("engine", number),
                "tenant_key": np.char.add("tenant:", tenant.astype(str)),
                "accepts": accepts,
                "rejects": verdicts - accepts,
            }
        )

    @property
    def runs(self) -> int:
        return int(self.verdicts.shape[0])


def phases(runs: int, first_run: int = 0) -> pa.Table:
    """Those of stg_models."""
    numbers = range(first_run, first_run + runs)
    models = [f"lgbm@{arm}{number}" for number in numbers for arm in ("candidate", "live")]
    return pa.table({"model_id": models, "phase": ["canary", "live"] * runs})


def batches(runs: int, size: int) -> Iterator[tuple[int, int]]:
    """The first run and the number of runs of each batch."""
    for first in range(0, runs, size):
        yield first, min(size, runs - first)


# Verdicts a day of either arm, and the rates of tenants.
CLUSTERED = (20.0, 20.0, 0.5, 8.0)
EQUAL = (
    Experiment("independent, 20 tenants an arm", 20, 20, 40, 40, 0.6),
    Experiment("independent, both arms within 100 tenants", 100, None, 40, 40, 0.6),
    Experiment("clustered, 10 tenants an arm", 10, 10, *CLUSTERED),
    Experiment("clustered, 40 tenants an arm", 40, 40, *CLUSTERED),
    Experiment("clustered, 10 tenants against 40", 40, 10, *CLUSTERED),
    Experiment("clustered, both arms within 20 tenants", 20, None, *CLUSTERED),
    Experiment("rare and unequal, 20 tenants an arm", 20, 20, 4, 40, 0.02),
    Experiment("rare and unequal, both arms within 20 tenants", 20, None, 4, 40, 0.02),
    Experiment("rare, unequal and clustered, 10 tenants against 40", 40, 10, 4, 40, 0.02, 20.0),
    Experiment(
        "drifting, the candidate's share grows, 20 tenants an arm",
        20,
        20,
        40,
        40,
        0.5,
        8.0,
        drift=1.0,
        grows=True,
    ),
    Experiment("drifting, both arms within 20 tenants", 20, None, 4, 40, 0.5, 8.0, drift=1.0),
)
EFFECTS = (0.05, 0.1, 0.15, 0.2, 0.3)
DIFFERENT = (
    Experiment("independent, 20 tenants an arm", 20, 20, 40, 40, 0.5, days=112),
    Experiment("clustered, 10 tenants an arm", 10, 10, *CLUSTERED, days=112),
    Experiment("clustered, 40 tenants an arm", 40, 40, *CLUSTERED, days=112),
    Experiment("clustered, both arms within 20 tenants", 20, None, 4, 40, 0.5, 8.0, days=112),
)
