"""Payloads, files and names that a sender can give and that must stop nobody else's layers.

What the values of one payload can be at their edges stands in ``test_scout``; here are those that
are long, many or costly.
"""

import io
import json
import os
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import psycopg
import pytest
from openpyxl import Workbook

from deployments.local.postgres import EmbeddedPostgres
from flows.scout import raw
from flows.scout.records import FileUnreadableError, SourceFile
from flows.scout.settings import ScoutSettings
from flows.scout.source import list_files
from flows.scout.sync import load_source_file
from tests.databases import database_of
from tests.dbt_projects.poison import Told, assert_each_is_named, assert_nobody_is_stopped
from tests.dbt_projects.warehouse import Warehouse, install_packages

DATABASE = database_of(Path(__file__))
GOOD_PAYLOADS = 600
EQUAL_PRODUCTS = 2_000
# Text that does not become smaller when it is compressed: an index takes 2,704 bytes of it.
_letters = random.Random(1).choices(string.ascii_letters + string.digits, k=100_000)
LONG, VERY_LONG = "".join(_letters[:5_000]), "".join(_letters) * 10
SPACES = " " * 200_000
PROSE = (
    *("category", "subcategory", "vendor_name", "description", "receipt_url", "tax_code"),
    *("payment_method", "project_code", "a key that nobody knows"),
)


@dataclass(frozen=True)
class Poison:
    """A payload like a good one but for ``changes``, in a file of its own.

    ``reason`` is why silver rejects it; without one it is a transaction.
    """

    changes: dict[str, Any]
    reason: str = ""
    file: str = ""


PAYLOADS = {
    "a long employee": Poison({"employee_id": LONG}, "employee_id_too_long"),
    "a long cost centre": Poison({"cost_center": LONG}, "cost_center_too_long"),
    "a long vendor id": Poison({"vendor_id": LONG}, "vendor_id_too_long"),
    "a long currency": Poison({"currency": LONG}, "invalid_currency"),
    "long prose": Poison(dict.fromkeys(PROSE, VERY_LONG)),
    "a long name of a key": Poison({VERY_LONG: "x"}),
    "an amount of a million digits": Poison({"amount": "1" * 1_000_000}, "invalid_amount"),
    "an amount of many groups": Poison({"amount": "1" + ",111" * 100_000}, "invalid_amount"),
    "an amount of many spaces": Poison({"amount": f"1{SPACES}x"}, "unknown_currency"),
    "an amount behind spaces": Poison({"amount": f"({SPACES}1{SPACES}"}, "invalid_amount"),
    "an amount between spaces": Poison({"amount": f"P{SPACES}1{SPACES}-x"}, "invalid_amount"),
    "a tax of many spaces": Poison({"tax_amount": f"1{SPACES}x"}, "invalid_tax_amount"),
    "a day behind spaces": Poison({"date": f"monday,{SPACES}5 Oct 2026"}),
    "a day of many digits": Poison({"date": "1" * 1_000_000}, "invalid_date"),
    "a day of many dashes": Poison({"date": "1-" * 300_000}, "invalid_date"),
    "a number next to nothing": Poison({"amount": 1e-300}, "invalid_amount"),
    "a number of 300 digits": Poison({"amount": 10**300}, "invalid_amount"),
    "values of every kind": Poison(
        {"amount": {}, "date": [], "vendor_id": True, "currency": None, "employee_id": [1]},
        "missing_date",
    ),
    "a number of 4,000 digits": Poison({"extra": 10**4_000}, "unstorable_number"),
    "nested deeply": Poison({"extra": json.loads("[" * 400 + "]" * 400)}),
    "an amount twice": Poison({"Amount ": "11"}, "duplicate_name"),
    "names that become one": Poison({"a b": 1, "A-B": 2, "": 3, " \u00a0": 4, "\u200b": 5}),
    "a name with a quote and a line": Poison({'X "\n\\': 1}),
    "a day of long dashes": Poison({"date": "2026" + "\u2014" * 100_000}, "invalid_date"),
    "a day of what nobody sees": Poison({"date": "\u200b" * 100_000}, "missing_date"),
    "a day past all offsets": Poison({"date": "2026-10-05T00:00:00+14:99"}, "invalid_date"),
    "seconds far away": Poison({"date": "9999999999"}, "future_date"),
    "milliseconds far away": Poison({"date": 9999999999999}, "future_date"),
    "a spreadsheet's day far away": Poison({"date": "99999"}, "future_date"),
    "the end of the calendar": Poison({"date": "9999-12-31T24:00:00-14:00"}, "future_date"),
    "a moment before midnight": Poison({"date": "2026-10-05T23:59:59.999999999Z"}),
    "an amount of wide digits": Poison({"amount": "\uff11" * 300_000}, "invalid_amount"),
    "an amount of dashes": Poison({"amount": "1.-" * 100_000}, "invalid_amount"),
    "an amount of lakhs": Poison({"amount": f"1{',11' * 100_000},111"}, "invalid_amount"),
    "an amount without end": Poison({"amount": float("inf")}, "invalid_json"),
    "an escaped NUL": Poison({"employee_id": "\0"}, "unstorable_character"),
    "half a letter": Poison({"employee_id": "\ud800"}, "unstorable_character"),
    "a file with a long name": Poison({"amount": "1.234,56"}, file=f"{LONG}.json"),
    "a file with a name of no text": Poison({"amount": "1.234,56"}, file="\udcff\udc80.json"),
    "a file with lines in its name": Poison({"amount": "1.234,56"}, file="a\nb\tc\\d'e.json"),
}  # fmt: skip


# Lines of one CSV file behind its header, each with its own poison, and good ones between them.
CSV_FILE = "poison.csv"
CSV_HEADER = "transaction_id,date,amount,currency,category,vendor_id,employee_id,description"
CSV_LINES = {
    "a quote that is never closed": ('2026-10-05,10,PHP,Meals,V1,E1,"x', "malformed_csv"),
    "a NUL": ("2026-10-05,10,PHP,Meals,V1,E\0,x", "unstorable_character"),
    "bytes that are no text": ("2026-10-05,10,PHP,Meals,V1,E1,\udcff", "undecodable_bytes"),
    "a field too many": ("2026-10-05,10,PHP,Meals,V1,E1,x,y", "ragged_row"),
    "one field": ("", "ragged_row"),
    "commands of COPY": (r"2026-10-05,10,PHP,Meals,\N,\.,\x00 \\.", ""),
    "a formula and a template": ("2026-10-05,10,PHP,{{ x }},=1+1,%s,'); drop table x;--", ""),
    "the longest employee": (f"2026-10-05,10,PHP,Meals,V1,{chr(0x1D518) * 255},x", ""),
    "letters that grow in capitals": ("2026-10-05,10,\ufb00i,\u0130,V1,E1,x", "invalid_currency"),
    "a day before there were days": ("0001-01-01T00:00:00+14:59,10,PHP,Meals,V1,E1,x", "too_old"),
    "half a cent": ("2026-10-05,0.004,PHP,Meals,V1,E1,x", "amount_not_positive"),
    "a round-up to the limit": ("2026-10-05,9999999.995,PHP,Meals,V1,E1,x", "amount_too_large"),
    "an infinite amount": ("2026-10-05,Infinity,PHP,Meals,V1,E1,x", "invalid_amount"),
}  # fmt: skip
PRODUCTS_FILE = "products.csv"
PRODUCT_LINES = {
    "a price of no number": ("NaN,1,1", "invalid_price"),
    "a cost of a formula": ("1,=1+1,1", "invalid_cost"),
    "a stock past all integers": ("1,1,99999999999", "stock_too_large"),
    "a price below zero": ("-0.01,1,1", "negative_price"),
    "a price of two currencies": ("PHP 5 USD,1,1", "price_in_another_currency"),
    "a cost of two currencies": ("1,PHP 5 USD,1", "invalid_cost"),
    "a stock that is rounded to a whole": ("1,1,2.004", "invalid_stock"),
}


# Ids of which a spreadsheet, or a program that counts in doubles, made one before they were sent.
MERGED_IDS = (123456789012345678, 123456789012345679)
MERGED = {
    "1.23456789012346E+17": Told("ids.xlsx", "mangled_transaction_id"),
    "1.23E+17": Told("ids.json", "mangled_transaction_id"),
    "-1.23456789012346E+17": Told("products ids.xlsx", "mangled_sku"),
}


# What was loaded before the loader refused it: as text it has more than a gigabyte.
LONGEST_DAY = """
insert into scout.raw_transaction_ingestion (raw_data, source, ingested_at)
select
    jsonb_build_object(
        'transaction_id', 'POISON a day of a gigabyte', 'amount', '1.50', 'vendor_id', 'V1',
        'date', (select jsonb_agg(1e-16383) from generate_series(1, 70000))
    ),
    'webhook', now()
"""


def files_of_merged_ids() -> dict[str, bytes]:
    book = {title: good(0)[title] for title in ("date", "amount", "currency", "vendor_id")}
    product = {"name": "x", "price": 7777}
    sales = [{"transaction_id": number, **book} for number in MERGED_IDS]
    products = [{"sku": -number, **product} for number in MERGED_IDS]
    texts = [json.dumps({"transaction_id": "?", **book}) for _ in MERGED_IDS]
    return {
        "ids.xlsx": workbook(sales),
        "ids.json": f"[{','.join(texts)}]".replace('"?"', "1.23e17").encode(),
        "products ids.xlsx": workbook(products),
    }


def workbook(rows: list[dict[str, Any]]) -> bytes:
    book, packed = Workbook(), io.BytesIO()
    for row in (list(rows[0]), *(list(row.values()) for row in rows)):
        book.active.append(row)
    book.save(packed)
    return packed.getvalue()


def csv_file(header: str, lines: dict[str, tuple[str, str]], between: str) -> bytes:
    rows = [
        f"{name},{rest}".rstrip(",") if rest else name
        for poison, (rest, _) in lines.items()
        for name in (f'"POISON {poison}"',)
    ]
    beside = [between.replace("#", str(number)) for number in range(len(rows))]
    pairs = zip(rows, beside, strict=True)
    text = "\n".join([header, *(line for pair in pairs for line in pair)])
    return f"{text}\n".encode(errors="surrogateescape")


def good(number: int) -> dict[str, Any]:
    return {
        "transaction_id": f"GOOD {number}", "date": f"2026-{number % 9 + 1:02}-05",
        "amount": "10.00", "currency": "PHP", "category": "Meals", "vendor_id": "V1",
        "employee_id": f"E{number % 7}",
    }  # fmt: skip


def files(folder: Path) -> Iterator[tuple[str, SourceFile]]:
    """What a folder and an object store hold, by the name of the poison."""
    store = fsspec.filesystem("memory")
    prefix = f"/{DATABASE}"
    (folder / "good.json").write_text(json.dumps([good(number) for number in range(GOOD_PAYLOADS)]))
    expected = {"good.json": "good"}
    for number, (name, poison) in enumerate(PAYLOADS.items()):
        content = json.dumps([good(0) | {"transaction_id": f"POISON {name}"} | poison.changes])
        if len(poison.file) > 255:
            store.pipe(f"{prefix}/{poison.file}", content.encode())
            continue
        path = folder / (poison.file or f"poison {number}.json")
        path.write_text(content)
        expected[os.fsdecode(path.name)] = name
    (folder / "\udcfe.json").write_bytes(b"%PDF")
    (folder / CSV_FILE).write_bytes(
        csv_file(CSV_HEADER, CSV_LINES, "GOOD beside #,2026-10-05,10.00,PHP,Meals,V1,E1,x")
    )
    (folder / PRODUCTS_FILE).write_bytes(
        csv_file(
            "sku,name,price,cost,stock_quantity",
            {name: (f"x,{rest}", reason) for name, (rest, reason) in PRODUCT_LINES.items()},
            "beside #,x,7777,1,1",
        )
    )
    for file, packed in files_of_merged_ids().items():
        (folder / file).write_bytes(packed)
    for found in (list_files(str(folder)), list_files(f"memory://{prefix}")):
        yield from ((each.name, each) for each in found[0])


@dataclass
class Built:
    warehouse: Warehouse
    statuses: dict[str, str]
    failed: dict[str, str]


@pytest.fixture(scope="module")
def built(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    state = tmp_path_factory.mktemp("dbt")
    install_packages("scout", state)
    url = postgres.create_database(DATABASE)
    variables = json.dumps({"as_of_date": date(2026, 10, 31).isoformat()})
    warehouse = Warehouse("scout", url, state, variables)
    failed = {}
    with psycopg.connect(url, autocommit=True) as connection:
        raw.ensure_schema(connection)
        for name, file in files(tmp_path_factory.mktemp("files")):
            try:
                load_source_file(connection, name, file, "poison", ScoutSettings())
            except FileUnreadableError as error:
                failed[name] = str(error)
        connection.execute(
            """
            insert into scout.raw_product_ingestion (raw_data, source, ingested_at)
            select jsonb_build_object(
                'sku', 'S' || number, 'name', 'x', 'category', 'Meals',
                'price', 5 + mod(number, 2), 'is_active', mod(number, 3) > 0
            ), 'webhook', now()
            from generate_series(1, %s) as number
            """,
            (EQUAL_PRODUCTS,),
        )
        connection.execute(LONGEST_DAY.encode())
    statuses = warehouse.dbt("build", "--exclude-resource-type", "unit_test")
    yield Built(warehouse, statuses, failed)
    postgres.drop_database(DATABASE)


def test_no_payload_and_no_file_stops_the_layers(built: Built) -> None:
    assert_nobody_is_stopped(built.statuses)
    found = {
        str(name).removeprefix("POISON "): Told(str(file), str(reason))
        for name, file, reason in built.warehouse.query(
            "select raw_data ->> 'transaction_id', source_filename, rejection_reason "
            "from silver.silver_rejected_transactions "
            "union all "
            "select substring(raw_text from 'POISON [^\"]+'), source_filename, reason "
            "from scout.raw_ingestion_quarantine as aside "
            "inner join scout.raw_files as files on aside.file_id = files.id "
            "union all "
            "select raw_data ->> 'sku', source_filename, rejection_reason "
            "from silver.silver_rejected_products"
        )
    }
    rejected = {
        name: Told(f"poison {number}.json", poison.reason)
        for number, (name, poison) in enumerate(PAYLOADS.items())
        if poison.reason
    }
    for file, lines in ((CSV_FILE, CSV_LINES), (PRODUCTS_FILE, PRODUCT_LINES)):
        rejected |= {name: Told(file, reason) for name, (_, reason) in lines.items() if reason}
    rejected |= MERGED | {"a day of a gigabyte": Told("None", "missing_date")}
    assert_each_is_named(rejected, found)
    assert set(found) == set(rejected)
    assert list(built.failed) == ["\\udcfe.json"]
    names = built.warehouse.query("select source_filename from scout.raw_files order by 1")
    assert {"\\udcff\\udc80.json", "a\\nb\\tc\\d'e.json"} <= {name for (name,) in names}
    assert max(len(name) for (name,) in names) == 500
    kept = built.warehouse.query(
        "select count(*) filter (where transaction_id like 'GOOD %'), count(*) "
        "from silver.silver_validated_transactions"
    )
    good_lines = GOOD_PAYLOADS + len(CSV_LINES)
    sent = good_lines + len(PAYLOADS) + len(CSV_LINES) + len(PRODUCT_LINES) + len(MERGED) + 1
    assert kept == [(good_lines, sent - len(rejected))]
    assert built.warehouse.query(
        "select count(*) from silver.silver_products where sku like 'beside %'"
    ) == [(len(PRODUCT_LINES),)]
    ids = "jsonb_array_elements_text(employee_ids)"
    assert built.warehouse.query(
        f"select max(octet_length(id)) from gold.int_monthly_spend, {ids} as id"
    ) == [(32,)]
    assert built.warehouse.query(
        "select sum(transaction_count) from gold.gold_monthly_summary"
    ) == [(kept[0][1],)]


def test_no_payload_stops_the_measures_of_the_layers(built: Built) -> None:
    with psycopg.connect(built.warehouse.url) as connection:
        measures = raw.measure_quality(connection, datetime.now(UTC), timedelta(days=1), ())
    assert all(each.rows > 0 for each in measures)


def test_products_that_are_alike_are_compared_with_few(built: Built) -> None:
    with psycopg.connect(built.warehouse.url) as connection:
        rows = connection.execute(
            "select sku, top_5_similar_products from platinum.platinum_product_recommendations"
        ).fetchall()
        ((looked_at,),) = connection.execute(
            "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables "
            "where relname = 'silver_products'"
        ).fetchall()
    assert len(rows) == EQUAL_PRODUCTS
    assert looked_at < 40 * EQUAL_PRODUCTS
    prices = {f"S{number}": 5 + number % 2 for number in range(1, EQUAL_PRODUCTS + 1)}
    active = [sku for sku in sorted(prices) if int(sku[1:]) % 3 > 0]
    for sku, similar in rows:
        near = [each for each in active if each != sku and prices[each] == prices[sku]]
        assert similar == near[:5]
