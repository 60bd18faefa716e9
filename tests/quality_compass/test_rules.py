"""The formulas and the engine: against a real run's own figures, and at their edges."""

import csv
import json
import math
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.quality_compass.records import BadLine, Kind, Observation, RawLine
from flows.quality_compass.rules import statistics as formulas
from flows.quality_compass.rules.audit import NodeAudit
from flows.quality_compass.rules.classification import (
    SEVERITY_RANGES,
    SIGNAL_TYPES,
    Inputs,
    classify,
)
from flows.quality_compass.rules.indexes import (
    CLASSIFICATIONS,
    CONTRIBUTIONS,
    NODES,
    differences,
)
from flows.quality_compass.rules.names import shown
from flows.quality_compass.rules.reading import (
    file_kind,
    is_run_id,
    normal_period,
    observe,
    run_start,
    sort_line,
)
from flows.quality_compass.settings import ClassificationSettings, StatisticsSettings
from flows.quality_compass.source import find_runs

TOLERANCE = 1e-9
ROWS_IN_HALF = 3080
FACILITIES = 118
MONTHS = 12
AGGREGATE = "losIndex__medicareId__aggregate_time_period"
MONTHLY = "losIndex__medicareId__dischargeMonth"
finite = st.floats(-1e6, 1e6)


def read_node(path: Path) -> tuple[dict[str, object], list[Observation]]:
    metadata, *entities = [json.loads(line) for line in path.read_text().splitlines()]
    return metadata, [observe(entity) for entity in entities]


def optional(text: str) -> float | None:
    return float(text) if text else None


def inputs_of(row: dict[str, str]) -> Inputs:
    return Inputs(
        float(row["aggregate_zscore"]),
        optional(row["slope_percentile"]),
        optional(row["acceleration"]),
        float(row["zscore_std"]),
        float(row["max_abs_deviation"]),
        int(row["period_count"]),
        row["suppressed"] == "True",
    )


@pytest.fixture
def claims(real_data: Path) -> list[dict[str, str]]:
    with (real_data / "classification_summary_half.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == ROWS_IN_HALF
    return rows


@pytest.mark.parametrize("node", [AGGREGATE, MONTHLY])
def test_every_figure_of_the_real_nodes_is_recomputed(real_data: Path, node: str) -> None:
    metadata, observations = read_node(real_data / f"{node}.jsonl")
    assert len(observations) == FACILITIES
    audit = NodeAudit(metadata, StatisticsSettings())
    for observation in observations:
        assert len(observation.timeline or ()) in (0, MONTHS)
        audit.learn(observation)
    found = [
        disagreement
        for number, observation in enumerate(observations, start=2)
        for disagreement in audit.check(observation, node, number, TOLERANCE)
    ]
    assert found == []
    assert list(audit.check_metadata(node, TOLERANCE)) == []


@pytest.mark.parametrize(
    ("node", "method", "figure"),
    [
        (AGGREGATE, 0, "simple_zscore"),
        (AGGREGATE, 0, "peer_std"),
        (AGGREGATE, 0, "percentile_rank"),
        (AGGREGATE, 1, "robust_zscore"),
        (MONTHLY, 0, "mean_simple_zscore"),
        (MONTHLY, 0, "latest_simple_zscore"),
        (MONTHLY, 0, "percentile_rank"),
        (MONTHLY, 1, "mean_robust_zscore"),
        (MONTHLY, 1, "percentile_rank"),
        (MONTHLY, 1, "peer_mad"),
        (MONTHLY, 2, "slope"),
        (MONTHLY, 2, "acceleration"),
        (MONTHLY, 2, "end_start_delta"),
        (MONTHLY, 2, "slope_percentile"),
    ],
)
def test_a_figure_that_was_tampered_with_is_named(
    real_data: Path, node: str, method: int, figure: str
) -> None:
    lines = [json.loads(line) for line in (real_data / f"{node}.jsonl").read_text().splitlines()]
    lines[5]["statistical_methods"][method]["statistics"][figure] += 1e-7
    observations = [observe(line) for line in lines[1:]]
    audit = NodeAudit(lines[0], StatisticsSettings())
    for observation in observations:
        audit.learn(observation)
    found = [
        (disagreement.line_number, disagreement.field.rpartition(".")[2])
        for number, observation in enumerate(observations, start=2)
        for disagreement in audit.check(observation, node, number, TOLERANCE)
    ]
    assert found == [(6, figure)]


def test_every_label_of_the_real_nodes_is_checked(real_data: Path) -> None:
    wrong = 0
    for node in (AGGREGATE, MONTHLY):
        text = (
            (real_data / f"{node}.jsonl").read_text().replace('"anomaly":"normal"', '"anomaly":"?"')
        )
        metadata, *entities = [json.loads(line) for line in text.splitlines()]
        audit = NodeAudit(metadata, StatisticsSettings())
        observations = [observe(entity) for entity in entities]
        for observation in observations:
            audit.learn(observation)
        for observation in observations:
            wrong += len(list(audit.check(observation, node, 1, TOLERANCE)))
    # As many as the two files have the label `normal`.
    assert wrong == 38 + 45 + 30 + 111 + 40 + 116 + 24


def test_signal_type_and_severity_equal_the_real_classifications(
    claims: list[dict[str, str]],
) -> None:
    """Also those of `suspect_data`: the run's flag `suppressed` explains all that are left.

    `pytest -s` lists the exceptions: there are none.
    """
    exceptions = []
    for row in claims:
        signal = classify(inputs_of(row))
        seen = signal.indicators
        mine = (
            signal.signal_type,
            str(signal.severity),
            *map(str, signal.severity_range),
            *(seen.position, seen.trend, seen.momentum, seen.consistency, str(seen.has_spike)),
        )
        fields = (
            *("signal_type", "severity", "severity_range_min", "severity_range_max"),
            *("position", "trend", "momentum", "consistency", "has_spike"),
        )
        if mine != tuple(row[field] for field in fields):
            exceptions.append((row, mine))
    print(f"{len(claims)} classified rows, {len(exceptions)} exceptions", *exceptions, sep="\n")
    assert exceptions == []


def test_suspect_rows_are_those_with_few_months_or_suppressed(
    claims: list[dict[str, str]],
) -> None:
    suspects = [row for row in claims if row["signal_type"] == "suspect_data"]
    assert len(suspects) == 283
    for row in claims:
        is_explained = int(row["period_count"]) < 3 or row["suppressed"] == "True"
        assert is_explained == (row["signal_type"] == "suspect_data")


def test_real_classification_inputs_follow_from_the_monthly_values(
    real_data: Path, claims: list[dict[str, str]]
) -> None:
    _, observations = read_node(real_data / f"{MONTHLY}.jsonl")
    values = {
        observation.keys["medicareId"]: [value for _, value in observation.timeline or ()]
        for observation in observations
    }
    columns = [
        formulas.mean_and_std([row[at] for row in values.values() if row[at] is not None])  # type: ignore[misc]
        for at in range(MONTHS)
    ]
    checked = 0
    for row in claims:
        if row["node_id"] != AGGREGATE:
            continue
        scores = [
            center.zscore(value, 0.05)
            for value, center in zip(values[row["medicareId"]], columns, strict=True)
            if value is not None
        ]
        assert math.isclose(
            float(row["aggregate_zscore"]), formulas.mean(scores), abs_tol=TOLERANCE
        )
        assert math.isclose(
            float(row["zscore_std"]), formulas.population_std(scores), abs_tol=TOLERANCE
        )
        assert math.isclose(
            float(row["max_abs_deviation"]), max(map(abs, scores)), abs_tol=TOLERANCE
        )
        checked += 1
    assert checked == 60


@pytest.mark.parametrize(
    ("zscore", "label"),
    [
        (-3.0, "extremely_low"),
        (-2.9999, "very_low"),
        (-2.0, "very_low"),
        (-1.0, "moderately_low"),
        (-0.5, "slightly_low"),
        (0.5, "normal"),
        (0.5001, "slightly_high"),
        (1.0, "slightly_high"),
        (2.0, "moderately_high"),
        (3.0, "very_high"),
        (3.0001, "extremely_high"),
        (None, "no_score"),
    ],
)
def test_label_bounds_are_inclusive_above(zscore: float | None, label: str) -> None:
    assert formulas.zscore_label(zscore) == label
    assert formulas.zscore_label(zscore, is_suppressed=True) == "no_score"


@pytest.mark.parametrize(
    ("percent", "label"),
    [
        (5, "extremely_low"),
        (5.1, "very_low"),
        (60, "normal"),
        (95, "very_high"),
        (95.1, "extremely_high"),
    ],
)
def test_slope_percentiles_have_their_own_cuts(percent: float, label: str) -> None:
    assert formulas.percentile_label(percent) == label


def test_peers_that_are_all_equal_score_zero_by_the_floor() -> None:
    center = formulas.mean_and_std([1.1] * 20)
    assert center.zscore(1.1, 0.01) == 0
    assert formulas.median_and_mad([1.1] * 20).zscore(1.2, 0.01) == pytest.approx(10)
    assert formulas.percentile_ranks([7.0, 7.0, 7.0]) == [50.0, 50.0, 50.0]


def test_a_slope_needs_six_observed_months_and_keeps_gaps_in_place() -> None:
    assert formulas.slope([1.0, 2.0, None, 4.0, 5.0, 6.0], 6) is None
    assert formulas.slope([1.0, 2.0, None, 4.0, 5.0, 6.0, 7.0], 6) == pytest.approx(1.0)
    assert formulas.slope([3.0], 1) is None


def test_an_acceleration_needs_six_months_in_each_half() -> None:
    bent = [0.0, 1, 2, 3, 4, 5, 5, 7, 9, 11, 13, 15]
    assert formulas.acceleration(bent) == pytest.approx(1.0)
    assert formulas.acceleration([*bent[:3], None, *bent[4:]]) is None
    assert formulas.acceleration(bent[:11]) is None


def test_no_values_have_no_mean_and_no_weight_gives_no_share() -> None:
    with pytest.raises(ValueError, match="no mean"):
        formulas.mean([])
    assert formulas.weighted_mean([1.0], [0.0]) is None
    assert formulas.contribution(1.0, 1.0, 0.0, 0.0) is None


@given(st.lists(finite, min_size=1, max_size=60))
def test_percentile_ranks_average_to_fifty(values: list[float]) -> None:
    assert formulas.mean(formulas.percentile_ranks(values)) == pytest.approx(50)


@given(st.lists(st.tuples(finite, st.floats(0.001, 1e5)), min_size=1, max_size=30))
def test_excess_over_a_weighted_mean_parent_sums_to_nothing(
    children: list[tuple[float, float]],
) -> None:
    values, weights = [value for value, _ in children], [weight for _, weight in children]
    parent = formulas.weighted_mean(values, weights)
    assert parent is not None
    given_by = [
        formulas.contribution(value, parent, weight, sum(weights)) for value, weight in children
    ]
    assert sum(each.excess_over_parent for each in given_by if each) == pytest.approx(0, abs=1e-5)
    assert sum(each.weight_share for each in given_by if each) == pytest.approx(1)


@given(
    st.builds(
        Inputs,
        st.floats(-6, 6),
        st.none() | st.floats(0, 100),
        st.none() | st.floats(-1, 1),
        st.floats(0, 3),
        st.floats(0, 8),
        st.integers(0, 24),
        st.booleans(),
    )
)
def test_every_severity_lies_in_the_range_of_its_type(inputs: Inputs) -> None:
    signal = classify(inputs)
    low, high = SEVERITY_RANGES[signal.signal_type]
    assert low <= signal.severity <= high
    assert (signal.signal_type == "suspect_data") == (
        inputs.is_suppressed or inputs.period_count < 3
    )


@pytest.mark.parametrize(
    ("zscore", "slope", "acceleration", "spread", "deviation", "signal_type"),
    [
        (-1.8, 50, 0, 0.3, 1.9, "sustained_excellence"),
        (-0.7, 5, 0, 0.6, 1.0, "improving_leader"),
        (-0.7, 95, 0, 0.6, 1.0, "baseline"),
        (0.0, 75, 0, 0.6, 1.0, "emerging_risk"),
        (0.7, 20, 0, 0.6, 1.0, "baseline"),
        (1.2, 95, 0, 0.6, 1.9, "chronic_underperformer"),
        (1.2, 95, 0.02, 0.6, 1.9, "critical_trajectory"),
        (2.5, 5, 0, 0.6, 1.9, "recovering"),
        (0.0, 50, 0, 0.6, 2.5, "volatility_alert"),
        (0.0, None, None, 0.6, 1.0, "baseline"),
    ],
)
def test_each_signal_type_is_reached(
    zscore: float,
    slope: float | None,
    acceleration: float | None,
    spread: float,
    deviation: float,
    signal_type: str,
) -> None:
    assert signal_type in SIGNAL_TYPES
    signal = classify(Inputs(zscore, slope, acceleration, spread, deviation, 12))
    assert signal.signal_type == signal_type


def test_the_proposed_encounter_minimum_is_off_until_set() -> None:
    inputs = Inputs(0.0, 50, 0, 0.6, 1.0, 12, encounters=10)
    assert classify(inputs).signal_type == "baseline"
    strict = ClassificationSettings(min_encounters=30)
    assert classify(inputs, strict).signal_type == "suspect_data"


def test_tiers_and_the_older_priority_score() -> None:
    assert [formulas.magnitude_tier(each) for each in (99, 95, 85, 75, 25, 10, 9)] == [
        *("critical", "severe", "elevated", "marginal", "expected", "favorable", "excellent")
    ]
    assert [formulas.trajectory_tier(each) for each in (90, 70, 30, 10, 9)] == [
        *("rapidly_deteriorating", "deteriorating", "stable", "improving", "rapidly_improving")
    ]
    assert formulas.consistency_tier(0.5, 2) == "transient"
    assert formulas.consistency_tier(0.5, 6) == "persistent"
    assert formulas.consistency_tier(1.0, 12) == "variable"
    worst = formulas.priority_score(
        "critical", "rapidly_deteriorating", "persistent", 10_000, 1, 20
    )
    assert worst == 100
    assert formulas.priority_score("excellent", "rapidly_improving", "transient", 0) == 8


def test_both_spellings_of_a_period_are_one() -> None:
    assert normal_period("202407") == normal_period("2024-07") == "202407"
    for wrong in ("2024-13", "24-07", "2024", "", None, 202407):
        with pytest.raises(ValueError, match="not a month"):
            normal_period(wrong)


def test_a_run_id_is_a_time_at_which_a_run_may_have_been() -> None:
    for name in ("00010101000000", "99991231235959", "19691231235959", "22000101000000", "2025"):
        assert not is_run_id(name)
    assert is_run_id("20250115060000")


def test_a_day_alone_is_no_instant_at_which_a_run_was_started() -> None:
    for day in ("2025-01-15", "20250115", "2025-W03-3", "2025-01-15T06"):
        manifest = json.dumps({"started_at": day}).encode()
        start = run_start("20250115060000", manifest, ZoneInfo("UTC"))
        assert not start.is_stated
        assert "no day with its time" in (start.note or "")
    manifest = b'{"started_at": "2025-01-15T06:01:02-06:00"}'
    assert run_start("20250115060000", manifest, ZoneInfo("UTC")).is_stated


RUN = "20250115060000"


@pytest.mark.parametrize("told", [int(RUN), float(RUN), None, RUN])
def test_a_run_id_as_a_number_or_null_is_no_other_run(told: object) -> None:
    stated = {"run_id": told, "started_at": "2025-01-15T06:01:02+00:00"}
    assert run_start(RUN, json.dumps(stated).encode(), ZoneInfo("UTC")).is_stated
    index = json.dumps({"run_id": told, "total_entities": 2}).encode()
    held = {"analysis/classification/a.jsonl": 2}
    assert not list(differences(RUN, {CLASSIFICATIONS: index}, held))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (20250115060001, "it is of the run '20250115060001'"),
        (20250115060001.0, "it is of the run '20250115060001'"),
        (0.5, "it is of the run"),
        (True, "its run_id is 'True', no id of a run"),
        ([RUN], "no id of a run"),
        ("2025\u200b", r"it is of the run '2025\u200b'"),
    ],
)
def test_what_says_it_is_of_another_run_is_told(told: object, reason: str) -> None:
    manifest = json.dumps({"run_id": told, "started_at": "2025-01-15T06:01:02+00:00"}).encode()
    assert reason in (run_start(RUN, manifest, ZoneInfo("UTC")).note or "")


@pytest.mark.parametrize(
    "path",
    [
        "results/nodes/results/a.jsonl",
        f"/data/results/{RUN}/results/nodes/results/a.jsonl",
        rf"C:\data\results\{RUN}\results\nodes\results\a.jsonl",
        r".\results\nodes/results\a.jsonl",
        "nodes/results/a.jsonl",
    ],
)
def test_an_index_may_write_a_path_as_its_own_machine_does(path: str) -> None:
    index = {"nodes": [{"result_path": path, "entity_results_count": "7"}]}
    indexes = {NODES: json.dumps(index).encode()}
    assert not list(differences(RUN, indexes, {"results/nodes/results/a.jsonl.gz": 7}))
    [told] = differences(RUN, indexes, {"results/nodes/results/a.jsonl": 8})
    assert told == f"results/nodes/results/a.jsonl has 8 lines, {NODES} says 7"
    [told] = differences(RUN, indexes, {})
    assert told.startswith("results/nodes/results/a.jsonl was not read")


@pytest.mark.parametrize(
    ("index", "content", "seen"),
    [
        (NODES, {}, "its nodes are missing, no list"),
        (NODES, {"nodes": None}, "its nodes are missing, no list"),
        (NODES, {"nodes": {"a": {"result_path": "a.jsonl"}}}, "its nodes are an object, no list"),
        (NODES, {"nodes": ["a.jsonl"]}, "an entry of its nodes is text"),
        (NODES, {"nodes": [{"result_path": None}]}, "the result_path of an entry is missing"),
        (
            NODES,
            {"nodes": [{"result_path": 7}, 7]},
            "is a number, and so are 1 more of",
        ),
        (NODES, {"nodes": [{"result_path": " "}]}, "the result_path of an entry is text"),
        (CONTRIBUTIONS, {"parents": "a"}, "its parents are text, no list"),
        (CONTRIBUTIONS, {"parents": [{}]}, "its metric_artifacts are missing, no list"),
        (CONTRIBUTIONS, {"parents": [None]}, "an entry of its parents is missing"),
        (
            CONTRIBUTIONS,
            {"parents": [{"metric_artifacts": [{"artifact_path": True}]}]},
            "the artifact_path of an entry is a boolean",
        ),
        (CLASSIFICATIONS, {"run_id": RUN}, "it has no total_entities"),
    ],
)
def test_an_index_that_lists_nothing_where_it_should_is_told(
    index: str, content: dict[str, object], seen: str
) -> None:
    [told] = differences(RUN, {index: json.dumps(content).encode()}, {})
    assert told.startswith(f"{index} cannot be held against what was read: ")
    assert seen in told


def test_an_index_that_lists_no_file_is_good() -> None:
    indexes = {
        NODES: b'{"nodes": []}',
        CONTRIBUTIONS: b'{"parents": [{"metric_artifacts": []}]}',
        CLASSIFICATIONS: b'{"total_entities": 0}',
    }
    assert not list(differences(RUN, indexes, {}))


def test_a_folder_whose_name_ends_like_the_folder_of_an_index_is_another() -> None:
    index = {
        "parents": [
            {
                "metric_artifacts": [
                    {"artifact_path": "my_analysis/contribution/a.jsonl", "row_count": "2.0"},
                    {"artifact_path": r"D:\x\analysis\contribution\b.jsonl", "row_count": "0"},
                    {"artifact_path": "/".join(["a"] * 100_000), "row_count": 1},
                ]
            }
        ]
    }
    held = {"analysis/contribution/my_analysis/contribution/a.jsonl": 2}
    told = list(differences(RUN, {CONTRIBUTIONS: json.dumps(index).encode()}, held))
    assert len(told) == 1
    assert told[0].startswith("analysis/contribution/a/a/")


def test_a_reason_is_as_short_whatever_it_quotes() -> None:
    written = json.dumps({**CLASSIFICATION, "severity": "9" * 1_000_000}).encode() + b"\n"
    refused = sort_line(Kind.CLASSIFICATION, "c.jsonl", 1, written, run_id=RUN)
    assert isinstance(refused, BadLine)
    assert refused.reason.startswith("severity is '999")
    assert len(refused.reason) == 500


@pytest.mark.parametrize("unseen", ["\u200b", "\u00a0", "\n", "\u202e", "\U000e0041"])
def test_an_id_with_a_character_that_cannot_be_seen_is_refused_wherever_it_stands(
    unseen: str,
) -> None:
    def reason(kind: Kind, path: str, number: int, line: object) -> str:
        written = json.dumps(line).encode() + b"\n"
        sorted_line = sort_line(kind, path, number, written, run_id=RUN)
        assert isinstance(sorted_line, BadLine)
        return sorted_line.reason

    hidden = f"a{unseen}b"
    entity = {
        "entity": [{"id": "medicareId", "value": "010001"}],
        "metric": [{"metadata": {"metric_id": "m"}, "values": 1}],
    }
    method = {**entity, "statistical_methods": [{"statistical_method": hidden}]}
    system = {**entity, "metadata": {"systemName": hidden}}
    told = [
        reason(Kind.NODE, f"results/nodes/{hidden}.jsonl", 1, entity),
        reason(Kind.NODE, "results/nodes/n.jsonl", 2, system),
        reason(Kind.NODE, "results/nodes/n.jsonl", 2, method),
        reason(Kind.CLASSIFICATION, "c.jsonl", 1, {**CLASSIFICATION, "signal_type": hidden}),
        reason(Kind.CLASSIFICATION, "c.jsonl", 1, {**CLASSIFICATION, "node_id": hidden}),
        reason(Kind.MODELING_RUN, "modeling/runs.jsonl", 1, {"config_path": hidden}),
    ]
    assert all("holds a character that cannot be seen" in each for each in told)
    assert all(each.isprintable() for each in told)
    assert shown(hidden).isprintable()
    assert shown("Größe a::b") == "Größe a::b"


def test_ids_with_the_separators_of_others_stay_apart() -> None:
    pairs = [("a::b", "c"), ("a", "b::c"), ("a|b", "c"), ("a", "b|c")]
    rows = [
        sort_line(
            Kind.CLASSIFICATION,
            "c.jsonl",
            1,
            json.dumps({**CLASSIFICATION, "node_id": node, "metric_id": metric}).encode(),
            run_id=RUN,
        )
        for node, metric in pairs
    ]
    keys = [
        sort_line(
            Kind.CLASSIFICATION,
            "c.jsonl",
            1,
            json.dumps({**CLASSIFICATION, "entity_key": {key: value}}).encode(),
            run_id=RUN,
        )
        for key, value in pairs
    ]
    known = {row.row_key for row in [*rows, *keys] if isinstance(row, RawLine)}
    assert len(known) == 2 * len(pairs)
    subjects = {
        Observation(keys, "m", 1.0, None, ()).subject
        for keys in ({"a": "b, c=d"}, {"a": "b", "c": "d"}, {"a=b": "c"}, {"a": "b=c"})
    }
    assert len(subjects) == 4


CONTRIBUTION: dict[str, object] = {
    "parent_node_id": "p",
    "child_node_id": "c",
    "metric_id": "m",
    "parent_entity": {"medicareId": "010001"},
    "child_entity": {"medicareId": "010001"},
    "weight_share": 0.5,
}
CLASSIFICATION: dict[str, object] = {
    "node_id": "p",
    "metric_id": "m",
    "entity_key": {"medicareId": "010001"},
    "signal_type": "baseline",
    "severity": 20,
    "severity_range": [10, 30],
}
ENTITY: dict[str, object] = {
    "entity": [{"id": "medicareId", "value": "010001"}],
    "metric": [{"metadata": {"metric_id": "m"}, "values": 1.5}],
}
EXPERIMENT: dict[str, object] = {"estimator": "ridge", "metrics": {"r2": 0.5, "mae": None}}
OTHER_RUN = "20200101000000"


def with_statistics(**statistics: object) -> dict[str, object]:
    return {"statistical_methods": [{"statistical_method": "s", "statistics": statistics}]}


def with_runtime(**runtime: object) -> dict[str, object]:
    return {"statistical_methods": [{"statistical_method": "s", "runtime": runtime}]}


def with_key(key: str, value: str) -> dict[str, object]:
    return {"medicareId": "010001", key: value}


@pytest.mark.parametrize(
    ("kind", "good", "change", "reason"),
    [
        (Kind.CLASSIFICATION, CLASSIFICATION, {"suppressed": "true"}, "neither true nor false"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"suppressed": 1}, "neither true nor false"),
        (Kind.NODE, ENTITY, with_statistics(suppressed="true"), "neither true nor false"),
        (Kind.NODE, ENTITY, with_statistics(suppressed=0), "neither true nor false"),
        (Kind.NODE, ENTITY, with_runtime(summary={"has_issues": "no"}), "neither true nor false"),
        (Kind.NODE, ENTITY, {"run_id": OTHER_RUN}, "it is of the run '20200101000000'"),
        (Kind.CONTRIBUTION, CONTRIBUTION, {"run_id": OTHER_RUN}, "it is of the run"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"run_id": int(OTHER_RUN)}, "it is of the run"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"node_id": " p"}, "begins or ends with a blank"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"metric_id": "m "}, "begins or ends with a blank"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"signal_type": " x"}, "begins or ends with a"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"node_id": "  "}, "begins or ends with a blank"),
        (
            Kind.CLASSIFICATION,
            CLASSIFICATION,
            {"entity_key": with_key("vizientServiceLine", "Cardiology ")},
            "'Cardiology '",
        ),
        (
            Kind.CONTRIBUTION,
            CONTRIBUTION,
            {"child_entity": with_key(" payer", "A")},
            "begins or ends with a blank",
        ),
        (Kind.NODE, ENTITY, {"metadata": {"systemName": "A "}}, "begins or ends with a blank"),
        (Kind.NODE, ENTITY, {"metadata": {"systemName": 7}}, "systemName is 7, not a text"),
        (Kind.NODE, ENTITY, {"metadata": ["A"]}, "not an object"),
        (Kind.NODE, ENTITY, with_statistics(simple_zscore="2.5"), "simple_zscore is '2.5', not"),
        (Kind.NODE, ENTITY, with_statistics(slope=True), "slope is True, not a number"),
        (Kind.NODE, ENTITY, with_statistics(periods=12.5), "periods 12.5 is no whole number"),
        (Kind.NODE, ENTITY, with_statistics(momentum=7), "momentum is 7, not a text"),
        (
            Kind.NODE,
            ENTITY,
            with_statistics(per_period_simple_zscores=[1, None, "2"]),
            "per_period_simple_zscores is '2', not a number",
        ),
        (
            Kind.NODE,
            ENTITY,
            with_statistics(per_period_robust_zscores="high"),
            "per_period_robust_zscores is 'high', not a list",
        ),
        (
            Kind.NODE,
            ENTITY,
            with_runtime(anomaly_statistics={"peer_count": 10.6}),
            "peer_count 10.6 is no whole number",
        ),
        (Kind.CONTRIBUTION, CONTRIBUTION, {"raw_component": "1"}, "not a number"),
        (
            Kind.CLASSIFICATION,
            CLASSIFICATION,
            {"inputs": {"aggregate_zscore": "NaN"}},
            "aggregate_zscore is 'NaN', not a number",
        ),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"inputs": [3.4]}, "not an object"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"magnitude_tier": 7}, "not a text"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"period_count": 12.5}, "no whole number"),
        (
            Kind.CLASSIFICATION,
            CLASSIFICATION,
            {"coefficient_of_variation": "0.4"},
            "coefficient_of_variation is '0.4', not a number",
        ),
        (Kind.MODELING_EXPERIMENT, EXPERIMENT, {"n_iter": 10.6}, "no whole number"),
        (Kind.MODELING_EXPERIMENT, EXPERIMENT, {"estimator": "ridge "}, "ends with a blank"),
        (Kind.CONTRIBUTION, CONTRIBUTION, {"method": "weighted\u200bmean"}, "cannot be seen"),
        (Kind.MODELING_EXPERIMENT, EXPERIMENT, {"rows": "many"}, "not a number"),
        (Kind.MODELING_EXPERIMENT, EXPERIMENT, {"duration_seconds": "9"}, "not a number"),
        (Kind.MODELING_EXPERIMENT, EXPERIMENT, {"metrics": {"r2": "0.99"}}, "r2 is '0.99'"),
        (Kind.MODELING_EXPERIMENT, EXPERIMENT, {"metrics": 0.99}, "not an object"),
        (Kind.CONTRIBUTION, CONTRIBUTION, {"weight_share": 1.7}, "outside 0 to 1"),
        (Kind.CONTRIBUTION, CONTRIBUTION, {"weight_share": -0.1}, "outside 0 to 1"),
        (Kind.CONTRIBUTION, CONTRIBUTION, {"weight_share": "half"}, "not a number"),
        (Kind.CONTRIBUTION, CONTRIBUTION, {"weight_value": True}, "not a number"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"severity": 17.6}, "no whole number"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"severity": 176}, "outside 0 to 100"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"severity": 31}, "outside its range 10 to 30"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"severity_range": [10]}, "not two numbers"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"severity_range": [10, "x"]}, "not a number"),
        (Kind.CLASSIFICATION, CLASSIFICATION, {"severity_range": [1.5, 30]}, "two whole numbers"),
    ],
)
def test_a_value_that_cannot_be_is_kept_apart_from_the_others(
    kind: Kind, good: dict[str, object], change: dict[str, object], reason: str
) -> None:
    def sort(line: dict[str, object]) -> RawLine | BadLine:
        written = json.dumps(line).encode() + b"\n"
        return sort_line(kind, "analysis/x.jsonl", 2, written, run_id=RUN)

    assert isinstance(sort(good), RawLine)
    assert isinstance(sort({**good, "run_id": RUN}), RawLine)
    assert isinstance(sort({**good, "weight_share": 1.0000000001}), RawLine)
    bad = sort({**good, **change})
    assert isinstance(bad, BadLine)
    assert reason in bad.reason


@pytest.mark.parametrize(
    ("kind", "good", "fields"),
    [
        (Kind.CONTRIBUTION, CONTRIBUTION, ("parent_entity", "child_entity")),
        (Kind.CLASSIFICATION, CLASSIFICATION, ("entity_key",)),
    ],
)
def test_a_facility_is_the_same_with_its_system_and_without(
    kind: Kind, good: dict[str, object], fields: tuple[str, ...]
) -> None:
    with_system = dict.fromkeys(fields, with_key("systemName", "A"))
    rows = [
        sort_line(kind, "x.jsonl", 1, json.dumps({**good, **change}).encode(), run_id=RUN)
        for change in ({}, with_system, dict.fromkeys(fields, with_key("payer", "A")))
    ]
    keys = [row.row_key for row in rows if isinstance(row, RawLine)]
    assert keys[0] == keys[1] != keys[2]


def test_a_file_whose_name_no_index_takes_or_that_is_no_text_is_told_and_not_read(
    tmp_path: Path,
) -> None:
    nodes = tmp_path / "20250115060000" / "results" / "nodes"
    nodes.mkdir(parents=True)
    (nodes / "good.jsonl").touch()
    (nodes / "\udcff.jsonl").touch()
    (run,) = find_runs(str(tmp_path))
    assert [file.path for file in run.files] == ["results/nodes/good.jsonl"]
    assert run.unread == ("results/nodes/\\udcff.jsonl",)
    assert file_kind("results/nodes/" + "é" * 600 + ".jsonl") is None
    assert file_kind("results/nodes/" + "é" * 400 + ".jsonl") is Kind.NODE
