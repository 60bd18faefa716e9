"""The dbt project on a real PostgreSQL: same marts however they came about, and right figures."""

import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from pydantic import ValidationError

from deployments.local.postgres import EmbeddedPostgres
from flows._shared.environment import set_environment
from flows._shared.errors import PlatformError
from flows.quality_compass import sample
from flows.quality_compass.marts import Changes, describe_changes, read_changes
from flows.quality_compass.records import EXAMPLE_QUERY, RawTable
from flows.quality_compass.semantic import (
    Answer,
    MetricQueryError,
    MetricsRequest,
    SemanticLayer,
)
from flows.report.making import read_from
from flows.report.pages.quality_compass import changes_by_kind
from flows.report.records import DomainData
from tests.contracts import PAGES, assert_columns_are_as_promised, queries
from tests.databases import copy_database
from tests.dbt_projects.consumers_of_quality_compass import (
    AGGREGATIONS,
    COLUMNS,
    CONTRIBUTION_METRICS,
    CUMULATIVE,
    OWNERS_METRICS,
    SIGNAL_METRICS,
    TYPES,
)
from tests.dbt_projects.runs_of_quality_compass import build, load, make_empty
from tests.dbt_projects.warehouse import (
    PROJECTS,
    Warehouse,
    dbt_as_in_flows,
    postgres_environment,
)
from tests.deployments.grafana.panels import asked, assert_panels_answer
from tests.quality_compass.conftest import DATA
from tests.report.on_builds import quality_changes_are_right, quality_page_is_right
from tests.report.shown import page_of
from tests.upgrading import refreshing_of_the_page

DATABASE = "quality_compass_marts"
RUNS = ("20250115060000", "20250215060000")
OF_SIGNALS = ("--select", "+fct_signals")
AGGREGATE = "results/nodes/losIndex__medicareId__aggregate_time_period.jsonl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for run_id in RUNS:
        sample.write_run(folder, run_id, 18, seed=4, metrics=("losIndex",))
    return folder


@pytest.fixture
def empty(quality_compass: Warehouse) -> Warehouse:
    make_empty(quality_compass)
    return quality_compass


@pytest.fixture(scope="module")
def kept(quality_compass: Warehouse, folder: Path, postgres: EmbeddedPostgres) -> Iterator[None]:
    """Copies of the database with the first run built, and with both, one after the other."""
    make_empty(quality_compass)
    load(quality_compass, folder / RUNS[0])
    build(quality_compass)
    copy_database(postgres, DATABASE, f"{DATABASE}_first")
    load(quality_compass, folder)
    build(quality_compass)
    copy_database(postgres, DATABASE, f"{DATABASE}_both")
    yield
    postgres.drop_database(f"{DATABASE}_first")
    postgres.drop_database(f"{DATABASE}_both")


@pytest.fixture
def first_built(kept: None, quality_compass: Warehouse, postgres: EmbeddedPostgres) -> Warehouse:
    copy_database(postgres, f"{DATABASE}_first", DATABASE)
    return quality_compass


@pytest.fixture
def both_built(kept: None, quality_compass: Warehouse, postgres: EmbeddedPostgres) -> Warehouse:
    copy_database(postgres, f"{DATABASE}_both", DATABASE)
    return quality_compass


def test_however_runs_arrive_the_marts_are_the_same(
    empty: Warehouse, folder: Path, is_exhaustive: bool
) -> None:
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
    build(empty, "--full-refresh", is_tested=is_exhaustive)
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
    told = page_of(read_from("quality_compass", first_built.url)).parts[""].text
    assert "1 newer run has no signals" in told
    assert f"what is told is of run {RUNS[0]}" in told
    first_built.execute(f"delete from public.raw_runs where run_id = '{RUNS[1]}'")
    build(first_built)
    assert (changes(first_built).previous, changes(first_built).silent) == (None, ())
    assert "signals in the first run" in describe_changes(changes(first_built))
    assert without_history(first_built) == first
    copy_database(postgres, f"{DATABASE}_both", DATABASE)
    first_built.execute(f"select public.remove_run('{RUNS[1]}')")
    build(first_built)
    assert without_history(first_built) == first, "removed whole, between two builds"
    with pytest.raises(psycopg.errors.RaiseException, match="There is no run 1: see"):
        first_built.execute("select public.remove_run('1')")


def without_history(warehouse: Warehouse) -> dict[str, list[str]]:
    tables = warehouse.tables()
    return {name: rows for name, rows in tables.items() if name != "facilities_snapshot"}


def changes(warehouse: Warehouse) -> Changes:
    with psycopg.connect(warehouse.url) as connection:
        found = read_changes(connection)
    assert found
    return found


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
    assert vacuumed(first_built, "fct_signals", "public.raw_files")
    for wrong in ("no_such_table", "fct_signals; drop table fct_signals", "a.b.c"):
        assert not vacuumed(first_built, wrong)
    assert first_built.query("select count(*) from analytics.fct_signals")[0][0] > 0


def test_a_table_of_an_older_model_is_refused_until_it_is_built_as_the_page_of_upgrades_says(
    first_built: Warehouse,
) -> None:
    select, anew = ("--select", "stg_nodes"), refreshing_of_the_page("quality_compass")
    built = first_built.rows("stg_nodes")
    for older in ("add column of_an_older_model text", "drop column run_version cascade"):
        first_built.execute(f"alter table analytics.stg_nodes {older}")
        assert first_built.dbt("run", *select) == {"stg_nodes": "error"}
        assert first_built.dbt("run", *anew, *select) == {"stg_nodes": "success"}
        assert first_built.rows("stg_nodes") == built


def vacuumed(warehouse: Warehouse, *tables: str) -> bool:
    project = PROJECTS / "quality_compass"
    arguments = [
        *("run-operation", "vacuum_analyze_tables", "--args", json.dumps({"table_names": tables})),
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
    build(first_built, *OF_SIGNALS)
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
    build(empty, *OF_SIGNALS)
    whole = "from analytics.fct_signals where service_line is null and facility_id = '{}'".format
    assert empty.query("select count(*) " + whole(suppressed["entity"][0]["value"])) == [(0,)]
    assert empty.query(
        "select benchmark_value, variance_percent " + whole(zero["entity"][0]["value"])
    ) == [(0.0, None)]


FACILITY = "signal__facility_id"


def test_the_page_shows_what_the_newest_run_says(both_built: Warehouse) -> None:
    data = read_from("quality_compass", both_built.url)
    quality_page_is_right(data, both_built.query)
    assert both_built.query(EXAMPLE_QUERY)
    assert_panels_answer("analytics-quality-compass", both_built.query)
    quality_changes_are_right(data, both_built.query)
    assert changes(both_built).counts == changes_by_kind(data)
    (changed,) = (each for each in asked() if each.title == "What changed")
    assert Counter(row[0] for row in both_built.query(changed.sql)) == {
        kind: min(15, many) for kind, many in changes_by_kind(data).items() if kind != "same"
    }
    both_built.execute("drop table analytics.rpt_quality_changes")
    with psycopg.connect(both_built.url) as connection:
        assert read_changes(connection) is None


REPORT = ("rpt_quality_facilities", "rpt_quality_months", "rpt_quality_changes")
# Score and side before and now, and what became of the signal; of a metric of which less is better.
JUDGED: Mapping[str, tuple[Any, ...]] = {
    "rose": (1, False, 99, False, "worse"),
    "rose within the norm": (1, None, 99, None, "worse"),
    "rose on the good side": (1, True, 99, True, "unclear"),
    "fell": (99, False, 1, False, "better"),
    "fell on the good side": (99, True, 1, True, "better"),
    "fell to the bad side": (99, True, 1, False, "unclear"),
    "lost its score": (99, False, None, False, "unclear"),
    "got a score": (None, False, 99, False, "unclear"),
}


def add_signal(warehouse: Warehouse, run_id: str, facility: str, **changes: Any) -> None:
    """A signal of a facility of its own, like one that is there but for ``changes``."""
    key = {"facility_sk": facility, "facility_id": facility}
    own = {"signal_id": f"{run_id} {facility}", "run_id": run_id, "group_hash": facility}
    rows = {
        "fct_signals": (own | key | {"is_favorable": False, "signal_type": "baseline"} | changes),
        "dim_facilities": key | {"facility_name": facility},
    }
    for relation, row in rows.items():
        warehouse.execute(
            f"insert into analytics.{relation} select (jsonb_populate_record(one, "
            f"$${json.dumps(row)}$$)).* from analytics.{relation} as one where {relation!r} = "
            f"'fct_signals' or not exists (select from analytics.{relation} as there where "
            f"there.facility_sk = {facility!r}) limit 1"
        )


def add_metric(warehouse: Warehouse, metric: str, direction: str) -> None:
    row = {"metric_sk": metric, "metric_id": metric, "direction_preference": direction}
    warehouse.execute(
        "insert into analytics.dim_metrics select (jsonb_populate_record(one, "
        f"$${json.dumps(row)}$$)).* from analytics.dim_metrics as one limit 1"
    )


def rebuild_report(warehouse: Warehouse) -> DomainData:
    build(warehouse, "--select", "stg_runs", *REPORT, is_tested=True)
    return read_from("quality_compass", warehouse.url)


def test_the_page_counts_facilities_that_it_does_not_list(both_built: Warehouse) -> None:
    """Labelled critical, of a low severity; and one without a severity, which leads nothing."""
    for number in range(50):
        add_signal(both_built, RUNS[1], f"Z{number}", severity="Critical", severity_score=1)
    add_signal(both_built, RUNS[1], "A-1", severity="Critical", severity_score=None)
    data = rebuild_report(both_built)
    quality_page_is_right(data, both_built.query)
    ((listed,),) = both_built.query(
        f"select count(distinct facility_id) from analytics.fct_signals where run_id = '{RUNS[1]}' "
        "and is_favorable is distinct from true and signal_type <> 'suspect_data'"
    )
    assert listed > 60
    told = page_of(data).parts["facilities"].text
    assert f"The first 40 of {listed} facilities, by the worst severity, then by" in told


def test_the_months_are_the_newest_of_the_very_signal_that_leads(both_built: Warehouse) -> None:
    """Two groupings have a group of one name; the timeline is of six years."""
    months = [f"{2019 + at // 12}-{at % 12 + 1:02}" for at in range(72)]
    peers = [{"period": month, "p25": 8, "p50": 9, "p75": 10} for month in months]
    for signal, label, factor, score in (
        ("a", "Admission Source", 10, 90),
        ("b", "Primary Payer", 1, 100),
    ):
        add_signal(
            both_built,
            RUNS[1],
            "A-1",
            signal_id=signal,
            group_hash=signal,
            groupby_label=label,
            group_value="Other",
            severity_score=score,
            metric_trend_timeline=[
                {"period": month, "value": factor * at} for at, month in enumerate(months)
            ],
            peer_percentile_trends=peers,
        )
    shown = page_of(rebuild_report(both_built))
    told = shown.parts["facility-1"]
    assert "in Primary Payer Other was 71.000 in 2024-12" in told.text
    assert "half of all Primary Payer groups of all facilities are below 9.000" in told.text
    assert [row["Month"] for row in told.records()] == months[:11:-1]
    assert "in Primary Payer Other, baseline, severity 100" in shown.parts["facilities"].text
    assert shown.parts["facilities"].records()[0]["Group"] == "Primary Payer Other"
    alone = next(
        shown.parts[key].text
        for key in ("facility-2", "facility-3", "facility-4", "facility-5")
        if "in Facility-wide was" in shown.parts[key].text
    )
    assert "half of the peers are below" in alone


OF_THE_NEWEST_RUN = (
    "public_marts.fct_signals",
    "analytics.rpt_quality_facilities",
    "analytics.rpt_quality_changes",
    "analytics.signals_by_run where is_in_newest_run",
)


def test_changes_are_of_one_set_and_say_worse_of_what_is(both_built: Warehouse) -> None:
    """A run of another set came between the two."""
    both_built.execute(
        "insert into public.raw_runs select (jsonb_populate_record(one, "
        """'{"run_id": "20250120060000", "url": "file:///runs/beta/20250120060000", """
        """"started_at": "2025-01-20T06:00:00Z"}')).* from public.raw_runs as one limit 1"""
    )
    add_signal(both_built, "20250120060000", "of the other set")
    add_metric(both_built, "more|better", "higher")
    add_metric(both_built, "noSide", "context_dependent")
    expected = {}
    for facility, (before, was_good, now, is_good, change) in JUDGED.items():
        for metric in ("losIndex", "more|better", "noSide"):
            if metric != "losIndex" and facility not in ("rose", "fell"):
                continue
            own = {} if metric == "losIndex" else {"metric_id": metric, "metric_sk": metric}
            for run_id, score, side in zip(RUNS, (before, now), (was_good, is_good), strict=True):
                add_signal(
                    both_built,
                    run_id,
                    f"{facility} {metric}",
                    severity_score=score,
                    is_favorable=side,
                    **own,
                )
            expected[f"{facility} {metric}"] = change if metric == "losIndex" else "unclear"
    data = rebuild_report(both_built)
    found = changes(both_built)
    assert found.previous == RUNS[0]
    first = [each for rows in found.first.values() for each in rows]
    judged = {each.facility_id: each.change for each in first if each.facility_id in expected}
    assert judged == expected
    rows = data.rows("rpt_quality_changes")
    keys = ("change", "facility_id", "metric_id", "group_value")
    assert sorted(tuple(row[key] for key in keys) for row in rows if row["change"] != "same") == (
        sorted(tuple(getattr(each, key) for key in keys) for each in first)
    )
    assert found.counts == changes_by_kind(data)
    assert found.others == ("beta",)
    described = describe_changes(found)
    assert "Runs of other sets are not compared with it: beta." in described
    table = [
        re.split(r"(?<!\\)\|", line) for line in described.splitlines() if line.startswith("|")
    ]
    assert {len(cells) for cells in table} == {7}
    assert any("more\\|better" in cells[2] for cells in table)
    assert "those of 1 other set in the database are not" in page_of(data).parts["changes"].text

    both_built.execute(
        "update public.raw_runs set started_at = '2025-03-01' where run_id = '20250120060000'"
    )
    build(both_built, "--select", "stg_runs", "compat_fct_signals", "signals_by_run")
    both_built.execute("update analytics.stg_runs set is_shown = run_set <> 'beta'")
    there = "the_set_that_readers_see_has_a_run"
    assert build(both_built, "--select", *REPORT, there, is_tested=True)[there] == "pass"
    for relation in OF_THE_NEWEST_RUN:
        assert both_built.query(f"select distinct run_id from {relation}") == [(RUNS[1],)]
    both_built.execute("update analytics.stg_runs set is_shown = false")
    assert both_built.dbt("test", "--select", there) == {there: "warn"}
    assert both_built.query(
        f"select previous_run_id from analytics.stg_runs where run_id = '{RUNS[1]}'"
    ) == [(RUNS[0],)]


@pytest.fixture(scope="module")
def workspace(
    kept: None, quality_compass: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    # Parsed already, by builds.
    folder = tmp_path_factory.mktemp("metricflow")
    shutil.copytree(quality_compass.state / "target", folder / "target")
    return folder


@pytest.fixture(scope="module")
def layer(workspace: Path, quality_compass: Warehouse) -> SemanticLayer:
    return SemanticLayer(workspace, postgres_environment(quality_compass.url))


GROUPS = ("signal__signal_type", "facility__region")
ASKED = {
    "by group": MetricsRequest(metrics=tuple(SIGNAL_METRICS), group_by=GROUPS),
    "by months": MetricsRequest(
        metrics=("total_signals", *CUMULATIVE),
        group_by=("metric_time__month",),
        order_by=("metric_time__month",),
    ),
    "of a day": MetricsRequest(
        metrics=("total_signals",), start_time="2025-02-15", end_time="2025-02-15"
    ),
    "of the beginning of a year": MetricsRequest(
        metrics=("signals_by_run",), group_by=("run", "metric_time__year"), end_time="2025-02-14"
    ),
    "up to a day": MetricsRequest(
        metrics=CUMULATIVE, group_by=("metric_time__year",), end_time="2025-02-14"
    ),
    "of runs": MetricsRequest(saved_query="history_of_runs"),
    "of contributions": MetricsRequest(metrics=tuple(CONTRIBUTION_METRICS)),
    "signals by dimensions": MetricsRequest(
        metrics=("total_signals",),
        group_by=(
            "signal__direction",
            "signal__sub_service_line",
            "metric__direction_preference",
            "run__is_latest",
        ),
    ),
    "contributions by dimensions": MetricsRequest(
        metrics=("total_contributions",),
        group_by=(
            "contribution__contribution_method",
            "contribution__child_sub_service_line",
            "child_facility",
            "parent_facility",
            "contribution__loaded_at__day",
        ),
    ),
}


def unchecked(where: str) -> MetricsRequest:
    """Past the check of filters."""
    return MetricsRequest.model_construct(metrics=("total_signals",), where=(where,))


# By what is refused, what is said of it.
STATEMENTS = {
    "create table public.pwned (x int); commit": "read-only transaction",
    "select 1": "the answer has the columns subq_",
}
FILTERS = {
    "{{ Dimension( }}": "Error while parsing Jinja template",
    "1=1 union select true": 'syntax error at or near "union"',
    "1 = 'connection refused'": "invalid input syntax",
}
MISSPELT = MetricsRequest(metrics=("total_signals",), group_by=("signal__domian",))
REFUSED = {
    **{each: unchecked(f"1=1))); {each}; select (((1=1") for each in STATEMENTS},
    **{each: unchecked(each) for each in FILTERS},
    "misspelt": MISSPELT,
}


@dataclass(frozen=True)
class Outcomes:
    """What questions came to, and the tables of the public schema that there were afterwards."""

    of: Mapping[str, Answer | PlatformError]
    public: set[str]

    def refusal(self, name: str) -> MetricQueryError:
        outcome = self.of[name]
        assert isinstance(outcome, MetricQueryError)
        return outcome


@pytest.fixture(scope="module")
def outcomes(
    layer: SemanticLayer, quality_compass: Warehouse, postgres: EmbeddedPostgres
) -> Outcomes:
    """With two runs loaded, asked by one process: its imports take longer than all answers.

    What is refused is asked first, with a role that may write.
    """
    copy_database(postgres, f"{DATABASE}_both", DATABASE)
    asked = REFUSED | ASKED
    told = dict(zip(asked, layer.outcomes([*asked.values()]), strict=True))
    tables = quality_compass.query(
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
    )
    return Outcomes(told, {name for (name,) in tables})


@pytest.fixture(scope="module")
def answers(outcomes: Outcomes) -> dict[str, Answer]:
    told = {name: outcomes.of[name] for name in ASKED}
    assert {name: each for name, each in told.items() if not isinstance(each, Answer)} == {}
    return {name: each for name, each in told.items() if isinstance(each, Answer)}


def test_metrics_are_those_of_the_newest_run_and_cumulated_ones_of_all(
    both_built: Warehouse, answers: dict[str, Answer]
) -> None:
    """Every metric that the owner's backend asks for by its name."""
    rows = {tuple(row[name] for name in GROUPS): row for row in answers["by group"].as_records()}
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

    counts = both_built.query(
        "select count(*), sum(encounters) from analytics.fct_signals "
        "group by run_id order by run_id"
    )
    assert answers["of a day"].as_records() == [{"total_signals": float(counts[1][0])}]
    (row,) = answers["of the beginning of a year"].as_records()
    assert (row["run"], row["signals_by_run"]) == (RUNS[0], float(counts[0][0]))
    (row,) = answers["up to a day"].as_records()
    assert [row[name] for name in CUMULATIVE] == list(map(float, counts[0]))
    by_months = answers["by months"].as_records()
    told = [row for row in by_months if row["cumulative_signals"] is not None]
    assert [row["total_signals"] or 0 for row in told] == [0, counts[1][0]]
    for column, name in enumerate(CUMULATIVE):
        first, second = (float(each[column]) for each in counts)
        assert [row[name] for row in told] == [first, first + second], name

    history = [(row["run"], row["signals_by_run"]) for row in answers["of runs"].as_records()]
    assert history == [
        (run_id, float(count)) for run_id, (count, _) in zip(RUNS, counts, strict=True)
    ]

    (answered,) = answers["of contributions"].as_records()
    ((*figures,),) = both_built.query(
        f"select {', '.join(CONTRIBUTION_METRICS.values())} "
        f"from analytics.fct_contributions where run_id = '{RUNS[1]}'"
    )
    assert answered == pytest.approx(
        dict(zip(CONTRIBUTION_METRICS, map(float, figures), strict=True)), rel=1e-9
    )


def test_what_the_newest_run_no_longer_has_is_not_answered_from_an_older_one(
    both_built: Warehouse, layer: SemanticLayer
) -> None:
    """A facility, a type of signal and a direction of contributions that only the first run has."""
    ((facility, signal_type),) = both_built.query(
        f"select facility_id, signal_type from analytics.fct_signals where run_id = '{RUNS[1]}' "
        "order by severity_score desc, signal_id limit 1"
    )
    both_built.execute(
        f"delete from analytics.fct_signals where run_id = '{RUNS[1]}' "
        f"and (facility_id = '{facility}' or signal_type = '{signal_type}'); "
        f"delete from analytics.fct_contributions where run_id = '{RUNS[1]}' "
        "and contribution_direction = 'positive'"
    )
    wheres = (
        f"{{{{ Dimension('signal__facility_id') }}}} = '{facility}'",
        f"{{{{ Dimension('signal__signal_type') }}}} = '{signal_type}'",
    )
    positive = "{{ Dimension('contribution__contribution_direction') }} = 'positive'"
    *of_what_is_gone, groups, contributions = layer.queries(
        [
            *(MetricsRequest(metrics=tuple(SIGNAL_METRICS), where=(each,)) for each in wheres),
            MetricsRequest(metrics=("total_signals", "unique_facilities"), group_by=(FACILITY,)),
            MetricsRequest(metrics=tuple(CONTRIBUTION_METRICS), where=(positive,)),
        ]
    )
    for where, answer in zip(wheres, of_what_is_gone, strict=True):
        (row,) = answer.as_records()
        assert {name: figure for name, figure in row.items() if figure} == {}, where
        assert row["total_signals"] == 0, where
    kept = both_built.query(
        f"select facility_id from analytics.fct_signals where run_id = '{RUNS[1]}' group by 1"
    )
    assert {row[FACILITY] for row in groups.as_records()} == {each for (each,) in kept}
    (row,) = contributions.as_records()
    assert {name: figure for name, figure in row.items() if figure} == {}
    assert row["total_contributions"] == 0


def test_every_metric_is_of_the_newest_run_or_says_which_runs_it_is_of() -> None:
    semantic = PROJECTS / "quality_compass" / "models" / "semantic"
    metrics = {
        each["name"]: each
        for each in yaml.safe_load((semantic / "_metrics.yml").read_text())["metrics"]
    }
    assert {name for name, kind in OWNERS_METRICS.items() if metrics[name]["type"] != kind} == set()
    simple = {name: each for name, each in metrics.items() if each["type"] == "simple"}
    of_all_runs = {name for name, each in simple.items() if "filter" not in each}
    assert of_all_runs == {name for name in simple if name.endswith("_by_run")}
    assert {each["filter"] for name, each in simple.items() if name not in of_all_runs} == {
        "{{ Dimension('signal__is_in_newest_run') }}",
        "{{ Dimension('contribution__is_in_newest_run') }}",
    }
    cumulative = {name for name, each in metrics.items() if each["type"] == "cumulative"}
    assert cumulative == {name for name in metrics if name.startswith("cumulative_")}
    page = (PAGES / "quality_compass.md").read_text()
    listed = page.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    assert set(metrics) <= set(re.findall(r"`(\w+)`", listed))
    with pytest.raises(ValidationError, match="group by run"):
        MetricsRequest(metrics=tuple(of_all_runs))
    MetricsRequest(metrics=tuple(of_all_runs), group_by=("run",))


def _expression(expressions: Mapping[str, str], found: re.Match[str]) -> str:
    return expressions[found[1]]


def test_the_owners_own_sql_from_our_semantic_manifest_gives_the_newest_run(
    both_built: Warehouse, layer: SemanticLayer, workspace: Path
) -> None:
    """Its metric service asks no MetricFlow: of measure, filter and dimension it makes a query."""
    assert layer.validate()
    manifest = json.loads((workspace / "target" / "semantic_manifest.json").read_text())
    models = {
        measure["name"]: (model, measure)
        for model in manifest["semantic_models"]
        for measure in model["measures"]
    }
    asked = 0
    for metric in manifest["metrics"]:
        expected = {**SIGNAL_METRICS, **CONTRIBUTION_METRICS}.get(metric["name"])
        if metric["type"] != "simple" or expected is None:
            continue
        model, measure = models[metric["type_params"]["measure"]["name"]]
        expressions = {each["name"]: each["expr"] for each in model["dimensions"]}
        (given,) = metric["filter"]["where_filters"]
        filtered = re.sub(
            r"\{\{\s*Dimension\('\w+?__(\w+)'\)\s*\}\}",
            partial(_expression, expressions),
            given["where_sql_template"],
        )
        aggregated = AGGREGATIONS[measure["agg"]].format(measure["expr"])
        dimension = expressions["metric_id"]
        relation = model["node_relation"]
        mart = "fct_signals" if model["name"] == "signals" else "fct_contributions"
        assert both_built.query(
            f"select {dimension}, cast({aggregated} as numeric) "
            f"from {relation['schema_name']}.{relation['alias']} where ({filtered}) "
            f"group by {dimension} order by 1"
        ) == both_built.query(
            f"select metric_id, cast({expected} as numeric) from analytics.{mart} "
            f"where run_id = '{RUNS[1]}' group by metric_id order by 1"
        ), metric["name"]
        assert all(expressions.values())
        asked += 1
    assert asked == 17


def test_the_dimensions_of_the_owners_semantic_models_group(
    layer: SemanticLayer, outcomes: Outcomes, answers: dict[str, Answer]
) -> None:
    signals = answers["signals by dimensions"].as_records()
    assert {row["run__is_latest"] for row in signals} == {"yes"}
    assert answers["contributions by dimensions"].rows
    with pytest.raises(MetricQueryError) as refused:
        layer.query(MetricsRequest(metrics=("total_signal",), group_by=("signal__domain",)))
    assert "querying total_signal by signal__domain: there is no metric total_signal, the " in str(
        refused.value
    )
    assert "nearest are total_signals, " in refused.value.seen
    misspelt = outcomes.refusal("misspelt")
    assert "(it read signal__domian)" in misspelt.seen
    assert "Log File" not in misspelt.seen
    assert misspelt.remedy.startswith("Name one of these instead: signal__domain, ")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_question_reads_only_and_is_answered_with_its_own_columns(
    outcomes: Outcomes, statement: str
) -> None:
    """With a role that may write."""
    assert STATEMENTS[statement] in outcomes.refusal(statement).seen
    assert "raw_runs" in outcomes.public
    assert "pwned" not in outcomes.public


@pytest.mark.parametrize("where", FILTERS)
def test_a_filter_that_cannot_be_asked_is_told_as_it_was_refused(
    outcomes: Outcomes, where: str
) -> None:
    refused = outcomes.refusal(where)
    assert FILTERS[where] in refused.seen
    assert "Traceback" not in refused.seen
    assert refused.remedy.startswith("Compare the filters")


def test_the_first_refusal_of_several_questions_is_raised(layer: SemanticLayer) -> None:
    unknown = [MetricsRequest(metrics=(name,)) for name in ("no_metric", "none_either")]
    with pytest.raises(MetricQueryError, match="no_metric"):
        layer.queries(unknown)


def test_the_queries_of_the_contract_answer_for_the_newest_run(both_built: Warehouse) -> None:
    """The six of the owner's backend, and ours, though a build came no further than the marts."""
    build(both_built, "--full-refresh", "--select", "marts")
    answers = {name: both_built.query(query) for name, query in queries("quality_compass").items()}
    assert len(answers) == 7
    ((newest,),) = both_built.query(
        f"select count(*) from analytics.fct_signals where run_id = '{RUNS[1]}'"
    )
    assert (answers["Their count"], len(answers["All signals"])) == ([(newest,)], newest)
    assert {row[1] for row in answers["All signals"]} == {RUNS[1]}
    assert {type(row[22]) for row in answers["All signals"]} == {int}
    assert all(row[14] == f"{row[21]} (severity: {row[22]})" for row in answers["All signals"])
    ranks = [row[5] for row in answers["Contributions to a parent"]]
    assert ranks == list(range(1, len(ranks) + 1))
    assert {row[9] for row in answers["Contributions to a parent"]} == {"lower_is_better"}
    assert {row[0] for row in answers["Top contributors"]} == {RUNS[1]}
    assert {row[0] for row in answers["Drivers by estimator"]} == {RUNS[1]}
    assert {row[4] for row in answers["Drivers by estimator"]} == {1}
    assert sum(row[3] for row in answers["Metrics with dimensions"]) == newest
    assert len(answers["Ours, what needs attention first"]) == 20

    # The brake keeps the facts of runs that somebody has removed: their views show them, too.
    both_built.execute(
        "delete from analytics.stg_runs; select public.remove_run(run_id) from public.raw_runs"
    )
    for relation in ("fct_signals", "fct_contributions"):
        kept = f"select count(*) from analytics.{relation} where run_id = '{RUNS[1]}'"
        shown = both_built.query(f"select run_id, count(*) from public_marts.{relation} group by 1")
        assert shown == [(RUNS[1], both_built.query(kept)[0][0])]
    assert both_built.query(
        "select distinct run_id from analytics.signals_by_run where is_in_newest_run"
    ) == [(RUNS[1],)]


def test_columns_of_the_owners_relations_have_the_owners_names_and_types(
    both_built: Warehouse,
) -> None:
    found = both_built.query(
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = 'public_marts'"
    )
    types = {(relation, column): type_ for relation, column, type_ in found}
    expected = {
        (relation, column): TYPES.get(column, "text")
        for relation, columns in COLUMNS.items()
        for column in columns.split()
    }
    assert {key: types.get(key) for key in expected} == expected
    assert_columns_are_as_promised("quality_compass", both_built.query)
    both_built.execute(
        "update analytics.fct_signals set percentile_rank = 0.1::float8 + 0.2::float8"
    )
    shown = both_built.query("select distinct percentile_rank::text from public_marts.fct_signals")
    assert shown == [("0.30000000000000004",)], "a cast would round to fifteen digits"


REAL_RUN = "20260116085939"
REAL_NODE = "losIndex__medicareId__aggregate_time_period"


def test_a_real_run_keeps_the_rank_of_every_facility_and_the_instant_of_its_manifest(
    empty: Warehouse, tmp_path: Path
) -> None:
    """Half of the run's classifications is at hand: the others stand in for the type only."""
    if not (DATA / "run_manifest.json").exists():
        pytest.skip(f"no real run in {DATA}: set QUALITY_COMPASS_DATA to its folder")
    nodes = tmp_path / REAL_RUN / "results" / "nodes"
    nodes.mkdir(parents=True)
    shutil.copy(DATA / "run_manifest.json", tmp_path / REAL_RUN)
    for name in (REAL_NODE, "losIndex__medicareId__dischargeMonth"):
        shutil.copy(DATA / f"{name}.jsonl", nodes)
    entities = [json.loads(line) for line in (nodes / f"{REAL_NODE}.jsonl").open()][1:]
    ranks = {
        entity["entity"][0]["value"]: method["statistics"]["percentile_rank"]
        for entity in entities
        for method in entity["statistical_methods"]
        if "simple_zscore" in method["statistical_method"]
    }
    claims = tmp_path / REAL_RUN / "analysis" / "classification" / "classifications.jsonl"
    claims.parent.mkdir(parents=True)
    claims.write_text(
        "".join(
            json.dumps(
                {
                    "node_id": REAL_NODE,
                    "metric_id": "losIndex",
                    "entity_key": {"medicareId": facility},
                    "signal_type": "baseline",
                    "severity": 40,
                }
            )
            + "\n"
            for facility in ranks
        )
    )
    load(empty, tmp_path)
    build(empty, *OF_SIGNALS)
    found = empty.query(
        "select facility_id, percentile_rank, detected_at at time zone 'UTC' "
        "from analytics.fct_signals"
    )
    assert len(ranks) == 118
    assert {facility: rank for facility, rank, _ in found} == ranks
    assert {str(instant) for *_, instant in found} == {"2026-01-16 14:59:39"}
