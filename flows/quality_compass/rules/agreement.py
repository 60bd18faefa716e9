"""Whether what a run claims of one figure is what was recomputed."""

from collections.abc import Iterator, Mapping
from typing import Any

from flows.quality_compass.records import Json
from flows.quality_compass.rules import statistics as formulas
from flows.quality_compass.rules.json_lines import UnusableLineError
from flows.quality_compass.rules.reading import normal_period

Figures = Mapping[str, object]


def compare(method: Json, figures: Figures, tolerance: float) -> Iterator[tuple[str, str, str]]:
    name = str(method["statistical_method"])
    statistics = method.get("statistics") or {}
    is_suppressed = bool(figures.get("suppressed"))
    for key, claimed in statistics.items():
        known = _figure_name(name, key)
        if known not in figures or (is_suppressed and key != "suppressed"):
            continue
        recomputed = figures[known]
        if not agree(claimed, recomputed, tolerance):
            yield f"{short(name)}.{key}", repr(claimed), repr(recomputed)
    for profile in method.get("anomalies") or ():
        for anomaly in profile.get("methods") or ():
            applies_to = str(anomaly.get("applies_to"))
            figure = figures.get(applies_to)
            if figure is None and not is_suppressed:
                continue
            label = _expected_label(applies_to, figure, is_suppressed)
            if anomaly.get("anomaly") != label:
                yield f"{short(name)}.anomaly of {applies_to}", repr(anomaly.get("anomaly")), label


def _expected_label(applies_to: str, figure: object, is_suppressed: bool) -> str:
    value = figure if isinstance(figure, float) else None
    if applies_to == "slope_percentile":
        return formulas.percentile_label(value, is_suppressed=is_suppressed)
    return formulas.zscore_label(value, is_suppressed=is_suppressed)


def _figure_name(method: str, key: str) -> str:
    """The trending methods use one name for ranks of different things."""
    if key == "slope_weighted":
        return "slope"
    if key == "periods":
        return "observations"
    if key != "percentile_rank" or "__aggregate_time_period" in method:
        return key
    if "slope_percentile" in method:
        return "slope_percentile"
    return "robust_percentile_rank" if "robust" in method else "simple_percentile_rank"


def short(method: str) -> str:
    return method.removeprefix("statistical_method__").partition("__")[0]


def agree(claimed: Any, recomputed: object, tolerance: float) -> bool:
    if isinstance(claimed, bool) or isinstance(recomputed, bool):
        return claimed is recomputed
    if isinstance(claimed, int | float) and isinstance(recomputed, int | float):
        return abs(claimed - recomputed) <= tolerance * max(1.0, abs(recomputed))
    if isinstance(claimed, list) and isinstance(recomputed, list):
        observed = [each for each in claimed if each is not None]
        return len(observed) == len(recomputed) and all(
            agree(mine, other, tolerance) for mine, other in zip(observed, recomputed, strict=True)
        )
    if isinstance(claimed, str) and isinstance(recomputed, str) and claimed != recomputed:
        try:
            return normal_period(claimed) == normal_period(recomputed)
        except UnusableLineError:
            return False
    return bool(claimed == recomputed)
