"""What the months of an entity say beside those of its peers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flows.quality_compass.rules import statistics as formulas
from flows.quality_compass.sample.entities import Entity
from flows.quality_compass.settings import StatisticsSettings

STATISTICS = StatisticsSettings()


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
