"""The dbt project on a real PostgreSQL: same marts however they came about, and right figures."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows._shared.environment import set_environment
from flows.quality_compass import raw, sample, source
from flows.quality_compass.marts import Changes, describe_changes, read_changes
from flows.quality_compass.records import RawTable
from flows.quality_compass.rules.reading import run_start
from flows.quality_compass.semantic import MetricQueryError, MetricsRequest, SemanticLayer
from flows.report.making import read_from
from tests.databases import copy_database
from tests.dbt_projects.warehouse import (
    PROJECTS,
    Warehouse,
    dbt_as_in_flows,
    install_packages,
    postgres_environment,
)
from tests.report.on_builds import quality_changes_are_those_of_the_flow, quality_page_is_right

DATABASE = "quality_compass_marts"
RUNS = ("20250115060000", "20250215060000")
PASSED = {"success", "pass", "warn", "no-op"}
AGGREGATE = "results/nodes/losIndex__medicareId__aggregate_time_period.jsonl"

Load = Callable[..., None]


@pytest.fixture(scope="module")
def warehouse(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    state = tmp_path_factory.mktemp("dbt")
    install_packages("quality_compass", state)
    yield Warehouse("quality_compass", postgres.create_database(DATABASE), state)
    postgres.drop_database(DATABASE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for run_id in RUNS:
        sample.write_run(folder, run_id, 18, seed=4, metrics=("losIndex",))
    return folder


@pytest.fixture
def empty(warehouse: Warehouse) -> Warehouse:
    make_empty(warehouse)
    return warehouse


@pytest.fixture(scope="module")
def kept(warehouse: Warehouse, folder: Path, postgres: EmbeddedPostgres) -> Iterator[None]:
    """Copies of the database with the first run built, and with both, one after the other."""
    make_empty(warehouse)
    load(warehouse, folder / RUNS[0])
    build(warehouse)
    copy_database(postgres, DATABASE, f"{DATABASE}_first")
    load(warehouse, folder)
    build(warehouse)
    copy_database(postgres, DATABASE, f"{DATABASE}_both")
    yield
    postgres.drop_database(f"{DATABASE}_first")
    postgres.drop_database(f"{DATABASE}_both")


@pytest.fixture
def first_built(kept: None, warehouse: Warehouse, postgres: EmbeddedPostgres) -> Warehouse:
    copy_database(postgres, f"{DATABASE}_first", DATABASE)
    return warehouse


@pytest.fixture
def both_built(kept: None, warehouse: Warehouse, postgres: EmbeddedPostgres) -> Warehouse:
    copy_database(postgres, f"{DATABASE}_both", DATABASE)
    return warehouse


def make_empty(warehouse: Warehouse) -> None:
    warehouse.execute("drop schema if exists public cascade; create schema public")
    warehouse.execute("drop schema if exists analytics cascade")
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        raw.ensure_schema(connection)


def load(warehouse: Warehouse, address: Path) -> None:
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        for run in source.find_runs(str(address)):
            raw.load_run(
                connection,
                run,
                lambda file: source.FileReader(file, source.Storage(), 16_000_000),
                start=run_start(
                    run.run_id, source.read_manifest(run, source.Storage()), ZoneInfo("UTC")
                ),
            )


def build(warehouse: Warehouse, *options: str, is_tested: bool = False) -> dict[str, str]:
    untested = [] if is_tested else ["--exclude-resource-type", "test", "unit_test"]
    statuses = warehouse.dbt("build", *options, *untested)
    assert not {name: status for name, status in statuses.items() if status not in PASSED}
    return statuses


def test_however_runs_arrive_the_marts_are_the_same(empty: Warehouse, folder: Path) -> None:
    """At once, one after the other in either order, three times, and from scratch."""
    first, second = (folder / run_id for run_id in RUNS)
    load(empty, second)
    build(empty)
    load(empty, first)
    build(empty)
    expected = empty.tables()
    assert len(expected["fct_signals"]) > 200
    assert len(expected["fct_contributions"]) > 200
    for _ in range(2):
        load(empty, folder)
    build(empty)
    assert empty.tables() == expected
    build(empty, "--full-refresh", is_tested=True)
    assert empty.tables() == expected


def test_a_removed_run_leaves_the_marts_and_the_comparison(
    first_built: Warehouse, postgres: EmbeddedPostgres
) -> None:
    first = without_history(first_built)
    copy_database(postgres, f"{DATABASE}_both", DATABASE)
    assert changes(first_built).previous == RUNS[0]
    for table in [*(each.value for each in RawTable), "raw_files"]:
        first_built.execute(f"delete from public.{table} where run_id = '{RUNS[1]}'")
    first_built.execute(
        f"update public.raw_runs set fingerprint = md5('') where run_id = '{RUNS[1]}'"
    )
    build(first_built)
    assert changes(first_built).silent == (RUNS[1],)
    assert changes(first_built).latest == RUNS[0]
    assert f"No signals in {RUNS[1]}" in describe_changes(changes(first_built))
    first_built.execute(f"delete from public.raw_runs where run_id = '{RUNS[1]}'")
    build(first_built)
    assert (changes(first_built).previous, changes(first_built).silent) == (None, ())
    assert "signals in the first run" in describe_changes(changes(first_built))
    assert without_history(first_built) == first
    copy_database(postgres, f"{DATABASE}_both", DATABASE)
    for table in [*(each.value for each in RawTable), "raw_files", "raw_runs"]:
        first_built.execute(f"delete from public.{table} where run_id = '{RUNS[1]}'")
    build(first_built)
    assert without_history(first_built) == first, "removed whole, between two builds"


def without_history(warehouse: Warehouse) -> dict[str, list[str]]:
    tables = warehouse.tables()
    return {name: rows for name, rows in tables.items() if name != "facilities_snapshot"}


def changes(warehouse: Warehouse) -> Changes:
    with psycopg.connect(warehouse.url) as connection:
        return read_changes(connection)


def test_hooks_and_operations_do_what_they_say(first_built: Warehouse) -> None:
    """A dbt unit test cannot see them: it runs neither hooks nor operations."""
    known = dict(
        first_built.query(
            "select tablename, array_agg(cast(attname as text)) from pg_stats "
            "where schemaname = 'analytics' group by 1"
        )
    )
    assert {"run_id", "facility_id", "severity"} <= set(known["fct_signals"])
    assert {"run_id", "parent_facility_id"} <= set(known["fct_contributions"])
    assert "facility_id" in known["dim_facilities"]
    assert "metric_id" in known["dim_metrics"]
    assert vacuumed(first_built, "fct_signals")
    assert vacuumed(first_built, "public.raw_files")
    for wrong in ("no_such_table", "fct_signals; drop table fct_signals", "a.b.c"):
        assert not vacuumed(first_built, wrong)
    assert first_built.query("select count(*) from analytics.fct_signals")[0][0] > 0
    first_built.execute("alter table analytics.int_facility_runs add column of_an_older_model text")
    assert first_built.dbt("run", "--select", "int_facility_runs") == {"int_facility_runs": "error"}
    first_built.execute("alter table analytics.int_facility_runs drop column of_an_older_model")
    assert first_built.dbt("run", "--select", "int_facility_runs") == {
        "int_facility_runs": "success"
    }


def vacuumed(warehouse: Warehouse, table: str) -> bool:
    project = PROJECTS / "quality_compass"
    arguments = [
        *("run-operation", "vacuum_analyze_table", "--args", json.dumps({"table_name": table})),
        *("--project-dir", str(project), "--profiles-dir", str(project)),
        *("--target-path", str(warehouse.state / "target"), "--log-path", str(warehouse.state)),
        *("--vars", warehouse.variables, "--quiet"),
    ]
    with set_environment(postgres_environment(warehouse.url)):
        return bool(dbt_as_in_flows(arguments).success)


def test_a_changed_file_changes_its_own_run_only(both_built: Warehouse, tmp_path: Path) -> None:
    before = set(both_built.rows("fct_signals"))
    run = sample.write_run(tmp_path, RUNS[1], 18, seed=4, metrics=("losIndex",))
    lines = (run / AGGREGATE).read_text().splitlines(keepends=True)
    (run / AGGREGATE).write_text("".join(lines[:-1]))
    load(both_built, run)
    build(both_built)
    after = set(both_built.rows("fct_signals"))
    of_first_run = {row for row in before if f",{RUNS[0]}," in row}
    assert of_first_run
    assert of_first_run <= after
    assert len(after) == len(before) - 1
    incremental = both_built.tables()
    build(both_built, "--full-refresh")
    assert both_built.tables() == incremental


def test_lines_repeated_and_shuffled_give_the_same_signals(
    first_built: Warehouse, tmp_path: Path
) -> None:
    expected = [row.split(",", 3)[0] for row in first_built.rows("fct_signals")]
    run = sample.write_run(tmp_path, RUNS[0], 18, seed=4, metrics=("losIndex",))
    for path in run.rglob("*.jsonl"):
        head, *rest = path.read_text().splitlines(keepends=True)
        rest += rest[:5]
        random.Random(1).shuffle(rest)
        path.write_text("".join([head, *rest]))
    load(first_built, run)
    build(first_built)
    assert [row.split(",", 3)[0] for row in first_built.rows("fct_signals")] == expected


def test_nothing_loaded_builds_empty_marts(empty: Warehouse) -> None:
    build(empty, is_tested=True)
    assert empty.query("select count(*) from analytics.fct_signals") == [(0,)]


def test_signals_restate_the_entities_and_their_classifications(
    first_built: Warehouse, folder: Path
) -> None:
    """Counted from the files themselves."""
    expected: dict[tuple[str, str], tuple[str, int]] = {}
    for path in (folder / RUNS[0] / "analysis" / "classification").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            claim: dict[str, Any] = json.loads(line)
            key = claim["entity_key"]
            expected[key["medicareId"], key.get("vizientServiceLine", "All")] = (
                claim["signal_type"],
                claim["severity"],
            )
    found = {
        (facility, line): (signal_type, severity)
        for facility, line, signal_type, severity in first_built.query(
            "select facility_id, coalesce(service_line, 'All'), signal_type, severity_score "
            "from analytics.fct_signals"
        )
    }
    assert found == expected


def test_the_percentile_of_a_signal_is_that_of_its_own_value_among_the_same_peers(
    first_built: Warehouse,
) -> None:
    """As the file of the aggregate node says it, beside the z-score of the same statistics."""
    ((compared, differing, differing_from_months),) = first_built.query(
        """
        select
            count(*),
            count(*) filter (
                where signals.percentile_rank is distinct from own.percentile_rank
                or signals.simple_zscore is distinct from own.simple_zscore
            ),
            count(*) filter (where signals.percentile_rank <> months.percentile_rank)
        from analytics.fct_signals as signals
        inner join analytics.stg_entity_results as entities
            on signals.run_id = entities.run_id
            and signals.canonical_node_id = entities.canonical_node_id
            and signals.metric_id = entities.metric_id
            and signals.group_hash = entities.entity_hash
        inner join analytics.stg_statistical_methods as own
            on entities.entity_result_id = own.entity_result_id and own.method = 'simple_zscore'
        left join analytics.int_temporal_entity_stats as months
            on entities.entity_result_id = months.entity_result_id
        """
    )
    assert (compared > 0, differing) == (True, 0)
    assert differing_from_months > 0, "the sample cannot tell the two apart"


def test_a_suppressed_entity_gives_no_signal_and_a_missing_benchmark_no_variance(
    empty: Warehouse, folder: Path, tmp_path: Path
) -> None:
    run = sample.write_run(tmp_path, RUNS[0], 18, seed=4, metrics=("losIndex",))
    head, suppressed, zero, *rest = [
        json.loads(line) for line in (run / AGGREGATE).read_text().splitlines()
    ]
    suppressed["statistical_methods"][0]["statistics"]["suppressed"] = True
    for method in head["statistical_methods"]:
        method["summary"]["global_statistics"]["facets"][0]["method_statistics"] = {
            "global_metric_mean": 0.0
        }
    content = [head, suppressed, zero, *rest]
    (run / AGGREGATE).write_text("".join(json.dumps(each) + "\n" for each in content))
    load(empty, run)
    build(empty)
    whole = "from analytics.fct_signals where service_line is null and facility_id = '{}'".format
    assert empty.query("select count(*) " + whole(suppressed["entity"][0]["value"])) == [(0,)]
    assert empty.query(
        "select benchmark_value, variance_percent " + whole(zero["entity"][0]["value"])
    ) == [(0.0, None)]


RATE = "100.0 * count(*) filter (where {}) / count(*)".format
SIGNAL_METRICS = {
    "total_signals": "count(*)",
    "critical_signals": "count(*) filter (where severity = 'Critical')",
    "high_priority_signals": "count(*) filter (where severity = 'High')",
    "moderate_signals": "count(*) filter (where severity = 'Moderate')",
    "watch_signals": "count(*) filter (where severity = 'Watch')",
    "critical_signal_rate": RATE("severity = 'Critical'"),
    "actionable_signal_rate": RATE("severity in ('Critical', 'High')"),
    "efficiency_signals": "count(*) filter (where domain = 'Efficiency')",
    "safety_signals": "count(*) filter (where domain = 'Safety')",
    "effectiveness_signals": "count(*) filter (where domain = 'Effectiveness')",
    "efficiency_signal_share": RATE("domain = 'Efficiency'"),
    "safety_signal_share": RATE("domain = 'Safety'"),
    "avg_z_score_magnitude": "avg(abs(z_score))",
    "avg_robust_zscore_magnitude": "avg(abs(robust_zscore))",
    "avg_variance_from_benchmark": "avg(variance_percent)",
    "total_encounters_covered": "sum(encounters)",
    "unique_facilities": "count(distinct facility_sk)",
    "signals_per_facility": "1.0 * count(*) / count(distinct facility_sk)",
    "critical_signal_ratio": "1.0 * count(*) filter (where severity = 'Critical') / count(*)",
}
CONTRIBUTION_METRICS = {
    "total_contributions": "count(*)",
    "avg_impact_score": "avg(contribution_weight)",
    "positive_contributors": "count(*) filter (where contribution_direction = 'positive')",
    "negative_contributors": "count(*) filter (where contribution_direction = 'negative')",
    "positive_contributor_rate": RATE("contribution_direction = 'positive'"),
}
CUMULATIVE = ("cumulative_signals", "cumulative_encounters")


def test_the_page_shows_what_the_newest_run_says(both_built: Warehouse) -> None:
    data = read_from("quality_compass", both_built.url)
    quality_page_is_right(data, both_built.query)
    with psycopg.connect(both_built.url) as connection:
        counts = read_changes(connection).counts
    quality_changes_are_those_of_the_flow(data, counts)


@pytest.fixture
def layer(both_built: Warehouse, tmp_path: Path) -> SemanticLayer:
    # Parsed already, by builds.
    shutil.copytree(both_built.state / "target", tmp_path / "target")
    return SemanticLayer(tmp_path, postgres_environment(both_built.url))


def test_metrics_are_those_of_the_newest_run_and_cumulated_ones_of_all(
    both_built: Warehouse, layer: SemanticLayer
) -> None:
    """Every metric that the owner's backend asks for by its name, with two runs loaded."""
    groups = ("signal__signal_type", "facility__region")
    answer = layer.query(MetricsRequest(metrics=tuple(SIGNAL_METRICS), group_by=groups))
    rows = {tuple(row[name] for name in groups): row for row in answer.as_records()}
    expected = both_built.query(
        f"select signal_type, region, {', '.join(SIGNAL_METRICS.values())} "
        "from analytics.fct_signals inner join analytics.dim_facilities using (facility_sk) "
        f"where run_id = '{RUNS[1]}' group by 1, 2"
    )
    assert len(rows) == len(expected) > 15
    for signal_type, region, *figures in expected:
        row = rows[signal_type, region]
        for name, figure in zip(SIGNAL_METRICS, figures, strict=True):
            assert row[name] == pytest.approx(float(figure), rel=1e-9), name

    by_month = layer.query(
        MetricsRequest(
            metrics=("total_signals", *CUMULATIVE),
            group_by=("metric_time__month",),
            order_by=("metric_time__month",),
        )
    ).as_records()
    counts = both_built.query(
        "select count(*), sum(encounters) from analytics.fct_signals "
        "group by run_id order by run_id"
    )
    told = [row for row in by_month if row["cumulative_signals"] is not None]
    assert [row["total_signals"] for row in told] == [float(each[0]) for each in counts]
    for column, name in enumerate(CUMULATIVE):
        first, second = (float(each[column]) for each in counts)
        assert [row[name] for row in told] == [first, first + second], name

    (answered,) = layer.query(MetricsRequest(metrics=tuple(CONTRIBUTION_METRICS))).as_records()
    ((*figures,),) = both_built.query(
        f"select {', '.join(CONTRIBUTION_METRICS.values())} "
        f"from analytics.fct_contributions where run_id = '{RUNS[1]}'"
    )
    assert answered == pytest.approx(
        dict(zip(CONTRIBUTION_METRICS, map(float, figures), strict=True)), rel=1e-9
    )


def test_the_dimensions_of_the_owners_semantic_models_group(layer: SemanticLayer) -> None:
    signals = layer.query(
        MetricsRequest(
            metrics=("total_signals",),
            group_by=(
                "signal__direction",
                "signal__sub_service_line",
                "metric__direction_preference",
                "run__is_latest",
            ),
        )
    )
    assert {row["run__is_latest"] for row in signals.as_records()} == {"yes"}
    contributions = layer.query(
        MetricsRequest(
            metrics=("total_contributions",),
            group_by=(
                "contribution__contribution_method",
                "contribution__child_sub_service_line",
                "child_facility",
                "parent_facility",
                "contribution__loaded_at__day",
            ),
        )
    )
    assert contributions.rows
    with pytest.raises(MetricQueryError):
        layer.query(MetricsRequest(metrics=("no_such_metric",)))


BACKEND_QUERIES = {
    "all signals": """
        select
            signal_id, run_id, canonical_node_id, temporal_node_id, system_name, facility_id,
            service_line, sub_service_line, metric_id, metric_value, benchmark_value,
            percentile_rank, encounters, domain, description, entity_dimensions,
            entity_dimensions_hash, groupby_label, group_value, metric_trend_timeline,
            trend_direction, simplified_signal_type, simplified_severity,
            simplified_severity_range, simplified_inputs, simplified_indicators,
            simplified_reasoning, simplified_severity_calculation, metadata, metadata_per_period,
            peer_percentile_trends, global_metric_mean, global_metric_std, variance_percent,
            detected_at, dbt_updated_at
        from public_marts.fct_signals
        order by canonical_node_id, metric_id
    """,
    "count": "select count(*) from public_marts.fct_signals",
    "contributions of a parent": """
        select
            contribution_id, record_timestamp, child_admission_status, child_payer_segment,
            contribution_method, contribution_rank, contribution_pct, facility_name, metric_name,
            direction_preference, primary_service_line, total_encounters, loaded_at
        from public_marts.fct_contributions as contributions
        left join public_marts.dim_facilities as facilities
            on contributions.parent_facility_sk = facilities.facility_sk
        left join public_marts.dim_metrics as metrics
            on contributions.metric_sk = metrics.metric_sk
        where parent_node_id = 'losIndex__medicareId__aggregate_time_period'
            and parent_facility_id = '010001' and parent_service_line is null
        order by contribution_rank
    """,
    "top contributors": """
        select run_id, child_facility_sk, contribution_weight from public_marts.fct_contributions
        where contribution_rank = 1 order by contribution_weight desc limit 10
    """,
    "drivers of models": """
        select run_id, estimator, r2, global_shap_path, experiment_rank, loaded_at
        from public_marts.fct_model_drivers order by experiment_rank asc nulls last, r2 desc
    """,
    "metrics with dimensions": """
        select metrics.metric_id, metrics.direction_preference, facilities.region, count(*)
        from public_marts.fct_signals as signals
        inner join public_marts.dim_metrics as metrics using (metric_sk)
        inner join public_marts.dim_facilities as facilities using (facility_sk)
        group by 1, 2, 3
    """,
}


def test_the_queries_of_the_owners_backend_answer_for_the_newest_run(
    both_built: Warehouse,
) -> None:
    answers = {name: both_built.query(query) for name, query in BACKEND_QUERIES.items()}
    ((newest,),) = both_built.query(
        f"select count(*) from analytics.fct_signals where run_id = '{RUNS[1]}'"
    )
    assert (answers["count"], len(answers["all signals"])) == ([(newest,)], newest)
    assert {row[1] for row in answers["all signals"]} == {RUNS[1]}
    assert {type(row[22]) for row in answers["all signals"]} == {int}
    assert all(row[14] == f"{row[21]} (severity: {row[22]})" for row in answers["all signals"])
    ranks = [row[5] for row in answers["contributions of a parent"]]
    assert ranks == list(range(1, len(ranks) + 1))
    assert {row[9] for row in answers["contributions of a parent"]} == {"lower_is_better"}
    assert {row[0] for row in answers["top contributors"]} == {RUNS[1]}
    assert {row[0] for row in answers["drivers of models"]} == {RUNS[1]}
    assert {row[4] for row in answers["drivers of models"]} == {1}
    assert sum(row[3] for row in answers["metrics with dimensions"]) == newest
