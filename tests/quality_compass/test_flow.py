"""The flows on a real server and database: load, verify, build, tell what changed; operations."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prefect.client.schemas.objects import State

from blocks.registration import register
from deployments.local.postgres import EmbeddedPostgres
from flows._shared.errors import PermanentError
from flows._shared.orchestration.credentials import dbt_postgres_env
from flows._shared.orchestration.dbt import DbtFreshnessError, DbtOptions
from flows._shared.revisions import RevisionError
from flows.quality_compass import raw, rollback, source
from flows.quality_compass.__main__ import main
from flows.quality_compass.flow import (
    RunsRequest,
    maintain,
    query_metrics,
    refresh,
    roll_back,
)
from flows.quality_compass.flow.checklist import (
    load_seeds,
    require_ssl,
    write_documentation,
)
from flows.quality_compass.flow.finding import make_sample
from flows.quality_compass.flow.runs import DisagreementError
from flows.quality_compass.records import RunsFailedError
from flows.quality_compass.semantic import MetricsRequest
from flows.quality_compass.settings import QualityCompassSettings
from flows.quality_compass.sync import disagreements
from tests.databases import copy_database, database_of
from tests.quality_compass.conftest import read, write
from tests.told import artifacts_of, assert_freshness_is_told, landed_in, measures_of, run_id_of

# Their tests are the business of tests/dbt_projects.
UNTESTED = DbtOptions(exclude=("resource_type:test", "resource_type:unit_test"))
FIRST_RUN = "20250115060000"
KEPT = "quality_compass_first_build"
CLASSIFICATIONS = "analysis/classification/losIndex.jsonl"
BRAKE = rollback.Brake(maximum_fall=0.5, minimum_rows=20)
NODE = "results/nodes/losIndex__medicareId__aggregate_time_period.jsonl"


@pytest.fixture
def settings(prefect_server: str, database: str, tmp_path: Path) -> QualityCompassSettings:
    register(["quality_compass"], {"QUALITY_COMPASS_DATABASE_URL": database})
    return QualityCompassSettings(state_dir=tmp_path, sample_facilities=40)


@dataclass(frozen=True)
class Built:
    """A database in which the first of the sample runs was loaded and built."""

    url: str
    settings: QualityCompassSettings
    first_run: State[Any]


@pytest.fixture(scope="module")
def first_build(
    request: pytest.FixtureRequest,
    postgres: EmbeddedPostgres,
    prefect_server: str,
    sample_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Built]:
    """Of what the tests that go on from there begin with a copy, in KEPT."""
    name = database_of(request.path)
    url = postgres.create_database(name)
    register(["quality_compass"], {"QUALITY_COMPASS_DATABASE_URL": url})
    settings = QualityCompassSettings(state_dir=tmp_path_factory.mktemp("state"))
    runs = RunsRequest(addresses=(str(sample_folder / FIRST_RUN),))
    state = refresh(runs, settings, UNTESTED, return_state=True)
    assert state.is_completed(), state.message
    copy_database(postgres, name, KEPT)
    yield Built(url, settings, state)
    postgres.drop_database(KEPT)


@pytest.fixture
def built(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, first_build: Built, database: str
) -> Built:
    assert database == first_build.url
    copy_database(postgres, KEPT, database_of(request.path))
    return first_build


def rows_of_all(landed: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(told["rows"] for told in landed.values())


def test_runs_are_loaded_verified_built_and_their_changes_told(
    built: Built, sample_folder: Path
) -> None:
    """The life of an installation: a first run, no new run for days, then one under `addresses`."""
    settings, database, state = built.settings, built.url, built.first_run
    runs = sorted(sample_folder.iterdir())
    lines = {
        run: sum(len(path.read_text().splitlines()) for path in run.rglob("*.jsonl"))
        for run in runs
    }
    assert "signals in the first run" in artifacts_of(state)["quality-compass-signals"]
    first = run_id_of(state)
    assert_freshness_is_told(state, "quality_compass", marts=["public_marts.fct_signals"])

    with psycopg.connect(database) as connection:
        connection.execute("update public.raw_files set changed_at = now() - interval '4 days'")
    state = refresh(RunsRequest(addresses=(str(runs[0]),)), settings, UNTESTED, return_state=True)
    with pytest.raises(DbtFreshnessError, match="raw_classifications"):
        state.result()
    told = artifacts_of(state)
    assert "signals in the first run" in told["quality-compass-signals"]
    assert measures_of(state, "quality-compass")["rows_loaded"] == 0
    stale = run_id_of(state)

    configured = settings.model_copy(update={"addresses": (str(sample_folder),)})
    request = RunsRequest(verify=True, fail_on_disagreement=True)
    state = refresh(request, configured, UNTESTED, return_state=True)
    assert state.is_completed(), state.message
    told = artifacts_of(state)
    assert measures_of(state, "quality-compass")["rows_loaded"] == lines[runs[1]]
    assert measures_of(state, "quality-compass")["failures"] == 0
    newest = run_id_of(state)
    assert "Run 20250215060000 against 20250115060000" in told["quality-compass-signals"]
    with psycopg.connect(database) as connection:
        changed = connection.execute(
            """
            select count(*)
            from analytics.fct_signals as latest
            inner join analytics.fct_signals as previous
                using (canonical_node_id, metric_id, group_hash)
            where latest.run_id = '20250215060000' and previous.run_id = '20250115060000'
            and latest.signal_type <> 'suspect_data' and previous.signal_type <> 'suspect_data'
            and latest.severity_score > previous.severity_score
            and latest.is_favorable is distinct from true
            """
        ).fetchone()
    assert changed is not None
    assert changed[0] > 0
    assert f"# {changed[0]} worse" in told["quality-compass-signals"]

    rows = query_metrics(MetricsRequest(metrics=("total_signals",)), settings)
    with psycopg.connect(database) as connection:
        total = connection.execute(
            "select count(*) from analytics.fct_signals where run_id = %s", (runs[-1].name,)
        ).fetchone()
    assert total is not None
    assert rows == [{"total_signals": float(total[0])}]
    assert settings.state_dir is not None
    parsing = (settings.state_dir / "metricflow" / "logs" / "dbt.log").read_text()
    assert "partial parsing" in parsing.lower()
    assert "Unable to do partial parsing" not in parsing
    # The server stores what it was told in that order.
    landed_in(newest, "quality_compass", lambda told: rows_of_all(told) == lines[runs[1]])
    assert rows_of_all(landed_in(first, "quality_compass")) == lines[runs[0]]
    assert landed_in(stale, "quality_compass", lambda told: not told) == {}


def test_runs_that_cannot_be_loaded_leave_the_others_and_fail_the_flow_with_their_reasons(
    built: Built, sample_folder: Path, tmp_path: Path
) -> None:
    """One badly named, one with a file that is gone when it is read, an address with nothing."""
    runs = tmp_path / "runs"
    shutil.copytree(sample_folder / "20250215060000", runs / "20250215060000")
    shutil.copytree(sample_folder / FIRST_RUN, runs / "latest")
    gone = runs / "20250101060000" / NODE
    gone.parent.mkdir(parents=True)
    gone.symlink_to(tmp_path / "nothing.jsonl")
    request = RunsRequest(addresses=(str(runs), str(tmp_path / "nowhere")), verify=True)
    state = refresh(request, built.settings, DbtOptions(select=("stg_runs",)), return_state=True)
    with pytest.raises(RunsFailedError) as failed:
        state.result()
    reasons = ("20250101060000: Reading", "the folder 'latest'", str(tmp_path / "nowhere"))
    told = artifacts_of(state)
    for reason in reasons:
        assert reason in str(failed.value)
        assert reason in told["quality-compass-summary"]
    assert "3 failed" in str(failed.value)
    assert measures_of(state, "quality-compass")["failures"] >= 3
    with psycopg.connect(built.url) as connection:
        loaded = connection.execute("select run_id from analytics.stg_runs order by 1").fetchall()
    assert [run_id for (run_id,) in loaded] == [FIRST_RUN, "20250215060000"]

    everything = DbtOptions(full_refresh=True, select=("stg_runs",))
    state = refresh(RunsRequest(), built.settings, everything, return_state=True)
    assert state.is_completed(), state.message
    assert measures_of(state, "quality-compass")["rows_loaded"] == 0
    with pytest.raises(PermanentError, match="`settings`, as `addresses`"):
        make_sample(built.settings)


def test_the_checklist_is_one_command_that_says_what_passed_and_what_failed_and_why(
    settings: QualityCompassSettings,
    database: str,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Here without SSL and with data of last week; then on a project that does not compile."""
    with psycopg.connect(database, autocommit=True) as connection:
        raw.ensure_schema(connection)
        (run,) = source.find_runs(str(run_folder))
        raw.load_run(
            connection, run, lambda file: source.FileReader(file, source.Storage(), 16_000_000)
        )
        connection.execute("update public.raw_files set changed_at = now() - interval '7 days'")
    capsys.readouterr()
    assert main(["checklist"]) == 1
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    said = checklist(printed.out)
    assert "sslmode is prefer" in said["FAIL", "SSL is required and used"]
    assert "raw_node_results" in said["FAIL", "sources are fresh"]
    assert said["pass", "seeds load on prod"] == "2 seeds loaded"
    assert "tests passed" in said["pass", "full refresh builds and every test passes on prod"]
    assert said["pass", "documentation is generated on prod"] == "generated"

    projects = tmp_path / "dbt_projects"
    shutil.copytree(rollback.PROJECTS / "_shared", projects / "_shared")
    shutil.copytree(rollback.PROJECTS / "quality_compass", projects / "quality_compass")
    broken = projects / "quality_compass" / "models" / "marts" / "dim_metrics.sql"
    broken.write_text(broken.read_text() + "-- {{ ref('no_such_model') }}\n")
    seed = projects / "quality_compass" / "seeds" / "ref_facilities.csv"
    seed.write_text(seed.read_text() + "0100011,an id of 7 characters,Community,,West,CA,10\n")
    monkeypatch.setenv("ANALYTICS_FLOWS_DBT_PROJECTS_DIR", str(projects))
    environment = dbt_postgres_env(settings.database_block)
    with pytest.raises(PermanentError, match="no_such_model"):
        write_documentation(environment)
    broken.write_text(broken.read_text().replace("no_such_model", "metric_catalog"))
    with pytest.raises(PermanentError, match="ref_facilities"):
        load_seeds(environment)


def checklist(out: str) -> dict[tuple[str, str], str]:
    printed = {}
    for line in out.splitlines():
        if line[:6] in ("pass  ", "FAIL  "):
            item, _, seen = line[6:].partition(": ")
            printed[line[:4], item] = seen
    return printed


def test_maintenance_vacuums_the_large_tables_and_keeps_the_rows_that_fail(
    built: Built,
) -> None:
    with psycopg.connect(built.url) as connection:
        connection.execute(
            "update analytics.fct_signals set z_score = 99 "
            "where signal_id = (select min(signal_id) from analytics.fct_signals)"
        )
    maintained = maintain(built.settings, return_state=True)
    assert maintained.is_completed(), maintained.message
    with psycopg.connect(built.url) as connection:
        vacuumed = connection.execute(
            "select count(*) from pg_stat_user_tables where last_vacuum is not null "
            "and relname in ('fct_signals', 'stg_anomalies')"
        ).fetchone()
        kept = connection.execute(
            "select table_name from information_schema.columns "
            "where table_schema = 'quality_compass_test_failures' and column_name = 'z_score'"
        ).fetchall()
        failing = [
            connection.execute(
                f"select z_score from quality_compass_test_failures.{name}".encode()
            ).fetchall()
            for (name,) in kept
        ]
    assert vacuumed == (2,)
    assert [rows for rows in failing if rows] == [[(99,)]]


def test_a_tampered_claim_is_named_by_file_and_line(
    run_folder: Path,
) -> None:
    claims = read(run_folder / CLASSIFICATIONS)
    claims[0]["severity"] = 99 if claims[0]["severity"] != 99 else 1
    write(run_folder / CLASSIFICATIONS, claims)
    node = read(run_folder / NODE)
    node[3]["statistical_methods"][0]["statistics"]["simple_zscore"] += 0.01
    write(run_folder / NODE, node)
    (run,) = source.find_runs(str(run_folder))
    found = {
        (each.file_path, each.line_number, each.field)
        for each in disagreements(run, QualityCompassSettings(), source.Storage())
    }
    assert found == {
        (CLASSIFICATIONS, 1, "severity"),
        (NODE, 4, "simple_zscore.simple_zscore"),
    }


def test_a_sample_run_agrees_with_its_recomputation(
    sample_folder: Path,
) -> None:
    for run in source.find_runs(str(sample_folder)):
        assert list(disagreements(run, QualityCompassSettings(), source.Storage())) == []


def test_a_comparison_names_what_differs_and_a_swap_keeps_the_old_and_the_readers(
    database: str,
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            """
            create schema analytics;
            create schema quality_compass_rollback;
            create table analytics.dim_metrics as
            select * from (values ('a', 'x', 1), ('b', null, 2), ('c', 'z', 3))
                as rows (metric_id, name, gone);
            create table quality_compass_rollback.dim_metrics as
            select * from (values ('a', 'x', 1.0), ('b', 'y', 2.0), ('d', 'w', 4.0))
                as rows (metric_id, name, came);
            create role quality_compass_reader;
            grant select on analytics.dim_metrics to quality_compass_reader;
            grant update (name) on analytics.dim_metrics
                to quality_compass_reader with grant option;
            comment on table analytics.dim_metrics is 'what is measured';
            create view public.names with (security_barrier = true) as
            select metric_id, name from analytics.dim_metrics;
            create view public.more_names as select name from public.names;
            create materialized view public.counted as
            select count(*) as metrics from public.names;
            grant select on public.counted to quality_compass_reader
            """
        )
        comparison = rollback.compare(connection, "dim_metrics")
        assert comparison == rollback.Comparison(
            3, 3, 1, 1, 1, {"name": 1}, ("gone",), ("came",), ("b", "c", "d")
        )
        assert not comparison.is_equal
        readers = """
            select relname, relacl, reloptions, obj_description(oid, 'pg_class'),
                pg_get_viewdef(oid)
            from pg_class
            where relname in ('dim_metrics', 'names', 'more_names', 'counted')
                and relnamespace::regnamespace::text in ('analytics', 'public')
            order by relname
        """
        before = connection.execute(readers).fetchall()
        kept = rollback.swap(connection, "dim_metrics", BRAKE)
        assert connection.execute(readers).fetchall() == before
        assert rollback.materialized_readers(connection, "dim_metrics") == ["public.counted"]
        connection.execute("refresh materialized view public.counted")
        connection.execute("drop owned by quality_compass_reader; drop role quality_compass_reader")
        names = "select string_agg(metric_id, '' order by 1) from {}.dim_metrics"
        assert connection.execute(names.format("analytics").encode()).fetchone() == ("abd",)
        assert connection.execute(names.format(kept).encode()).fetchone() == ("abc",)
        assert comparison.columns_only_rebuilt == ("came",)
        connection.execute(
            "create view public.came as select came from analytics.dim_metrics; "
            "create table quality_compass_rollback.dim_metrics as "
            "select metric_id, name from analytics.dim_metrics"
        )
        with pytest.raises(PermanentError, match="came"):
            rollback.swap(connection, "dim_metrics", BRAKE)
        assert connection.execute("select count(came) from public.came").fetchone() == (3,)
        connection.execute(
            "delete from quality_compass_rollback.dim_metrics where metric_id <> 'a'"
        )
        with pytest.raises(
            rollback.MartBrakedError, match="1 row where 3 are published, a fall of more than 50%"
        ):
            rollback.swap(connection, "dim_metrics", rollback.Brake(0.5, 3))


def test_an_unknown_mart_or_revision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RevisionError, match="no such mart"):
        rollback.prepare_project("stg_nodes", "HEAD", tmp_path)
    for revision in ("no-such-revision", "HEAD; ls"):
        with pytest.raises(RevisionError):
            rollback.prepare_project("fct_signals", revision, tmp_path)


def test_a_connection_that_need_not_be_encrypted_fails_the_checklist(
    settings: QualityCompassSettings,
) -> None:
    with pytest.raises(PermanentError, match="sslmode is prefer"):
        require_ssl(settings.database_block, {"DBT_POSTGRES_SSLMODE": "prefer"})
    with pytest.raises(PermanentError, match="not encrypted"):
        require_ssl(settings.database_block, {"DBT_POSTGRES_SSLMODE": "require"})


def test_a_rollback_to_the_current_revision_gives_the_same_rows_and_swaps(
    built: Built, tmp_path: Path
) -> None:
    comparison = roll_back("dim_facilities", "HEAD", True, built.settings)
    assert comparison.is_equal
    assert comparison.current_rows == comparison.rebuilt_rows == 20
    # The same with a revision that keeps nothing: it is refused until somebody releases it.
    place = "dbt_projects/quality_compass/models/marts"
    history = tmp_path / place
    history.mkdir(parents=True)
    marts = rollback.PROJECTS / "quality_compass" / "models" / "marts"
    for name in ("dim_facilities.sql", "dim_facilities.yml"):
        shutil.copy(marts / name, history)
    with (history / "dim_facilities.sql").open("a") as model:
        model.write("where false\n")
    for command in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "nothing is kept"]):
        git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.test"]
        subprocess.run([*git, *command], check=True)
    emptied = built.settings.model_copy(update={"repository": tmp_path.as_uri()})
    with pytest.raises(rollback.MartBrakedError, match=r"no row is left of 20.*release_brake"):
        roll_back("dim_facilities", "main", True, emptied)
    with psycopg.connect(built.url, autocommit=True) as connection:
        rows = "select count(*) from analytics.dim_facilities"
        assert connection.execute(rows).fetchone() == (20,)
        roll_back("dim_facilities", "main", True, emptied, DbtOptions(release_brake=True))
        assert connection.execute(rows).fetchone() == (0,)
    again = roll_back("dim_facilities", "HEAD", True, built.settings)
    assert again.rebuilt_rows == 20, "what was replaced before is dropped, whatever views there are"
    with psycopg.connect(built.url) as connection:
        homes = connection.execute(
            "select schemaname from pg_tables where tablename = 'dim_facilities' order by 1"
        ).fetchall()
        read = connection.execute(
            "select distinct view_schema || '.' || view_name, table_schema "
            "from information_schema.view_table_usage where table_name = 'dim_facilities'"
        ).fetchall()
    assert homes == [("analytics",), (rollback.REPLACED_SCHEMA,)]
    assert read == [("public_marts.dim_facilities", "analytics")]


def test_fail_on_disagreement_fails_after_everything_was_built(
    settings: QualityCompassSettings, database: str, run_folder: Path
) -> None:
    claims = read(run_folder / CLASSIFICATIONS)
    derived = claims[0]["derived_indicators"]
    derived["position"] = "normal" if derived["position"] != "normal" else "severe"
    write(run_folder / CLASSIFICATIONS, claims)
    shutil.rmtree(run_folder / "analysis" / "contribution")
    request = RunsRequest(addresses=(str(run_folder),), verify=True, fail_on_disagreement=True)
    state = refresh(request, settings, UNTESTED, return_state=True)
    assert state.is_failed()
    with pytest.raises(DisagreementError, match="1 claim does not agree"):
        state.result()
    absent = f"{run_folder.name}: no files in analysis/contribution"
    assert absent in artifacts_of(state)["quality-compass-summary"]
    with psycopg.connect(database) as connection:
        assert connection.execute("select field from public.raw_disagreements").fetchall() == [
            ("position",)
        ]
        built = connection.execute("select count(*) from analytics.fct_signals").fetchone()
    assert built is not None
    assert built[0] > 0
