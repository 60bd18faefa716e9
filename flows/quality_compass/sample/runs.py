"""The files of a run, as an insight graph would write them."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flows.quality_compass.records import Kind
from flows.quality_compass.sample.analysis import classification_lines, contribution_lines
from flows.quality_compass.sample.entities import (
    FACILITY,
    SERVICE_LINE,
    SERVICE_LINES,
    as_line,
    by_facility,
    facility_of,
    service_line_entities,
    window,
)
from flows.quality_compass.sample.nodes import aggregate_lines, temporal_lines

METRICS = ("losIndex", "icuLosIndex")


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
        lines = list(service_line_entities(metric, facilities, seed, months, service_lines))
        whole = [facility_of(group) for group in by_facility(lines)]
        for entities, grain in ((whole, FACILITY), (lines, f"{FACILITY}_{SERVICE_LINE}")):
            node = f"{metric}__{grain}__aggregate_time_period"
            temporal = f"{metric}__{grain}__dischargeMonth"
            edges = [{"canonical_child_node_id": temporal, "edge_type": "trends_to"}]
            if entities is whole:
                segment = f"{metric}__{FACILITY}_{SERVICE_LINE}__aggregate_time_period"
                edges.append({"canonical_child_node_id": segment, "edge_type": "segments_into"})
            yield (
                f"{Kind.NODE.value}/{node}.jsonl",
                aggregate_lines(node, metric, entities, edges),
            )
            yield (
                f"{Kind.NODE.value}/{temporal}.jsonl",
                temporal_lines(temporal, node, metric, entities, months),
            )
        child_node = f"{metric}__{FACILITY}_{SERVICE_LINE}__aggregate_time_period"
        yield (
            f"{Kind.CONTRIBUTION.value}/{child_node}.{metric}.jsonl",
            contribution_lines(run_id, metric, whole, lines),
        )
        yield (
            f"{Kind.CLASSIFICATION.value}/{metric}.jsonl",
            classification_lines(metric, whole, lines),
        )
    yield Kind.MODELING_RUN.value, iter([as_line(_modeling_run(run_id))])
    yield Kind.MODELING_EXPERIMENT.value, (as_line(each) for each in _experiments(run_id, seed))


def write_run(folder: Path, run_id: str, facilities: int, seed: int = 0, **more: Any) -> Path:
    """Write one run below ``folder``; returns the run's own folder."""
    target = folder / run_id
    for path, lines in run_files(run_id, facilities, seed, **more):
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(lines)
    return target


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
