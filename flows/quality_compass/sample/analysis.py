"""The lines of the analysis: classifications of entities, and contributions to facilities."""

from collections.abc import Iterator, Sequence
from typing import Any

from flows.quality_compass.rules import statistics as formulas
from flows.quality_compass.rules.classification import Inputs, classify
from flows.quality_compass.rules.reading import run_time
from flows.quality_compass.sample.entities import (
    FACILITY,
    SERVICE_LINE,
    Entity,
    as_line,
    by_facility,
    facets_of,
)
from flows.quality_compass.sample.temporal import TemporalFigures, temporal_figures


def classification_lines(
    metric: str, whole: Sequence[Entity], lines: Sequence[Entity]
) -> Iterator[str]:
    for entities, grain in ((whole, FACILITY), (lines, f"{FACILITY}_{SERVICE_LINE}")):
        for peers in facets_of(entities).values():
            for entity, figures in zip(peers, temporal_figures(peers), strict=True):
                if figures is not None:
                    yield as_line(_classification(metric, grain, entity, figures))


def _classification(
    metric: str, grain: str, entity: Entity, figures: TemporalFigures
) -> dict[str, Any]:
    inputs = Inputs(
        formulas.mean(figures.simple),
        figures.slope_percentile,
        figures.acceleration,
        formulas.population_std(figures.simple),
        max(abs(score) for score in figures.simple),
        len(figures.simple),
        figures.is_suppressed,
    )
    signal = classify(inputs)
    return {
        "node_id": f"{metric}__{grain}__aggregate_time_period",
        "entity_key": dict(entity.keys),
        "metric_id": metric,
        "signal_type": signal.signal_type,
        "severity": signal.severity,
        "severity_range": list(signal.severity_range),
        "inputs": {
            "aggregate_zscore": inputs.aggregate_zscore,
            "slope_percentile": inputs.slope_percentile,
            "acceleration": inputs.acceleration,
            "zscore_std": inputs.zscore_std,
            "max_abs_deviation": inputs.max_abs_deviation,
        },
        "derived_indicators": {
            "position": signal.indicators.position,
            "trend": signal.indicators.trend,
            "momentum": signal.indicators.momentum,
            "consistency": signal.indicators.consistency,
            "has_spike": signal.indicators.has_spike,
        },
        "classification_reasoning": f"{signal.indicators.position}, {signal.indicators.trend}",
        "severity_calculation": {
            "base": signal.base,
            "refinements": [
                {"factor": each.factor, "adjustment": each.adjustment, "reason": each.factor}
                for each in signal.refinements
            ],
            "final": signal.severity,
        },
        "suppressed": inputs.is_suppressed,
        "period_count": inputs.period_count,
        "magnitude_tier": formulas.magnitude_tier(figures.simple_rank),
        "trajectory_tier": (
            None
            if figures.slope_percentile is None
            else formulas.trajectory_tier(figures.slope_percentile)
        ),
        "consistency_tier": formulas.consistency_tier(inputs.zscore_std, inputs.period_count),
        "coefficient_of_variation": _coefficient_of_variation(entity),
    }


def _coefficient_of_variation(entity: Entity) -> float:
    observed = [value for value in entity.values if value is not None]
    return formulas.population_std(observed) / formulas.mean(observed)


def contribution_lines(
    run_id: str, metric: str, whole: Sequence[Entity], lines: Sequence[Entity]
) -> Iterator[str]:
    children = {group[0].keys[0]: group for group in by_facility(lines)}
    for parent in whole:
        group = [child for child in children[parent.keys[0]] if child.value is not None]
        total = sum(child.weight for child in group)
        for child in group:
            child_value, parent_value = child.value, parent.value
            assert child_value is not None
            assert parent_value is not None, "a parent with a child has a value"
            given = formulas.contribution(child_value, parent_value, child.weight, total)
            assert given is not None, "an observed child has encounters"
            yield as_line(
                {
                    "run_id": run_id,
                    "timestamp": run_time(run_id).isoformat(),
                    "parent_node_id": f"{metric}__{FACILITY}__aggregate_time_period",
                    "child_node_id": (
                        f"{metric}__{FACILITY}_{SERVICE_LINE}__aggregate_time_period"
                    ),
                    "parent_entity": dict(parent.keys),
                    "child_entity": dict(child.keys),
                    "metric_id": metric,
                    "method": "weighted_mean",
                    "child_value": child_value,
                    "parent_value": parent_value,
                    "weight_field": "encounters",
                    "weight_value": child.weight,
                    "weight_share": given.weight_share,
                    "weighted_child_value": given.raw_component,
                    "contribution_value": given.raw_component,
                    "raw_component": given.raw_component,
                    "excess_over_parent": given.excess_over_parent,
                    "assumptions": [],
                    "fallbacks": [],
                    "missing_inputs": [],
                }
            )
