"""A build leaves out what cannot have changed, and nothing else: after every change the tables are
those of a full refresh, and exactly the nodes that read what changed are built.

One project on PostgreSQL and on DuckDB, built in this process as a flow builds it.
"""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import psycopg
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from deployments.local.postgres import EmbeddedPostgres
from flows._shared.environment import set_environment
from flows._shared.orchestration import dbt_planned
from flows._shared.orchestration.dbt import (
    DbtBuildError,
    DbtOptions,
    DbtOutcome,
    build_dbt,
    recalled,
)
from flows._shared.orchestration.dbt.invocation import invoke_dbt
from flows._shared.orchestration.dbt.job import open_job
from flows._shared.orchestration.dbt.recalled import Direct, Recall
from flows._shared.orchestration.dbt_flags import flags_without_stacks
from flows._shared.orchestration.dbt_memory import Memory, Source
from flows._shared.state import state_dir
from tests.databases import copy_database, database_of
from tests.dbt_projects.warehouse import POSTGRES_OUTPUT, PROJECTS, postgres_environment

HOOK = '"{{ shared.note_built() }}"'
FILES = {
    "dbt_project.yml": f"""
name: planned
version: 1.0.0
profile: planned
flags: {{require_generic_test_arguments_property: true}}
vars: {{least: 0, business_timezone: Etc/UTC, built_nodes_schema: null}}
models: {{planned: {{+materialized: table, +post-hook: {HOOK}}}}}
seeds: {{planned: {{+post-hook: {HOOK}}}}}
""",
    "packages.yml": f"packages: [{{local: '{PROJECTS / '_shared'}'}}]",
    "seeds/regions.csv": "region\nnorth\nsouth\n",
    "models/seen_orders.sql": "{{ config(materialized='view') }}\n"
    "select * from {{ source('raw', 'orders') }}",
    "models/totals.sql": "select coalesce(sum(amount), 0) as amount, count(*) as orders\n"
    "from {{ ref('seen_orders') }} where amount >= {{ var('least') }}",
    "models/shown_totals.sql": "{{ config(materialized='view') }}\n"
    "select * from {{ ref('totals') }}",
    "models/amounts.sql": "{{ config(materialized='incremental', unique_key='order_id') }}\n"
    "select order_id, amount from {{ source('raw', 'orders') }}",
    "models/known_prices.sql": "{{ config(materialized='ephemeral') }}\n"
    "select * from {{ source('raw', 'prices') }} where price is not null",
    "models/priced.sql": "select count(*) as prices, max(price) as most\n"
    "from {{ ref('known_prices') }}",
    "models/named.sql": "select region from {{ ref('regions') }}"
    "{% if execute %} where region <> '{{ env_var('TOKEN_OF_NOBODY', '') }}'{% endif %}",
    "models/models.yml": """
version: 2
sources:
  - {name: raw, schema: raw, tables: [{name: orders}, {name: prices}]}
models:
  - name: seen_orders
    columns: [{name: order_id, data_tests: [not_null]}]
  - name: totals
    columns: [{name: amount, data_tests: [not_null]}]
  - name: named
    columns: [{name: region, data_tests: [{not_null: {config: {meta: {clock: moment}}}}]}]
  - name: priced
    columns: [{name: most, data_tests: [{not_null: {config: {severity: warn}}}]}]
unit_tests:
  - name: sums_amounts
    model: totals
    given: [{input: ref('seen_orders'), rows: [{amount: 100}, {amount: 200}]}]
    expect: {rows: [{amount: 300, orders: 2}]}
""",
}
ROOT = Path(__file__).resolve().parents[2]
KINDS = ("postgres", "duckdb")
OF_ORDERS = {"totals", "shown_totals", "amounts"}
EVERYTHING = OF_ORDERS | {"seen_orders", "priced", "named", "regions"}
# It asks for the moment.
TEST_OF_THE_MOMENT = "not_null_named_region"


@dataclass
class Planned:
    """The project and its warehouse."""

    folder: Path
    kind: str
    environment: dict[str, str]
    url: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    days_on: int = 0

    def build(self, **options: Any) -> DbtOutcome:
        """What is said without dbt is what dbt then does."""
        asked = DbtOptions(**options, variables=self.variables)
        said = self.recalled() if asked.leaves_out else None
        failure, outcome = None, None
        try:
            outcome = build_dbt("planned", self.environment, asked)
        except DbtBuildError as failed:
            failure, outcome = failed, failed.outcome
        assert outcome
        assert said in (None, ran(outcome))
        if failure:
            raise failure
        return outcome

    def recalled(self) -> set[str] | None:
        """What a build would run, said without dbt; None where dbt has to say it."""
        options = DbtOptions(variables=self.variables)
        with set_environment({**self.environment, "FLOWS_BRAKE": "on"}):
            recall = Recall(open_job("planned", {}, options, "build", None), options)
            kept = recall.kept()
            if kept is None:
                return None
            try:
                plan = recall.plan(kept.question).plan
            except (psycopg.Error, duckdb.Error):
                return None
        return {each for each in plan.keys if plan.is_to_run(each)}

    def built(self, **options: Any) -> set[str]:
        """The models and seeds that a build writes."""
        return written(self.build(**options))

    def execute(self, *statements: str) -> None:
        if self.kind == "postgres":
            with psycopg.connect(self.url) as connection:
                for each in statements:
                    connection.execute(each.encode())
        else:
            with duckdb.connect(self.environment["PLANNED_PATH"]) as connection:
                for each in statements:
                    connection.execute(each)

    def tables(self) -> dict[str, list[Any]]:
        """What readers see, by relation."""
        rows: dict[str, list[Any]] = {}
        if self.kind == "postgres":
            with psycopg.connect(self.url) as connection:
                for name in EVERYTHING:
                    query = f"select r::text from analytics.{name} as r order by 1"
                    rows[name] = connection.execute(query.encode()).fetchall()
        else:
            with duckdb.connect(self.environment["PLANNED_PATH"], read_only=True) as connection:
                for name in EVERYTHING:
                    query = f"select r::text from analytics.{name} as r order by 1"
                    rows[name] = connection.execute(query).fetchall()
        return rows

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def wait(self) -> None:
        """Until tomorrow."""
        self.days_on += 1

    def by_hand(self, *command: str) -> None:
        """dbt as somebody types it."""
        arguments = [*command, "--project-dir", str(self.folder), "--profiles-dir"]
        kept = str(self.folder.parent / "by_hand")
        arguments += [str(self.folder), "--quiet", "--target-path", kept, "--log-path", kept]
        with set_environment(self.environment), flags_without_stacks():
            assert dbtRunner().invoke(arguments).success
        DuckDBConnectionManager.close_all_connections()


def written(outcome: DbtOutcome) -> set[str]:
    return {
        node.name
        for node in outcome.nodes
        if node.resource_type in ("model", "seed") and node.status == "success"
    }


def checked(outcome: DbtOutcome) -> set[str]:
    return {
        node.name
        for node in outcome.nodes
        if "test" in node.resource_type and node.status != "unchanged"
    }


def ran(outcome: DbtOutcome) -> set[str]:
    return {node.unique_id for node in outcome.nodes if node.status not in ("unchanged", "no-op")}


@pytest.fixture(scope="module", params=KINDS)
def project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planned]:
    folder = tmp_path_factory.mktemp("planned")
    output: Mapping[str, object]
    if request.param == "postgres":
        postgres: EmbeddedPostgres = request.getfixturevalue("postgres")
        name = database_of(Path(__file__))
        postgres.drop_database(name)
        url = postgres.create_database(name)
        output, environment = POSTGRES_OUTPUT, postgres_environment(url)
    else:
        url, environment = "", {"PLANNED_PATH": str(folder / "planned.duckdb")}
        output = {"type": "duckdb", "path": environment["PLANNED_PATH"], "threads": 2}
    profile = {"target": "dev", "outputs": {"dev": {**output, "schema": "analytics"}}}
    made = Planned(folder / "planned", request.param, environment, url)
    for file, text in FILES.items():
        made.write(file, text)
    made.write("profiles.yml", json.dumps({"planned": profile}))
    made.execute(
        "create schema raw",
        "create table raw.orders (order_id integer, amount integer)",
        "create table raw.prices (order_id integer, price integer, source text)",
        "insert into raw.orders values (1, 10), (2, 20), (3, 30)",
        "insert into raw.prices values (1, 5, 'list')",
    )
    variables = {
        "ANALYTICS_FLOWS_STATE_DIR": str(folder / "state"),
        "ANALYTICS_FLOWS_DBT_PROJECTS_DIR": str(folder),
    }
    with set_environment(variables), pytest.MonkeyPatch.context() as patched:
        for module, clock in ((dbt_planned, "start_of_build"), (recalled, "now")):
            patched.setattr(module, clock, later(getattr(module, clock), made))
        assert made.built() == EVERYTHING
        yield made


def later(clock: Callable[[], datetime], project: Planned) -> Callable[[], datetime]:
    return lambda: clock() + timedelta(days=project.days_on)


@pytest.fixture
def quiet(project: Planned) -> Planned:
    """The project when a build has nothing to do."""
    told = project.recalled()
    if told is None or {node.split(".")[2] for node in told} != {TEST_OF_THE_MOMENT}:
        project.build()
    return project


@dataclass(frozen=True)
class Change:
    does: Callable[[Planned], None]
    builds: set[str]
    is_of_code: bool = False


def another_day() -> str:
    """A zone in which it is not the day that it is in UTC."""
    now = datetime.now(UTC)
    zones = ("Pacific/Kiritimati", "Pacific/Pago_Pago")
    return next(zone for zone in zones if now.astimezone(ZoneInfo(zone)).date() != now.date())


def after(*statements: str) -> Callable[[Callable[[Planned], None]], Callable[[Planned], None]]:
    """What is done before a build, and what after it."""

    def then(change: Callable[[Planned], None]) -> Callable[[Planned], None]:
        def does(project: Planned) -> None:
            project.execute(*statements)
            project.build()
            change(project)

        return does

    return then


def statement(*statements: str) -> Callable[[Planned], None]:
    return lambda project: project.execute(*statements)


CHANGES = {
    "nothing": Change(lambda project: None, set()),
    "a new row": Change(statement("insert into raw.orders values (4, 40)"), OF_ORDERS),
    "a changed row": Change(
        statement("update raw.orders set amount = 11 where order_id = 1"), OF_ORDERS
    ),
    "a row that goes as another comes": Change(
        statement("delete from raw.prices", "insert into raw.prices values (9, 9, 'list')"),
        {"priced"},
    ),
    "the same rows anew": Change(
        statement(
            "create table kept as select * from raw.orders",
            "delete from raw.orders",
            "insert into raw.orders select order_id, amount + 1 from kept",
            "drop table kept",
        ),
        OF_ORDERS,
    ),
    "a new column": Change(
        statement("alter table raw.orders add column note text"), {*OF_ORDERS, "seen_orders"}
    ),
    "a last column anew, with another default": Change(
        after("alter table raw.prices add column extra integer default 1")(
            statement(
                "alter table raw.prices drop column extra",
                "alter table raw.prices add column extra integer default 100",
            )
        ),
        {"priced"},
    ),
    "a column that is computed otherwise": Change(
        after("alter table raw.prices add column double integer generated always as (2 * price)")(
            statement("alter table raw.prices alter column double set expression as (3 * price)")
        ),
        {"priced"},
    ),
    "a child in the place of another": Change(
        after(
            "create table raw.one () inherits (raw.prices)",
            "create table raw.two () inherits (raw.prices)",
            "alter table raw.two no inherit raw.prices",
            "insert into raw.one values (5, 5)",
            "insert into raw.two values (6, 6)",
        )(
            statement(
                "alter table raw.one no inherit raw.prices",
                "alter table raw.two inherit raw.prices",
            )
        ),
        {"priced"},
    ),
    "a label of an enum": Change(
        after("create type raw.state as enum ('new', 'done')")(
            statement("alter type raw.state rename value 'done' to 'finished'")
        ),
        EVERYTHING,
    ),
    "a function": Change(
        after("create function raw.rate() returns integer language sql as 'select 2'")(
            statement(
                "create or replace function raw.rate() returns integer language sql as 'select 3'"
            )
        ),
        EVERYTHING,
    ),
    "a function of standard SQL": Change(
        after("create function raw.tax() returns integer language sql return 2")(
            statement("create or replace function raw.tax() returns integer language sql return 3")
        ),
        EVERYTHING,
    ),
    "parameters of a macro": Change(
        after("create macro raw.less(a, b) as a - b")(
            statement("create or replace macro raw.less(b, a) as a - b")
        ),
        EVERYTHING,
    ),
    "a view that somebody made": Change(
        statement(
            "create or replace view analytics.shown_totals as "
            "select amount, orders + 1 as orders from analytics.totals"
        ),
        {"shown_totals"},
    ),
    "a variable that is read as a model is made": Change(
        lambda project: project.environment.update(TOKEN_OF_NOBODY="nobody"), EVERYTHING, True
    ),
    "a price beside a column called source": Change(
        statement("update raw.prices set price = coalesce(price, 0) + 1"), {"priced"}
    ),
    "a column that somebody made": Change(
        statement("alter table analytics.named add column other integer"), {"named"}
    ),
    "a dropped table": Change(statement("drop table analytics.named"), {"named"}),
    "a seed": Change(
        lambda project: project.write("seeds/regions.csv", "region\nnorth\neast\n"),
        EVERYTHING,
        True,
    ),
    "a model": Change(
        lambda project: project.edit(
            "models/named.sql", "select region", "select upper(region) as region"
        ),
        EVERYTHING,
        True,
    ),
    "a description": Change(
        lambda project: project.edit(
            "models/models.yml", "- name: totals", "- name: totals\n    description: Of all."
        ),
        EVERYTHING,
        True,
    ),
    "a variable of the project": Change(
        lambda project: project.edit("dbt_project.yml", "least: 0", "least: 15"), EVERYTHING, True
    ),
    "a variable of the run": Change(
        lambda project: project.variables.update(least=25), EVERYTHING, True
    ),
    "another day": Change(lambda project: project.wait(), EVERYTHING),
    "another day in the business": Change(
        lambda project: project.variables.update(business_timezone=another_day()), EVERYTHING, True
    ),
    "a build by hand": Change(
        lambda project: project.by_hand("run", "--select", "totals"), {"totals", "shown_totals"}
    ),
    "a unit test of which nothing is known": Change(
        statement("delete from analytics.built_nodes where node like 'unit_test.%'"),
        {"totals", "shown_totals"},
    ),
    "an empty build by hand": Change(
        lambda project: project.by_hand("build", "--empty"), EVERYTHING
    ),
}
OF_DUCKDB = {"parameters of a macro"}
CASES = [("postgres", change) for change in CHANGES if change not in OF_DUCKDB] + [
    # What DuckDB tells in its own way.
    ("duckdb", "nothing"),
    ("duckdb", "a new row"),
    ("duckdb", "a row that goes as another comes"),
    ("duckdb", "a new column"),
    ("duckdb", "a price beside a column called source"),
    ("duckdb", "a build by hand"),
    ("duckdb", "parameters of a macro"),
    ("duckdb", "a view that somebody made"),
]


# By itself the scope would be that of one test: a project made anew for each change.
@pytest.mark.parametrize(("project", "change"), CASES, indirect=["project"], scope="module")
def test_what_reads_a_change_is_built_and_nothing_else(quiet: Planned, change: str) -> None:
    CHANGES[change].does(quiet)
    assert (quiet.recalled() is None) == CHANGES[change].is_of_code
    built = quiet.built()
    planned = quiet.tables()
    assert built == CHANGES[change].builds
    if built != EVERYTHING:
        quiet.build(full_refresh=True)
        assert quiet.tables() == planned


def test_what_failed_is_built_again_and_what_was_built_is_not(quiet: Planned) -> None:
    quiet.execute(
        "update raw.orders set amount = null",
        "insert into raw.prices (order_id, price) values (5, 50)",
    )
    quiet.edit("models/totals.sql", "coalesce(sum(amount), 0)", "sum(amount)")
    with pytest.raises(DbtBuildError) as failed:
        quiet.build()
    first = failed.value.outcome
    assert first is not None
    assert {node.name for node in first.skipped} == {"shown_totals"}
    assert written(first) == EVERYTHING - {"shown_totals"}
    with pytest.raises(DbtBuildError) as failed:
        quiet.build()
    again = failed.value.outcome
    assert again is not None
    # The test that failed, and nothing of what was built before it.
    assert (written(again), {node.name for node in again.failed}) == (
        set(),
        {"not_null_totals_amount"},
    )
    quiet.execute("update raw.orders set amount = 100")
    assert quiet.built() == OF_ORDERS
    assert quiet.tables()["shown_totals"] == quiet.tables()["totals"]


def test_a_source_that_cannot_be_read_stops_what_reads_it_alone(quiet: Planned) -> None:
    quiet.execute(
        "insert into raw.orders (order_id, amount) values (8, 800)",
        "create table raw.kept as select * from raw.prices",
        "drop table raw.prices cascade",
    )
    if quiet.kind == "duckdb":
        quiet.execute(
            "create table raw.gone (order_id integer, price integer)",
            "create view raw.prices as select * from raw.gone",
            "drop table raw.gone",
        )
    with pytest.raises(DbtBuildError) as failed:
        quiet.build()
    outcome = failed.value.outcome
    assert outcome is not None
    assert ({node.name for node in outcome.failed}, written(outcome)) == ({"priced"}, OF_ORDERS)
    if quiet.kind == "duckdb":
        quiet.execute("drop view raw.prices")
    quiet.execute("alter table raw.kept rename to prices")
    # DuckDB knows a table by its rows, of which the model was built before.
    assert quiet.built() == ({"priced"} if quiet.kind == "postgres" else set())


def test_what_was_stopped_in_the_middle_is_built_again(quiet: Planned) -> None:
    before = quiet.tables()
    quiet.edit("models/named.sql", "select", "select nothing,")
    with pytest.raises(DbtBuildError):
        quiet.build()
    quiet.edit("models/named.sql", "select nothing,", "select")
    assert quiet.built() == EVERYTHING
    assert quiet.tables() == before


def test_a_month_in_the_place_of_thirty_days_is_a_change() -> None:
    source = Source("spans", "raw", "spans", "raw.spans", is_file=False)
    with duckdb.connect() as database:
        database.execute("create schema raw")
        database.execute("create table raw.spans as select interval '30 days' as span")
        memory = Memory(Direct(database), "duckdb", "built_nodes")
        before = memory.versions([source], memory.relations())["spans"]
        database.execute("update raw.spans set span = interval '1 month'")
        after = memory.versions([source], memory.relations())["spans"]
    assert after is None or after != before


@pytest.mark.parametrize("project", ["duckdb"], indirect=True)
def test_a_file_that_was_another_for_the_time_of_a_build_is_built_again(
    quiet: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (quiet.folder / "models/named.sql").read_text()

    def invoked(*asked: Any) -> Any:
        quiet.edit("models/named.sql", "select region", "select upper(region) as region")
        try:
            return invoke_dbt(*asked)
        finally:
            quiet.write("models/named.sql", text)

    forget_questions()
    with monkeypatch.context() as during:
        during.setattr(f"{build_dbt.__module__}.invoke_dbt", invoked)
        assert quiet.built() == EVERYTHING
    assert quiet.recalled() is None
    assert quiet.built() == EVERYTHING


@pytest.mark.parametrize("project", ["duckdb"], indirect=True)
def test_whatever_lies_in_the_folder_of_a_project_is_no_error(quiet: Planned) -> None:
    latin = os.fsdecode(b"r\xe9sum\xe9.txt")
    odd = [quiet.folder / name for name in ("loop", "again", "pipe", "socket", latin)]
    odd[0].symlink_to(".")
    odd[1].symlink_to(".")
    os.mkfifo(odd[2])
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(odd[3]))
    odd[4].touch()
    dangling = quiet.folder / "models/.#totals.sql"
    try:
        assert quiet.recalled() is None
        quiet.build()
        assert quiet.recalled() is not None
        dangling.symlink_to("somebody@host.1")
        assert quiet.recalled() is None
        quiet.build()
    finally:
        for path in odd:
            path.unlink()
        dangling.unlink(missing_ok=True)
    quiet.build()
    for kept in state_dir().rglob("question-*.json"):
        kept.write_bytes(kept.read_bytes()[:-5] + b"\xe9")
    assert quiet.recalled() is None
    quiet.build()


@pytest.mark.parametrize("project", ["postgres"], indirect=True)
def test_in_a_copy_of_a_database_all_is_built(quiet: Planned, postgres: EmbeddedPostgres) -> None:
    url = copy_database(postgres, database_of(Path(__file__)), "shared_test_dbt_plan_copy")
    copy = replace(quiet, environment=postgres_environment(url), url=url)
    assert copy.built() == EVERYTHING
    assert copy.built() == set()


def test_what_somebody_asks_for_is_built(quiet: Planned) -> None:
    assert quiet.built(select=("totals",)) == {"totals"}
    # Its view shows another table now.
    assert quiet.built() == {"shown_totals"}
    assert quiet.built(exclude=("named",)) == EVERYTHING - {"named"}
    assert quiet.built(build_unchanged=True) == EVERYTHING
    assert quiet.built(full_refresh=True) == EVERYTHING


def test_tests_are_left_out_with_what_they_test(quiet: Planned) -> None:
    always = {TEST_OF_THE_MOMENT}
    assert checked(quiet.build()) == always
    quiet.execute("insert into raw.orders (order_id, amount) values (7, 700)")
    # A unit test reads code alone.
    assert checked(quiet.build()) == always | {
        "not_null_seen_orders_order_id",
        "not_null_totals_amount",
    }
    quiet.execute("update raw.prices set price = null")
    warned = quiet.build()
    assert [node.name for node in warned.warned] == ["not_null_priced_most"]
    # A warning that is left out would be gone from the run.
    assert checked(quiet.build()) == always | {"not_null_priced_most"}
    quiet.execute("delete from analytics.totals", "insert into analytics.totals values (null, 0)")
    with pytest.raises(DbtBuildError):
        quiet.build(select=("totals,test_type:data", "not_null_totals_amount"))
    # It passed once on what this build reads, and failed since.
    with pytest.raises(DbtBuildError):
        quiet.build()
    quiet.build(build_unchanged=True)
    quiet.edit("models/models.yml", "amount: 300, orders: 2", "amount: 301, orders: 2")
    with pytest.raises(DbtBuildError):
        quiet.build()
    quiet.edit("models/models.yml", "amount: 301, orders: 2", "amount: 300,  orders: 2")
    assert "sums_amounts" in checked(quiet.build())


def test_what_is_left_out_is_told_with_its_reason(quiet: Planned) -> None:
    outcome = quiet.build()
    told = {node.name: node for node in outcome.nodes}
    assert outcome.models_unchanged == len(EVERYTHING) - 1
    tests = [node for node in outcome.nodes if node.resource_type.endswith("test")]
    assert outcome.tests_unchanged == len(tests) - len(checked(outcome)) > 0
    assert told["totals"].status == "unchanged"
    assert re.match(r"left out: built at 20..-..-.. ..:.. UTC, ", told["totals"].message)
    assert "its code and what it reads are as then" in told["totals"].message
    assert "its code is as then" in told["sums_amounts"].message


EXPOSURE = """
exposures:
  - {name: board, type: dashboard, owner: {name: Somebody}, depends_on: [ref('totals')]}
"""
IN_A_PROCESS = """
import dataclasses, json, sys
from flows._shared.orchestration.dbt import build_dbt
outcome = build_dbt("planned", {})
has_dbt = any(name.partition(".")[0] in ("dbt", "prefect_dbt") for name in sys.modules)
print(json.dumps([has_dbt, dataclasses.asdict(outcome)], default=str))
"""


def test_where_nothing_is_new_a_build_says_so_without_dbt(quiet: Planned) -> None:
    quiet.edit("models/models.yml", "{meta: {clock: moment}}", "{meta: {clock: day}}")
    quiet.write("models/exposures.yml", EXPOSURE)
    quiet.execute(
        "delete from raw.prices", "insert into raw.prices (order_id, price) values (1, 5)"
    )
    quiet.variables.clear()
    quiet.days_on = 0
    quiet.build()
    for results in state_dir().glob("dbt/planned/default/run_results.json"):
        results.write_text('{"metadata": ')
    alone = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS],
        env={**os.environ, **quiet.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
    )
    has_dbt, said = json.loads(alone.stdout)
    forget_questions()
    outcome = quiet.build()
    assert ran(outcome) == set()
    of_dbt = json.loads(json.dumps(asdict(outcome), default=str))
    assert not has_dbt
    for each in (said, of_dbt):
        del each["seconds"]
        each["nodes"] = {node.pop("unique_id"): node | {"seconds": 0} for node in each["nodes"]}
        each["artifacts_dir"] = artifacts_of(Path(each["artifacts_dir"]))
    assert said == of_dbt
    layer = DbtOptions(select=("totals",))
    for _ in range(2):
        outcome = build_dbt("planned", quiet.environment, layer, leaves_out=True)
        forget_questions()
        assert (ran(outcome), outcome.remarks) == (set(), ()), "nothing to do is no warning"
    quiet.edit("models/models.yml", "{meta: {clock: day}}", "{meta: {clock: moment}}")


def forget_questions() -> None:
    for kept in state_dir().rglob("question-*.json"):
        kept.unlink()


def artifacts_of(folder: Path) -> dict[str, Any]:
    """Which there are, and all that a moment does not change."""
    results = json.loads((folder / "run_results.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    return {
        "files": sorted(path.name for path in folder.iterdir()),
        "keys": sorted(results),
        "args": results["args"],
        "results": [each["unique_id"] for each in results["results"]],
        "nodes": sorted(manifest["nodes"]),
    }
