"""Lines that a run can hold and that must stop neither its other lines nor other runs."""

import json
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.quality_compass import sample
from tests.dbt_projects.poison import Told, assert_each_is_named, assert_nobody_is_stopped
from tests.dbt_projects.runs_of_quality_compass import load, make_empty
from tests.dbt_projects.warehouse import Warehouse

GOOD, POISONED = "20250115060000", "20250215060000"
NODE = "losIndex__medicareId__aggregate_time_period"
AGGREGATE = f"results/nodes/{NODE}.jsonl"
MONTHLY = "results/nodes/losIndex__medicareId__dischargeMonth.jsonl"
CLASSIFICATIONS = "analysis/classification/losIndex.jsonl"
CONTRIBUTIONS = (
    "analysis/contribution/losIndex__medicareId_vizientServiceLine__aggregate_time_period"
    ".losIndex.jsonl"
)
EXPERIMENTS = "modeling/experiments.jsonl"
# Text that does not become smaller when it is compressed: an index takes 2,704 bytes of it.
LONG = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=5_000))
TINY = "0." + "0" * 400 + "1"
FINE = "1." + "3" * 20_000


@dataclass(frozen=True)
class Line:
    """A line like a good one of its file but for ``changes``, which are paths and values.

    ``reason`` is a part of why it is put aside; without one it is a row. A text that begins with #
    stands in the file without quotes.
    """

    file: str
    changes: dict[str, Any]
    reason: str = ""
    facility: str = ""


METHOD = "statistical_methods/0"
STATISTICS = f"{METHOD}/statistics"
LINES = {
    # Entities.
    "a rank just above 100": Line(AGGREGATE, {f"{STATISTICS}/percentile_rank": 100.0000000005}),
    "a rank just below 0": Line(AGGREGATE, {f"{STATISTICS}/percentile_rank": -0.0000000005}),
    "a rank of 101": Line(AGGREGATE, {f"{STATISTICS}/percentile_rank": 101}, "outside 0 to 100"),
    "a slope's rank just above 100": Line(
        MONTHLY, {f"{STATISTICS}/slope_percentile": 100.0000000005}
    ),
    "too near to 0": Line(AGGREGATE, {"metric/0/values": "#" + TINY}, "fit a double"),
    "too many digits": Line(AGGREGATE, {"metric/0/values": "#" + FINE}, "digits"),
    "too many digits before the point": Line(
        AGGREGATE, {f"{STATISTICS}/peer_mean": "#" + "9" * 400}, "fit a double"
    ),
    "an exponent of one digit": Line(
        AGGREGATE, {"metric/0/values": "#999999999999999e9"}, "none that was measured"
    ),
    "far from its benchmark": Line(AGGREGATE, {"metric/0/values": 900_000_000_000_000}),
    "a long name of its metric": Line(
        AGGREGATE, {"metric/0/metadata/metric_id": LONG}, "characters long"
    ),
    "a long value of its key": Line(AGGREGATE, {"entity/1": {"id": "unit", "value": LONG}}),
    "a system besides the facility": Line(
        AGGREGATE, {"entity/1": {"id": "systemName", "value": "A"}}, facility="900100"
    ),
    "another system besides the same facility": Line(
        AGGREGATE, {"entity/1": {"id": "systemName", "value": "B"}}, facility="900100"
    ),
    "no facility": Line(AGGREGATE, {"entity/0": {"id": "systemName", "value": "System A"}}),
    "no facility either": Line(AGGREGATE, {"entity/0": {"id": "systemName", "value": "System B"}}),
    "a score that is a word": Line(
        MONTHLY,
        {f"{STATISTICS}/per_period_simple_zscores": ["high", 1, None, True, {}]},
        "not a number",
    ),
    "scores that are none": Line(
        MONTHLY, {f"{STATISTICS}/per_period_simple_zscores": "high"}, "not a list"
    ),
    "statistics that are none": Line(AGGREGATE, {STATISTICS: "none"}, "not an object"),
    "anomalies that differ in what they leave out": Line(
        AGGREGATE,
        {
            f"{METHOD}/anomalies": [
                {"anomaly_profile": "a", "methods": [{"anomaly": "high", "applies_to": "b"}]},
                {"methods": [{"anomaly": "high", "anomaly_method": "a", "applies_to": "b"}]},
                {"anomaly_profile": "a|b", "methods": [{"anomaly": "low", "applies_to": "c"}]},
                {
                    "anomaly_profile": "a",
                    "methods": [{"anomaly": "low", "anomaly_method": "b", "applies_to": "c"}],
                },
                {"methods": "none"},
                "none",
            ]
        },
    ),
    "months in digits of another script": Line(
        MONTHLY, {"metric/0/values/timeline/0/period": "٢٠٢٤٠١"}, "is not a month"
    ),
    "months of the year 0": Line(MONTHLY, {"metric/0/values/timeline/0/period": "000001"}),
    "encounters just below 0": Line(
        AGGREGATE, {"metadata/encounters": -0.0000000001}, "no whole number"
    ),
    "encounters below 0": Line(AGGREGATE, {"metadata/encounters": -5}, "outside 0"),
    "very many peers": Line(
        AGGREGATE, {f"{METHOD}/runtime/anomaly_statistics/peer_count": 2**31}, "outside 0"
    ),
    "metadata of another kind": Line(AGGREGATE, {"metadata": ["none"]}, "not an object"),
    "nested deeply": Line(
        AGGREGATE, {"metadata/facility": "#" + "[" * 20_000 + "]" * 20_000}, "nested too deeply"
    ),
    "half a letter": Line(AGGREGATE, {"metadata/facility": '#"\\ud800"'}, "surrogate"),
    "a name that is there twice": Line(
        AGGREGATE, {"metadata/facility": '#"a", "facility": "b"'}, "twice"
    ),
    # Nodes, each in a file of its own.
    "a node with a long name": Line(
        "results/nodes/long_name.jsonl", {"canonical_node_id": LONG}, "characters long"
    ),
    "suppressed by a word": Line(
        "results/nodes/by_a_word.jsonl",
        {
            "canonical_node_id": "by_a_word",
            "statistical_methods/0/summary/global_statistics/percentile_trends": {
                "periods": ["202401", "soon", None, "2024-01"],
                "p10": [1, "x", None],
                "suppression_applied": {"p10": ["perhaps", True]},
                "sample_sizes": ["many", 1e15],
            },
        },
    ),
    "edges that differ in where they are cut": Line(
        "results/nodes/edges.jsonl",
        {
            "canonical_node_id": "edges",
            "canonical_child_node_ids": [
                {"canonical_child_node_id": "b|child", "edge_type": "trends_to"},
                {"canonical_child_node_id": "b", "edge_type": "trends_to"},
                {"canonical_child_node_id": LONG, "edge_type": LONG},
                None,
                7,
            ],
        },
    ),
    "a node whose name ends where an edge begins": Line(
        "results/nodes/edges_b.jsonl",
        {
            "canonical_node_id": "edges|b",
            "canonical_child_node_ids": [{"canonical_child_node_id": "child"}],
        },
    ),
    "facets of another kind": Line(
        "results/nodes/facets.jsonl",
        {
            "canonical_node_id": "facets",
            "entity_results_count": "several",
            "summary": ["none"],
            "statistical_methods": [
                7,
                {"summary": {"global_statistics": {"facets": ["x", {"facet_values": 3}, {}]}}},
            ],
        },
    ),
    # Contributions.
    "a share just below 0": Line(CONTRIBUTIONS, {"weight_share": -0.000000001, "parent": "A"}),
    "a share just above 0": Line(CONTRIBUTIONS, {"weight_share": 0.0000000010001, "parent": "A"}),
    "a share just above 1": Line(CONTRIBUTIONS, {"weight_share": 1.0000000005, "parent": "B"}),
    "a share of 1.7": Line(CONTRIBUTIONS, {"weight_share": 1.7}, "outside 0 to 1"),
    "an excess too near to 0": Line(
        CONTRIBUTIONS, {"excess_over_parent": "#" + TINY}, "fit a double"
    ),
    "an excess near to 0": Line(
        CONTRIBUTIONS,
        {"excess_over_parent": "#0." + "0" * 250 + "1", "weight_share": 1e-99},
        "nearer to 0",
    ),
    "a long name of its parent": Line(CONTRIBUTIONS, {"parent_node_id": LONG}, "characters long"),
    "a contribution with a long name of its metric": Line(
        CONTRIBUTIONS, {"metric_id": LONG}, "characters long"
    ),
    "a moment that is none": Line(CONTRIBUTIONS, {"timestamp": "infinity"}),
    "a moment beyond the calendar": Line(CONTRIBUTIONS, {"timestamp": "9999-99-99T99:99:99Z"}),
    "inputs that are none": Line(CONTRIBUTIONS, {"missing_inputs": "all", "method": ["a"]}),
    "a parent that is no facility": Line(
        CONTRIBUTIONS, {"parent_entity": {"systemName": "System A"}}
    ),
    # Classifications.
    "a severity of 17.6": Line(CLASSIFICATIONS, {"severity": 17.6}, "no whole number"),
    "a severity outside its range": Line(
        CLASSIFICATIONS, {"severity": 90, "severity_range": [10, 20]}, "outside its range"
    ),
    "no severity": Line(CLASSIFICATIONS, {"severity": None}),
    "no range": Line(CLASSIFICATIONS, {"severity_range": None}),
    "a classification of a long metric": Line(
        CLASSIFICATIONS, {"metric_id": LONG}, "characters long"
    ),
    "inputs of another kind": Line(CLASSIFICATIONS, {"inputs": ["none"]}, "not an object"),
    "indicators of another kind": Line(
        CLASSIFICATIONS, {"derived_indicators": 7, "severity_calculation": "x"}
    ),
    "suppressed in another way": Line(
        CLASSIFICATIONS, {"suppressed": "perhaps"}, "neither true nor false"
    ),
    "as many periods as do not fit": Line(CLASSIFICATIONS, {"period_count": 2**31}, "outside 0"),
    # Models.
    "no name of a feature": Line(EXPERIMENTS, {"features": [None, {}, ["x"], "numeric__age"]}),
    "a fit that is a word": Line(
        EXPERIMENTS, {"metrics": {"r2": "good", "mae": None}, "artifacts": 7}, "not a number"
    ),
    "no artifacts": Line(EXPERIMENTS, {"artifacts": 7}),
    "an error too near to 0": Line(EXPERIMENTS, {"metrics": {"mae": "#" + TINY}}, "fit a double"),
}


def changed(good: Any, changes: dict[str, Any]) -> str:
    content = json.loads(json.dumps(good))
    for path, value in changes.items():
        *way, last = path.split("/")
        holder = content
        for part in way:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        if isinstance(holder, list):
            holder[int(last) : int(last) + 1] = [value]
        else:
            holder[last] = value
    text = json.dumps(content)
    for value in _unquoted(changes):
        text = text.replace(json.dumps(value), value[1:])
    return text


def _unquoted(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _unquoted(each)
    elif isinstance(value, str) and value.startswith("#"):
        yield value


def write_poison(run: Path) -> dict[str, tuple[str, int]]:
    """Add the lines to a run; the file and number of each."""
    places = {}
    good = {
        path: json.loads((run / path).read_text().splitlines()[path.startswith("results")])
        for path in (AGGREGATE, MONTHLY, CLASSIFICATIONS, CONTRIBUTIONS, EXPERIMENTS)
    }
    head = json.loads((run / AGGREGATE).read_text().splitlines()[0])
    for number, (name, line) in enumerate(LINES.items()):
        facility = line.facility or f"P{number:05}"
        changes = dict(line.changes)
        template = good.get(line.file, head)
        if line.file in (AGGREGATE, MONTHLY):
            changes = {"entity/0/value": facility} | changes
        elif line.file == CLASSIFICATIONS:
            changes = {"entity_key": {"medicareId": facility}} | changes
        elif line.file == CONTRIBUTIONS:
            parent = changes.pop("parent", facility)
            own = {"medicareId": f"{parent:>06}".replace(" ", "0")}
            changes = {
                "parent_entity": own, "child_entity": {"medicareId": facility}
            } | changes  # fmt: skip
        elif line.file == EXPERIMENTS:
            changes = {"experiment_id": name} | changes
        path = run / line.file
        before = path.read_text().splitlines() if path.exists() else []
        path.write_text("\n".join([*before, changed(template, changes)]) + "\n")
        places[name] = (line.file, len(before) + 1)
        if line.file == AGGREGATE and not line.reason:
            claim = json.loads((run / CLASSIFICATIONS).read_text().splitlines()[0])
            keys = {
                each["id"]: each["value"]
                for each in json.loads(path.read_text().splitlines()[-1])["entity"]
            }
            with (run / CLASSIFICATIONS).open("a") as file:
                file.write(json.dumps({**claim, "entity_key": keys}) + "\n")
    return places


def test_no_line_stops_other_lines_or_other_runs(
    quality_compass: Warehouse, tmp_path: Path
) -> None:
    make_empty(quality_compass)
    for run_id in (GOOD, POISONED):
        run = sample.write_run(tmp_path, run_id, 16, seed=4, metrics=("losIndex",))
    places = write_poison(run)
    load(quality_compass, tmp_path)
    statuses = quality_compass.dbt("build", "--exclude-resource-type", "unit_test")
    assert_nobody_is_stopped(statuses)
    # Most of the classifications above are of no entity.
    assert statuses["every_classified_entity_has_a_result"] == "warn"
    aside = {
        (path, number): Told(f"{run_id} {path}", reason)
        for run_id, path, number, reason in quality_compass.query(
            "select run_id, file_path, line_number, reason from public.raw_quarantine"
        )
    }
    assert_each_is_named(
        {
            name: Told(f"{POISONED} {line.file}", line.reason)
            for name, line in LINES.items()
            if line.reason
        },
        {name: aside[place] for name, place in places.items() if place in aside},
    )
    assert {name for name, place in places.items() if place in aside} == {
        name for name, line in LINES.items() if line.reason
    }
    counts = quality_compass.query(
        "select run_id, count(*) filter (where facility_id !~ '^[P9]') "
        "from analytics.fct_signals group by 1 order by 1"
    )
    assert counts[0][1] > 50
    assert {count for _, count in counts} == {counts[0][1]}
    kept = quality_compass.query(
        "select facility_id, entity_key ->> 'systemName', percentile_rank, facility_sk is null "
        "from analytics.fct_signals where facility_id is null or facility_id ~ '^[P9]' "
        "order by 1, 2"
    )
    assert ("900100", "B", 12.5, False) in [(*row[:2], 12.5, row[3]) for row in kept]
    assert [row[1] for row in kept if row[3]] == ["System A", "System B"]
    hidden = "select p10 from analytics.stg_percentile_trends where canonical_node_id = 'by_a_word'"
    assert quality_compass.query(hidden) == [(None,), (None,)]
    assert {0.0, 100.0} <= {row[2] for row in kept}
