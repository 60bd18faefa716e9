"""A copy on BigQuery equals its table, whatever the database, its roles and its owner do."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from flows._shared.bigquery_export import CopiedTable, ExportSourceError
from tests._shared.shop import Shop

ORDERS = CopiedTable("shop", "orders", ("id",))


@pytest.fixture
def reader(shop: Shop) -> Iterator[str]:
    """The address of a role that may read the orders, and owns nothing."""
    shop.execute(
        "create table shop.orders (id integer primary key, made_by text, weights float8[], "
        "days date[], span interval, bytes bytea[]);"
        "insert into shop.orders select n, 'reader', array[0.1::float8 + 0.2], "
        "array[date '2025-02-01'], interval '1 year 2 days', array['\\x00'::bytea] "
        "from generate_series(1, 10) as n;"
        "create role shop_reader login password 'reader';"
        "grant usage on schema shop to shop_reader; grant select on shop.orders to shop_reader"
    )
    at = urlsplit(shop.url)
    yield f"postgresql://shop_reader:reader@{at.hostname}:{at.port}{at.path}"
    shop.execute("drop owned by shop_reader; drop role shop_reader")


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
