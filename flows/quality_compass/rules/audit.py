"""Recomputes what a run claims, and names every figure that does not agree.

A node's file is read twice: once to learn the peers' values, once to compare. Between the two only
numbers are kept, eight bytes for each value.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from typing import TYPE_CHECKING

from flows.quality_compass.records import Disagreement, Json, Observation
from flows.quality_compass.rules import statistics as formulas
from flows.quality_compass.rules.agreement import Figures, agree, compare
from flows.quality_compass.rules.classification import Inputs, classify
from flows.quality_compass.rules.reading import digest, identity_of, normal_period
from flows.quality_compass.settings import ClassificationSettings, StatisticsSettings

# Subscripts of array.array work at run time from Python 3.12 only.
if TYPE_CHECKING:
    Numbers = array[float]
else:
    Numbers = array

Facet = tuple[tuple[str, str], ...]


@dataclass
class _Peers:
    """All values of one facet: a flat row of months per entity, or one value per entity."""

    values: Numbers = field(default_factory=lambda: array("d"))
    next_entity: int = 0
    figures: "_AggregateFigures | _TemporalFigures | None" = None


class NodeAudit:
    """The audit of one node: `learn` every entity, then `check` every entity in the same order."""

    def __init__(self, metadata: Json, settings: StatisticsSettings) -> None:
        self._metadata = metadata
        self._settings = settings
        self._periods: tuple[str, ...] = ()
        self._peers: dict[Facet, _Peers] = {}

    def learn(self, observation: Observation) -> None:
        peers = self._peers.setdefault(observation.facet, _Peers())
        if observation.timeline is None:
            peers.values.append(nan if observation.value is None else observation.value)
            return
        if not self._periods:
            self._periods = tuple(period for period, _ in observation.timeline)
        seen = dict(observation.timeline)
        for period in self._periods:
            value = seen.get(period)
            peers.values.append(nan if value is None else value)

    def check(
        self, observation: Observation, file_path: str, line_number: int, tolerance: float
    ) -> Iterator[Disagreement]:
        """The claims of one entity that do not agree with its peers' values."""
        subject = f"{observation.metric_id} {observation.subject}"
        strangers = {period for period, _ in observation.timeline or ()} - set(self._periods)
        if strangers:
            yield Disagreement(
                file_path,
                line_number,
                subject,
                "timeline",
                f"months {', '.join(sorted(strangers))}",
                "months the node's first entity does not have",
            )
        figures = self._figures_of(observation)
        for method in observation.methods:
            for path, claimed, recomputed in compare(method, figures, tolerance):
                yield Disagreement(file_path, line_number, subject, path, claimed, recomputed)

    def check_metadata(self, file_path: str, tolerance: float) -> Iterator[Disagreement]:
        """The node's own statistics: of each facet, and the percentiles of each month."""
        for method in self._metadata.get("statistical_methods") or ():
            statistics = (method.get("summary") or {}).get("global_statistics") or {}
            for facet in statistics.get("facets") or ():
                key = tuple(sorted((facet.get("facet_values") or {}).items()))
                for path, claimed, recomputed in self._compare_facet(facet, key, tolerance):
                    yield Disagreement(file_path, 1, str(dict(key)), path, claimed, recomputed)
            for path, claimed, recomputed in self._compare_trends(
                statistics.get("percentile_trends") or {}, tolerance
            ):
                yield Disagreement(file_path, 1, "percentile_trends", path, claimed, recomputed)

    def _figures_of(self, observation: Observation) -> Figures:
        peers = self._peers[observation.facet]
        at = peers.next_entity
        peers.next_entity += 1
        if peers.figures is None:
            peers.figures = (
                _AggregateFigures(peers.values, self._settings)
                if observation.timeline is None
                else _TemporalFigures(peers.values, self._periods, self._settings)
            )
        return peers.figures.of(at)

    def _compare_facet(
        self, facet: Json, key: Facet, tolerance: float
    ) -> Iterator[tuple[str, str, str]]:
        peers = self._peers.get(key)
        claims = facet.get("method_statistics") or {}
        values = [value for value in peers.values if not isnan(value)] if peers else []
        if not values:
            return
        plain, robust = formulas.mean_and_std(values), formulas.median_and_mad(values)
        recomputed = {
            "global_metric_mean": plain.middle,
            "global_metric_std": plain.spread,
            "global_metric_median": robust.middle,
            "global_mad": robust.spread,
        }
        for name, value in recomputed.items():
            if name in claims and not agree(claims[name], value, tolerance):
                yield name, repr(claims[name]), repr(value)

    def _compare_trends(self, trends: Json, tolerance: float) -> Iterator[tuple[str, str, str]]:
        if not self._periods or not trends.get("periods"):
            return
        width = len(self._periods)
        everyone: Numbers = array("d")
        for peers in self._peers.values():
            everyone.extend(peers.values)
        suppressed = trends.get("suppression_applied") or {}
        for index, period in enumerate(trends["periods"]):
            at = self._periods.index(normal_period(period))
            values = [value for value in everyone[at::width] if not isnan(value)]
            for name in ("p10", "p25", "p50", "p75", "p90"):
                claims = trends.get(name) or ()
                hidden = suppressed.get(name) or ()
                if index >= len(claims) or (index < len(hidden) and hidden[index]) or not values:
                    continue
                value = formulas.percentile(values, float(name[1:]))
                if not agree(claims[index], value, tolerance):
                    yield f"{name} of {period}", repr(claims[index]), repr(value)


class _AggregateFigures:
    """Everything recomputed about a facet with one value per entity."""

    def __init__(self, values: Sequence[float], settings: StatisticsSettings) -> None:
        observed = [value for value in values if not isnan(value)]
        self._values = values
        self._settings = settings
        self._is_suppressed = len(observed) < settings.aggregate_min_peer_count
        self._plain = formulas.mean_and_std(observed) if observed else None
        self._robust = formulas.median_and_mad(observed) if observed else None
        self._ranks = _ranks(values)

    def of(self, entity: int) -> Figures:
        value = self._values[entity]
        if self._plain is None or self._robust is None or isnan(value):
            return {"suppressed": True}
        settings = self._settings
        return {
            "suppressed": self._is_suppressed,
            "simple_zscore": self._plain.zscore(value, settings.aggregate_std_floor),
            "peer_mean": self._plain.middle,
            "peer_std": self._plain.spread,
            "peer_count": self._plain.peers,
            "percentile_rank": self._ranks[entity],
            "robust_zscore": self._robust.zscore(value, settings.mad_floor),
        }


class _TemporalFigures:
    """Everything recomputed about a facet with a value per entity and month."""

    def __init__(
        self, values: Numbers, periods: Sequence[str], settings: StatisticsSettings
    ) -> None:
        self._width = len(periods)
        self._periods = periods
        self._settings = settings
        self._values = values
        columns = [
            [value for value in values[at :: self._width] if not isnan(value)]
            for at in range(self._width)
        ]
        self._plain = [formulas.mean_and_std(each) if each else None for each in columns]
        self._robust = [formulas.median_and_mad(each) if each else None for each in columns]
        entities = len(values) // self._width
        self._is_suppressed = entities < settings.temporal_min_peer_count
        rows = range(entities)
        self._slopes = array("d", [_or_nan(self._slope(entity)) for entity in rows])
        self._slope_ranks = _ranks(self._slopes)
        self._simple_ranks = _ranks([_mean(self._simple(entity)) for entity in rows])
        self._robust_ranks = _ranks([_mean(self._robust_scores(entity)) for entity in rows])

    def of(self, entity: int) -> Figures:
        row = self._row(entity)
        observed = [at for at, value in enumerate(row) if value is not None]
        if not observed:
            return {"suppressed": True}
        last = observed[-1]
        simple, robust = self._simple(entity), self._robust_scores(entity)
        slope = self._slopes[entity]
        acceleration = formulas.acceleration(row, self._settings.min_slope_periods)
        latest_peers = self._robust[last]
        assert latest_peers is not None, "this entity itself was observed"
        has_slope = not isnan(slope)
        return {
            "suppressed": self._is_suppressed,
            "observations": len(observed),
            "period_count": len(observed),
            "latest_period": self._periods[last],
            "per_period_simple_zscores": simple,
            "mean_simple_zscore": formulas.mean(simple),
            "latest_simple_zscore": simple[-1],
            "simple_percentile_rank": self._simple_ranks[entity],
            "per_period_robust_zscores": robust,
            "mean_robust_zscore": formulas.mean(robust),
            "latest_robust_zscore": robust[-1],
            "robust_percentile_rank": self._robust_ranks[entity],
            "peer_median": latest_peers.middle,
            "peer_mad": latest_peers.spread,
            "slope": slope if has_slope else None,
            "acceleration": acceleration,
            "end_start_delta": formulas.end_start_delta(row),
            "trend_direction": formulas.trend_direction(slope) if has_slope else None,
            "momentum": None if acceleration is None else formulas.momentum(acceleration),
            "slope_percentile": self._slope_ranks[entity] if has_slope else None,
        }

    def _row(self, entity: int) -> list[float | None]:
        at = entity * self._width
        return [None if isnan(value) else value for value in self._values[at : at + self._width]]

    def _slope(self, entity: int) -> float | None:
        return formulas.slope(self._row(entity), self._settings.min_slope_periods)

    def _simple(self, entity: int) -> list[float]:
        return [
            center.zscore(value, self._settings.temporal_std_floor)
            for value, center in zip(self._row(entity), self._plain, strict=True)
            if value is not None and center is not None
        ]

    def _robust_scores(self, entity: int) -> list[float]:
        return [
            center.zscore(value, self._settings.mad_floor)
            for value, center in zip(self._row(entity), self._robust, strict=True)
            if value is not None and center is not None
        ]


def check_classification(
    claim: Json,
    file_path: str,
    line_number: int,
    tolerance: float,
    settings: ClassificationSettings,
) -> Iterator[Disagreement]:
    """A classification against the engine, given the inputs it states itself."""
    inputs = claim.get("inputs") or {}
    subject = f"{claim.get('metric_id')} {claim.get('entity_key')}"
    zscore, spread = inputs.get("aggregate_zscore"), inputs.get("zscore_std")
    deviation, periods = inputs.get("max_abs_deviation"), claim.get("period_count")
    if zscore is None or spread is None or deviation is None or periods is None:
        yield Disagreement(
            file_path, line_number, subject, "inputs", "incomplete", "cannot be classified"
        )
        return
    signal = classify(
        Inputs(
            float(zscore),
            inputs.get("slope_percentile"),
            inputs.get("acceleration"),
            float(spread),
            float(deviation),
            int(periods),
            bool(claim.get("suppressed")),
        ),
        settings,
    )
    recomputed: dict[str, object] = {
        "signal_type": signal.signal_type,
        "severity": signal.severity,
        "severity_range": list(signal.severity_range),
    }
    stated = dict(claim)
    derived = claim.get("derived_indicators") or {}
    for name in ("position", "trend", "momentum", "consistency", "has_spike"):
        if name in derived:
            stated[name] = derived[name]
            recomputed[name] = getattr(signal.indicators, name)
    for name, value in recomputed.items():
        if name in stated and not agree(stated[name], value, tolerance):
            yield Disagreement(
                file_path, line_number, subject, name, repr(stated[name]), repr(value)
            )


class ContributionAudit:
    """The audit of one contribution file: `learn` every line, then `check` every line."""

    def __init__(self) -> None:
        self._weights: dict[str, float] = {}

    def learn(self, claim: Json) -> None:
        weight = claim.get("weight_value")
        if isinstance(weight, int | float):
            parent = _parent(claim)
            self._weights[parent] = self._weights.get(parent, 0.0) + weight

    def check(
        self, claim: Json, file_path: str, line_number: int, tolerance: float
    ) -> Iterator[Disagreement]:
        child, parent, weight = (
            claim.get(name) for name in ("child_value", "parent_value", "weight_value")
        )
        if child is None or parent is None or weight is None:
            return
        given = formulas.contribution(child, parent, weight, self._weights[_parent(claim)])
        if given is None:
            return
        recomputed = {
            "weight_share": given.weight_share,
            "raw_component": given.raw_component,
            "excess_over_parent": given.excess_over_parent,
            "weighted_child_value": given.raw_component,
        }
        subject = f"{claim.get('metric_id')} {claim.get('child_entity')}"
        for name, value in recomputed.items():
            if name in claim and not agree(claim[name], value, tolerance):
                yield Disagreement(
                    file_path, line_number, subject, name, repr(claim[name]), repr(value)
                )


def _parent(claim: Json) -> str:
    entity = claim.get("parent_entity")
    parent = identity_of(entity) if isinstance(entity, Mapping) else entity
    return digest([claim.get("parent_node_id"), parent, claim.get("metric_id")])


def _ranks(values: Sequence[float]) -> Numbers:
    observed = iter(formulas.percentile_ranks([value for value in values if not isnan(value)]))
    return array("d", [nan if isnan(value) else next(observed) for value in values])


def _mean(values: Sequence[float]) -> float:
    return formulas.mean(values) if values else nan


def _or_nan(value: float | None) -> float:
    return nan if value is None else value
