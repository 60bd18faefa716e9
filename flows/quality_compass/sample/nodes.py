"""The lines of node files: metadata, and an entity each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flows.quality_compass.rules import statistics as formulas
from flows.quality_compass.sample.entities import Entity, as_line, facets_of
from flows.quality_compass.sample.temporal import (
    STATISTICS,
    TemporalFigures,
    temporal_figures,
)

COMPARISON_GROUP = "sample_peers"


def aggregate_lines(
    node: str, metric: str, entities: Sequence[Entity], edges: list[dict[str, str]]
) -> Iterator[str]:
    facets = facets_of(entities)
    known = {facet: [e for e in peers if e.value is not None] for facet, peers in facets.items()}
    numbers = {
        facet: [value for e in peers if (value := e.value) is not None]
        for facet, peers in known.items()
    }
    yield as_line(
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
            yield as_line(
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


def temporal_lines(
    node: str, parent: str, metric: str, entities: Sequence[Entity], months: Sequence[str]
) -> Iterator[str]:
    facets = facets_of(entities)
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
    yield as_line(metadata | {"canonical_child_node_ids": [], "canonical_parent_node_ids": [edge]})
    for peers in facets.values():
        for entity, figures in zip(peers, temporal_figures(peers), strict=True):
            if figures is None:
                continue
            yield as_line(
                _entity(entity, metric, {"timeline": _timeline(entity, months)}, months)
                | {"statistical_methods": _temporal_methods(figures, months)}
            )


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
