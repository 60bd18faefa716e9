"""The formulas of the insight graph. Pure functions over plain numbers.

Peers are all entities with the same facet values, the entity itself included. Values are floats in
the metric's own unit; z-scores have none; percentiles and ranks run from 0 to 100.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, log10, sqrt
from statistics import median

MAD_SCALE = 1.4826
NO_SCORE = "no_score"
ZSCORE_LABELS = (
    (-3.0, "extremely_low"),
    (-2.0, "very_low"),
    (-1.0, "moderately_low"),
    (-0.5, "slightly_low"),
    (0.5, "normal"),
    (1.0, "slightly_high"),
    (2.0, "moderately_high"),
    (3.0, "very_high"),
)
PERCENTILE_LABELS = (
    (5.0, "extremely_low"),
    (10.0, "very_low"),
    (20.0, "moderately_low"),
    (40.0, "slightly_low"),
    (60.0, "normal"),
    (80.0, "slightly_high"),
    (90.0, "moderately_high"),
    (95.0, "very_high"),
)
HIGHEST_LABEL = "extremely_high"
MAGNITUDE_TIERS = (
    (99.0, "critical"),
    (95.0, "severe"),
    (85.0, "elevated"),
    (75.0, "marginal"),
    (25.0, "expected"),
    (10.0, "favorable"),
)
TRAJECTORY_TIERS = (
    (90.0, "rapidly_deteriorating"),
    (70.0, "deteriorating"),
    (30.0, "stable"),
    (10.0, "improving"),
)
MAGNITUDE_WEIGHTS = {
    "critical": 1.0,
    "severe": 0.85,
    "elevated": 0.70,
    "marginal": 0.50,
    "expected": 0.25,
    "favorable": 0.10,
    "excellent": 0.0,
}
TRAJECTORY_WEIGHTS = {
    "rapidly_deteriorating": 1.0,
    "deteriorating": 0.75,
    "stable": 0.40,
    "improving": 0.20,
    "rapidly_improving": 0.0,
}
CONSISTENCY_WEIGHTS = {"persistent": 0.80, "variable": 0.50, "transient": 0.20}


@dataclass(frozen=True)
class Center:
    """Middle and spread of a peer group, before a floor is applied."""

    middle: float
    spread: float
    peers: int

    def zscore(self, value: float, floor: float) -> float:
        return (value - self.middle) / max(self.spread, floor)


def mean(values: Sequence[float]) -> float:
    """The mean. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values have no mean")
    return fsum(values) / len(values)


def population_std(values: Sequence[float]) -> float:
    middle = mean(values)
    return sqrt(fsum((value - middle) ** 2 for value in values) / len(values))


def mean_and_std(values: Sequence[float]) -> Center:
    return Center(mean(values), population_std(values), len(values))


def median_and_mad(values: Sequence[float]) -> Center:
    """Median and scaled MAD: the files' ``peer_mad`` and ``global_mad`` carry the 1.4826."""
    middle = median(values)
    return Center(
        middle, MAD_SCALE * median([abs(value - middle) for value in values]), len(values)
    )


def percentile_ranks(values: Sequence[float]) -> list[float]:
    """Midpoint ranks: ``100 * (below + 0.5 * equal) / n``, the value itself among the equal."""
    ordered = sorted(values)
    return [
        50.0 * (bisect_left(ordered, value) + bisect_right(ordered, value)) / len(ordered)
        for value in values
    ]


def percentile(values: Sequence[float], percent: float) -> float:
    """Linear interpolation between the two nearest of the ordered values."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def slope(values: Sequence[float | None], min_periods: int = 2) -> float | None:
    """Least-squares slope per period over the observed ones; None with too few of them."""
    points = [(index, value) for index, value in enumerate(values) if value is not None]
    if len(points) < max(min_periods, 2):
        return None
    mean_index = mean([index for index, _ in points])
    mean_value = mean([value for _, value in points])
    across = fsum((index - mean_index) * (value - mean_value) for index, value in points)
    return across / fsum((index - mean_index) ** 2 for index, _ in points)


def acceleration(values: Sequence[float | None], min_periods: int = 6) -> float | None:
    """Slope of the second half minus slope of the first; each half needs ``min_periods``.

    The middle period of an odd number belongs to the second half.
    """
    half = len(values) // 2
    first, second = slope(values[:half], min_periods), slope(values[half:], min_periods)
    return None if first is None or second is None else second - first


def end_start_delta(values: Sequence[float | None]) -> float | None:
    """Mean of the last two observed periods minus mean of the first two."""
    observed = [value for value in values if value is not None]
    if len(observed) < 2:
        return None
    return mean(observed[-2:]) - mean(observed[:2])


def trend_direction(slope: float) -> str:
    if slope == 0:
        return "stable"
    return "increasing" if slope > 0 else "decreasing"


def momentum(acceleration: float) -> str:
    return "gaining" if acceleration > 0 else "slowing"


def zscore_label(zscore: float | None, *, is_suppressed: bool = False) -> str:
    """One of nine tiers; upper bounds are inclusive."""
    return _label(zscore, ZSCORE_LABELS, is_suppressed)


def percentile_label(percent: float | None, *, is_suppressed: bool = False) -> str:
    """The nine tiers of a slope percentile; upper bounds are taken as inclusive."""
    return _label(percent, PERCENTILE_LABELS, is_suppressed)


def _label(value: float | None, cuts: Sequence[tuple[float, str]], is_suppressed: bool) -> str:
    if value is None or is_suppressed:
        return NO_SCORE
    return next((label for bound, label in cuts if value <= bound), HIGHEST_LABEL)


def magnitude_tier(percent: float) -> str:
    return next((tier for bound, tier in MAGNITUDE_TIERS if percent >= bound), "excellent")


def trajectory_tier(slope_percentile: float) -> str:
    return next(
        (tier for bound, tier in TRAJECTORY_TIERS if slope_percentile >= bound),
        "rapidly_improving",
    )


def consistency_tier(zscore_std: float, periods: int) -> str:
    if periods < 3 or zscore_std > 1.10:
        return "transient"
    return "persistent" if zscore_std < 0.90 and periods >= 6 else "variable"


def priority_score(
    magnitude: str,
    trajectory: str,
    consistency: str,
    encounters: float,
    actionability: float = 0.5,
    adjustment: float = 0.0,
) -> float:
    """The older score, 1 to 100. Raises KeyError for an unknown tier."""
    volume = min(1.0, log10(encounters) / 4) if encounters > 1 else 0.0
    score = (
        30 * MAGNITUDE_WEIGHTS[magnitude]
        + 25 * TRAJECTORY_WEIGHTS[trajectory]
        + 15 * CONSISTENCY_WEIGHTS[consistency]
        + 15 * volume
        + 10 * actionability
        + adjustment
    )
    return min(100.0, max(1.0, score))


@dataclass(frozen=True)
class Contribution:
    """What one child gives to its parent's weighted mean.

    ``weight`` multiplies by the share a second time, as the mission's models do.
    """

    weight_share: float
    raw_component: float
    excess_over_parent: float
    weight: float
    direction: str


def weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float | None:
    """None where the weights sum to zero."""
    total = fsum(weights)
    if total == 0:
        return None
    return fsum(value * weight for value, weight in zip(values, weights, strict=True)) / total


def contribution(
    child_value: float, parent_value: float, weight: float, total_weight: float
) -> Contribution | None:
    """None where the total weight is zero: then no child has a share."""
    if total_weight == 0:
        return None
    share = weight / total_weight
    excess = share * (child_value - parent_value)
    direction = "positive" if excess > 0 else "negative" if excess < 0 else "neutral"
    return Contribution(share, share * child_value, excess, abs(excess) * share, direction)
