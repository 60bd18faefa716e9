"""A copy on BigQuery equals its table, whatever the database, its roles and its owner do."""

import time
from collections.abc import Iterator

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows._shared.bigquery_export import Column, CopiedTable, ExportSourceError
from flows._shared.bigquery_export.checksums import parts_of
from flows._shared.bigquery_export.dataset import fingerprint_statement
from tests._shared.shop import Shop
from tests.databases import reader_of

# A byte too few, one too many, longer than needed, a surrogate, beyond the last character.
NOT_UTF_8 = (
    *(b"\xc3", b"\xe2\x82", b"\xf0\x9f\x99", b"a\x80", b"\xc0\xaf", b"\xe0\x80\xaf"),
    *(b"\xf0\x80\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff"),
)
WORDS = (
    *((b"plain", "süd 🙂 €".encode()), (b"latin", b"s\xfcd"), (b"b\xe4d", b"x")),
    *((f"bad{number}".encode(), word) for number, word in enumerate(NOT_UTF_8)),
)
ORDERS = CopiedTable("shop", "orders", ("id",))


@pytest.fixture
def reader(shop: Shop) -> Iterator[str]:
    """The address of a role that may read the orders, and owns nothing."""
    shop.execute(
        "create table shop.orders (id integer primary key, made_by text, weights float8[], "
        "days date[], span interval, bytes bytea[]);"
        "insert into shop.orders select n, 'reader', array[0.1::float8 + 0.2], "
        "array[date '2025-02-01'], interval '1 year 2 days', array['\\x00'::bytea] "
        "from generate_series(1, 10) as n"
    )
    with reader_of(shop.url, "shop_reader") as url:
        shop.execute(
            "grant usage on schema shop to shop_reader; grant select on shop.orders to shop_reader"
        )
        yield url


def test_rows_that_row_level_security_hides_are_not_deleted_in_the_copy(
    shop: Shop, reader: str
) -> None:
    assert shop.export(ORDERS, url=reader).total == 10
    shop.execute(
        "alter table shop.orders enable row level security;"
        "create policy few on shop.orders to shop_reader using (id <= 3);"
        "create view shop.seen with (security_invoker) as select * from shop.orders;"
        "grant select on shop.seen to shop_reader"
    )
    for table in (ORDERS, CopiedTable("shop", "seen", ("id",))):
        with pytest.raises(ExportSourceError, match=r"row-level security.*bypassrls"):
            shop.export(table, url=reader)
    assert shop.copied(f"select count(*) from {shop.dataset}.orders") == [(10,)]
    shop.execute("alter role shop_reader bypassrls")
    assert shop.export(ORDERS, url=reader).total == 10


def test_settings_of_role_and_database_change_no_value_and_end_no_export(
    shop: Shop, reader: str
) -> None:
    shop.execute(
        "alter role shop_reader set extra_float_digits = -3;"
        "alter role shop_reader set datestyle = 'German';"
        "alter role shop_reader set intervalstyle = 'sql_standard';"
        "alter role shop_reader set bytea_output = 'escape';"
        "alter role shop_reader set quote_all_identifiers = on;"
        "alter role shop_reader set idle_in_transaction_session_timeout = '200ms';"
        "alter role shop_reader set statement_timeout = '1h';"
        "alter role shop_reader set lock_timeout = '1h';"
        "create view shop.patience as select 1 as id, 'shop.orders'::regclass as orders, "
        "current_setting('statement_timeout') as statements, "
        "current_setting('lock_timeout') as locks;"
        "grant select on shop.patience to shop_reader"
    )
    counts = shop.export(ORDERS, url=reader, sent=lambda rows: time.sleep(0.4))
    assert counts.total == 10
    query = f"select distinct weights, days, span, bytes from {shop.dataset}.orders"
    assert shop.copied(query) == [
        ("{0.30000000000000004}", "{2025-02-01}", "1 year 2 days", '{"\\\\x00"}')
    ]
    shop.export(CopiedTable("shop", "patience", ("id",)), url=reader)
    copied = shop.copied(f"select orders, statements, locks from {shop.dataset}.patience")
    assert copied == [("shop.orders", "0", "0")]


def test_a_column_that_bigquery_has_no_name_for_keeps_no_other_away_and_is_told(
    shop: Shop,
) -> None:
    shop.execute(
        'create table shop.named (id integer primary key, "имя" text, "год" text, "a b" text, '
        'a_b text, "Amount" text, amount text, "_PARTITIONTIME" timestamp, "__root__x" text, '
        '"_CHANGE_TYPE" text, "ID" text);'
        "insert into shop.named select n, 'name', 'year', 'spaced', 'lined', 'one', 'two', "
        "'2025-02-01', 'root', 'change', 'other' from generate_series(1, 3) as n"
    )
    table = CopiedTable("shop", "named", ("id",))
    counts = shop.export(table)
    assert counts.total == 3
    assert counts.unplaced == ("год", "a b", "amount", "ID")
    assert "columns not copied" in str(counts.remark)
    there = f"from {shop.dataset}.named where id = 1"
    assert shop.copied(
        f"select ___, a_b, Amount, ___root__x, __CHANGE_TYPE {there} "
        "and __PARTITIONTIME = '2025-02-01'"
    ) == [("name", "lined", "one", "root", "change")]
    assert shop.export(table).rows == 0


def test_a_text_that_is_no_utf_8_is_escaped_and_told_and_keeps_no_row_away(
    shop: Shop, postgres: EmbeddedPostgres
) -> None:
    postgres.drop_database("shop_bytes")
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(
            "create database shop_bytes encoding 'SQL_ASCII' locale 'C' template template0"
        )
    try:
        with psycopg.connect(postgres.url("shop_bytes"), autocommit=True) as connection:
            connection.execute("create schema shop; create table shop.words (id text, word text)")
            for key, word in WORDS:
                connection.execute(
                    "insert into shop.words values (convert_from(%s, 'SQL_ASCII'), "
                    "convert_from(%s, 'SQL_ASCII'))",
                    (key, word),
                )
        table = CopiedTable("shop", "words", ("id",))
        counts = shop.export(table, url=postgres.url("shop_bytes"))
        assert counts.total == len(WORDS) - 1
        assert counts.nulled == {"word": 1 + len(NOT_UTF_8)}
        assert (counts.unkeyed, counts.unkeyed_keys) == (1, ("b\\344d",))
        query = f"select word from {shop.dataset}.words where id in ('latin', 'plain') order by id"
        assert shop.copied(query) == [("s\\374d",), ("süd 🙂 €",)]
        assert shop.export(table, url=postgres.url("shop_bytes")).rows == 0
    finally:
        postgres.drop_database("shop_bytes")


def test_a_wide_table_is_compared_in_statements_that_bigquery_takes(shop: Shop) -> None:
    floats = [Column(f"{'w' * 59}{number:04}", "FLOAT") for number in range(1_600)]
    table = CopiedTable("shop", "wide", (floats[0].name,))
    for part in parts_of(table, floats):
        assert len(fingerprint_statement("wide", table, part)) < 1_000_000

    names = [f"n{number}" for number in range(130)]
    shop.execute(
        "create table shop.wide (id integer primary key, "
        + ", ".join(f"{name} integer default 1" for name in names)
        + "); insert into shop.wide (id) select generate_series(1, 4)"
    )
    table = CopiedTable("shop", "wide", ("id",))
    assert shop.export(table).changed == 4
    shop.execute(
        "update shop.wide set n1 = 2 where id = 2; update shop.wide set n129 = 2 where id = 3"
    )
    assert shop.export(table).changed == 2
    # The same values of the last columns, in other rows.
    shop.execute("update shop.wide set n129 = 3 - n129 where id in (3, 4)")
    assert shop.export(table).changed == 2
