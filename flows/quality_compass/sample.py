"""Makes the output of an insight-graph run: same shapes, same arithmetic, invented facilities.

The figures come from `rules`, so that `verify` finds nothing to object to in an unharmed sample.
Two runs with one seed tell one story: they agree about the months they share.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from flows.quality_compass.records import Kind
from flows.quality_compass.rules import statistics as formulas
from flows.quality_compass.rules.classification import Inputs, classify
from flows.quality_compass.rules.reading import run_time
from flows.quality_compass.settings import StatisticsSettings

METRICS = ("losIndex", "icuLosIndex")
SERVICE_LINES = (
    "Cardiology",
    "Neurosurgery",
    "Orthopedics",
    "Oncology",
    "Otolaryngology",
    "Trauma",
    "Urology",
    "Vascular Surgery",
)
SYSTEMS = ("NORTHWIND_HEALTH", "LAKESHORE_CARE", "SUMMIT_MEDICAL", "HARBOR_ALLIANCE")
COMPARISON_GROUP = "sample_peers"
WINDOW_MONTHS = 12
STORY_BEGINS = date(2023, 1, 1)
STATISTICS = StatisticsSettings()
SERVICE_LINE = "vizientServiceLine"
FACILITY = "medicareId"


@dataclass(frozen=True)
class Entity:
    """One facility, or one service line of it, over the months of a run's window."""

    keys: tuple[tuple[str, str], ...]
    system: str
    values: tuple[float | None, ...]
    encounters: tuple[int, ...]

    @property
    def weight(self) -> int:
        return sum(
            encounters
            for encounters, value in zip(self.encounters, self.values, strict=True)
            if value is not None
        )

    @property
    def value(self) -> float | None:
        observed = [
            (value, encounters)
            for value, encounters in zip(self.values, self.encounters, strict=True)
            if value is not None
        ]
        return formulas.weighted_mean([value for value, _ in observed], [w for _, w in observed])


def facility_id(number: int) -> str:
    """A CCN: two digits of the state and four of the facility, most with a leading zero."""
    return f"{number % 50 + 1:02d}{number // 50 + 1:04d}"


def run_files(
    run_id: str,
    facilities: int,
    seed: int = 0,
    *,
    metrics: Sequence[str] = METRICS,
    service_lines: Sequence[str] = SERVICE_LINES,
) -> Iterator[tuple[str, Iterator[str]]]:
    """The files of one run: path in the run's folder, and its lines."""
    months = window(run_id)
    for metric in metrics:
        lines = list(_service_line_entities(metric, facilities, seed, months, service_lines))
        whole = [_facility_of(group) for group in _by_facility(lines)]
        for entities, grain in ((whole, FACILITY), (lines, f"{FACILITY}_{SERVICE_LINE}")):
            node = f"{metric}__{grain}__aggregate_time_period"
            temporal = f"{metric}__{grain}__dischargeMonth"
            edges = [{"canonical_child_node_id": temporal, "edge_type": "trends_to"}]
            if entities is whole:
                segment = f"{metric}__{FACILITY}_{SERVICE_LINE}__aggregate_time_period"
                edges.append({"canonical_child_node_id": segment, "edge_type": "segments_into"})
            yield (
                f"{Kind.NODE.value}/{node}.jsonl",
                _aggregate_lines(node, metric, entities, edges),
            )
            yield (
                f"{Kind.NODE.value}/{temporal}.jsonl",
                _temporal_lines(temporal, node, metric, entities, months),
            )
        child_node = f"{metric}__{FACILITY}_{SERVICE_LINE}__aggregate_time_period"
        yield (
            f"{Kind.CONTRIBUTION.value}/{child_node}.{metric}.jsonl",
            _contribution_lines(run_id, metric, whole, lines),
        )
        yield (
            f"{Kind.CLASSIFICATION.value}/{metric}.jsonl",
            _classification_lines(metric, whole, lines),
        )
    yield Kind.MODELING_RUN.value, iter([_line(_modeling_run(run_id))])
    yield Kind.MODELING_EXPERIMENT.value, (_line(each) for each in _experiments(run_id, seed))


def write_run(folder: Path, run_id: str, facilities: int, seed: int = 0, **more: Any) -> Path:
    """Write one run below ``folder``; returns the run's own folder."""
    target = folder / run_id
    for path, lines in run_files(run_id, facilities, seed, **more):
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(lines)
    return target


def window(run_id: str) -> tuple[str, ...]:
    """The twelve months before the run's own, as ``YYYYMM``."""
    day = run_time(run_id)
    last = day.year * 12 + day.month - 2
    return tuple(
        f"{month // 12:04d}{month % 12 + 1:02d}"
        for month in range(last - WINDOW_MONTHS + 1, last + 1)
    )


def _service_line_entities(
    metric: str, facilities: int, seed: int, months: Sequence[str], service_lines: Sequence[str]
) -> Iterator[Entity]:
    first = (int(months[0][:4]) - STORY_BEGINS.year) * 12 + int(months[0][4:]) - STORY_BEGINS.month
    for number in range(facilities):
        facility = random.Random(f"{seed}-{metric}-{number}")
        level, drift = facility.gauss(1.05, 0.12), facility.gauss(0, 0.004)
        system = SYSTEMS[number % len(SYSTEMS)]
        for line in service_lines:
            chance = random.Random(f"{seed}-{metric}-{number}-{line}")
            if chance.random() < 0.05:
                continue
            own = level + chance.gauss(0, 0.06)
            pace = drift + chance.gauss(0, 0.003)
            volume = chance.randint(20, 900)
            is_young = chance.random() < 0.04
            story: list[tuple[float | None, int]] = []
            for month in range(first + len(months)):
                value = round(max(0.2, own + pace * (month - 18) + chance.gauss(0, 0.05)), 6)
                is_missing = chance.random() < 0.02 or (is_young and month < first + 10)
                encounters = max(1, int(volume * chance.uniform(0.7, 1.3)))
                story.append((None, 0) if is_missing else (value, encounters))
            shown = story[first:]
            keys = ((FACILITY, facility_id(number)), (SERVICE_LINE, line))
            yield Entity(keys, system, tuple(v for v, _ in shown), tuple(e for _, e in shown))


def _by_facility(lines: Sequence[Entity]) -> Iterator[list[Entity]]:
    group: list[Entity] = []
    for entity in lines:
        if group and group[0].keys[0] != entity.keys[0]:
            yield group
            group = []
        group.append(entity)
    if group:
        yield group


def _facility_of(lines: Sequence[Entity]) -> Entity:
    """A facility's month is the weighted mean of its service lines' month."""
    values: list[float | None] = []
    encounters: list[int] = []
    for at in range(len(lines[0].values)):
        present = [line for line in lines if line.values[at] is not None]
        numbers = [value for line in present if (value := line.values[at]) is not None]
        values.append(formulas.weighted_mean(numbers, [line.encounters[at] for line in present]))
        encounters.append(sum(line.encounters[at] for line in present))
    return Entity(lines[0].keys[:1], lines[0].system, tuple(values), tuple(encounters))


def _facets(entities: Sequence[Entity]) -> Mapping[tuple[tuple[str, str], ...], list[Entity]]:
    facets: dict[tuple[tuple[str, str], ...], list[Entity]] = {}
    for entity in entities:
        facets.setdefault(entity.keys[1:], []).append(entity)
    return facets


def _aggregate_lines(
    node: str, metric: str, entities: Sequence[Entity], edges: list[dict[str, str]]
) -> Iterator[str]:
    facets = _facets(entities)
    known = {facet: [e for e in peers if e.value is not None] for facet, peers in facets.items()}
    numbers = {
        facet: [value for e in peers if (value := e.value) is not None]
        for facet, peers in known.items()
    }
    yield _line(
        _metadata(node, metric, entities, "simple_zscore__aggregate_time_period", numbers)
        | {"canonical_child_node_ids": edges, "canonical_parent_node_ids": []}
    )
    for facet, peers in known.items():
        if not peers:
            continue
        plain = formulas.mean_and_std(numbers[facet])
        robust = formulas.median_and_mad(numbers[facet])
        is_suppressed = len(peers) < STATISTICS.aggregate_min_peer_count
        ranks = formulas.percentile_ranks(numbers[facet])
        for entity, value, rank in zip(peers, numbers[facet], ranks, strict=True):
            simple = plain.zscore(value, STATISTICS.aggregate_std_floor)
            scaled = robust.zscore(value, STATISTICS.mad_floor)
            yield _line(
                _entity(entity, metric, value)
                | {
                    "statistical_methods": [
                        _method(
                            "simple_zscore__aggregate_time_period",
                            {
                                "simple_zscore": simple,
                                "peer_mean": plain.middle,
                                "peer_std": plain.spread,
                                "percentile_rank": rank,
                                "suppressed": is_suppressed,
                            },
                            {"simple_zscore": simple},
                            len(peers),
                        ),
                        _method(
                            "robust_zscore__aggregate_time_period",
                            {"robust_zscore": scaled, "suppressed": is_suppressed},
                            {"robust_zscore": scaled},
                            len(peers),
                        ),
                    ]
                }
            )


def _temporal_lines(
    node: str, parent: str, metric: str, entities: Sequence[Entity], months: Sequence[str]
) -> Iterator[str]:
    facets = _facets(entities)
    everything = {
        facet: [value for e in peers for value in e.values if value is not None]
        for facet, peers in facets.items()
    }
    metadata = _metadata(
        node, metric, entities, "trending_simple_zscore__trending_time_period", everything
    )
    metadata["summary"]["temporal_context"] = {
        "time_grain": "dischargeMonth",
        "start_period": months[0],
        "end_period": months[-1],
        "period_count": len(months),
    }
    metadata["statistical_methods"][0]["summary"]["global_statistics"]["percentile_trends"] = (
        _percentile_trends(entities, months)
    )
    edge = {"canonical_parent_node_id": parent, "edge_type": "trends_to"}
    yield _line(metadata | {"canonical_child_node_ids": [], "canonical_parent_node_ids": [edge]})
    for peers in facets.values():
        for entity, figures in zip(peers, temporal_figures(peers), strict=True):
            if figures is None:
                continue
            yield _line(
                _entity(entity, metric, {"timeline": _timeline(entity, months)}, months)
                | {"statistical_methods": _temporal_methods(figures, months)}
            )


@dataclass(frozen=True)
class TemporalFigures:
    simple: list[float]
    robust: list[float]
    simple_rank: float
    robust_rank: float
    slope: float | None
    slope_percentile: float | None
    acceleration: float | None
    delta: float | None
    peer_median: float
    peer_mad: float
    last: int
    is_suppressed: bool


def temporal_figures(peers: Sequence[Entity]) -> Iterator[TemporalFigures | None]:
    """For each entity in turn; None for one without any observed month."""
    columns = [
        [value for e in peers if (value := e.values[at]) is not None]
        for at in range(len(peers[0].values))
    ]
    plain = [formulas.mean_and_std(each) if each else None for each in columns]
    robust = [formulas.median_and_mad(each) if each else None for each in columns]
    floor, mad_floor = STATISTICS.temporal_std_floor, STATISTICS.mad_floor
    simple_scores = [
        [c.zscore(v, floor) for v, c in zip(e.values, plain, strict=True) if v is not None and c]
        for e in peers
    ]
    robust_scores = [
        [
            c.zscore(v, mad_floor)
            for v, c in zip(e.values, robust, strict=True)
            if v is not None and c
        ]
        for e in peers
    ]
    slopes = [formulas.slope(e.values, STATISTICS.min_slope_periods) for e in peers]
    simple_ranks = iter(_ranks_of([formulas.mean(each) for each in simple_scores if each]))
    robust_ranks = iter(_ranks_of([formulas.mean(each) for each in robust_scores if each]))
    slope_ranks = iter(_ranks_of([slope for slope in slopes if slope is not None]))
    for entity, simple, scaled, slope in zip(
        peers, simple_scores, robust_scores, slopes, strict=True
    ):
        slope_rank = None if slope is None else next(slope_ranks)
        if not simple:
            yield None
            continue
        last = max(at for at, value in enumerate(entity.values) if value is not None)
        center = robust[last]
        assert center is not None, "this entity itself was observed"
        yield TemporalFigures(
            simple,
            scaled,
            next(simple_ranks),
            next(robust_ranks),
            slope,
            slope_rank,
            formulas.acceleration(entity.values, STATISTICS.min_slope_periods),
            formulas.end_start_delta(entity.values),
            center.middle,
            center.spread,
            last,
            len(peers) < STATISTICS.temporal_min_peer_count,
        )


def _ranks_of(values: Sequence[float]) -> list[float]:
    return formulas.percentile_ranks(values) if values else []


def _temporal_methods(figures: TemporalFigures, months: Sequence[str]) -> list[dict[str, Any]]:
    period = f"{months[figures.last][:4]}-{months[figures.last][4:]}"
    count = len(figures.simple)
    simple, robust = formulas.mean(figures.simple), formulas.mean(figures.robust)
    shared = {
        "observations": count,
        "periods": count,
        "latest_period": period,
        "suppressed": figures.is_suppressed,
    }
    methods = [
        _method(
            "trending_simple_zscore__trending_time_period",
            {
                "mean_simple_zscore": simple,
                "latest_simple_zscore": figures.simple[-1],
                "percentile_rank": figures.simple_rank,
                "per_period_simple_zscores": figures.simple,
            }
            | shared,
            {"latest_simple_zscore": figures.simple[-1], "mean_simple_zscore": simple},
        ),
        _method(
            "trending_robust_zscore__trending_time_period",
            {
                "mean_robust_zscore": robust,
                "latest_robust_zscore": figures.robust[-1],
                "percentile_rank": figures.robust_rank,
                "peer_median": figures.peer_median,
                "peer_mad": figures.peer_mad,
                "per_period_robust_zscores": figures.robust,
            }
            | shared,
            {"latest_robust_zscore": figures.robust[-1], "mean_robust_zscore": robust},
        ),
    ]
    slope, percentile = figures.slope, figures.slope_percentile
    if slope is not None:
        change = figures.acceleration
        methods.append(
            _method(
                "slope_percentile__trending_time_period",
                {
                    "slope": slope,
                    "slope_weighted": slope,
                    "acceleration": change,
                    "end_start_delta": figures.delta,
                    "period_count": count,
                    "trend_direction": formulas.trend_direction(slope),
                    "percentile_rank": percentile,
                    "momentum": None if change is None else formulas.momentum(change),
                    "suppressed": figures.is_suppressed,
                    "slope_percentile": percentile,
                },
                {"slope_percentile": percentile},
            )
        )
    return methods


def _classification_lines(
    metric: str, whole: Sequence[Entity], lines: Sequence[Entity]
) -> Iterator[str]:
    for entities, grain in ((whole, FACILITY), (lines, f"{FACILITY}_{SERVICE_LINE}")):
        for peers in _facets(entities).values():
            for entity, figures in zip(peers, temporal_figures(peers), strict=True):
                if figures is not None:
                    yield _line(_classification(metric, grain, entity, figures))


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


def _contribution_lines(
    run_id: str, metric: str, whole: Sequence[Entity], lines: Sequence[Entity]
) -> Iterator[str]:
    children = {group[0].keys[0]: group for group in _by_facility(lines)}
    for parent in whole:
        group = [child for child in children[parent.keys[0]] if child.value is not None]
        total = sum(child.weight for child in group)
        for child in group:
            child_value, parent_value = child.value, parent.value
            assert child_value is not None
            assert parent_value is not None, "a parent with a child has a value"
            given = formulas.contribution(child_value, parent_value, child.weight, total)
            assert given is not None, "an observed child has encounters"
            yield _line(
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


def _metadata(
    node: str,
    metric: str,
    entities: Sequence[Entity],
    method: str,
    numbers: Mapping[tuple[tuple[str, str], ...], Sequence[float]],
) -> dict[str, Any]:
    facets = []
    for facet, values in numbers.items():
        if not values:
            continue
        center = formulas.mean_and_std(values)
        facets.append(
            {
                "facet_values": dict(facet),
                "facet_counts": {"record_count": len(values), "entity_count": len(values)},
                "method_statistics": {
                    "global_metric_mean": center.middle,
                    "global_metric_std": center.spread,
                },
            }
        )
    return {
        "type": "node_metadata",
        "canonical_node_id": node,
        "metric_id": metric,
        "dataset_path": "sample",
        "summary": {
            "entity_scope": {
                "display_name": "Facility",
                "comparison_group": COMPARISON_GROUP,
            }
        },
        "statistical_methods": [
            {
                "statistical_method": f"statistical_method__{method}",
                "summary": {
                    "global_statistics": {
                        "group_by_columns": [key for key, _ in entities[0].keys],
                        "facets": facets,
                    }
                },
            }
        ],
        "entity_results_count": len(entities),
    }


def _percentile_trends(entities: Sequence[Entity], months: Sequence[str]) -> dict[str, Any]:
    columns = [
        [value for e in entities if (value := e.values[at]) is not None]
        for at in range(len(months))
    ]
    trends: dict[str, Any] = {
        "periods": list(months),
        "sample_sizes": [len(column) for column in columns],
    }
    for percent in (10, 25, 50, 75, 90):
        trends[f"p{percent}"] = [
            formulas.percentile(column, percent) if column else None for column in columns
        ]
    return trends


def _entity(
    entity: Entity, metric: str, values: object, months: Sequence[str] | None = None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "encounters": float(entity.weight),
        "systemName": entity.system,
        "facility": f"FACILITY_{entity.keys[0][1]}",
    }
    if months:
        metadata["per_period"] = {
            "encounters": [
                {"period": f"{month[:4]}-{month[4:]}", "value": encounters}
                for month, encounters in zip(months, entity.encounters, strict=True)
            ]
        }
    return {
        "entity": [{"id": key, "value": each, "dataset_field": key} for key, each in entity.keys],
        "metric": [{"metadata": {"metric_id": metric}, "values": values}],
        "metadata": metadata,
    }


def _timeline(entity: Entity, months: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"period": month, "value": value}
        for month, value in zip(months, entity.values, strict=True)
    ]


def _method(
    name: str,
    statistics: dict[str, Any],
    scores: Mapping[str, float | None],
    peer_count: int | None = None,
) -> dict[str, Any]:
    is_suppressed = bool(statistics["suppressed"])
    anomalies = [
        {
            "anomaly_method": f"anomaly_method__{name}__{applies_to}",
            "anomaly": (
                formulas.percentile_label(score, is_suppressed=is_suppressed)
                if applies_to == "slope_percentile"
                else formulas.zscore_label(score, is_suppressed=is_suppressed)
            ),
            "statistic_value": score,
            "applies_to": applies_to,
        }
        for applies_to, score in scores.items()
    ]
    runtime: dict[str, Any] = {"status": "ok", "summary": {"has_issues": False}}
    if peer_count is not None:
        runtime["anomaly_statistics"] = {"peer_count": peer_count}
    return {
        "statistical_method": f"statistical_method__{name}",
        "statistics": statistics,
        "anomalies": [{"anomaly_profile": f"anomaly_profiles__{name}", "methods": anomalies}],
        "runtime": runtime,
    }


def _modeling_run(run_id: str) -> dict[str, Any]:
    return {
        "config_path": "configs/los_drivers.yml",
        "status": "completed",
        "groups": ["facility"],
        "run_dir": f"runs/{run_id}",
        "duration_seconds": 12.5,
    }


def _experiments(run_id: str, seed: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(f"{seed}-{run_id}-experiments")
    for estimator in ("ridge", "gradient_boosting"):
        yield {
            "experiment_id": f"{run_id}-{estimator}",
            "estimator": estimator,
            "target": "losIndex",
            "metrics": {"r2": round(chance.uniform(0.2, 0.7), 4)},
            "features": ["numeric__age", "categorical__region_west", "binary__icu"],
        }


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"
