import gc
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import psycopg
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.settings import PREFECT_LOGGING_LEVEL, temporary_settings
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError

from deployments.local.processes import wait_until
from flows._shared.environment import set_environment
from flows._shared.orchestration.dbt import (
    PARSED_VARIABLE,
    DbtBuildError,
    DbtFreshnessError,
    DbtOptions,
    DbtOutcome,
    DbtProjectError,
    DbtUnreachableError,
    build_dbt,
    run_dbt_freshness,
)
from flows._shared.orchestration.failed_run import summarized
from flows._shared.orchestration.summary import Progress
from tests._shared.dbt_sample import write_sample
from tests.dbt_projects.warehouse import PROJECTS

SECONDS_UNTIL_VISIBLE = 30
SECRET = "correct-horse-battery"
PARSED = Path("state/dbt/sample/default/partial_parse.msgpack")
Build = Callable[..., DbtOutcome]
REMEMBERED = """
vars: {built_nodes_schema: null}
models: {sample: {+post-hook: "{{ note_built() }}"}}
"""
EXPOSURES = """
exposures:
  - {name: board, type: dashboard, owner: {name: Somebody}, depends_on: [ref('totals')]}
"""

AGED = """
sources:
  - name: raw
    schema: main
    config: {loaded_at_field: came, freshness: {warn_after: {count: 2, period: day}}}
    tables:
      - name: landed
      - name: empty_yet
        config: {loaded_at_query: "select max(came) from {{ target.schema }}.landed"}
      - name: asked
        config:
          loaded_at_query: "select max(came) - interval 1 hour from {{ target.schema }}.landed"
      - name: gone
        config: {freshness: {error_after: {count: 1, period: hour}}}
      - name: not_judged
        config: {freshness: null}
"""
ALLOWED = {"kind": "source", "warn_after": 172_800.0, "error_after": None}
# What cannot be read is not among them; what a build misses says itself.
FRESH = [
    {**ALLOWED, "name": "asked", "newest": "2026-11-28T09:00:00Z"},
    {**ALLOWED, "name": "empty_yet", "newest": None},
    {**ALLOWED, "name": "landed", "newest": "2026-11-28T10:00:00Z"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("builds") / "own"


@pytest.fixture
def tmp_path(folder: Path) -> Path:
    """The same folder for every test, emptied: dbt would parse a project of another path anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def paths(folder: Path) -> dict[str, str]:
    return {
        "ANALYTICS_FLOWS_STATE_DIR": str(folder / "state"),
        "ANALYTICS_FLOWS_DBT_PROJECTS_DIR": str(folder),
    }


@pytest.fixture(scope="module")
def parsed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What dbt keeps of parsing the sample, most of it macros that no test changes."""
    folder.mkdir()
    write_sample(folder)
    with set_environment(paths(folder)):
        build_dbt("sample", {"SAMPLE_PATH": str(folder / "sample.duckdb")}, command="run")
    return (folder / PARSED).rename(tmp_path_factory.mktemp("parsed") / PARSED.name)


@pytest.fixture(autouse=True)
def _own_state(parsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in paths(tmp_path).items():
        monkeypatch.setenv(name, value)
    (tmp_path / PARSED).parent.mkdir(parents=True)
    shutil.copy(parsed, tmp_path / PARSED)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"SAMPLE_PATH": str(tmp_path / "sample.duckdb")}


@pytest.fixture
def build(environment: dict[str, str]) -> Build:
    def build(command: str = "build", **options: Any) -> DbtOutcome:
        return build_dbt("sample", environment, DbtOptions(**options), command=command)

    return build


def in_a_flow(work: Callable[[], Any]) -> tuple[UUID, Any]:
    """Run ``work`` in a flow run of its own: the run's id, and the flow's final state."""
    ids: list[str] = []

    @summarized("sample")
    @flow(name="dbt-build-test")
    def run() -> None:
        ids.append(str(flow_run.id))
        work()

    state = run(return_state=True)
    return UUID(ids[0]), state


def from_server(path: str, run_id: UUID) -> list[dict[str, Any]]:
    filters: dict[str, Any] = {"flow_runs": {"id": {"any_": [str(run_id)]}}, "limit": 200}
    if path == "/logs/filter":
        filters = {"logs": {"flow_run_id": {"any_": [str(run_id)]}}, "limit": 200}
    client = get_client(sync_client=True)
    answer: list[dict[str, Any]] = client.request("POST", path, json=filters).json()  # type: ignore[arg-type]
    return answer


def task_runs(run_id: UUID, expected: int) -> dict[str, dict[str, Any]]:
    """By name, the run's task runs that have ended, once there are as many as expected."""
    deadline = time.monotonic() + SECONDS_UNTIL_VISIBLE
    while True:
        found = from_server("/task_runs/filter", run_id)
        ended = {each["name"]: each for each in found if each["end_time"] and each["state"]}
        if len(ended) >= expected or time.monotonic() > deadline:
            return ended
        time.sleep(0.2)


def artifact(run_id: UUID, key: str) -> list[dict[str, Any]]:
    [found] = [a for a in from_server("/artifacts/filter", run_id) if a["key"] == key]
    rows: list[dict[str, Any]] = json.loads(found["data"])
    return rows


def test_every_node_is_on_the_server_with_dbts_own_times(
    tmp_path: Path, build: Build, prefect_server: str
) -> None:
    write_sample(tmp_path, with_failure=True)
    outcomes: list[DbtOutcome] = []

    def work() -> None:
        with pytest.raises(DbtBuildError) as raised:
            build()
        assert raised.value.outcome is not None
        outcomes.append(raised.value.outcome)

    before = datetime.now(UTC)
    run_id, _ = in_a_flow(work)
    [outcome] = outcomes
    nodes = {node.label: node for node in outcome.nodes}
    shown = task_runs(run_id, len(nodes))

    assert set(shown) == set(nodes)
    assert {name: run["state"]["name"] for name, run in shown.items()} == {
        "model orders": "Completed",
        "model totals": "Completed",
        "model cheap_totals": "Completed",
        "model refused": "Completed",
        "model below_refused": "Skipped",
        "test unique_orders_order_id": "Completed",
        "test not_null_orders_order_id": "Completed",
        "test accepted_values_orders_amount__10": "Warned",
        "test amounts_are_positive": "Failed",
        "unit test sums_amounts": "Completed",
    }
    assert "Got 2 results" in shown["test amounts_are_positive"]["state"]["message"]
    timings = {
        each["unique_id"]: each["timing"]
        for each in json.loads((outcome.artifacts_dir / "run_results.json").read_text())["results"]
    }
    for name, run in shown.items():
        started = datetime.fromisoformat(run["start_time"])
        ended = datetime.fromisoformat(run["end_time"])
        assert before <= started <= ended
        for timing in timings[nodes[name].unique_id]:
            assert started <= datetime.fromisoformat(timing["started_at"])
            assert datetime.fromisoformat(timing["completed_at"]) <= ended
    upstream = shown["model cheap_totals"]["task_inputs"]["upstream"]
    assert [each["id"] for each in upstream] == [shown["model orders"]["id"]]


def test_running_nodes_are_seen_before_the_build_ends(
    tmp_path: Path, environment: dict[str, str], prefect_server: str
) -> None:
    """The model reads a pipe, into which nothing is written until its node was seen."""
    folder = write_sample(tmp_path)
    pipe = tmp_path / "amounts.csv"
    os.mkfifo(pipe)
    (folder / "models" / "totals.sql").write_text(
        "{{ config(materialized='table') }}\n"
        f"select * from read_csv('{pipe}', columns={{'amount': 'integer'}}, auto_detect=false)"
    )
    seen: list[tuple[str, int | None]] = []
    patience = threading.Timer(SECONDS_UNTIL_VISIBLE, pipe.write_text, ["0"])

    # Filled in by the flow: the reporter's thread has no flow run context of its own.
    run_ids: list[UUID] = []

    class Watching:
        def update(
            self, phase: str, done: int, total: int | None = None, rows: int | None = None
        ) -> None:
            found = from_server("/task_runs/filter", run_ids[0])
            seen.extend((run["state"]["name"], total) for run in found)
            if ("Running", 1) in seen and patience.is_alive():
                patience.cancel()
                patience.join()
                pipe.write_text("40")

    def work() -> None:
        run_ids.append(UUID(str(flow_run.id)))
        options = DbtOptions(select=("totals",), exclude=("test_type:unit",), threads=1)
        build_dbt("sample", environment, options, progress=Watching())

    patience.start()
    in_a_flow(work)

    assert ("Running", 1) in seen
    with duckdb.connect(environment["SAMPLE_PATH"]) as connection:
        assert connection.sql("select amount from totals").fetchall() == [(40,)]


def test_a_failing_test_fails_the_run_after_everything_independent_was_built(
    tmp_path: Path, build: Build, environment: dict[str, str], prefect_server: str
) -> None:
    write_sample(tmp_path, with_failure=True)

    run_id, state = in_a_flow(build)

    assert state.is_failed()
    error = state.result(raise_on_failure=False)
    assert isinstance(error, DbtBuildError)
    assert "test amounts_are_positive: fail, Got 2 results" in str(error)
    assert error.outcome is not None
    [failed] = error.outcome.failed
    assert failed.compiled_path is not None
    assert failed.compiled_path in str(error)
    assert "amount < 0" in Path(failed.compiled_path).read_text()
    assert [node.name for node in error.outcome.skipped] == ["below_refused"]
    with duckdb.connect(environment["SAMPLE_PATH"]) as connection:
        tables = connection.sql("select table_name from information_schema.tables").fetchall()
    built = {name for (name,) in tables} - {"built_nodes"}
    assert built == {"orders", "totals", "cheap_totals", "refused"}
    rows = artifact(run_id, "sample-dbt-nodes")
    assert len(rows) == len(error.outcome.nodes)
    assert rows[0]["name"] == "amounts_are_positive"
    assert rows[0]["compiled_sql"] == failed.compiled_path
    [told] = [
        each["data"]
        for each in from_server("/artifacts/filter", run_id)
        if each["key"] == "sample-summary"
    ]
    assert told.startswith("# sample: this run failed at dbt\n")
    assert "**Why:** dbt build of sample: 1 of 10 nodes failed; 1 node that needs" in told
    assert "| this run | totals |" in told
    # Runs of other tests, under the same key, may have built below_refused.
    [views] = re.findall(r"of that these views show \| (.+) \|", told)
    assert {"cheap_totals", "orders", "refused"} <= set(views.split(", "))
    assert "**Failed in dbt:** amounts_are_positive." in told


READ_BY_SOMEBODY = """
exposures:
  - {name: page, type: dashboard, owner: {name: us}, depends_on: [ref('orders')]}
"""


def test_a_warning_does_not_fail_the_build_and_is_counted(tmp_path: Path, build: Build) -> None:
    folder = write_sample(tmp_path)
    totals = folder / "models" / "totals.sql"
    totals.write_text(f"{{% do exceptions.warn('of no node') if execute %}}\n{totals.read_text()}")
    properties = folder / "models" / "models.yml"
    described = properties.read_text().replace(
        "severity: warn}}", "severity: warn}, description: All cost ten.}"
    )
    properties.write_text(described + READ_BY_SOMEBODY)

    outcome = build()

    assert (outcome.models_built, outcome.tests_passed) == (5, 3)
    assert (outcome.warnings, outcome.failures) == (2, 0)
    [remark] = outcome.remarks
    assert "of no node" in remark
    [warned] = outcome.warned
    assert warned.rows == 1
    assert "Got 1 result" in warned.message
    assert f"{warned.name}: All cost ten: 1 row" in outcome.told
    [read] = [node for node in outcome.nodes if node.status == "no-op"]
    assert read.message == "nothing to build: it only says who reads what is built"


def test_unit_tests_run_and_a_wrong_one_fails(tmp_path: Path, build: Build) -> None:
    folder = write_sample(tmp_path)
    properties = folder / "models" / "models.yml"
    properties.write_text(properties.read_text().replace("{amount: 3}", "{amount: 4}"))

    with pytest.raises(DbtBuildError, match="unit test sums_amounts: fail"):
        build()


def test_every_selected_value_runs(tmp_path: Path, build: Build) -> None:
    write_sample(tmp_path)

    outcome = build(command="run", select=("orders", "totals"))

    assert {node.name for node in outcome.nodes} == {"orders", "totals"}


def test_excluded_nodes_do_not_run(tmp_path: Path, build: Build) -> None:
    write_sample(tmp_path)

    outcome = build(command="run", exclude=("refused+", "tag:none"))

    assert {node.name for node in outcome.nodes} == {"orders", "totals", "cheap_totals"}


@pytest.mark.parametrize("select", [("ordrs",), ("orders", "ordrs"), ("orders,tag:ordrs",)])
def test_a_selector_that_matches_nothing_is_an_error_that_names_it(
    tmp_path: Path, build: Build, select: tuple[str, ...]
) -> None:
    write_sample(tmp_path)

    with pytest.raises(DbtProjectError, match="ordrs"):
        build(select=select)


def test_an_empty_project_is_an_error(tmp_path: Path, build: Build) -> None:
    folder = write_sample(tmp_path)
    for path in (folder / "models").iterdir():
        path.unlink()

    with pytest.raises(DbtProjectError, match="the whole project"):
        build()


def test_an_unknown_project_is_an_error_that_lists_the_known_ones(
    tmp_path: Path, build: Build
) -> None:
    write_sample(tmp_path)

    with pytest.raises(DbtProjectError, match="Name one of: sample"):
        build_dbt("smaple", {}, DbtOptions())


def test_a_project_that_does_not_parse_is_an_error_of_the_project(
    tmp_path: Path, build: Build
) -> None:
    folder = write_sample(tmp_path)
    (folder / "models" / "totals.sql").write_text("select * from {{ ref('ordres') }}")

    with pytest.raises(DbtProjectError, match="depends on a node named 'ordres'"):
        build()


def test_a_broken_model_fails_alone_and_names_its_sql(tmp_path: Path, build: Build) -> None:
    folder = write_sample(tmp_path)
    (folder / "models" / "totals.sql").write_text("select amuont from {{ ref('orders') }}")
    (folder / "models" / "models.yml").write_text("")

    with pytest.raises(DbtBuildError, match=r"model totals: error, .*amuont") as raised:
        build()

    assert raised.value.outcome is not None
    assert raised.value.outcome.models_built == 4


def test_secrets_are_in_no_log_artifact_or_exception(
    tmp_path: Path,
    environment: dict[str, str],
    prefect_server: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = write_sample(tmp_path)
    (folder / "models" / "totals.sql").write_text(
        "{% do exceptions.warn('password is ' ~ env_var('SAMPLE_PASSWORD')) if execute %}\n"
        "{{ config(materialized='table') }}\n"
        "select cast('{{ env_var('SAMPLE_PASSWORD') }}' as integer) as amount"
    )
    (folder / "models" / "models.yml").write_text("")
    secret = {"SAMPLE_PASSWORD": SECRET}

    run_id, state = in_a_flow(lambda: build_dbt("sample", environment | secret, DbtOptions()))

    error = state.result(raise_on_failure=False)
    assert isinstance(error, DbtBuildError)
    assert error.outcome is not None
    assert "*****" in str(error)
    kept = [p.read_text() for p in error.outcome.artifacts_dir.rglob("*") if p.is_file()]
    task_runs(run_id, len(error.outcome.nodes))
    assert wait_until(
        lambda: "password is *****" in json.dumps(from_server("/logs/filter", run_id)),
        SECONDS_UNTIL_VISIBLE,
    )
    told = [*kept, str(error), repr(error), repr(error.outcome), *capfd.readouterr(), caplog.text]
    for path in ("/logs/filter", "/artifacts/filter", "/task_runs/filter"):
        from_it = from_server(path, run_id)
        assert from_it
        told.append(json.dumps(from_it))
    assert any("password is *****" in text for text in told)
    assert not any(SECRET in text for text in told)


def test_a_build_in_which_nothing_is_new_says_on_the_server_what_it_says_by_dbt(
    tmp_path: Path, build: Build, environment: dict[str, str], prefect_server: str
) -> None:
    folder = write_sample(tmp_path)
    (folder / "macros").mkdir()
    shutil.copy(PROJECTS / "_shared/macros/note_built.sql", folder / "macros")
    with (folder / "dbt_project.yml").open("a") as project:
        project.write(REMEMBERED)
    properties = folder / "models/models.yml"
    properties.write_text(properties.read_text().replace("[10]", "[10, 30]") + EXPOSURES + AGED)
    with duckdb.connect(environment["SAMPLE_PATH"]) as connection:
        connection.execute("create table landed as select timestamp '2026-11-28 10:00' as came")
        connection.execute("create table asked as from landed")
        connection.execute("create table empty_yet (came timestamptz)")
    build()
    said = []
    outcomes: list[DbtOutcome] = []
    for _ in range(2):
        run_id, state = in_a_flow(lambda: outcomes.append(build()))
        outcome = outcomes.pop()
        shown = {
            name: (run["state"]["name"], run["state"]["message"], run["tags"])
            for name, run in task_runs(run_id, 1).items()
        }
        rows = [row | {"seconds": 0} for row in artifact(run_id, "sample-dbt-nodes")]
        assert outcome.models_unchanged > 0
        assert artifact(run_id, "sample-freshness") == FRESH
        log = (outcome.artifacts_dir / "dbt.log").read_text()
        said.append(("dbt was not started" in log, shown, rows, state.name, state.message))
        for kept in outcome.artifacts_dir.parents[1].glob("question-*.json"):
            kept.unlink()
    assert [is_short for is_short, *_ in said] == [True, False]
    assert said[0][1:] == said[1][1:]
    assert set(said[0][1]) == {"exposure board"}


def test_the_environment_is_set_for_the_build_alone(
    tmp_path: Path, build: Build, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sample(tmp_path, with_failure=True)
    monkeypatch.delenv("SAMPLE_PATH", raising=False)
    monkeypatch.setenv("SAMPLE_OTHER", "as it was")

    with pytest.raises(DbtBuildError):
        build_dbt("sample", environment | {"SAMPLE_OTHER": "changed"}, DbtOptions())

    assert "SAMPLE_PATH" not in os.environ
    assert os.environ["SAMPLE_OTHER"] == "as it was"


def test_a_build_leaves_the_garbage_collector_as_it_was(tmp_path: Path, build: Build) -> None:
    write_sample(tmp_path, with_failure=True)
    before = gc.get_threshold()

    with pytest.raises(DbtBuildError):
        build()

    assert gc.get_threshold() == before


def test_a_second_build_reads_only_what_changed(tmp_path: Path, build: Build) -> None:
    write_sample(tmp_path)
    (tmp_path / PARSED).unlink()
    whole = "Unable to do partial parsing"

    first, second = build(), build()

    assert whole in (first.artifacts_dir / "dbt.log").read_text()
    assert whole not in (second.artifacts_dir / "dbt.log").read_text()


def test_other_variables_of_the_sql_or_another_database_have_nothing_parsed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (write_sample(tmp_path) / "dbt_project.yml").open("a") as description:
        description.write("vars: {as_of_date: null}\n")

    def whole(path: str = "sample.duckdb", **variables: Any) -> bool:
        at = {"SAMPLE_PATH": str(tmp_path / path)}
        options = DbtOptions(select=("orders",), variables=variables)
        built = build_dbt("sample", at, options, command="run")
        return "Unable to do partial parsing" in (built.artifacts_dir / "dbt.log").read_text()

    assert whole()
    kept = tmp_path / "image" / "sample" / "default" / PARSED.name
    kept.parent.mkdir(parents=True)
    shutil.copy(tmp_path / PARSED, kept)
    monkeypatch.setenv(PARSED_VARIABLE, str(tmp_path / "image"))
    (tmp_path / "other").mkdir()
    assert not whole(as_of_date="2026-10-05")
    assert not whole("other/sample.duckdb")
    assert whole(brake_minimum_rows=30)


def test_each_run_keeps_its_own_results(tmp_path: Path, build: Build) -> None:
    write_sample(tmp_path)

    both = [build(command="run", select=(name,)) for name in ("orders", "totals")]

    ran = [
        [each["unique_id"] for each in json.loads(path.read_text())["results"]]
        for path in (outcome.artifacts_dir / "run_results.json" for outcome in both)
    ]
    assert ran == [["model.sample.orders"], ["model.sample.totals"]]
    manifests = [
        json.loads((outcome.artifacts_dir / "manifest.json").read_text()) for outcome in both
    ]
    compiled = [
        [name for name, node in manifest["nodes"].items() if node.get("compiled_code")]
        for manifest in manifests
    ]
    assert compiled == ran, "the manifest is written with what was compiled"


def test_nothing_is_written_into_the_project(tmp_path: Path, build: Build) -> None:
    folder = write_sample(tmp_path)
    before = sorted(folder.rglob("*"))

    build()

    assert sorted(folder.rglob("*")) == before


def test_a_target_and_variables_reach_dbt(
    tmp_path: Path, build: Build, environment: dict[str, str]
) -> None:
    folder = write_sample(tmp_path)
    with (folder / "dbt_project.yml").open("a") as project:
        project.write("\nvars: {orders: 1}\n")
    with pytest.raises(DbtProjectError, match="orders is to be a number such as 1"):
        build(variables={"orders": "1) as t, (select pg_sleep(9)"})
    (folder / "models" / "orders.sql").write_text(
        "select order_id, 10 as amount from range(1, {{ var('orders') }} + 1) as t(order_id)"
    )

    build(target="other", variables={"orders": 5})

    with duckdb.connect(environment["SAMPLE_PATH"] + ".other") as connection:
        assert connection.sql("select amount from totals").fetchall() == [(50,)]


def test_local_packages_are_installed_when_missing_or_out_of_date(
    tmp_path: Path, build: Build
) -> None:
    folder = write_sample(tmp_path)
    package = tmp_path / "shared_macros"
    (package / "macros").mkdir(parents=True)
    (package / "dbt_project.yml").write_text("name: shared_macros\nversion: 1.0.0\n")
    macro = package / "macros" / "twice.sql"
    macro.write_text("{% macro twice(x) %}2 * {{ x }}{% endmacro %}")
    (folder / "packages.yml").write_text("packages:\n  - local: ../shared_macros\n")
    (folder / "models" / "refused.sql").write_text(
        "select order_id, {{ shared_macros.twice('amount') }} as amount from {{ ref('orders') }}"
    )

    build()
    installed = (folder / "dbt_packages").stat().st_mtime_ns
    build()
    assert (folder / "dbt_packages").stat().st_mtime_ns == installed

    soon = time.time() + 1
    os.utime(folder / "packages.yml", (soon, soon))
    build()
    assert (folder / "dbt_packages").stat().st_mtime_ns > installed


def test_prefects_own_names_of_log_levels_do_not_disturb_dbt(tmp_path: Path, build: Build) -> None:
    write_sample(tmp_path)

    with temporary_settings({PREFECT_LOGGING_LEVEL: "WARNING"}):
        assert build().failures == 0


def test_progress_counts_nodes(tmp_path: Path, environment: dict[str, str]) -> None:
    write_sample(tmp_path)
    seen: list[tuple[str, int, int | None]] = []

    class Remembering(Progress):
        def update(
            self, phase: str, done: int, total: int | None = None, rows: int | None = None
        ) -> None:
            seen.append((phase, done, total))

    build_dbt("sample", environment, DbtOptions(), progress=Remembering("sample"))

    assert seen[-1] == ("dbt", 9, 9)


@pytest.mark.parametrize("command", ["docs generate", "run-operation say", "seed", "snapshot"])
def test_other_commands_run_too(tmp_path: Path, build: Build, command: str) -> None:
    folder = write_sample(tmp_path)
    build()
    (folder / "macros").mkdir()
    (folder / "macros" / "say.sql").write_text("{% macro say() %}{% do log('hi') %}{% endmacro %}")
    (folder / "seeds").mkdir()
    (folder / "seeds" / "kinds.csv").write_text("kind\na\nb\n")
    (folder / "snapshots").mkdir()
    (folder / "snapshots" / "orders_history.yml").write_text(
        "snapshots:\n  - name: orders_history\n    relation: ref('orders')\n"
        "    config: {unique_key: order_id, strategy: check, check_cols: all}\n"
    )

    outcome = build(command=command)

    assert outcome.failures == 0


def test_an_unknown_command_is_refused(tmp_path: Path, build: Build) -> None:
    write_sample(tmp_path)

    with pytest.raises(DbtProjectError, match="not one a flow runs"):
        build(command="clean")


@pytest.mark.parametrize(
    "options",
    [
        {"select": ("--full-refresh",)},
        {"select": ("",)},
        {"target": "../elsewhere"},
        {"threads": 0},
        {"selct": ("orders",)},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DbtOptions(**options)


SOURCES = """
sources:
  - name: raw
    schema: main
    config: {loaded_at_field: loaded_at, freshness: {warn_after: {count: 1, period: day},
             error_after: {count: 7, period: day}}}
    tables: [{name: loads}]
"""


@pytest.mark.parametrize(("days", "warnings"), [(0, 0), (2, 1)])
def test_a_source_past_its_first_limit_is_a_warning(
    tmp_path: Path, environment: dict[str, str], days: int, warnings: int
) -> None:
    _write_source(tmp_path, environment, days)

    outcome = run_dbt_freshness("sample", environment)

    assert (len(outcome.nodes), outcome.warnings, outcome.failures) == (1, warnings, 0)
    age = f"{24 * days} hours" if days else "less than an hour"
    assert re.fullmatch(
        rf"newest of \d{{4}}-.* UTC, {age} old when it was looked at; "
        "a warning after 1 day, an error after 7 days",
        outcome.nodes[0].message,
    )


def test_a_source_past_its_last_limit_is_an_error_that_names_it(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    _write_source(tmp_path, environment, days=9)

    with pytest.raises(DbtFreshnessError, match=r"loads: error, newest of .* 9 days old"):
        run_dbt_freshness("sample", environment)


def test_a_project_without_a_source_has_no_freshness_to_judge(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    write_sample(tmp_path)

    with pytest.raises(DbtProjectError):
        run_dbt_freshness("sample", environment)


def _write_source(projects: Path, environment: dict[str, str], days: int) -> None:
    folder = write_sample(projects)
    (folder / "models" / "sources.yml").write_text(SOURCES)
    with duckdb.connect(environment["SAMPLE_PATH"]) as connection:
        connection.execute(
            "create table loads as select "
            f"(now() at time zone 'utc') - interval '{days} days' as loaded_at"
        )


POSTGRES_PROFILE = """
sample:
  target: dev
  outputs:
    dev:
      type: postgres
      host: 127.0.0.1
      port: "{{ env_var('DBT_POSTGRES_PORT') | as_number }}"
      user: "{{ env_var('DBT_POSTGRES_USER') }}"
      password: "{{ env_var('DBT_ENV_SECRET_POSTGRES_PASSWORD') }}"
      dbname: "{{ env_var('DBT_POSTGRES_DATABASE') }}"
      schema: analytics
      connect_timeout: 5
      threads: 4
"""


def on_postgres(projects: Path, url: str) -> dict[str, str]:
    (write_sample(projects) / "profiles.yml").write_text(POSTGRES_PROFILE)
    parts = conninfo_to_dict(url)
    return {
        "DBT_POSTGRES_PORT": str(parts["port"]),
        "DBT_POSTGRES_USER": str(parts["user"]),
        "DBT_ENV_SECRET_POSTGRES_PASSWORD": str(parts["password"]),
        "DBT_POSTGRES_DATABASE": str(parts["dbname"]),
    }


def test_postgres_says_how_many_rows_a_table_got(tmp_path: Path, database: str) -> None:
    outcome = build_dbt("sample", on_postgres(tmp_path, database), DbtOptions())

    rows = {node.name: node.rows for node in outcome.nodes}
    assert (rows["totals"], rows["orders"]) == (1, None)
    with psycopg.connect(database) as connection:
        assert connection.execute("select amount from analytics.totals").fetchone() == (40,)


def test_a_warehouse_that_does_not_answer_may_answer_later(tmp_path: Path, database: str) -> None:
    environment = on_postgres(tmp_path, database) | {"DBT_POSTGRES_PORT": "1"}

    with pytest.raises(DbtUnreachableError):
        build_dbt("sample", environment, DbtOptions())


def test_a_wrong_password_is_not_tried_again(tmp_path: Path, database: str) -> None:
    environment = on_postgres(tmp_path, database)
    environment["DBT_ENV_SECRET_POSTGRES_PASSWORD"] = SECRET

    with pytest.raises(DbtProjectError, match="authentication failed") as raised:
        build_dbt("sample", environment, DbtOptions())

    assert SECRET not in str(raised.value)
