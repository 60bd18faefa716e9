"""A copy on BigQuery equals its PostgreSQL table, whatever it holds or went through."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from google.api_core.exceptions import NotFound

from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import wait_until
from flows._shared.bigquery_export import (
    BLOCK_BYTES,
    CopiedTable,
    ExportCounts,
    ExportMismatchError,
    ExportRunningError,
    ExportSourceError,
    SchemaChangedError,
    SourceUnavailableError,
    export_table,
    open_snapshot,
)
from tests._shared.shop import PROJECT, THINGS, Shop
from tests._shared.slow_sample import SLOW, answers

EXPORT = """
import os
from flows._shared.bigquery_export import CopiedTable, CopyDataset, export_table, open_snapshot
from flows._shared.orchestration.bigquery import BigQueryAccess
client = BigQueryAccess(os.environ["PROJECT"], "US").client()
dataset = CopyDataset(client, os.environ["DATASET"], "US")
things = CopiedTable("shop", "things", ("region", "id"), "changed_at")
with open_snapshot(os.environ["DATABASE"]) as connection:
    export_table(connection, dataset, things, rows_per_load=20)
"""
LONG = """
import os, sys
from flows._shared.orchestration.bigquery import BigQueryAccess
BigQueryAccess(os.environ["PROJECT"], "US").client().query(sys.argv[1]).result()
"""


def test_every_value_of_every_type_arrives_as_it_is(shop: Shop) -> None:
    counts = shop.export(replace(THINGS, excluded=("secret",)), rows_per_load=99)
    assert (counts.rows, counts.changed, counts.deleted, counts.total) == (501, 501, 0, 501)
    names = "region, id, name, colour, weight, ratio, price, is_sold, sold_on, made_at, changed_at"
    row = shop.copied(f"select {names}, attributes, token from {{things}} where id = 6")
    assert row == [
        (
            *("süd", 6, 'two\nlines, "quoted"', "red", 6 / 7.0, pytest.approx(6 / 7, abs=1e-7)),
            *(Decimal("0.75"), True, date(2025, 1, 7)),
            datetime(2025, 1, 1, 6, 0, 0, 123456, tzinfo=UTC),
            datetime(2024, 12, 31, 22, 6, 0, 1, tzinfo=UTC),
            *('{"a": null, "b": [1, 2]}', "1679091c-5a88-0faf-6fb5-e6087eb1b2dc"),
        )
    ]
    assert shop.copied("select count(*) from {things} where name is null") == [(126,)]
    assert shop.copied("select count(*) from {things} where name = ''") == [(125,)]
    assert shop.copied("select weight > 1, ratio from {things} where id = 0 and is_nan(weight)")
    columns = {field.name for field in shop.client.get_table(f"{shop.dataset}.things").schema}
    assert columns == {*names.split(", "), "attributes", "token"}
    # What no export writes again is shown otherwise where it lies.
    assert shop.copies.rewrite("things", "name", lambda name: name.replace("lines", "'rows'")) == 1
    assert shop.copied("select count(*) from {things} where name like '%lines%'") == [(0,)]
    assert shop.copied("select count(*) from {things} where name like '%\\'rows\\'%'") == [(125,)]


EXTREMES = """
create domain shop.percent as numeric(5, 2) check (value <= 100);
create type shop.pair as (one integer, other text);
create table shop.extremes (
    id integer primary key, small smallint, big bigint, single real, double double precision,
    exact numeric(38, 9), any_number numeric, money numeric(20, 4), word text, fixed char(5),
    flag boolean, day date, local timestamp, instant timestamptz, clock time, clock_zone timetz,
    span interval, bytes bytea, address inet, net cidr, place point, bits bit(3), ident uuid,
    document json, document_b jsonb, numbers integer[], words text[], range int4range,
    share shop.percent, pair shop.pair, export_batch integer, "a column" text, "select" text
);
insert into shop.extremes (id, single, double, any_number, money, day, local, instant) values
    (1, 'NaN', 'NaN', 'NaN', 'NaN', 'infinity', 'infinity', 'infinity'),
    (2, 'Infinity', 'Infinity', 'Infinity', 0.5, '-infinity', '-infinity', '-infinity'),
    (3, '-Infinity', '-Infinity', 1e400, -0.1, '0044-03-15 BC', '0044-03-15 BC', '0044-03-15 BC'),
    (4, 1e-45, 5e-324, 1e-400, 1, '10000-01-01', '10000-01-01', '10000-01-01'),
    (5, 3.4e38, 1.7976931348623157e308, 0, 0, '9999-12-31', '9999-12-31 23:59:59.999999',
        '9999-12-31 23:59:59.999999+00'),
    (6, -0.1, '-0', -1, 1, '0001-01-01', '0001-01-01', '0001-01-01 00:00+00');
insert into shop.extremes values (
    7, -32768, -9223372036854775808, 0.1, 0.1, 12345678901234567890123456789.123456789,
    123456789012345678901234567890.12345, 1234.5678, E'tab\t "quotes", \\ ünïcødé 🙂', 'ab',
    true, '2025-01-01', '2025-01-01 00:00:00.000001', '2025-06-01 12:00+08', '24:00', '01:02+03',
    '1 year -2 days 03:04:05.6', '\\x00ff', '::1', '10.0.0.0/8', '(1,2)', '101',
    md5('x')::uuid, '{"b": 1,  "a": 1e-50}', '{"b": 1e-50}', '{1,null}', '{"a,b",null}',
    '[1,5)', 99.99, '(1,x)', 5, 'spaced', 'quoted'
);
insert into shop.extremes (id) values (8);
-- More text than a document may make (64 MiB) in two ways, and a megabyte.
insert into shop.extremes (id, document_b)
select 9, jsonb_build_array('"', jsonb_agg(1e-16383)) from generate_series(1, 4200);
insert into shop.extremes (id, document_b)
select 10, jsonb_build_array(jsonb_agg(1e131000)) from generate_series(1, 520);
insert into shop.extremes (id, document_b)
select 11, jsonb_agg(jsonb_build_object('confidence', 1e-999)) from generate_series(1, 1000);
create view shop.documents as select document_b from shop.extremes where id > 8;
"""


def test_a_column_of_every_type_is_exported_with_its_extremes_or_what_is_lost_is_counted(
    shop: Shop,
) -> None:
    shop.execute(EXTREMES)
    table = CopiedTable("shop", "extremes", ("id",))
    counts = shop.export(table)
    assert (counts.rows, counts.total) == (11, 11)
    assert counts.nulled == {"money": 1, "day": 4, "local": 4, "instant": 4, "document_b": 2}
    outside = ("1", "2", "3", "4")
    assert counts.nulled_keys == {
        "money": ("1",),
        "day": outside,
        "local": outside,
        "instant": outside,
        "document_b": ("9", "10"),
    }
    assert "1 of money (key 1), 4 of day (key 1 | 2 | 3 | 4)" in str(counts.remark)
    assert shop.export(table).rows == 0

    copied = f"from {shop.dataset}.extremes"
    assert shop.copied(
        "select export_batch, a_column, `select`, clock, span, bytes, address, place, share, "
        f"any_number, fixed, words, pair {copied} where id = 7"
    ) == [
        (
            *(5, "spaced", "quoted", "24:00:00", "1 year -2 days +03:04:05.6", "\\x00ff"),
            *("::1/128", "(1,2)", "99.99", "123456789012345678901234567890.12345", "ab"),
            *('{"a,b",NULL}', "(1,x)"),
        )
    ]
    assert shop.copied(f"select day, instant {copied} where id = 5") == [
        (date(9999, 12, 31), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    ]
    # A row with such an instant has one: it may be when it was deleted.
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert shop.copied(f"select id, day, local, instant {copied} where id <= 4 order by 1") == [
        (number, instant.date(), instant, instant)
        for number, instant in ((1, last), (2, first), (3, first), (4, last))
    ]
    assert shop.copied(f"select count(*) {copied} where id = 8 and instant is null") == [(1,)]

    assert shop.copied(f"select id {copied} where document_b is not null order by 1") == [
        (7,),
        (11,),
    ]

    # As a key such a value tells no row from another: those rows stay away, and are named.
    shop.client.delete_table(f"{shop.dataset}.extremes")
    counts = shop.export(replace(table, key=("instant",)))
    assert (counts.total, counts.unkeyed) == (3, 8)
    assert "8 rows not copied" in str(counts.remark)
    assert str(counts.remark).endswith(
        "-infinity | 0044-03-15 00:00:00+00 BC | 10000-01-01 00:00:00+00 | infinity"
        " | NULL | NULL | NULL | NULL"
    )
    counts = shop.export(replace(table, name="documents", key=("document_b",)))
    assert (counts.total, counts.unkeyed, counts.unkeyed_keys) == (1, 2, ("NULL", "NULL"))


# The next number, the sign, a far smaller one, what is none: each is told from each.
FLOATS = (
    *(
        "0",
        "2e12",
        "2000000000000.0002",
        "9e15",
        "9007199254740993",
        "1e300",
        "1.7976931348623157e308",
    ),
    *("NaN", "Infinity", "-Infinity", "3e-7", "9e-7", "0.1", "0.10000000000000002", "-0.1"),
    *("2e-311", "9.3e-307", "1.8e-306", "9.7e-4", "-9.8e-4", "9.2e18", "9.3e18", "8.7e40"),
    *("5e-324", "1e-323", "1e-310", "2.2250738585072014e-308", "1e-15", "1e-16", "1e20", "-1e20"),
)


def test_a_float_that_is_edited_in_place_is_sent_again_however_large_or_small(shop: Shop) -> None:
    table = CopiedTable("shop", "floats", ("id",))
    shop.execute("create table shop.floats (id integer primary key, x double precision, y real)")
    values = ", ".join(f"({n}, '{x}', 1)" for n, x in enumerate(FLOATS))
    shop.execute(f"insert into shop.floats values {values}")
    assert shop.export(table).rows == len(FLOATS)
    assert shop.export(table).rows == 0

    # Every value becomes the next of the list: each must differ from its neighbour on both sides.
    moved = ", ".join(f"({n}, '{x}'::float8)" for n, x in enumerate(FLOATS[1:] + FLOATS[:1]))
    shop.execute(
        f"update shop.floats set x = m.x from (values {moved}) as m (id, x) where m.id = floats.id"
    )
    counts = shop.export(table)
    assert counts.changed == len(FLOATS)
    shop.execute("update shop.floats set y = 1.0000001 where id = 3")
    assert shop.export(table).changed == 1
    # Another power of two of the same digits.
    shop.execute("update shop.floats set x = 0.1 * 9444732965739290427392 where x = 0.1")
    assert shop.export(table).changed == 1


def test_a_source_in_another_encoding_is_copied_as_it_is(
    shop: Shop, postgres: EmbeddedPostgres
) -> None:
    postgres.drop_database("shop_latin")
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(
            "create database shop_latin encoding 'LATIN1' locale 'C' template template0"
        )
    try:
        with psycopg.connect(postgres.url("shop_latin"), autocommit=True) as connection:
            connection.execute(
                "create schema shop; create table shop.words (word text primary key)"
            )
            connection.execute("insert into shop.words values ('süd'), ('nord')")
        with open_snapshot(postgres.url("shop_latin")) as connection:
            counts = export_table(connection, shop.copies, CopiedTable("shop", "words", ("word",)))
        assert (counts.changed, counts.total) == (2, 2)
        assert shop.copied(f"select word from {shop.dataset}.words order by 1") == [
            ("nord",),
            ("süd",),
        ]
    finally:
        postgres.drop_database("shop_latin")


def test_rows_longer_than_a_block_arrive_among_others_and_after_a_failure_in_their_midst(
    shop: Shop,
) -> None:
    longest = 3 * BLOCK_BYTES
    shop.execute(
        f"update shop.things set secret = repeat('x', {longest}) where id in (200, 201);"
        "update shop.things set secret = repeat('y', 5000) where id not in (200, 201)"
    )
    kept = []
    for failure in (RuntimeError, KeyboardInterrupt):

        def stop(rows: int, failure: type[BaseException] = failure) -> None:
            raise failure

        with pytest.raises(failure) as raised:
            shop.export(rows_per_load=20, sent=stop)
        kept.append(raised)  # As who asks for a trace does: the frames that failed live on.
        assert wait_until(shop.is_left, 30), "the failed export holds its snapshot and its lock"
    counts = shop.export()
    assert (counts.changed, counts.total) == (501, 501)
    lengths = "select length(secret), count(*) from {things} group by 1 order by 1"
    assert shop.copied(lengths) == [(5000, 499), (longest, 2)]


def test_a_second_export_writes_nothing_and_a_change_writes_that_row(shop: Shop) -> None:
    shop.export()
    again = shop.export(lookback=timedelta(minutes=10))
    assert (again.changed, again.deleted, again.total) == (0, 0, 501)
    assert again.rows == 11

    shop.execute("update shop.things set name = 'new', changed_at = '2026-01-01' where id = 3")
    counts = shop.export(lookback=timedelta(minutes=10))
    assert (counts.rows, counts.changed) == (12, 1)


def test_what_no_change_column_tells_is_found_by_checksum_and_little_else_is_sent(
    shop: Shop,
) -> None:
    shop.export()
    for statement in (
        "update shop.things set weight = weight + 0.001 where id = 77",
        "update shop.things set name = null where id = 1",
        "delete from shop.things where id in (5, 6)",
        "insert into shop.things (region, id, changed_at) values ('west', 1, '2024-01-01')",
        "insert into shop.things (region, id) values ('west', 2)",
    ):
        shop.execute(statement)
    counts = shop.export(lookback=timedelta(0))
    assert (counts.changed, counts.deleted, counts.total) == (4, 2, 501)
    assert counts.rows < 40
    assert shop.copied("select weight > 11.0005 from {things} where id = 77") == [(True,)]
    assert shop.copied("select id from {things} where region = 'west' order by 1") == [(1,), (2,)]

    shop.execute("alter table shop.things add column grade text default 'a'")
    assert shop.export().changed == 501
    assert shop.copied("select count(*) from {things} where grade = 'a'") == [(501,)]

    shop.execute("truncate shop.things")
    assert shop.export().deleted == 501
    assert shop.copied("select count(*) from {things}") == [(0,)]


def test_a_row_of_a_clock_far_ahead_makes_no_later_change_pass_for_exported(shop: Shop) -> None:
    shop.execute("update shop.things set changed_at = '9999-12-31' where id = 1")
    shop.export()
    shop.execute("update shop.things set name = 'n', changed_at = '2026-01-01' where id = 9")
    counts = shop.export(lookback=timedelta(0))
    # The newest row of before, the one of the clock ahead, and the changed one.
    assert (counts.rows, counts.changed) == (3, 1)

    shop.execute("update shop.things set changed_at = '0001-01-01'")
    shop.export()
    assert shop.export().changed == 0


def test_text_that_moves_to_the_next_column_is_another_row(shop: Shop) -> None:
    table = CopiedTable("shop", "pairs", ("id",))
    shop.execute("create table shop.pairs (id integer primary key, one text, other text)")
    shop.execute("insert into shop.pairs values (1, E'a\\x1f=b', 'c'), (2, 'süßé👩‍👧', '')")
    assert shop.export(table).changed == 2
    shop.execute("update shop.pairs set one = 'a', other = E'b\\x1f=c' where id = 1")
    assert shop.export(table).changed == 1


def test_a_table_without_a_change_column_sends_nothing_when_nothing_changed(shop: Shop) -> None:
    table = replace(THINGS, change=None)
    assert shop.export(table).rows == 501
    assert shop.export(table).rows == 0
    shop.execute("update shop.things set name = 'x' where id = 9")
    assert shop.export(table).changed == 1


def test_a_growing_integer_is_a_change_column(shop: Shop) -> None:
    table = replace(THINGS, key=("id",), change="id")
    shop.export(table)
    shop.execute("insert into shop.things (region, id) values ('west', 501), ('west', 502)")
    assert shop.export(table).rows == 3


def test_an_export_killed_half_way_goes_on_from_there_and_doubles_nothing(
    shop: Shop, bigquery_emulator: str
) -> None:
    variables = {
        **os.environ,
        "DATABASE": shop.url,
        "DATASET": shop.dataset,
        "PROJECT": PROJECT,
        "BIGQUERY_EMULATOR_HOST": bigquery_emulator,
    }
    child = subprocess.Popen([sys.executable, "-c", EXPORT], env=variables)
    loaded = 0
    deadline = time.monotonic() + 60
    while loaded < 100 and time.monotonic() < deadline and child.poll() is None:
        try:
            loaded = shop.client.get_table(f"{shop.dataset}.things__loading").num_rows or 0
        except NotFound:
            time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it had ended before it was killed"
    assert shop.copied("select count(*) from {things}") == [(0,)], "half an export was to be seen"

    # Rows that were loaded before the kill and have changed since must not come back.
    shop.execute("update shop.things set name = 'newer', changed_at = '2026-01-01' where id = 2")
    shop.execute("delete from shop.things where id = 3")
    deadline = time.monotonic() + 30
    while True:
        try:
            counts = shop.export(rows_per_load=100, lookback=timedelta(minutes=5))
            break
        except ExportRunningError:
            assert time.monotonic() < deadline, "the killed process still holds its lock"
            time.sleep(0.2)

    assert counts.rows < 450, "the resumed export began again from nothing"
    assert shop.copied("select count(*), count(distinct concat(region, id)) from {things}") == [
        (500, 500)
    ]
    assert shop.copied("select name from {things} where id = 2") == [("newer",)]


def test_a_column_that_the_source_lost_is_emptied_in_the_copy_and_told(shop: Shop) -> None:
    shop.export()
    shop.execute("alter table shop.things drop column secret, drop column name")
    counts = shop.export()
    assert counts.changed == 0
    assert counts.remark == (
        "things: emptied in the copy, for the source has it no longer or the setting excludes it: "
        "name, secret"
    )
    assert shop.copied("select count(name), count(secret), count(*) from {things}") == [(0, 0, 501)]
    assert shop.export().remark is None


def test_an_excluded_column_does_not_leave_under_another_name(shop: Shop) -> None:
    private = replace(THINGS, excluded=("note", "secret"))
    shop.execute("alter table shop.things add column remark text default 'open'")
    shop.export(private)
    there = shop.client.get_table(f"{shop.dataset}.things")
    there.description = "Ours, as somebody wrote"
    shop.client.update_table(there, ["description"])
    shop.execute("alter table shop.things rename secret to memo")
    with pytest.raises(ExportSourceError, match=r"secret, which .* is gone and memo is new"):
        shop.export(private)
    # The copy has a column of such a name.
    shop.execute(
        "alter table shop.things drop column remark; alter table shop.things rename memo to remark"
    )
    with pytest.raises(ExportSourceError, match=r"secret, which .* is gone and remark is new"):
        shop.export(private)
    shop.execute("alter table shop.things add column secret text default 'another'")
    with pytest.raises(ExportSourceError, match=r"secret, which .* is gone and remark is new"):
        shop.export(private)
    shop.execute(
        "alter table shop.things drop column secret; alter table shop.things rename remark to memo"
    )
    # A copy that was dropped does not make it forgotten.
    shop.client.delete_table(f"{shop.dataset}.things")
    with pytest.raises(ExportSourceError, match=r"secret, which .* is gone and memo is new"):
        shop.export(private)
    shop.export(replace(private, excluded=("note", "secret", "memo")))
    # Made anew, as from a dump, the table numbers its columns otherwise, and any may be it.
    shop.execute(
        "alter table shop.things drop column name; alter table shop.things rename memo to name; "
        "create table shop.again as select * from shop.things; drop table shop.things; "
        "alter table shop.again rename to things"
    )
    with pytest.raises(ExportSourceError, match=r"memo, which .* is gone and .*name.* is new"):
        shop.export(replace(private, excluded=("note", "secret", "memo")))
    shop.execute(
        "alter table shop.things rename name to memo; alter table shop.things add column name text"
    )
    shop.execute(
        "create table shop.again as select * from shop.things; drop table shop.things; "
        "alter table shop.again rename to things"
    )
    shop.export(replace(private, excluded=("note", "secret", "memo")))
    assert shop.export(replace(private, excluded=("note", "secret", "memo"))).changed == 0
    shop.execute("alter table shop.things drop column memo, add column grade text default 'a'")
    with pytest.raises(ExportSourceError, match="memo, which the setting excludes, is gone"):
        shop.export(replace(private, excluded=("note", "secret", "memo")))
    assert shop.export(private).changed == 501


def test_what_is_computed_from_a_private_column_stays_as_it_does_in_whatever_letters(
    shop: Shop,
) -> None:
    shop.execute("""
        alter table shop.things rename secret to "Secret";
        alter table shop.things add column loud text generated always as (upper("Secret")) stored;
    """)
    shop.export(replace(THINGS, excluded=("secret",)))
    names = {f.name.lower() for f in shop.client.get_table(f"{shop.dataset}.things").schema}
    assert "name" in names
    assert not names & {"secret", "loud"}


def test_what_was_computed_from_a_private_column_does_not_leave_once_it_is_so_no_longer(
    shop: Shop,
) -> None:
    private = replace(THINGS, excluded=("Secret",))
    shop.execute(
        "alter table shop.things add column loud text generated always as (upper(secret)) stored"
    )
    shop.export(private)
    assert shop.export(private).changed == 0
    shop.execute("alter table shop.things alter column loud drop expression")
    said = "loud was computed from a column that the setting excludes, and is no longer"
    with pytest.raises(ExportSourceError, match=said):
        shop.export(private)
    shop.execute("alter table shop.things rename loud to quiet")
    with pytest.raises(ExportSourceError, match="quiet was computed from"):
        shop.export(private)
    assert shop.export(replace(private, excluded=("secret", "quiet"))).changed == 0
    assert shop.export(replace(private, excluded=("quiet",))).rows


def test_a_migration_under_way_is_seen_before_anything_is_sent(shop: Shop) -> None:
    private = replace(THINGS, excluded=("secret",))
    shop.export(private)
    shop.execute("update shop.things set changed_at = now()")
    with psycopg.connect(shop.url) as owner, ThreadPoolExecutor(1) as pool:
        owner.execute(
            "alter table shop.things rename name to n; "
            "alter table shop.things rename secret to name"
        )
        exported = pool.submit(shop.export, private)
        assert wait_until(shop.is_waited_for, 30)
        owner.commit()
        with pytest.raises(ExportSourceError, match="secret, which the setting excludes, is gone"):
            exported.result()
    assert shop.copied("select count(*) from {things} where name = 'hidden'") == [(0,)]


def test_a_column_that_differs_in_capitals_is_the_same_column(shop: Shop) -> None:
    shop.export()
    shop.execute("""
        alter table shop.things rename name to "Name";
        update shop.things set "Name" = 'other' where id = 1
    """)
    assert shop.export().changed == 1
    assert shop.copied("select name from {things} where id = 1") == [("other",)]
    assert shop.export().changed == 0


def test_a_new_column_passes_and_a_changed_type_stops_before_anything_is_sent(shop: Shop) -> None:
    shop.export()
    shop.execute("alter table shop.things alter column price type text")
    with pytest.raises(SchemaChangedError, match=r"things\.price.*NUMERIC and is STRING"):
        shop.export()


@pytest.mark.parametrize(
    ("change", "table", "message"),
    [
        ("", replace(THINGS, name="nothing"), "there is no such table"),
        ("", replace(THINGS, key=("number",)), r"it has no column \['number'\]"),
        (
            'alter table shop.things add "i d" int; update shop.things set "i d" = id',
            replace(THINGS, key=("region", "i d")),
            "no place for column 'i d'",
        ),
        (
            'create view shop."THINGS__loading" as table shop.things',
            replace(THINGS, name="THINGS__loading"),
            "a copy cannot have its name",
        ),
        (
            "create view shop.export_columns as table shop.things",
            replace(THINGS, name="export_columns"),
            "a copy cannot have its name",
        ),
        (
            'create view shop."a`b" as table shop.things',
            replace(THINGS, name="a`b"),
            "a copy cannot have its name",
        ),
        (
            'alter table shop.things rename id to "i d"',
            replace(THINGS, key=("region", "i d")),
            "no place for column 'i d'",
        ),
    ],
)
def test_what_bigquery_cannot_hold_is_refused_by_name(
    shop: Shop, change: str, table: CopiedTable, message: str
) -> None:
    if change:
        shop.execute(change)
    with pytest.raises(ExportSourceError, match=message):
        shop.export(table)


def test_a_key_that_does_not_tell_rows_apart_is_an_error_not_a_smaller_copy(shop: Shop) -> None:
    with pytest.raises(ExportMismatchError, match="the source has 501 rows, the copy 2"):
        shop.export(replace(THINGS, key=("region",)))


def test_what_a_role_may_not_read_is_told_and_not_deleted_from_the_copy(shop: Shop) -> None:
    role = "reader_of_shop"
    shop.execute(f"create role {role}; grant usage on schema shop to {role}")
    readable = (
        "region, id, name, colour, weight, ratio, price, is_sold, sold_on, made_at, changed_at, "
        "attributes, token"
    )

    def export() -> ExportCounts:
        with open_snapshot(shop.url) as connection:
            connection.execute(f"set role {role}".encode())
            return export_table(connection, shop.copies, replace(THINGS, excluded=("secret",)))

    try:
        with pytest.raises(ExportSourceError, match=r"may not read its columns region, id"):
            export()
        shop.execute(f"grant select ({readable}) on shop.things to {role}")
        assert export().total == 501
        shop.execute(
            "alter table shop.things enable row level security; "
            "create policy own on shop.things using (id < 5)"
        )
        with pytest.raises(ExportSourceError, match="row-level security may hide rows"):
            export()
        shop.execute("create policy everything on shop.things using (true)")
        assert export().total == 501
    finally:
        shop.execute(f"drop owned by {role}; drop role {role}")


def test_two_exports_of_one_table_do_not_run_at_once(shop: Shop) -> None:
    with open_snapshot(shop.url) as first:
        export_table(first, shop.copies, THINGS)
        with pytest.raises(ExportRunningError, match="another export of it is running"):
            shop.export()


def test_the_source_is_read_in_a_transaction_that_cannot_write(shop: Shop) -> None:
    with (
        open_snapshot(shop.url) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("delete from shop.things")


def test_a_database_that_is_down_may_be_tried_again() -> None:
    with (
        pytest.raises(SourceUnavailableError),
        open_snapshot("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"),
    ):
        pass


def test_the_emulator_ends_the_statement_of_a_process_that_is_gone(bigquery_emulator: str) -> None:
    assert answers(bigquery_emulator)
    given = {**os.environ, "PROJECT": PROJECT, "BIGQUERY_EMULATOR_HOST": bigquery_emulator}
    process = subprocess.Popen([sys.executable, "-c", LONG, SLOW["bigquery"]], env=given)
    assert wait_until(lambda: not answers(bigquery_emulator), 120)
    assert not answers(bigquery_emulator)
    process.kill()
    process.wait()
    assert wait_until(lambda: answers(bigquery_emulator), 5)
