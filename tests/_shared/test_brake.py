"""The brake in front of every table that a flow publishes, on a small project of its own."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest

from flows._shared.environment import set_environment
from flows._shared.orchestration.dbt import DbtBuildError, DbtOptions, build_dbt
from tests.dbt_projects.warehouse import POSTGRES_OUTPUT, PROJECTS, postgres_environment

PROJECT = """
name: braked
version: 1.0.0
profile: braked
vars:
  digits: "10,2"
  built_nodes_schema: null
models:
  braked:
    +materialized: table
    +pre-hook: "{{ shared.note_published_rows() }}"
    +post-hook: ["{{ shared.keep_readers() }}", "{{ shared.brake() }}", "{{ shared.note_built() }}"]
"""
PROFILES = {
    "braked": {
        "target": "postgres",
        "outputs": {
            "postgres": {**POSTGRES_OUTPUT, "schema": "analytics"},
            "duckdb": {
                "type": "duckdb",
                "path": "{{ env_var('SAMPLE_PATH', '') }}",
                "schema": "analytics",
                "threads": 2,
            },
        },
    }
}
SALES = "select * from {{ source('raw', 'sales') }}"
PROPERTIES = """
sources: [{name: raw, schema: public_raw, tables: [{name: sales}]}]
models:
  - name: sales
    columns: [{name: sale_id, data_tests: [unique, not_null]}]
  - name: new_sales
    columns: [{name: sale_id, data_tests: [unique, not_null: {config: {severity: warn}}]}]
  - name: by_shop
    config: {contract: {enforced: "{{ target.type == 'postgres' }}"}}
    constraints: [{type: check, name: few, expression: sales < 1e6}]
    columns:
      - {name: shop, data_type: text, constraints: [{type: primary_key}]}
      - {name: sales, data_type: bigint, constraints: [{type: check, expression: sales > 0}]}
"""
MODELS = {
    "sales": SALES,
    "new_sales": "{{ config(materialized='incremental') }}\n"
    + SALES
    + "\n{% if is_incremental() %}"
    "\nwhere sale_id > (select max(sale_id) from {{ this }}) or sale_id < 0\n{% endif %}",
    "by_shop": "select shop, count(*) as sales from {{ ref('sales') }} group by shop",
    "late_bound": "{{ config(materialized="
    "'late_bound_view' if target.type == 'postgres' else 'view') }}\n" + SALES,
    "amounts": "select sale_id, cast(1.23456 as numeric({{ var('digits') }})) as amount "
    "from {{ ref('sales') }} where sale_id <= 10",
    "numbers": "{{ config(materialized='view') }}\nselect sale_id from {{ ref('new_sales') }}",
    "late_sales": "{{ config(meta={'is_braked': false}) }}\n"
    "select * from {{ ref('sales') }} where sale_id > 90",
}
DOUBLED = "insert into public_raw.sales select * from public_raw.kept"
SAME_KEY = "insert into public_raw.sales select -1, shop from public_raw.kept"
MANY_MORE = "insert into public_raw.sales select n, 'shop' from generate_series(1000, 3000) as t(n)"
WITH_READERS = """
create role sales_reader;
grant select on analytics.sales to sales_reader;
grant update (shop) on analytics.sales to sales_reader with grant option;
create schema bi;
create view bi.shops with (security_barrier = true) as select sale_id, shop from analytics.sales;
create view bi.first_shop as select min(shop) as shop from bi.shops;
create materialized view bi.counted as select count(*) as sales from analytics.sales;
create unique index counted_sales on bi.counted (sales);
create view bi.many as select sales > 10 as is_many from bi.counted;
create view bi.bound_late as select shop from analytics.late_bound;
create view bi.regions as select region from analytics.regions;
grant select (region) on analytics.regions to sales_reader;
grant select (shop) on analytics.late_bound to sales_reader;
create function bi.new() returns setof analytics.new_sales
    language sql as 'select * from analytics.new_sales';
alter materialized view bi.counted owner to sales_reader;
grant select on analytics.late_bound to sales_reader;
grant usage on schema analytics, bi to sales_reader;
grant create on schema bi to sales_reader;
grant select on bi.shops, bi.counted, bi.many to sales_reader
"""
READERS = """
select
    relname, cast(relowner as regrole)::text,
    cast(coalesce(relacl, acldefault('r', relowner)) as text), cast(reloptions as text),
    case when relkind in ('v', 'm') then pg_get_viewdef(oid) end,
    array(
        select pg_get_indexdef(indexrelid) from pg_index where indrelid = pg_class.oid
    )::text,
    array(
        select attacl::text from pg_attribute where attrelid = pg_class.oid and attnum > 0
    )::text
from pg_class
where relnamespace = to_regnamespace('bi') or oid = to_regclass('analytics.sales')
order by 1
"""
RESTING = """
create table bi.child (more text) inherits (analytics.amounts);
insert into bi.child values (1001, 5, 'theirs');
create table bi.kept (id int, sale analytics.amounts);
insert into bi.kept values (1, row(1, 2));
create domain bi.one as analytics.amounts;
create table bi.secret as select 1 as id;
create policy hidden on bi.secret using (exists (select from analytics.amounts));
create table bi.more_amounts (sale_id int, amount numeric(10, 2));
alter table analytics.amounts inherit bi.more_amounts;
create table bi.shops_of_all (shop text, sales bigint) partition by list (shop);
alter table bi.shops_of_all attach partition analytics.by_shop default;
create table bi.late_sales (sale_id int, shop text) partition by list (shop);
alter table bi.late_sales attach partition analytics.late_sales default;
create publication of_whole for table bi.late_sales
"""
NOTHING_RESTS = """
alter table analytics.amounts no inherit bi.more_amounts;
alter table bi.shops_of_all detach partition analytics.by_shop;
alter table bi.late_sales detach partition analytics.late_sales;
alter table analytics.late_sales replica identity default;
drop publication of_whole; drop domain bi.one;
drop table bi.child, bi.kept, bi.secret, bi.more_amounts, bi.shops_of_all, bi.late_sales
"""
WHAT_RESTS = """
select
    (select jsonb_agg(child) from bi.child as child)::text,
    (select jsonb_agg(kept) from bi.kept as kept)::text,
    (select count(*) from pg_policy where polname = 'hidden'),
    to_regtype('bi.one')::text,
    (select count(*) from bi.more_amounts),
    (select count(*) from bi.shops_of_all)
"""
POINTING = """
alter table analytics.amounts add primary key (sale_id);
create table bi.notes as select sale_id, 'a note' as note from analytics.amounts;
alter table bi.notes add foreign key (sale_id) references analytics.amounts on delete cascade
"""
CONSTRAINTS = """
select conname, pg_get_constraintdef(oid) from pg_constraint
where conrelid = to_regclass('analytics.by_shop') and contype in ('c', 'p') order by 2
"""
# What others hang on tables themselves, one on each.
HUNG = (
    """
    create index by_hand on analytics.sales (shop);
    create function told() returns trigger language plpgsql as 'begin return null; end';
    create trigger told after insert on analytics.by_shop execute function told();
    create publication shown for table analytics.late_sales;
    create statistics analytics.both_columns on sale_id, amount from analytics.amounts
    """,
    """
    drop index analytics.by_hand; drop function told() cascade; drop publication shown;
    drop statistics analytics.both_columns;
    create policy all_rows on analytics.sales using (true);
    alter table analytics.by_shop set (fillfactor = 70);
    alter view analytics.numbers set (security_barrier = true);
    alter table analytics.late_sales replica identity default, add unique (sale_id);
    create rule no_news as on insert to analytics.amounts where new.sale_id is null
        do instead nothing
    """,
)
ALL_HUNG_ON_ONE = """
create index by_hand on analytics.amounts (amount);
create function told() returns trigger language plpgsql as 'begin return null; end';
create trigger told after insert on analytics.amounts execute function told();
create publication shown for table analytics.amounts;
create statistics analytics.both_columns on sale_id, amount from analytics.amounts;
create policy all_rows on analytics.amounts using (true);
alter table analytics.amounts add check (sale_id > 0);
alter table analytics.new_sales alter shop type varchar(10);
create view shops as select shop from analytics.new_sales
"""
KEEPING_ROWS = """
create function held() returns trigger language plpgsql as 'begin return null; end';
create trigger held before delete on analytics.amounts for each row execute function held();
create rule held as on delete to analytics.by_shop do instead nothing;
create publication in_part for table analytics.late_sales (sale_id)
"""
WHAT_IS_SAID_OF_KEPT_ROWS = (
    "Rows of analytics.amounts could not be deleted",
    "Rows of analytics.by_shop could not be deleted",
    "publish only some of its columns: in_part",
)
KEEPING_NO_ROWS = """
drop function held() cascade; drop rule held on analytics.by_shop; drop publication in_part
"""
NAMES_OF_HUNG = (
    *(
        "index by_hand",
        "statistics object both_columns",
        "in publication shown",
    ),
    *("rule no_news on table amounts", "trigger told on table amounts"),
    *("policy all_rows on table amounts", "constraint amounts_sale_id_check"),
)
NOTHING_HUNG = """
drop view shops; drop publication shown; drop function told() cascade;
drop index analytics.by_hand; drop statistics analytics.both_columns;
drop policy all_rows on analytics.amounts; drop policy all_rows on analytics.sales;
drop rule no_news on analytics.amounts;
alter table analytics.amounts drop constraint amounts_sale_id_check;
alter table analytics.by_shop reset (fillfactor);
"""
WITHOUT_READERS = (
    "drop owned by sales_reader, sales_viewer; drop role sales_reader; drop role sales_viewer"
)
GIVEN_TO_NEW_TABLES = """
create role sales_viewer;
alter default privileges grant select on tables to sales_viewer
"""
TABLES_THEMSELVES = """
select relname, oid from pg_class
where
    relnamespace = to_regnamespace('analytics')
    and relname in ('sales', 'by_shop', 'late_sales', 'amounts')
"""
TABLES = ("sales", "new_sales", "by_shop", "late_sales")
Execute = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture(params=["postgres", "duckdb"])
def execute(
    request: pytest.FixtureRequest, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Execute]:
    """The project, beside a source of 100 sales; runs a statement in its database."""
    folder = tmp_path / "braked"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(json.dumps(PROFILES))
    (folder / "packages.yml").write_text(f"packages: [{{local: {PROJECTS / '_shared'}}}]")
    (folder / "models" / "models.yml").write_text(PROPERTIES)
    materializations = PROJECTS / "scout" / "macros" / "materializations"
    shutil.copytree(materializations, folder / "macros" / "materializations")
    for project in ("github_scraper", "quality_compass"):
        shutil.copy(
            PROJECTS / project / "macros" / "materializations" / "seed.sql",
            folder / "macros" / "materializations",
        )
    (folder / "seeds").mkdir()
    (folder / "seeds" / "regions.csv").write_text("region\nNorth\n")
    for name, query in MODELS.items():
        (folder / "models" / f"{name}.sql").write_text(query)
    monkeypatch.setenv("ANALYTICS_FLOWS_DBT_PROJECTS_DIR", str(tmp_path))
    monkeypatch.setenv("ANALYTICS_FLOWS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("BRAKED_TARGET", request.param)

    def on_postgres(statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(database) as connection:
            cursor = connection.execute(statement.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def on_duckdb(statement: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(tmp_path / "braked.duckdb")) as connection:
            return connection.execute(statement).fetchall()

    run = on_postgres if request.param == "postgres" else on_duckdb
    with set_environment({**postgres_environment(database), "SAMPLE_PATH": f"{folder}.duckdb"}):
        run("create schema public_raw")
        run(
            "create table public_raw.sales as select n as sale_id, 'shop ' || (n % 30) as shop "
            "from generate_series(1, 100) as t(n)"
        )
        yield run
    shutil.rmtree(folder)


def build(request: pytest.FixtureRequest, command: str = "run", **options: object) -> None:
    target = request.node.callspec.params["execute"]
    build_dbt("braked", {}, DbtOptions(target=target, **options), command=command)


def seeds(request: pytest.FixtureRequest, **options: object) -> None:
    target = request.node.callspec.params["execute"]
    build_dbt("braked", {}, DbtOptions(target=target, **options), command="seed")


def assert_nothing_of_others_is_dropped_where_columns_change(
    execute: Execute, request: pytest.FixtureRequest
) -> None:
    readers = execute(READERS)
    execute("alter table public_raw.sales alter sale_id type bigint")
    with pytest.raises(DbtBuildError, match="would drop what others made on it") as caught:
        build(request, full_refresh=True)
    told = str(caught.value)
    for reader in ("bi.bound_late", "bi.counted, bi.first_shop, bi.many, bi.shops", "bi.new()"):
        assert reader in told
    execute("alter table analytics.regions add column of_an_older_model text")
    with pytest.raises(DbtBuildError, match=r"would drop .*bi\.regions"):
        seeds(request, full_refresh=True)
    assert execute(READERS) == readers
    execute("alter table public_raw.sales alter sale_id type integer")
    execute("alter table analytics.regions drop column of_an_older_model")


def assert_what_rests_on_a_table_stays(execute: Execute, request: pytest.FixtureRequest) -> None:
    more_digits = {"digits": "12,4"}
    execute(RESTING)
    resting = execute(WHAT_RESTS)
    build(request)
    with pytest.raises(DbtBuildError, match="would drop what others made on it") as caught:
        build(request, variables=more_digits)
    for name in ("bi.child", "bi.kept", "type bi.one", "policy hidden on table bi.secret"):
        assert name in str(caught.value)
    assert "place in table bi.more_amounts" in str(caught.value)
    assert execute(WHAT_RESTS) == resting
    execute(NOTHING_RESTS)
    execute("grant select on analytics.amounts to sales_reader")
    build(request, variables=more_digits)
    assert [str(each) for (each,) in execute("select distinct amount from analytics.amounts")] == [
        "1.2346"
    ], "what somebody may read gets the digits of its model"
    execute(POINTING)
    with pytest.raises(DbtBuildError, match=r"foreign keys of others point: bi\.notes"):
        build(request, variables=more_digits)
    assert execute("select count(*) from bi.notes") == [(10,)]
    execute("drop table bi.notes; revoke select on analytics.amounts from sales_reader")
    execute("alter table analytics.amounts drop constraint amounts_pkey")


def assert_constraints_of_the_contract_hold_in_place(
    execute: Execute, request: pytest.FixtureRequest
) -> None:
    of_contract = execute(CONSTRAINTS)
    assert len(of_contract) == 3
    execute(
        "grant select on analytics.by_shop to sales_reader;"
        "alter table analytics.by_shop drop constraint few,"
        " drop constraint by_shop__dbt_tmp_sales_check,"
        " add constraint of_a_former_contract check (sales < 5000)"
    )
    build(request)
    assert [condition for _, condition in execute(CONSTRAINTS)] == [each for _, each in of_contract]
    assert "few" in str(execute(CONSTRAINTS))


def assert_what_others_hung_on_tables_stays(
    execute: Execute, request: pytest.FixtureRequest
) -> None:
    for hung in HUNG:
        execute(hung)
        before = tables_themselves(execute)
        build(request)
        assert tables_themselves(execute) == before
    options = "select array_to_string(array_agg(reloptions::text order by relname), ' ')"
    of_two = "where relname in ('by_shop', 'numbers')"
    assert execute(f"{options} from pg_class {of_two}") == [
        ("{fillfactor=70} {security_barrier=true}",)
    ]
    assert_rows_that_others_keep_are_not_doubled(execute, request)
    execute(ALL_HUNG_ON_ONE)
    with pytest.raises(DbtBuildError, match="would drop what others made on it") as caught:
        build(request, variables={"digits": "14,6"})
    told = str(caught.value)
    assert [name for name in NAMES_OF_HUNG if name not in told] == []
    assert "view shops depends on column" in told, "a text that grows takes no view along"
    execute(NOTHING_HUNG)


def assert_rows_that_others_keep_are_not_doubled(
    execute: Execute, request: pytest.FixtureRequest
) -> None:
    rows = "select count(*) from analytics.amounts union all select count(*) from analytics.by_shop"
    before = execute(rows)
    execute(KEEPING_ROWS)
    with pytest.raises(DbtBuildError) as caught:
        build(request)
    told = str(caught.value)
    assert [each for each in WHAT_IS_SAID_OF_KEPT_ROWS if each not in told] == []
    assert execute(rows) == before
    execute(KEEPING_NO_ROWS)


def tables_themselves(execute: Execute) -> dict[str, object]:
    return {str(name): oid for name, oid in execute(TABLES_THEMSELVES)}


def contents(execute: Execute) -> dict[str, list[tuple[object, ...]]]:
    return {table: execute(f"select * from analytics.{table} order by 1") for table in TABLES}


def test_falls_that_each_pass_are_one_fall_to_the_brake(
    execute: Execute, request: pytest.FixtureRequest
) -> None:
    def of_sales(**options: object) -> int:
        build(request, command="build", select=["sales"], **options)
        return len(execute("select * from analytics.sales"))

    def grown(sales: int) -> None:
        execute("delete from public_raw.sales")
        execute(
            "insert into public_raw.sales select n, 'shop' "
            f"from generate_series(1, {sales}) as t(n)"
        )

    def counted() -> list[tuple[object, ...]]:
        return execute("select row_count from analytics.built_nodes where node like '%.sales'")

    assert of_sales() == 100
    assert counted() == [(100,)]
    # As an earlier version left it.
    execute("alter table analytics.built_nodes drop column most_rows")
    grown(60)
    assert of_sales() == 60
    grown(40)
    with pytest.raises(DbtBuildError, match="40 rows where 100 were published within 28 days"):
        of_sales()
    assert len(execute("select * from analytics.sales")) == 60
    assert of_sales(release_brake=True) == 40
    assert counted() == [(None,)], "nobody counted"
    grown(39)
    assert of_sales() == 39, "what was let pass is no fall to the runs behind it"
    execute("update analytics.built_nodes set most_rows = 100, most_on = '2026-01-01'")
    grown(38)
    assert of_sales() == 38, "what was published long ago is none, either"
    most = execute(
        "select most_rows, most_on > '2026-01-01', row_count from analytics.built_nodes "
        "where node like '%.sales'"
    )
    assert most == [(39, True, 38)], "what it replaced was, until now"


def test_rows_that_stay_as_many_and_lose_their_keys_are_stopped(
    execute: Execute, request: pytest.FixtureRequest
) -> None:
    build(request, select=["sales", "new_sales"])
    good = execute("select * from analytics.sales order by 1")
    execute("create table public_raw.kept as select * from public_raw.sales")
    for key, seen in {"1": "100 of its rows have only", "null": "60 of its 100 rows"}.items():
        execute("delete from public_raw.sales")
        execute("insert into public_raw.sales select * from public_raw.kept")
        execute(f"update public_raw.sales set sale_id = {key} where sale_id > 40")
        with pytest.raises(DbtBuildError, match=f"(?s)The brake stopped.*{seen}"):
            build(request, select=["sales"])
        assert execute("select * from analytics.sales order by 1") == good
    build(request, select=["new_sales"], full_refresh=True)
    may_be_missing = execute("select count(*) from analytics.new_sales where sale_id is null")
    assert may_be_missing == [(60,)], "a test that only warns of it stops nothing"


def test_readers_keep_the_last_good_tables_until_the_brake_is_released(
    execute: Execute, request: pytest.FixtureRequest
) -> None:
    has_grants = request.node.callspec.params["execute"] == "postgres"
    if has_grants:
        execute(GIVEN_TO_NEW_TABLES)
    seeds(request)
    build(request)
    good = contents(execute)
    assert [len(rows) for rows in good.values()] == [100, 100, 30, 10]
    readers = execute(f"{WITH_READERS}; {READERS}") if has_grants else []
    if has_grants:
        execute("revoke select on analytics.late_sales from sales_viewer")
    before = tables_themselves(execute) if has_grants else {}

    execute("create table public_raw.kept as select * from public_raw.sales")
    for damage, seen in {
        "delete from public_raw.sales": "no row is left of 100",
        "delete from public_raw.sales where sale_id > 49": "49 rows where 100 were published",
        DOUBLED: "100 values of its grain",
        SAME_KEY: "1 values of its grain",
    }.items():
        execute(damage)
        with pytest.raises(DbtBuildError, match=f"(?s)The brake stopped.*{seen}") as caught:
            build(request)
        assert "release_brake" in caught.value.remedy
        assert "macro" not in str(caught.value)
        assert contents(execute) == {**good, "new_sales": contents(execute)["new_sales"]}
        if not execute("select 1 from public_raw.sales"):
            with pytest.raises(DbtBuildError, match="The brake stopped"):
                build(request, full_refresh=True)
            assert contents(execute) == good, "a full refresh does not go round the brake"
        execute("delete from public_raw.sales")
        execute("insert into public_raw.sales select * from public_raw.kept")
    assert contents(execute)["new_sales"] == good["new_sales"]

    execute("delete from public_raw.sales where sale_id > 95")
    build(request)
    assert len(contents(execute)["sales"]) == 95, "a small fall passes"
    assert len(contents(execute)["late_sales"]) == 5, "rows that come and go do"

    execute(
        "insert into public_raw.sales select n, 'shop' from generate_series(1000, 3000) as t(n)"
    )
    build(request)
    assert len(contents(execute)["sales"]) == 2096, "a rise of new rows passes"

    if has_grants:
        assert tables_themselves(execute) == before, "a table whose columns stay is the same one"
        # Behind it, for everybody who reads: columns that stay, a full refresh, a column that goes.
        build(request, full_refresh=True)
        assert execute(READERS) == readers, "who may read a table and what reads it outlive a build"
        assert execute("select * from bi.first_shop") == [("shop",)]
        assert execute("select count(*) from bi.new()") == [(2096,)]
        seeds(request, full_refresh=True)
        assert execute("select * from bi.regions") == [("North",)]
        assert_nothing_of_others_is_dropped_where_columns_change(execute, request)
        assert_what_rests_on_a_table_stays(execute, request)
        execute("drop schema bi cascade")
        (kept,) = execute(READERS)
        execute("alter table analytics.sales add column of_an_older_model text")
        execute("alter table public_raw.sales alter sale_id type bigint")
        build(request, release_brake=True)
        assert execute(READERS) == [kept], "grants move to another table"
        may_read = "select has_table_privilege('sales_reader', 'analytics.late_bound', 'select')"
        assert execute(may_read) == [(True,)], "and to another view"
        execute("alter table analytics.regions add column of_an_older_model text")
        seeds(request, full_refresh=True)
        of_columns = (
            "select has_column_privilege('sales_reader', 'analytics.late_bound', 'shop', 'select'),"
            " has_column_privilege('sales_reader', 'analytics.regions', 'region', 'select')"
        )
        assert execute(of_columns) == [(True, True)], "those of columns, too"
        assert_constraints_of_the_contract_hold_in_place(execute, request)
        execute(WITHOUT_READERS)
        assert_what_others_hung_on_tables_stays(execute, request)
    execute("delete from public_raw.sales")
    build(request, release_brake=True)
    assert contents(execute)["sales"] == []
