"""The classification engine: nine signal types and a severity from 0 to 100.

A high value is bad throughout, as for every length-of-stay metric of the insight graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flows.quality_compass.settings import ClassificationSettings

SEVERITY_RANGES: Mapping[str, tuple[int, int]] = {
    "suspect_data": (50, 50),
    "sustained_excellence": (0, 12),
    "improving_leader": (13, 25),
    "baseline": (26, 59),
    "emerging_risk": (60, 70),
    "volatility_alert": (71, 80),
    "recovering": (40, 59),
    "chronic_underperformer": (81, 90),
    "critical_trajectory": (91, 100),
}
SIGNAL_TYPES = tuple(SEVERITY_RANGES)
IMPROVING = ("improving", "rapidly_improving")
WORSENING = ("worsening", "rapidly_worsening")


@dataclass(frozen=True)
class Inputs:
    """What a signal is classified from; z-scores over the observed months of one entity.

    ``slope_percentile`` and ``acceleration`` are None where there were too few months.
    """

    aggregate_zscore: float
    slope_percentile: float | None
    acceleration: float | None
    zscore_std: float
    max_abs_deviation: float
    period_count: int
    is_suppressed: bool = False
    encounters: float | None = None


@dataclass(frozen=True)
class Indicators:
    position: str
    trend: str
    momentum: str
    consistency: str
    has_spike: bool


@dataclass(frozen=True)
class Refinement:
    """One adjustment of the severity, and why."""

    factor: str
    adjustment: int


@dataclass(frozen=True)
class Signal:
    signal_type: str
    severity: int
    severity_range: tuple[int, int]
    base: int
    refinements: tuple[Refinement, ...]
    indicators: Indicators


def derive(inputs: Inputs, settings: ClassificationSettings) -> Indicators:
    return Indicators(
        position=_position(inputs.aggregate_zscore, settings),
        trend=_trend(inputs.slope_percentile),
        momentum=_momentum(inputs.acceleration, settings),
        consistency=(
            "consistent" if inputs.zscore_std < settings.consistent_zscore_std else "variable"
        ),
        has_spike=inputs.max_abs_deviation > settings.spike_deviation,
    )


def classify(inputs: Inputs, settings: ClassificationSettings = ClassificationSettings()) -> Signal:
    """The signal of one entity. Never fails: what no rule names is ``baseline``."""
    indicators = derive(inputs, settings)
    signal_type = _signal_type(inputs, indicators, settings)
    low, high = SEVERITY_RANGES[signal_type]
    base = (low + high) // 2
    refinements = () if signal_type == "suspect_data" else _refinements(signal_type, inputs)
    severity = base + sum(refinement.adjustment for refinement in refinements)
    return Signal(
        signal_type,
        min(high, max(low, severity)),
        (low, high),
        base,
        refinements,
        indicators,
    )


def _position(zscore: float, settings: ClassificationSettings) -> str:
    if zscore < -1.5:
        return "excellent"
    if zscore < -0.5:
        return "favorable"
    if zscore < 0.5:
        return "normal"
    if zscore < 1:
        return "marginal"
    return "elevated" if zscore < settings.severe_zscore else "severe"


def _trend(slope_percentile: float | None) -> str:
    if slope_percentile is None:
        return "stable"
    if slope_percentile >= 90:
        return "rapidly_worsening"
    if slope_percentile >= 70:
        return "worsening"
    if slope_percentile >= 30:
        return "stable"
    return "improving" if slope_percentile >= 10 else "rapidly_improving"


def _momentum(acceleration: float | None, settings: ClassificationSettings) -> str:
    if acceleration is None or abs(acceleration) <= settings.acceleration_cut:
        return "neutral"
    return "accelerating" if acceleration > 0 else "decelerating"


def _signal_type(inputs: Inputs, seen: Indicators, settings: ClassificationSettings) -> str:
    if _is_suspect(inputs, settings):
        return "suspect_data"
    if seen.has_spike:
        return "volatility_alert"
    if seen.position in ("elevated", "severe"):
        return _signal_of_high(seen)
    if seen.position in ("normal", "marginal") and seen.trend in WORSENING:
        return "emerging_risk"
    if seen.position == "excellent" and seen.trend == "stable" and seen.consistency == "consistent":
        return "sustained_excellence"
    if seen.position in ("excellent", "favorable", "normal") and seen.trend in IMPROVING:
        return "improving_leader"
    return "baseline"


def _signal_of_high(seen: Indicators) -> str:
    if seen.trend in WORSENING and seen.momentum == "accelerating":
        return "critical_trajectory"
    if seen.trend == "rapidly_worsening":
        return "chronic_underperformer"
    return "recovering" if seen.trend in IMPROVING else "baseline"


def _is_suspect(inputs: Inputs, settings: ClassificationSettings) -> bool:
    too_few = (
        settings.min_encounters is not None
        and inputs.encounters is not None
        and inputs.encounters < settings.min_encounters
    )
    return inputs.is_suppressed or inputs.period_count < settings.min_periods or too_few


def _refinements(signal_type: str, inputs: Inputs) -> tuple[Refinement, ...]:
    position = _position_adjustment(inputs.aggregate_zscore)
    momentum = _momentum_adjustment(inputs.acceleration)
    adjustments = {"slope": _slope_adjustment(inputs.slope_percentile)}
    if signal_type == "baseline":
        adjustments["position"] = position
    elif signal_type == "emerging_risk":
        adjustments["position"] = max(0, position)
        adjustments["momentum"] = max(0, momentum)
    elif signal_type == "improving_leader":
        adjustments["momentum"] = min(0, momentum)
    elif signal_type == "chronic_underperformer":
        adjustments["chronic"] = 1
    return tuple(Refinement(factor, value) for factor, value in adjustments.items() if value)


def _slope_adjustment(slope_percentile: float | None) -> int:
    if slope_percentile is None:
        return 0
    if slope_percentile >= 80:
        return 2
    if slope_percentile >= 60:
        return 1
    if slope_percentile >= 40:
        return 0
    return -1 if slope_percentile >= 20 else -2


def _position_adjustment(zscore: float) -> int:
    if zscore >= 1:
        return 2
    if zscore >= 0.5:
        return 1
    if zscore > -0.5:
        return 0
    return -1 if zscore > -1 else -2


def _momentum_adjustment(acceleration: float | None) -> int:
    if acceleration is None or abs(acceleration) <= 0.005:
        return 0
    size = 2 if abs(acceleration) > 0.01 else 1
    return size if acceleration > 0 else -size
