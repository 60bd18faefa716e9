"""The figures on a line that marts read: each is of its kind, or the line is no row."""

from collections.abc import Iterable, Iterator, Mapping

from flows.quality_compass.records import Json
from flows.quality_compass.rules import values
from flows.quality_compass.rules.json_lines import UnusableLineError
from flows.quality_compass.rules.names import refuse_invisible, visible_text_of

OF_METHOD = (
    *("simple_zscore", "robust_zscore", "mean_simple_zscore", "latest_simple_zscore"),
    *("mean_robust_zscore", "latest_robust_zscore", "peer_mean", "peer_std", "peer_median"),
    *("peer_mad", "slope", "acceleration", "end_start_delta"),
)
OF_FACET = ("global_metric_mean", "global_metric_std", "global_metric_median", "global_mad")
PERCENTILES = ("p10", "p25", "p50", "p75", "p90")
OF_CONTRIBUTION = (
    *("child_value", "parent_value", "weight_value", "weighted_child_value"),
    *("contribution_value", "raw_component", "excess_over_parent"),
)
OF_INPUTS = (
    *("aggregate_zscore", "slope_percentile", "acceleration", "zscore_std", "max_abs_deviation"),
)
TEXTS_OF_CLASSIFICATION = (
    *("magnitude_tier", "trajectory_tier", "consistency_tier", "classification_reasoning"),
)
OF_FIT = (
    *("r2", "mae", "rmse", "r2_original", "mae_original", "rmse_original", "inverse_cap"),
    *("capped_pred_original_count", "capped_pred_original_fraction"),
)


def methods_of(entity: Json) -> tuple[Json, ...]:
    """The statistical methods of an entity. Raises UnusableLineError."""
    methods = entity.get("statistical_methods") or []
    if not isinstance(methods, list) or not all(isinstance(each, Mapping) for each in methods):
        raise UnusableLineError("statistical_methods is not a list of objects")
    for method in methods:
        visible_text_of(method, "statistical_method")
        _refuse_statistics(values.object_in(method, "statistics"))
        runtime = values.object_in(method, "runtime")
        values.flag("has_issues", values.object_in(runtime, "summary").get("has_issues"))
        about = values.object_in(runtime, "anomaly_statistics")
        values.count("peer_count", about.get("peer_count"))
    return tuple(methods)


def _refuse_statistics(statistics: Json) -> None:
    values.flag("suppressed", statistics.get("suppressed"))
    _numbers(statistics, OF_METHOD)
    for name, value in statistics.items():
        if name.endswith(("percentile_rank", "slope_percentile")):
            values.within(name, value, 0, 100)
    for name in ("period_count", "periods"):
        values.count(name, statistics.get(name))
    for name in ("per_period_simple_zscores", "per_period_robust_zscores"):
        values.numbers(name, statistics.get(name))
    for name in ("trend_direction", "momentum"):
        values.text(name, statistics.get(name))


def refuse_contribution(parsed: Json) -> None:
    """Raises UnusableLineError."""
    _names(parsed, ("method", "weight_field"))
    _numbers(parsed, OF_CONTRIBUTION)
    values.within("weight_share", parsed.get("weight_share"), 0, 1)


def refuse_classification(parsed: Json) -> None:
    """Raises UnusableLineError."""
    values.flag("suppressed", parsed.get("suppressed"))
    values.within("severity", parsed.get("severity"), 0, 100)
    severity = values.whole("severity", parsed.get("severity"))
    _severity_range(severity, parsed.get("severity_range"))
    values.count("period_count", parsed.get("period_count"))
    values.number("coefficient_of_variation", parsed.get("coefficient_of_variation"))
    _numbers(values.object_in(parsed, "inputs"), OF_INPUTS)
    for field in TEXTS_OF_CLASSIFICATION:
        values.text(field, parsed.get(field))


def refuse_experiment(parsed: Json) -> None:
    """Raises UnusableLineError."""
    _names(parsed, ("estimator", "groupby_label", "group_value"))
    for field in ("n_iter", "rows"):
        values.count(field, parsed.get(field))
    for field in ("random_state", "tuning_random_state"):
        values.whole(field, parsed.get(field))
    values.number("duration_seconds", parsed.get("duration_seconds"))
    _numbers(values.object_in(parsed, "metrics"), OF_FIT)


def told_of_node(metadata: Json) -> str:
    """Which figures of a node marts leave out, in words. They do not cost it its edges."""
    unread = ", ".join(sorted(set(_unread_of_node(metadata))))
    return f"has figures that cannot be read and are left out: {unread}" if unread else ""


def _unread_of_node(metadata: Json) -> Iterator[str]:
    for method in _objects(metadata.get("statistical_methods")):
        summary = method.get("summary")
        found = summary.get("global_statistics") if isinstance(summary, Mapping) else None
        if not isinstance(found, Mapping):
            continue
        for facet in _objects(found.get("facets")):
            about = facet.get("method_statistics")
            if isinstance(about, Mapping):
                yield from (name for name in OF_FACET if not _is_number(about.get(name)))
        trends = found.get("percentile_trends")
        if isinstance(trends, Mapping):
            for name in (*PERCENTILES, "sample_sizes"):
                claims = trends.get(name) or ()
                if not isinstance(claims, list | tuple) or not all(map(_is_number, claims)):
                    yield name
            flags = trends.get("suppression_applied")
            if not isinstance(flags, Mapping | None):
                yield "suppression_applied"
            for hidden in flags.values() if isinstance(flags, Mapping) else ():
                if not isinstance(hidden, list) or not all(
                    isinstance(each, bool) for each in hidden
                ):
                    yield "suppression_applied"


def _objects(found: object) -> Iterator[Json]:
    if isinstance(found, list):
        yield from (each for each in found if isinstance(each, Mapping))


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _numbers(parent: Json, fields: Iterable[str]) -> None:
    for field in fields:
        values.number(field, parent.get(field))


def _names(parent: Json, fields: Iterable[str]) -> None:
    for field in fields:
        if isinstance(name := parent.get(field), str):
            refuse_invisible(field, name)


def _severity_range(severity: float | None, limits: object) -> None:
    if limits is None:
        return
    if not isinstance(limits, list) or len(limits) != 2:
        raise UnusableLineError(f"severity_range is {limits!r}, not two numbers")
    low, high = (values.within("an end of severity_range", each, 0, 100) for each in limits)
    if low is None or high is None or not low.is_integer() or not high.is_integer():
        raise UnusableLineError(f"severity_range is {limits!r}, not two whole numbers")
    if severity is not None and not low <= severity <= high:
        raise UnusableLineError(f"severity {severity:g} is outside its range {low:g} to {high:g}")
