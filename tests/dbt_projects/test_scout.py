"""Scout's layers on a mess of payloads, against a judge and figures written apart from the SQL."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows.report.making import read_from
from flows.scout import raw
from flows.scout.records import EXAMPLE_QUERY, Entity, FileFacts, Payload
from flows.scout.sample import POISON, products, transactions
from tests.contracts import assert_columns_are_as_promised, queries
from tests.dbt_projects.warehouse import Warehouse, install_packages
from tests.deployments.grafana.panels import assert_panels_answer
from tests.report.on_builds import scout_page_is_right

AS_OF = date(2026, 10, 31)
SIZE, EXHAUSTIVE_SIZE = 3_000, 200_000
EARLY = datetime(2026, 10, 30, 2, tzinfo=UTC)
LATE = datetime(2026, 11, 1, 2, tzinfo=UTC)
# Arrives last and says it was ingested first: a re-sent batch of the past.
PAST = datetime(2026, 10, 29, 2, tzinfo=UTC)
MANILA = ZoneInfo("Asia/Manila")
MERGED = ("silver.silver_validated_transactions", "silver.silver_rejected_transactions")
MODELS_ONLY = ("--exclude-resource-type", "unit_test", "--exclude-resource-type", "test")
GOOD = {"success", "pass", "no-op"}
# Two files of the mess contradict themselves.
TOLD = {
    "files_keep_one_order_and_one_mark",
    "files_hold_one_payload_of_each_transaction",
    "files_hold_one_payload_of_each_product",
}
CATEGORIES = {
    name.lower(): name
    for name in (
        *("Travel", "Meals", "Supplies", "Equipment", "Services", "Utilities", "Other"),
        "Uncategorized",
    )
}
NOT_EMPTY = "where transaction_count > 0"
TABLES = {
    "bronze.bronze_transactions": "id",
    "bronze.bronze_products": "id",
    "silver.silver_validated_transactions": "id",
    "silver.silver_rejected_transactions": "bronze_id",
    "silver.silver_products": "id",
    "silver.silver_rejected_products": "bronze_id",
    "gold.gold_monthly_summary": "month, category, currency",
    "gold.gold_category_trends": "week, category, currency",
    f"(select * from gold.int_monthly_spend {NOT_EMPTY})": "month, category, currency",
    f"(select * from gold.int_weekly_spend {NOT_EMPTY})": "week, category, currency",
    "platinum.platinum_transaction_embeddings": "id",
    "platinum.platinum_product_recommendations": "product_id",
}
MOMENTS_OF_BUILDS = "created_at, validated_at, rejected_at, calculated_at, silver_through"

_batches = count()


def load(url: str, payloads: list[Any], at: datetime, entity: Entity = Entity.TRANSACTION) -> None:
    number = next(_batches)
    facts = FileFacts(sha256=f"batch-{number}", bytes_read=0, encoding="utf-8")
    rows = [Payload(line, json.dumps(each).encode()) for line, each in enumerate(payloads, start=1)]
    with psycopg.connect(url, autocommit=True) as connection:
        counts = raw.load_file(
            connection, entity, f"batch-{number}", "json_upload", facts, "test", at, lambda: rows
        )
    assert counts.rows_loaded == len(payloads)


def build(warehouse: Warehouse, *options: str) -> None:
    statuses = warehouse.dbt("build", *options)
    assert {name for name, status in statuses.items() if status not in GOOD} <= TOLD


def contents(warehouse: Warehouse) -> dict[str, tuple[Any, ...]]:
    """Row count and hash of each relation, without the moments of builds."""
    return {
        relation: warehouse.query(
            f"select count(*), md5(string_agg(cast(to_jsonb(t) - array_remove(string_to_array("
            f"'{MOMENTS_OF_BUILDS}', ', '), null) as text), '|' order by {key})) from {relation} t"
        )[0]
        for relation, key in TABLES.items()
    }


@dataclass(frozen=True)
class Built:
    """The mess, built in three steps, and what the tables held after each."""

    warehouse: Warehouse
    batches: tuple[tuple[datetime, list[Any]], ...]
    stepwise: dict[str, tuple[Any, ...]]
    again: dict[str, tuple[Any, ...]]
    emptied: list[tuple[Any, ...]]
    refreshed: dict[str, tuple[Any, ...]]


@pytest.fixture(scope="module")
def empty_warehouse(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    url = postgres.create_database("scout_layers")
    state = tmp_path_factory.mktemp("dbt")
    install_packages("scout", state)
    with psycopg.connect(url, autocommit=True) as connection:
        raw.ensure_schema(connection)
    yield Warehouse("scout", url, state, json.dumps({"as_of_date": AS_OF.isoformat()}))
    postgres.drop_database("scout_layers")


EDGES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("leap day", {"date": "2024-02-29"}, "2024-02-29"),
    ("no leap day", {"date": "2025-02-29"}, "invalid_date"),
    ("month 13", {"date": "2025-13-01"}, "invalid_date"),
    ("day 0", {"date": "2025-01-00"}, "invalid_date"),
    ("year 0", {"date": "0000-01-01"}, "invalid_date"),
    ("evening in UTC is tomorrow in Manila", {"date": "2026-01-31T23:30:00Z"}, "2026-02-01"),
    ("an offset", {"date": "2026-01-31 23:30:00+08:00"}, "2026-01-31"),
    ("no offset", {"date": "2026-01-31T23:30:00"}, "2026-01-31"),
    ("the midnight at its end", {"date": "2026-01-31T24:00:00"}, "2026-02-01"),
    ("past midnight", {"date": "2026-01-31T24:00:01"}, "invalid_date"),
    ("midnight in UTC", {"date": "2026-01-31 24:00:00Z"}, "2026-02-01"),
    ("30 February at noon", {"date": "2026-02-30T12:00:00Z"}, "invalid_date"),
    ("without dashes", {"date": "20260131"}, "2026-01-31"),
    ("a number", {"date": 20260131}, "2026-01-31"),
    ("slashes", {"date": "1/31/2026"}, "2026-01-31"),
    ("slashes and a clock", {"date": "1/31/2026 2:30 PM"}, "2026-01-31"),
    ("slashes and no clock", {"date": "1/31/2026 25:30"}, "invalid_date"),
    ("a name", {"date": "5 Oct 2026"}, "2026-10-05"),
    ("a name first", {"date": "Oct 5, 2026"}, "2026-10-05"),
    ("a long name", {"date": "Monday, 5th October 2026"}, "2026-10-05"),
    ("a short day", {"date": "Mon, Oct 5 2026"}, "2026-10-05"),
    ("a shortened day", {"date": "Tues 6 Oct 2026"}, "2026-10-06"),
    ("the wrong day of the week", {"date": "Monday, 6 October 2026"}, "invalid_date"),
    ("the wrong day before a month", {"date": "Tue, Oct 5, 2026"}, "invalid_date"),
    ("no day of the week", {"date": "Due 5 Oct 2026"}, "invalid_date"),
    ("not a day", {"date": "not 5 Oct 2026"}, "invalid_date"),
    ("up to a day", {"date": "until 5 Oct 2026"}, "invalid_date"),
    ("a word like a day", {"date": "Sunny, Oct 4 2026"}, "invalid_date"),
    ("a word before a month", {"date": "before Oct 5, 2026"}, "invalid_date"),
    ("a short day with a point", {"date": "Mon. 5 Oct 2026"}, "2026-10-05"),
    ("from day to day", {"date": "5 Oct 2026 - 7 Oct 2026"}, "invalid_date"),
    ("a day in four letters", {"date": "Weds 7 Oct 2026"}, "2026-10-07"),
    ("the wrong day before figures", {"date": "Mon 2024-01-02"}, "invalid_date"),
    ("a name between dashes", {"date": "05-SEPT-2026"}, "2026-09-05"),
    ("a name with a point", {"date": "Oct. 5, 2026 14:30"}, "2026-10-05"),
    ("a name in the middle", {"date": "2026-Oct-05"}, "2026-10-05"),
    ("no name of a month", {"date": "5 Okt 2026"}, "invalid_date"),
    ("30 February by name", {"date": "30 Feb 2026"}, "invalid_date"),
    ("a year of two digits", {"date": "05/10/26"}, "ambiguous_date"),
    ("a name and a year of two digits", {"date": "5-Oct-26"}, "ambiguous_date"),
    ("year before dots", {"date": "2026.10.5"}, "2026-10-05"),
    ("mixed marks", {"date": "05/10.2026"}, "invalid_date"),
    ("seconds since 1970", {"date": "1769895000"}, "2026-02-01"),
    ("milliseconds since 1970", {"date": 1769895000000}, "2026-02-01"),
    ("an offset of hours", {"date": "2026-01-31 23:30:00+08"}, "2026-01-31"),
    ("UTC in letters", {"date": "2026-01-31 23:30:00 UTC"}, "2026-02-01"),
    ("year before slashes", {"date": "2026/1/31"}, "2026-01-31"),
    ("a spreadsheet's day", {"date": "46053"}, "2026-01-31"),
    ("a spreadsheet's moment", {"date": 46053.75}, "2026-01-31"),
    ("full-width digits", {"date": "２０２６－０１－３１"}, "2026-01-31"),
    ("a day in Arabic digits", {"date": "٣١/٠١/٢٠٢٦"}, "2026-01-31"),
    ("a year of another calendar", {"date": "۱۴۰۴/۱۱/۱۱"}, "too_old"),
    ("a year of Buddha's calendar", {"date": "2569-01-31"}, "future_date"),
    ("digits that are not read in a day", {"date": "२०२६-०१-३१"}, "invalid_date"),
    ("spaces that do not break", {"date": "5\u00a0Oct\u202f2026"}, "2026-10-05"),
    ("wide spaces around", {"date": "\u30002026-01-31\u2003\ufeff"}, "2026-01-31"),
    ("a thin space before the clock", {"date": "2026-01-31\u200923:30:00Z"}, "2026-02-01"),
    ("a narrow space in the clock", {"date": "1/31/2026 2:30\u202fPM"}, "2026-01-31"),
    ("dashes that do not break", {"date": "2026\u201101\u201131"}, "2026-01-31"),
    ("long dashes", {"date": "31\u2013Jan\u20132026"}, "2026-01-31"),
    ("minus signs", {"date": "2026\u221201\u221231"}, "2026-01-31"),
    ("slashes of fractions", {"date": "1\u204431\u20442026"}, "2026-01-31"),
    ("marks of direction", {"date": "\u200e1/31/2026\u202c"}, "2026-01-31"),
    ("a space between figures", {"date": "2026-0\u00a01-31"}, "invalid_date"),
    ("the last moment of a day", {"date": "2026-01-31T23:59:59.9999999"}, "2026-01-31"),
    ("its last moment in UTC", {"date": "2026-01-31T15:59:59.9999999Z"}, "2026-01-31"),
    ("its last moment in seconds", {"date": "1769875199.9999999"}, "2026-01-31"),
    ("nanoseconds since 1970", {"date": 1769895000000000000}, "invalid_date"),
    ("a moment of the post", {"date": "Sat, 31 Jan 2026 10:00:00 +0000"}, "2026-01-31"),
    ("a moment of the web", {"date": "Sat, 31 Jan 2026 20:00:00 GMT"}, "2026-02-01"),
    ("a late moment of the post", {"date": "Fri, 30 Jan 2026 23:59:59.999 -0500"}, "2026-01-31"),
    ("a moment on no such day", {"date": "Sun, 31 Jan 2026 20:00:00 GMT"}, "invalid_date"),
    ("a moment of no day", {"date": "30 Feb 2026 20:00:00 GMT"}, "invalid_date"),
    ("a moment that is named", {"date": "January 31, 2026, 23:30 Z"}, "2026-02-01"),
    ("a moment of half an hour", {"date": "2026-Jan-31 03:00:00 +04:30"}, "2026-01-31"),
    ("a place without a clock", {"date": "31 Jan 2026 GMT"}, "invalid_date"),
    ("an afternoon in Greenwich", {"date": "31 Jan 2026 8:00 PM GMT"}, "invalid_date"),
    ("a place past all places", {"date": "31 Jan 2026 20:00:00 +1500"}, "invalid_date"),
    ("a comma before the clock", {"date": "Oct 5, 2026, 10:00 AM"}, "2026-10-05"),
    ("a comma behind figures", {"date": "1/31/2026, 2:30:00 PM"}, "2026-01-31"),
    ("a comma and no clock", {"date": "Oct 5, 2026,"}, "invalid_date"),
    ("Greenwich in letters", {"date": "2026-01-31 23:30:00 GMT"}, "2026-02-01"),
    ("Greenwich and hours", {"date": "2026-01-31 23:30:00 GMT+8"}, "invalid_date"),
    ("blank", {"date": " \t"}, "missing_date"),
    ("oldest allowed", {"date": "2023-10-30"}, "2023-10-30"),
    ("a day too old", {"date": "2023-10-29"}, "too_old"),
    ("today in Manila", {"date": "2026-10-30"}, "2026-10-30"),
    ("tomorrow", {"date": "2026-10-31"}, "future_date"),
    ("thousands", {"amount": "1,234,567.89"}, "1234567.89"),
    ("decimal comma", {"amount": "1.234,5"}, "1234.50"),
    ("only a decimal comma", {"amount": "12,50"}, "12.50"),
    ("wrong grouping", {"amount": "12,3,567"}, "invalid_amount"),
    ("lakhs", {"amount": "12,34,567"}, "1234567.00"),
    ("lakhs and paise", {"amount": "₹1,23,456.50", "currency": "INR"}, "123456.50"),
    ("groups of both kinds", {"amount": "1,234,56,789"}, "invalid_amount"),
    ("points between lakhs", {"amount": "12.34.567"}, "invalid_amount"),
    ("no cents", {"amount": "12.-"}, "12.00"),
    ("no cents by a comma", {"amount": "1.234,-"}, "1234.00"),
    ("no cents by a long dash", {"amount": "SEK 1’234.–", "currency": "SEK"}, "1234.00"),
    ("no cents by two", {"amount": "5,-- NOK", "currency": "NOK"}, "5.00"),
    ("no cents and less than nothing", {"amount": "-12.-"}, "amount_not_positive"),
    ("a dash and more", {"amount": "12.-5"}, "invalid_amount"),
    ("tax without cents", {"tax_amount": "12.-"}, "accepted"),
    ("wide figures", {"amount": "￥１，２３４．５０", "currency": "CNY"}, "1234.50"),
    ("a wide space", {"amount": "PHP\u30005"}, "5.00"),
    ("a figure space", {"amount": "1\u2007234.50"}, "1234.50"),
    ("a space that nobody sees", {"amount": "\u200b5.00\ufeff"}, "5.00"),
    ("a range", {"amount": "12–15"}, "invalid_amount"),
    ("a long minus", {"amount": "—12.00"}, "amount_not_positive"),
    ("a power", {"amount": "5²"}, "unknown_currency"),
    ("a fraction", {"amount": "5½"}, "unknown_currency"),
    ("a mark behind groups", {"amount": "1,234."}, "1234.00"),
    ("a comma behind", {"amount": "12,"}, "invalid_amount"),
    ("credit", {"amount": "12.00 CR"}, "unknown_currency"),
    ("a percentage", {"amount": "12%"}, "unknown_currency"),
    ("tax in percent", {"tax_amount": "12%"}, "invalid_tax_amount"),
    ("tax of two currencies", {"tax_amount": "PHP 5 USD"}, "invalid_tax_amount"),
    ("an abbreviation of rupees", {"amount": "Rs. 500", "currency": "INR"}, "500.00"),
    ("rupees of any kind", {"amount": "Rs. 500", "currency": ""}, "ambiguous_currency"),
    ("a thousand yen", {"amount": "1.500", "currency": "JPY"}, "1500.00"),
    ("a thousand yen by a comma", {"amount": "¥1,500", "currency": "jpy"}, "1500.00"),
    ("won by a sign", {"amount": "₩150.000", "currency": ""}, "150000.00"),
    ("dong by a sign", {"amount": "150.000 ₫", "currency": ""}, "150000.00"),
    ("dong by a letter", {"amount": "150.000đ", "currency": ""}, "VND"),
    ("thousands of rupiah", {"amount": "150.000", "currency": "IDR"}, "150000.00"),
    ("rupiah by a sign", {"amount": "Rp150.000", "currency": None}, "150000.00"),
    ("rupiah by a word", {"amount": "Rp. 150.000,-", "currency": None}, "150000.00"),
    ("millions of rupiah", {"amount": "Rp 1.150.000,50", "currency": None}, "1150000.50"),
    ("Chilean pesos", {"amount": "$12.990", "currency": "CLP"}, "12990.00"),
    ("forints", {"amount": "1.500 Ft", "currency": ""}, "1500.00"),
    ("less than no yen", {"amount": "-1.500", "currency": "JPY"}, "amount_not_positive"),
    ("a tax in yen", {"amount": "15.000", "tax_amount": "1.500", "currency": "JPY"}, "15000.00"),
    ("rupiah by a word with a point", {"amount": "Rp.150.000", "currency": ""}, "150000.00"),
    ("rupiah by a code with a point", {"amount": "IDR.150.000", "currency": ""}, "150000.00"),
    ("a word with a point for a currency", {"amount": "150.000", "currency": "Rp."}, "150000.00"),
    ("wide won", {"amount": "\uffe6150.000", "currency": ""}, "150000.00"),
    ("Chilean dollars", {"amount": "CLP$1.500", "currency": ""}, "1500.00"),
    ("Colombian dollars", {"amount": "COP$ 12.990", "currency": ""}, "12990.00"),
    ("lei of any kind", {"amount": "5 lei", "currency": ""}, "ambiguous_currency"),
    ("lei of Moldova", {"amount": "5 lei", "currency": "MDL"}, "MDL"),
    ("a C and a dollar", {"amount": "C$5", "currency": ""}, "ambiguous_currency"),
    ("a dollar of Nicaragua", {"amount": "C$5", "currency": "NIO"}, "NIO"),
    ("pounds of Egypt", {"amount": "£5", "currency": "EGP"}, "EGP"),
    ("pounds and pesos", {"amount": "£5"}, "conflicting_currency"),
    ("a code and pounds of Egypt", {"amount": "GBP 5", "currency": "EGP"}, "conflicting_currency"),
    ("pula", {"amount": "P5", "currency": "BWP"}, "BWP"),
    ("pesos as people write them", {"amount": "Php 1,000.50", "currency": ""}, "1000.50"),
    ("pesos in small letters", {"amount": "php5", "currency": ""}, "PHP"),
    (
        "pesos for a currency of dollars",
        {"amount": "Php 5", "currency": "USD"},
        "conflicting_currency",
    ),
    ("a word like a code", {"amount": "5 all", "currency": ""}, "unknown_currency"),
    ("a word like another code", {"amount": "5 Top", "currency": ""}, "unknown_currency"),
    ("a small code that its column has", {"amount": "5 mad", "currency": "MAD"}, "MAD"),
    ("feet", {"amount": "12 ft", "currency": ""}, "ambiguous_currency"),
    ("small forints", {"amount": "12 ft", "currency": "HUF"}, "HUF"),
    ("reams", {"amount": "5 rm", "currency": ""}, "ambiguous_currency"),
    ("small ringgit for a currency", {"currency": "rm"}, "MYR"),
    ("rand", {"amount": "R 5", "currency": ""}, "ZAR"),
    ("Swedish crowns", {"amount": "1.234,50 kr.", "currency": "SEK"}, "1234.50"),
    ("crowns of any kind", {"amount": "100 kr", "currency": ""}, "ambiguous_currency"),
    ("crowns and euros", {"amount": "100 kr", "currency": "EUR"}, "conflicting_currency"),
    ("a sign for a currency", {"currency": "zł"}, "PLN"),
    ("a dollar for a currency", {"currency": "$"}, "ambiguous_currency"),
    ("a dollar for a currency that a sign names", {"currency": "$", "amount": "US$5"}, "USD"),
    ("an id between spaces", {"transaction_id": "\u00a0EDGE an id between spaces\u3000"}, "5.00"),
    ("a category behind a space", {"category": "Meals\u00a0"}, "accepted"),
    ("rounded to nothing", {"amount": "0.004"}, "amount_not_positive"),
    ("rounded up", {"amount": "0.005"}, "0.01"),
    ("just below the limit", {"amount": 9999999.99}, "9999999.99"),
    ("rounded to the limit", {"amount": "9999999.995"}, "amount_too_large"),
    ("exponent as text", {"amount": "1e3"}, "invalid_amount"),
    ("exponent as number", {"amount": 1e3}, "1000.00"),
    ("not a number", {"amount": "NaN"}, "invalid_amount"),
    ("Arabic digits", {"amount": "١٢٣"}, "123.00"),
    ("Arabic marks", {"amount": "١٬٢٣٤٫٥٦٧"}, "1234.57"),
    ("an Arabic decimal mark", {"amount": "١٫٢٣٤"}, "1.23"),
    ("an Arabic mark before a code", {"amount": "١٫٢٣٤ PHP"}, "1.23"),
    ("Arabic groups that are none", {"amount": "١٢٬٣٤"}, "invalid_amount"),
    ("an Arabic group of nothing", {"amount": "٠٬٥٠٠"}, "invalid_amount"),
    ("digits that are not read", {"amount": "१२३"}, "invalid_amount"),
    ("less than one", {"amount": "0,500"}, "0.50"),
    ("less than one in pesos", {"amount": "PHP 0,999"}, "1.00"),
    ("zeros before", {"amount": "00,500"}, "0.50"),
    ("a zero before", {"amount": "01,234"}, "1.23"),
    ("groups after nothing", {"amount": "0,500,000"}, "invalid_amount"),
    ("groups after a zero", {"amount": "0.500,25"}, "invalid_amount"),
    ("spaces after a zero", {"amount": "0 500"}, "invalid_amount"),
    ("a point behind a code", {"amount": "PHP.500"}, "ambiguous_amount"),
    ("a point behind a letter", {"amount": "P.50"}, "ambiguous_amount"),
    ("a comma behind a code", {"amount": "php ,5", "currency": ""}, "ambiguous_amount"),
    ("a point behind a dollar", {"amount": "$.50", "currency": "USD"}, "0.50"),
    ("a point alone", {"amount": ".50"}, "0.50"),
    ("a tax behind a code", {"tax_amount": "PHP.50"}, "invalid_tax_amount"),
    ("a sign", {"amount": "₱1,234.50"}, "1234.50"),
    ("a sign and a space", {"amount": "₱ 5"}, "5.00"),
    ("a code before", {"amount": "PHP 5.25"}, "5.25"),
    ("a code behind", {"amount": "5.25php"}, "5.25"),
    ("another code", {"amount": "USD 5.25"}, "conflicting_currency"),
    ("a code alone", {"amount": "USD 5.25", "currency": ""}, "USD"),
    ("a pound alone", {"amount": "£ 5,25", "currency": None}, "GBP"),
    ("a dollar of a known kind", {"amount": "$5.25", "currency": "SGD"}, "SGD"),
    ("a dollar of any kind", {"amount": "$5.25", "currency": ""}, "ambiguous_currency"),
    ("a dollar in pesos", {"amount": "$5.25"}, "conflicting_currency"),
    ("two codes", {"amount": "USD 5 PHP"}, "conflicting_currency"),
    ("pence or pesos", {"amount": "50p", "currency": ""}, "ambiguous_currency"),
    ("pence", {"amount": "50p", "currency": "GBP"}, "conflicting_currency"),
    ("pesos by a small letter", {"amount": "50p"}, "50.00"),
    ("pesos by a letter", {"amount": "P50", "currency": ""}, "50.00"),
    ("no currency", {"amount": "5.25 pcs"}, "unknown_currency"),
    ("a thousand in short", {"amount": "5.25k"}, "unknown_currency"),
    ("brackets", {"amount": "(12.00)"}, "amount_not_positive"),
    ("half a bracket", {"amount": "(12.00"}, "invalid_amount"),
    ("minus behind", {"amount": "12.00-"}, "amount_not_positive"),
    ("minus twice", {"amount": "-12.00-"}, "invalid_amount"),
    ("another minus", {"amount": "−12.00"}, "amount_not_positive"),
    ("plus", {"amount": "+12.00"}, "12.00"),
    ("a space that does not break", {"amount": "1\u00a0234,50"}, "1234.50"),
    ("a narrow one", {"amount": "1\u202f234\u202f567.5 PHP"}, "1234567.50"),
    ("a space where none belongs", {"amount": "12 34"}, "invalid_amount"),
    ("apostrophes", {"amount": "1'234.50"}, "1234.50"),
    ("a number of JSON has a point", {"amount": 1.234}, "1.23"),
    ("tax with its sign", {"tax_amount": "₱0.50"}, "accepted"),
    ("tax of another currency", {"tax_amount": "$0.50"}, "invalid_tax_amount"),
    (
        "an id too long to be indexed",
        {"transaction_id": "EDGE an id too long to be indexed" + "x" * 3_000},
        "transaction_id_too_long",
    ),
    ("a vendor too long to be indexed", {"vendor_id": "x" * 4_000}, "vendor_id_too_long"),
    ("long ago", {"date": "1989-12-31"}, "too_old"),
    ("an object", {"amount": {"value": 1}}, "missing_amount"),
    ("small letters", {"currency": " usd "}, "USD"),
    ("a code of nobody", {"currency": "RMB"}, "invalid_currency"),
    ("a symbol", {"currency": "₱"}, "PHP"),
    ("no vendor", {"vendor_id": " "}, "missing_vendor"),
    ("vendor as number", {"vendor_id": 7}, "accepted"),
    *(
        (f"a sign: {amount}", {"amount": amount, "currency": ""}, code)
        for code, amount in (
            *(
                ("CZK", "1 234,50 Kč"),
                ("PLN", "1 234,50 zł"),
                ("HUF", "1 234,50 FT"),
            ),
            *(
                ("BGN", "1 234,50 лв."),
                ("GHS", "₵1 234,50"),
                ("BRL", "R$ 1 234,50"),
                ("TRY", "₺1 234,50"),
            ),
            *(
                ("VND", "1 234,50₫"),
                ("KRW", "₩1 234,50"),
                ("PHP", "₱1 234,50"),
                ("THB", "฿1 234,50"),
            ),
            *(
                ("CZK", "1 234,50Kc"),
                ("AUD", "A$1 234,50"),
                ("CAD", "CA$1 234,50"),
                ("NZD", "NZ$1 234,50"),
            ),
            *(("HKD", "HK$1 234,50"), ("SGD", "S$1 234,50"), ("MXN", "MX$1 234,50")),
        )
    ),
)


# Each is a file of its own, whose values tell how the others are read: the day, the amount in its
# currency, or the reason.
FILES: dict[str, tuple[tuple[dict[str, Any], str], ...]] = {
    "day first": (
        ({"date": "13/04/2026"}, "2026-04-13"),
        ({"date": "05/10/2026"}, "2026-10-05"),
        ({"date": "3-4-2026 10:00"}, "2026-04-03"),
    ),
    "month first": (
        ({"date": "04/13/2026"}, "2026-04-13"),
        ({"date": "05.10.2026"}, "2026-05-10"),
        ({"date": "05/10/2026"}, "2026-05-10"),
    ),
    "both first": (
        ({"date": "13/04/2026"}, "2026-04-13"),
        ({"date": "04/13/2026"}, "2026-04-13"),
        ({"date": "05/10/2026"}, "conflicting_date_order"),
        ({"date": "05.10.2026"}, "conflicting_date_order"),
        ({"date": "05/05/2026"}, "2026-05-05"),
        ({"date": "2026-10-05"}, "2026-10-05"),
        ({"date": "32/13/2026"}, "invalid_date"),
    ),
    "dots": (({"date": "05.10.2026"}, "2026-10-05"), ({"date": "5.4.2026"}, "2026-04-05")),
    "either first": (({"date": "05/10/2026"}, "2026-05-10"), ({"date": "5/10/2026"}, "2026-05-10")),
    "comma": (
        ({"amount": "1.234,56"}, "1234.56"),
        ({"amount": "1.234"}, "1234.00"),
        ({"amount": "1,234"}, "1.23"),
        ({"amount": 1.234}, "1.23"),
        ({"tax_amount": "1.234", "amount": "2000"}, "2000.00"),
    ),
    "comma in the tax": (({"tax_amount": "0,12"}, "5.00"), ({"amount": "1.234"}, "1234.00")),
    "comma after nothing": (
        ({"amount": "12,5"}, "12.50"),
        ({"amount": "0,500"}, "0.50"),
        ({"amount": "0,125"}, "0.13"),
        ({"amount": "PHP 0,999", "currency": "PHP"}, "1.00"),
        ({"tax_amount": "0,500", "amount": "1.234"}, "1234.00"),
    ),
    "only a comma after nothing": (({"amount": "0,500"}, "0.50"), ({"amount": "1.234"}, "1234.00")),
    "comma and Arabic marks": (
        ({"amount": "1.234,56"}, "1234.56"),
        ({"amount": "٩٩٫٩٩"}, "99.99"),
        ({"amount": "١٢٫٥"}, "12.50"),
        ({"amount": "۱۲٫۵۰"}, "12.50"),
        ({"amount": "١٫٢٣٤"}, "1.23"),
        ({"amount": "١٢٫٥٠ NOK"}, "12.50"),
        ({"amount": "١٫٢٣٤ NOK"}, "1.23"),
        ({"amount": "٩٩٫"}, "99.00"),
    ),
    "Arabic digits tell": (({"amount": "١٢,٥"}, "12.50"), ({"amount": "١,٢٣٤"}, "1.23")),
    "a point behind a code tells nothing": (
        ({"amount": "12,5"}, "12.50"),
        ({"amount": "NOK.50"}, "ambiguous_amount"),
        ({"amount": "1.234"}, "1234.00"),
    ),
    "groups tell": (({"amount": "1.234.567"}, "1234567.00"), ({"amount": "2,345"}, "2.35")),
    "point": (({"amount": "12.5"}, "12.50"), ({"amount": "1.234"}, "1.23")),
    "both marks": (
        ({"amount": "12.50"}, "12.50"),
        ({"amount": "12,50"}, "12.50"),
        ({"amount": "1.234"}, "conflicting_decimal_mark"),
        ({"amount": "1,234"}, "conflicting_decimal_mark"),
        ({"amount": "1,234.5"}, "1234.50"),
        ({"amount": "٩٩٫٩٩"}, "99.99"),
        ({"amount": "1234"}, "1234.00"),
    ),
    "no cents tell": (({"amount": "1.250,-"}, "1250.00"), ({"amount": "1.250"}, "1250.00")),
    "odd spaces tell": (
        ({"amount": "\u3000\uff11\uff12,\uff15\u00a0"}, "12.50"),
        ({"amount": "1.250"}, "1250.00"),
        ({"date": "\u00a013\u201104\u20112026"}, "2026-04-13"),
        ({"date": "05/10/2026"}, "2026-10-05"),
    ),
    "yen and dollars": (
        ({"amount": "12.50", "currency": "USD"}, "12.50"),
        ({"amount": "1.500", "currency": "JPY"}, "1500.00"),
        ({"amount": "1.234", "currency": "USD"}, "1.23"),
        ({"amount": "1.234", "currency": "KWD"}, "1.23"),
    ),
    "yen with decimals": (
        ({"amount": "1500.000", "currency": "JPY"}, "1500.00"),
        ({"amount": "150.000", "currency": "JPY"}, "150.00"),
        ({"tax_amount": "1.000", "currency": "JPY", "amount": "2,345"}, "2345.00"),
    ),
    "yen with decimals of any length": (
        ({"amount": "98.4512", "currency": "JPY"}, "98.45"),
        ({"amount": "150.125", "currency": "JPY"}, "150.13"),
        ({"amount": "10423.7", "currency": "JPY"}, "10423.70"),
        ({"amount": "150.1", "currency": "JPY"}, "150.10"),
        ({"amount": 150.125, "currency": "JPY"}, "150.13"),
        ({"amount": "150.000", "currency": "IDR"}, "150000.00"),
    ),
    "rupiah with decimals of any length": (
        ({"amount": "150000.5", "currency": "IDR"}, "150000.50"),
        ({"amount": "150.125", "currency": "IDR"}, "150.13"),
        ({"amount": "99.9", "currency": "IDR"}, "99.90"),
    ),
    "numbers with the sign of their format": (
        ({"amount": "Rp 1500.1250", "currency": ""}, "1500.13"),
        ({"amount": "€ -1234.5", "currency": ""}, "amount_not_positive"),
        ({"amount": "KM 12", "currency": ""}, "unknown_currency"),
    ),
    "numbers of yen": (
        ({"amount": 1.5, "currency": "JPY"}, "1.50"),
        ({"amount": "150.125", "currency": "JPY"}, "150.13"),
    ),
    "yen that contradict themselves": (
        ({"amount": "12.5", "currency": "JPY"}, "12.50"),
        ({"amount": "12,5", "currency": "JPY"}, "12.50"),
        ({"amount": "1.500", "currency": "JPY"}, "conflicting_decimal_mark"),
    ),
    "rupiah by signs with decimals": (
        ({"amount": "Rp1500.000", "currency": ""}, "1500.00"),
        ({"amount": "Rp150.000", "currency": ""}, "150.00"),
        ({"amount": "150.000", "currency": "Rp"}, "150.00"),
        ({"amount": "150.000", "currency": "idr"}, "150.00"),
        ({"amount": "150.000", "currency": "JPY"}, "150000.00"),
    ),
    "a sign in the column with decimals": (
        ({"amount": "1500.000", "currency": "Rp"}, "1500.00"),
        ({"amount": "150.000", "currency": "IDR"}, "150.00"),
    ),
    "decimals of others": (
        ({"amount": "$0.125", "currency": "JPY"}, "conflicting_currency"),
        ({"amount": "$0.125", "currency": ""}, "ambiguous_currency"),
        ({"amount": "0.125", "currency": "USD"}, "0.13"),
        ({"amount": "1.500", "currency": "JPY"}, "1500.00"),
    ),
    "no tax in yen": (
        ({"amount": "150.000", "tax_amount": "0.000", "currency": "JPY"}, "150000.00"),
        ({"amount": "1.234,50", "tax_amount": "0.000"}, "1234.50"),
        ({"amount": "1.234"}, "1234.00"),
    ),
    "dinars": (
        ({"amount": "12,500", "currency": "TND"}, "12.50"),
        ({"amount": "8,750", "currency": "TND"}, "8.75"),
        ({"amount": "120,000", "currency": "TND"}, "120.00"),
        ({"amount": "1,500", "currency": "USD"}, "1500.00"),
    ),
    "no tax in dinars": (
        ({"amount": "12.500", "tax_amount": "0,00", "currency": "TND"}, "12.50"),
    ),
    "dinars in groups": (
        ({"amount": "1,250,000", "currency": "TND"}, "1250000.00"),
        ({"amount": "12,500", "currency": "TND"}, "12500.00"),
        ({"amount": "12.500", "currency": "TND"}, "12.50"),
        ({"amount": "12,500", "currency": "OMR"}, "12.50"),
    ),
    "rupiah and dinars": (
        ({"amount": "1.500.000", "currency": "IDR"}, "1500000.00"),
        ({"amount": "12.500", "currency": "KWD"}, "12.50"),
        ({"amount": "150.000", "currency": "IDR"}, "150000.00"),
    ),
    "yen and two marks": (
        ({"amount": "12.50", "currency": "USD"}, "12.50"),
        ({"amount": "12,50", "currency": "GBP"}, "12.50"),
        ({"amount": "1.500", "currency": "JPY"}, "1500.00"),
    ),
    "words with points tell": (
        ({"amount": "12,50 kr."}, "12.50"),
        ({"amount": "1.250"}, "1250.00"),
    ),
    "no mark": (({"amount": "1.234"}, "1.23"), ({"amount": "1,234"}, "1234.00")),
    "prose tells nothing": (
        ({"amount": "about 12,50 or so", "date": "13/13/2026"}, "invalid_date"),
        ({"amount": "1.234"}, "1.23"),
    ),
}  # fmt: skip


def file_payloads(name: str) -> list[dict[str, Any]]:
    plain = {"date": "2026-10-01", "amount": "5", "currency": "NOK", "vendor_id": "V1"}
    return [
        {**plain, "transaction_id": f"FILE {name} {row}", **changes}
        for row, (changes, _) in enumerate(FILES[name])
    ]


# A currency of its own, with a month left out.
GAPS = (("2025-05-10", "100"), ("2026-03-10", "80"), ("2026-05-10", "50"), ("2026-05-11", "70"))


def gap_payloads() -> list[dict[str, Any]]:
    return [
        {
            "transaction_id": f"GAP {day}", "date": day, "amount": amount, "currency": "EUR",
            "category": "Travel", "vendor_id": "V1",
        }
        for day, amount in GAPS
    ]  # fmt: skip


# The only transaction of its currency, which a later payload puts into another month.
MOVED = {
    "transaction_id": "MOVED", "date": "2026-02-10", "amount": "10", "currency": "CHF",
    "category": "Travel", "vendor_id": "V1",
}  # fmt: skip


# One id in two spellings, items of an order, and ids of which a spreadsheet made one.
SPELT = {
    "date": "2026-03-10", "amount": "10", "currency": "DKK", "category": "Travel",
    "vendor_id": "V1",
}  # fmt: skip
EARLIER = [
    {**SPELT, "transaction_id": 1001.0},
    {**SPELT, "transaction_id": "ORDER", "amount": "100"},
    {**SPELT, "transaction_id": "ORDER", "amount": "25"},
    {**SPELT, "transaction_id": "ORDER", "amount": "25"},
    {**SPELT, "transaction_id": "2.02611E+13"},
]
LATER = [{**SPELT, "transaction_id": "1001"}, {**SPELT, "transaction_id": " 3e+10"}]


def edge_payloads() -> list[dict[str, Any]]:
    plain = {"date": "2026-01-05", "amount": "5.00", "currency": "PHP", "vendor_id": "V1"}
    return [{**plain, "transaction_id": f"EDGE {name}", **changes} for name, changes, _ in EDGES]


@pytest.fixture(scope="module")
def size(is_exhaustive: bool) -> int:
    return EXHAUSTIVE_SIZE if is_exhaustive else SIZE


@pytest.fixture(scope="module")
def built(empty_warehouse: Warehouse, size: int) -> Built:
    warehouse = empty_warehouse
    elsewhere = (
        len(POISON)
        + len(EDGES)
        + len(GAPS)
        + 2
        + len(EARLIER)
        + len(LATER)
        + sum(map(len, FILES.values()))
    )
    mess = [*transactions(size - elsewhere, 3, AS_OF), *POISON]
    half, tenth = size // 2, size // 10
    batches: tuple[tuple[datetime, list[Any]], ...] = (
        (EARLY, [MOVED, *gap_payloads(), *mess[:half]]),
        (LATE, [{**MOVED, "date": "2026-04-10"}, *LATER, *mess[half:-tenth]]),
        (PAST, mess[-tenth:]),
    )
    for number, (at, payloads) in enumerate(batches):
        load(warehouse.url, payloads, at)
        if number == 0:
            load(warehouse.url, EARLIER, EARLY)
            for name in FILES:
                load(warehouse.url, file_payloads(name), EARLY)
            load(warehouse.url, edge_payloads(), EARLY)
        load(warehouse.url, list(products(400, seed=number)), at, Entity.PRODUCT)
        if number == 1:
            warehouse.execute(f"create publication told for table {', '.join(MERGED)}")
        build(warehouse, *MODELS_ONLY)
    warehouse.execute("drop publication told")
    for table in MERGED:
        warehouse.execute(f"alter table {table} replica identity default")
    stepwise = contents(warehouse)
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        # As the release before left it.
        connection.execute(
            "alter table silver.int_file_conventions "
            "drop column point_currencies, drop column comma_currencies"
        )
    build(warehouse)
    again = contents(warehouse)
    emptied = warehouse.query(
        "select to_char(month, 'YYYY-MM'), transaction_count from gold.int_monthly_spend "
        "where currency = 'CHF' order by 1"
    )
    build(warehouse, "--full-refresh", *MODELS_ONLY)
    batches = (*batches, (EARLY, EARLIER))
    return Built(warehouse, batches, stepwise, again, emptied, contents(warehouse))


def judge(payload: Any, ingested_at: datetime) -> tuple[str | None, dict[str, Any]]:
    """Why a payload is rejected, or None, and its values; in plain Python, apart from the SQL."""
    if not isinstance(payload, dict):
        return "not_an_object", {}

    def text(key: str) -> str | None:
        value = payload.get(key)
        if value is None or isinstance(value, dict | list):
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return format(Decimal(repr(value)).normalize(), "f")
        return (json.dumps(value) if not isinstance(value, str) else value).strip() or None

    values: dict[str, Any] = {key: text(key) for key in ("vendor_id", "employee_id", "cost_center")}
    today = ingested_at.astimezone(MANILA).date()
    if (transaction_id := text("transaction_id")) is None:
        return "missing_transaction_id", values
    if re.fullmatch(r"\d(\.\d+)?e\+\d+", transaction_id, re.IGNORECASE):
        return "mangled_transaction_id", values
    values["transaction_id"] = transaction_id
    if (written := text("date")) is None:
        return "missing_date", values
    if (day := _day(written)) is None:
        return "invalid_date", values
    if day > today:
        return "future_date", values
    if day < today - timedelta(days=1096):
        return "too_old", values
    if (figure := text("amount")) is None:
        return "missing_amount", values
    if (amount := _money(figure)) is None:
        return "invalid_amount", values
    if amount <= 0:
        return "amount_not_positive", values
    if amount >= 10_000_000:
        return "amount_too_large", values
    currency = (text("currency") or "PHP").upper()
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        return "invalid_currency", values
    if values["vendor_id"] is None:
        return "missing_vendor", values
    tax = _money(text("tax_amount") or "0")
    if tax is None:
        return "invalid_tax_amount", values
    category = text("category")
    named = CATEGORIES.get(category.lower(), "Other") if category else "Uncategorized"
    return None, values | {
        "day": day, "amount": amount, "tax": tax, "currency": currency, "category": named,
    }  # fmt: skip


def _day(written: str) -> date | None:
    if not written.isascii():
        return None
    if written.replace(".", "", 1).isdigit() and len(written.split(".")[0]) == 5:
        return date(1899, 12, 30) + timedelta(days=int(written.split(".")[0]))
    for form in ("%Y-%m-%d", "%m/%d/%Y", "%Y%m%d", "%Y/%m/%d"):
        try:
            return datetime.strptime(written, form).date()
        except ValueError:
            continue
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return (moment.astimezone(MANILA) if moment.tzinfo else moment).date()


def _money(figure: str) -> Decimal | None:
    whole, comma, end = figure.rpartition(",")
    if comma and len(end) <= 2:
        figure = f"{whole.replace('.', '')}.{end}"
    elif comma:
        groups = figure.split(".")[0].lstrip("-").split(",")
        if not 1 <= len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:]):
            return None
        figure = figure.replace(",", "")
    if not figure.isascii() or set(figure) - set("0123456789.+-") or len(figure) > 60:
        return None
    try:
        return Decimal(figure).quantize(Decimal("0.01"), ROUND_HALF_UP)
    except InvalidOperation:
        return None


@pytest.fixture(scope="module")
def judged(built: Built) -> tuple[Counter[str], pd.DataFrame]:
    """How many payloads end where, and the transactions that must be in silver."""
    places: Counter[str] = Counter()
    newest: dict[str, tuple[tuple[datetime, int], dict[str, Any]]] = {}
    number = 0
    for at, payloads in built.batches:
        for payload in payloads:
            number += 1
            reason, values = judge(payload, at)
            if reason:
                places[reason] += 1
                continue
            standing = newest.get(values["transaction_id"])
            places["superseded"] += standing is not None
            if standing is None or standing[0] < (at, number):
                newest[values["transaction_id"]] = ((at, number), values)
    # What is odd about these is told by test_a_value_at_the_edge and its sibling.
    kept = built.warehouse.query(
        """
        select transaction_date, amount, tax_amount, currency, category, vendor_id, 'accepted'
        from silver.silver_validated_transactions
        where transaction_id ~ '^(EDGE|FILE) ' or currency = 'NOK'
        """
    )
    reasons = built.warehouse.query(
        """
        select rejection_reason, count(*) from silver.silver_rejected_transactions
        where raw_data ->> 'transaction_id' ~ '^(EDGE|FILE) '
        group by 1
        """
    )
    for reason, rows in reasons:
        places[reason] += rows
    names = ("day", "amount", "tax", "currency", "category", "vendor_id")
    others = [dict(zip(names, row, strict=False)) for row in kept]
    frame = pd.DataFrame([*(values for _, values in newest.values()), *others])
    frame["amount"] = frame["amount"].map(lambda amount: int(amount * 100))
    frame["tax"] = frame["tax"].map(lambda tax: int(tax * 100))
    frame["day"] = pd.to_datetime(frame["day"])
    return places, frame


def test_every_payload_is_in_exactly_one_of_silver_rejected_and_superseded(
    built: Built, judged: tuple[Counter[str], pd.DataFrame], size: int
) -> None:
    found = built.warehouse.query(
        """
        with places as (
            select bronze_id, 'silver' as place from silver.silver_validated_transactions
            union all
            select bronze_id, rejection_reason from silver.silver_rejected_transactions
        )
        select coalesce(place, 'lost'), count(*), count(distinct raw.id)
        from scout.raw_transaction_ingestion as raw
        left join places on places.bronze_id = cast(md5('transaction:' || raw.id) as uuid)
        group by 1
        """
    )
    assert sum(rows for _, rows, _ in found) == size
    assert sum(payloads for *_, payloads in found) == size
    expected, accepted = judged
    assert {place: rows for place, rows, _ in found} == {**expected, "silver": len(accepted)}


def test_failures_are_read_by_the_name_of_their_model(built: Built, size: int) -> None:
    """As the system's own page types it, after a build and after plain `dbt test`."""
    failures = built.warehouse.query(
        "select distinct test_name from test_failures.int_file_conventions"
    )
    assert failures == [("files_keep_one_order_and_one_mark",)]
    assert built.warehouse.query("select * from test_failures.silver_validated_transactions") == []
    strict = json.dumps({"as_of_date": AS_OF.isoformat(), "minimum_silver_share": 0.99})
    assert (
        replace(built.warehouse, variables=strict).dbt(
            *("test", "--store-failures"),
            *("--select", "silver_is_at_least_80_percent_of_bronze"),
        )["silver_is_at_least_80_percent_of_bronze"]
        == "fail"
    )
    for model in ("silver_validated_transactions", "bronze_transactions"):
        ((row,),) = built.warehouse.query(
            f"select failing_row from test_failures.{model} "
            "where test_name = 'silver_is_at_least_80_percent_of_bronze'"
        )
        assert row["bronze_count"] == size
    assert built.warehouse.query("select * from test_failures.int_file_conventions")


def test_one_id_in_two_spellings_is_one_transaction(built: Built) -> None:
    assert built.warehouse.query(
        "select transaction_id, amount from silver.silver_validated_transactions "
        "where currency = 'DKK' order by 1"
    ) == [("1001", 10), ("ORDER", 25)]


def test_a_file_with_several_payloads_of_one_id_is_told(built: Built) -> None:
    told = built.warehouse.query(
        "select failing_row ->> 'displaced_count' from test_failures.silver_rejected_transactions "
        "where test_name = 'files_hold_one_payload_of_each_transaction' "
        "and failing_row ->> 'transaction_id' = 'ORDER'"
    )
    assert told == [("1",)]


def test_built_in_steps_equals_built_from_nothing(built: Built) -> None:
    assert built.stepwise == built.refreshed
    assert all(rows > 0 for rows, _ in built.stepwise.values())


def test_the_page_shows_what_the_layers_hold(built: Built) -> None:
    # Another test may have built layers since, and not what is made from them.
    build(built.warehouse, "--select", "path:models/report")
    scout_page_is_right(read_from("scout", built.warehouse.url), built.warehouse.query)
    assert built.warehouse.query(EXAMPLE_QUERY)
    assert_panels_answer("analytics-scout", built.warehouse.query)


def test_built_twice_equals_built_once(built: Built) -> None:
    assert built.again == built.stepwise


@pytest.fixture(scope="module")
def ended(built: Built) -> Mapping[str, list[tuple[str, ...]]]:
    """By the id of a transaction, its values in silver and the reasons of its rejections."""
    found = built.warehouse.query(
        """
        select
            rtrim(transaction_id, 'x'), cast(transaction_date as text), cast(amount as text),
            currency, 'accepted'
        from silver.silver_validated_transactions
        where transaction_id ~ '^(EDGE|FILE) '
        union all
        select rtrim(transaction_id, 'x'), rejection_reason, '', '', ''
        from silver.silver_rejected_transactions
        where transaction_id ~ '^(EDGE|FILE) '
        """
    )
    ends = defaultdict(list)
    for transaction, *values in found:
        ends[transaction].append(tuple(values))
    return ends


@pytest.mark.parametrize(("name", "expected"), [(name, expected) for name, _, expected in EDGES])
def test_a_value_at_the_edge_is_read_or_refused_as_expected(
    ended: Mapping[str, list[tuple[str, ...]]], name: str, expected: str
) -> None:
    (values,) = ended[f"EDGE {name}"]
    assert expected in values


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_by_one_order_and_one_mark(
    ended: Mapping[str, list[tuple[str, ...]]], name: str
) -> None:
    for row, (changes, expected) in enumerate(FILES[name]):
        (values,) = ended[f"FILE {name} {row}"]
        assert expected in values, (changes, values)


def test_monthly_figures_equal_a_computation_in_pandas(
    built: Built, judged: tuple[Counter[str], pd.DataFrame]
) -> None:
    frame = judged[1]
    frame = frame[frame["day"] <= pd.Timestamp(AS_OF)]
    frame = frame.assign(month=frame["day"].dt.to_period("M"))
    keys = ["month", "category", "currency"]
    figures = frame.groupby(keys).agg(
        transactions=("amount", "size"),
        vendors=("vendor_id", "nunique"),
        employees=("employee_id", "nunique"),
        centers=("cost_center", "nunique"),
        total=("amount", "sum"),
        least=("amount", "min"),
        most=("amount", "max"),
        median=("amount", "median"),
        tax=("tax", "sum"),
    )
    totals = figures["total"].to_dict()
    expected = {}
    for (month, category, currency), row in figures.iterrows():
        if month <= pd.Period(AS_OF, "M") - 24:
            continue
        before = totals.get((month - 1, category, currency))
        year_before = totals.get((month - 12, category, currency))
        expected[(str(month), category, currency)] = (
            *(int(row[name]) for name in ("transactions", "vendors", "employees", "centers")),
            *(int(row[name]) for name in ("total", "least", "most")),
            float(row["median"]) / 100,
            int(row["tax"]),
            _growth(row["total"], before),
            _growth(row["total"], year_before),
        )
    found = built.warehouse.query(
        """
        select to_char(month, 'YYYY-MM'), category, currency, transaction_count, unique_vendors,
            unique_employees, unique_cost_centers, cast(total_amount * 100 as bigint),
            cast(min_amount * 100 as bigint), cast(max_amount * 100 as bigint),
            cast(median_amount as double precision), cast(total_tax * 100 as bigint),
            cast(mom_growth_pct as double precision), cast(yoy_growth_pct as double precision)
        from gold.gold_monthly_summary
        """
    )
    assert {row[:3]: pytest.approx(row[3:], abs=1e-3) for row in found} == expected
    assert len(expected) > 200
    assert any(values[-1] is None for values in expected.values())
    assert any(values[-1] is not None for values in expected.values())


def _growth(current: float, previous: float | None) -> float | None:
    return None if not previous else (current - previous) / previous * 100


def test_growth_is_over_the_month_before_and_not_over_the_row_before(built: Built) -> None:
    assert built.warehouse.query(
        """
        select to_char(month, 'YYYY-MM'), cast(total_amount as text),
            cast(prev_month_amount as text),
            cast(prev_year_amount as text), cast(yoy_growth_pct as double precision)
        from gold.gold_monthly_summary where currency = 'EUR' order by 1
        """
    ) == [
        ("2025-05", "100.00", None, None, None),
        ("2026-03", "80.00", None, None, None),
        ("2026-05", "120.00", None, "100.00", 20.0),
    ]


def test_recommendations_equal_a_computation_in_pandas(
    built: Built, judged: tuple[Counter[str], pd.DataFrame]
) -> None:
    frame = judged[1]
    first_month = pd.Period(AS_OF, "M") - 34
    frame = frame[(frame["day"] <= pd.Timestamp(AS_OF)) & (frame["currency"] == "PHP")]
    frame = frame[frame["day"].dt.to_period("M") >= first_month]
    sales = frame.groupby("category").agg(
        transactions=("amount", "size"), buyers=("employee_id", "nunique"), cents=("amount", "sum")
    )
    products = built.warehouse.query(
        "select sku, category, cast(price as double precision), is_active "
        "from silver.silver_products"
    )
    expected = {}
    for sku, category, price, _ in products:
        if category not in sales.index:
            continue
        near = sorted(
            (round(abs(other - price), 2), each)
            for each, its, other, is_active in products
            if its == category and each != sku and is_active
            if round(price * 0.8, 6) <= other <= round(price * 1.2, 6)
        )
        row = sales.loc[category]
        expected[sku] = (
            [each for _, each in near[:5]],
            *(int(row[name]) for name in ("transactions", "buyers", "cents")),
            row["transactions"] / sales["transactions"].max(),
            row["cents"] / sales["cents"].max(),
        )
    found = built.warehouse.query(
        """
        select sku, top_5_similar_products, transaction_count, unique_buyers,
            cast(total_revenue * 100 as bigint), cast(popularity_score as double precision),
            cast(revenue_score as double precision)
        from platinum.platinum_product_recommendations
        """
    )
    assert {sku: list(rest[:4]) for sku, *rest in found} == {
        sku: list(values[:4]) for sku, values in expected.items()
    }
    assert {sku: pytest.approx(rest[4:], abs=1e-6) for sku, *rest in found} == {
        sku: list(values[4:]) for sku, values in expected.items()
    }
    assert len(found) > 200


def test_every_payload_of_a_product_is_in_silver_or_has_its_reason(built: Built) -> None:
    given = [each for seed in range(3) for each in products(400, seed)]
    ((accepted,),) = built.warehouse.query("select count(*) from silver.silver_products")
    reasons = dict(
        built.warehouse.query(
            "select rejection_reason, count(*) from silver.silver_rejected_products group by 1"
        )
    )
    unnamed = sum(not each["name"] for each in given)
    negative = sum(float(each["price"]) < 0 and bool(each["name"]) for each in given)
    good = [each for each in given if each["name"] and float(each["price"]) >= 0]
    assert accepted == len({each["sku"] for each in good})
    assert reasons == {
        "missing_name": unnamed,
        "negative_price": negative,
        "superseded": len(good) - accepted,
    }


def test_a_month_that_loses_its_last_transaction_is_gone(built: Built) -> None:
    assert built.warehouse.query(
        "select to_char(month, 'YYYY-MM') from gold.gold_monthly_summary where currency = 'CHF'"
    ) == [("2026-04",)]
    assert built.emptied == [("2026-02", 0), ("2026-04", 1)]


def test_weekly_figures_equal_a_computation_in_pandas(
    built: Built, judged: tuple[Counter[str], pd.DataFrame]
) -> None:
    frame = judged[1]
    frame = frame[frame["day"] <= pd.Timestamp(AS_OF)]
    frame = frame.assign(week=frame["day"] - pd.to_timedelta(frame["day"].dt.day_of_week, unit="D"))
    first_week = pd.Timestamp(AS_OF) - timedelta(days=AS_OF.weekday()) - timedelta(weeks=51)
    expected = {}
    for (category, currency), series in frame.groupby(["category", "currency"]):
        totals = series.groupby("week")["amount"].sum() / 100
        for week, total in totals.items():
            if week < first_week:
                continue
            recent = totals[(totals.index > week - timedelta(weeks=4)) & (totals.index <= week)]
            age = (week - totals.index.min()).days // 7 + 1
            expected[(week.date(), category, currency)] = (
                float(total),
                float(recent.sum() / min(4, age)),
                _growth(total, totals.get(week - timedelta(weeks=1))),
            )
    found = built.warehouse.query(
        """
        select week, category, currency, cast(total_amount as double precision),
            cast(ma_4week as double precision), cast(wow_pct_change as double precision)
        from gold.gold_category_trends
        """
    )
    assert {row[:3]: pytest.approx(row[3:], abs=1e-3) for row in found} == expected
    flags = built.warehouse.query(
        "select distinct is_anomaly from gold.gold_category_trends where not is_complete_week"
    )
    assert flags in ([], [(False,)])


@pytest.mark.parametrize("consumer", queries("scout"))
def test_what_a_consumer_asks_has_an_answer(built: Built, consumer: str) -> None:
    assert built.warehouse.query(queries("scout")[consumer])


def test_columns_are_those_of_the_contract(built: Built) -> None:
    assert_columns_are_as_promised("scout", built.warehouse.query)
