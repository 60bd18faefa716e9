"""Makes retail payloads with the shape and mess of real exports, deterministic by seed."""

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

CATEGORIES = ("Travel", "Meals", "Supplies", "Equipment", "Services", "Utilities", "Other")
CURRENCIES = ("PHP",) * 8 + ("USD", "SGD")
VENDORS = (
    *("Mercury Drug", "National Book Store", "Jollibee", "Meralco", "Grab PH", "Ace Hardware"),
    *("Cebu Pacific", "Globe Telecom", "SM Supermarket", "Puregold", "Octagon", "Café Adriatico"),
)
DESCRIPTIONS = {
    "Travel": ("flight Manila to Cebu", "airport taxi", "hotel two nights", "ferry ticket"),
    "Meals": ("team lunch", "coffee for client meeting", "catering for training day", "dinner"),
    "Supplies": ("printer paper A4", "ballpoint pens and folders", "whiteboard markers"),
    "Equipment": ("laptop computer", "office chair", "barcode scanner", "receipt printer"),
    "Services": ("cleaning services", "courier delivery", "legal consultation", "pest control"),
    "Utilities": ("electricity bill", "water bill", "internet subscription", "mobile phone plan"),
    "Other": ("miscellaneous expense", "gift for supplier", "parking fee"),
}
COLUMNS = (
    *("transaction_id", "date", "amount", "currency", "category", "subcategory", "vendor_name"),
    *("vendor_id", "tax_code", "tax_amount", "description", "receipt_url", "payment_method"),
    *("employee_id", "cost_center", "project_code"),
)
DAYS_OF_HISTORY = 800
MESSY = 0.09
DUPLICATES = 0.04


@dataclass(frozen=True)
class Written:
    """What a sample folder holds: files, and rows that are meant to be quarantined."""

    files: tuple[Path, ...]
    payloads: int
    broken_rows: int


def transactions(size: int, seed: int, end: date) -> Iterator[Any]:
    """``size`` payloads of transactions up to ``end``; about one in eight has something wrong.

    Some repeat an earlier transaction_id with another amount; some miss a vendor or a date, lie in
    the future, are negative or huge, have another type than they should, or are no object.
    """
    chance = random.Random(f"transactions-{seed}")
    earlier: list[dict[str, Any]] = []
    for number in range(size):
        if earlier and chance.random() < DUPLICATES:
            payload = dict(chance.choice(earlier))
            payload["amount"] = f"{float(payload['amount']) + 1:.2f}"
        else:
            payload = _transaction(chance, f"TXN-{seed}-{number:08}", end)
            if len(earlier) < 5_000:
                earlier.append(payload)
            else:
                earlier[chance.randrange(5_000)] = payload
        yield _spoiled(payload, chance, end) if chance.random() < MESSY else payload


def _transaction(chance: random.Random, transaction_id: str, end: date) -> dict[str, Any]:
    category = chance.choice(CATEGORIES)
    vendor = chance.randrange(len(VENDORS))
    day = end - timedelta(days=int(DAYS_OF_HISTORY * chance.random() ** 1.3))
    amount = round(chance.lognormvariate(6.5, 1.1), 2) + 0.01
    return {
        "transaction_id": transaction_id,
        "date": day.isoformat(),
        "amount": f"{amount:.2f}",
        "currency": chance.choice(CURRENCIES),
        "category": category,
        "subcategory": category + " general",
        "vendor_name": VENDORS[vendor],
        "vendor_id": f"V{vendor:03}",
        "tax_code": "VAT-12",
        "tax_amount": f"{amount * 12 / 112:.2f}",
        "description": f"{chance.choice(DESCRIPTIONS[category])}, {vendor} \\ {day:%b}",
        "receipt_url": f"https://receipts.example/{transaction_id}",
        "payment_method": chance.choice(("cash", "card", "gcash")),
        "employee_id": f"E{chance.randrange(60):03}",
        "cost_center": f"CC{chance.randrange(8)}",
        "project_code": f"P{chance.randrange(20):02}",
    }


def _spoiled(payload: dict[str, Any], chance: random.Random, end: date) -> Any:
    amount = float(payload["amount"])
    day = date.fromisoformat(payload["date"])
    changes: tuple[dict[str, Any], ...] = (
        {"vendor_id": ""},
        {"vendor_id": None, "vendor_name": ""},
        {"date": ""},
        {"date": (end + timedelta(days=400)).isoformat()},
        {"date": "2024-02-30"},
        {"date": "yesterday"},
        {"date": "1999-12-31"},
        {"amount": f"-{amount}"},
        {"amount": "0.00"},
        {"amount": "99999999999.99"},
        {"amount": "n/a"},
        {"amount": None},
        {"transaction_id": "  "},
        {"currency": "pesos"},
        {"tax_amount": "twelve"},
        # From here on the payload is odd but good.
        {"amount": f"{amount:,.2f}"},
        {"amount": amount},
        {"date": str((day - date(1899, 12, 30)).days)},
        {"date": f"{day:%m/%d/%Y}"},
        {"date": f"{day:%Y-%m-%d}T04:05:06Z"},
        {"category": "meals "},
        {"category": "Gadgets"},
        {"category": "", "currency": ""},
        {"vendor_name": "", "description": "  spaced   out "},
        {"tax_amount": ""},
    )
    return payload | chance.choice(changes)


POISON: tuple[Any, ...] = (
    [1, 2, 3],
    "just text",
    17,
    None,
    {},
    {"transaction_id": {"nested": True}, "date": ["2024-01-01"], "amount": {"value": 1}},
    {"transaction_id": "TXN-POISON", "date": "2024-01-01", "amount": True, "vendor_id": "V1"},
    {"transaction_id": "TXN-HUGE", "date": "2024-01-01", "amount": 10**300, "vendor_id": "V1"},
)


def products(size: int, seed: int) -> Iterator[dict[str, Any]]:
    """``size`` payloads of products; some repeat a sku, some lack a name or cost less than 0."""
    chance = random.Random(f"products-{seed}")
    for number in range(size):
        category = chance.choice(CATEGORIES)
        sku = number if chance.random() > 0.05 or number < 2 else chance.randrange(number)
        price = round(chance.lognormvariate(5.5, 0.8), 2)
        yield {
            "sku": f"SKU-{sku:05}",
            "name": "" if chance.random() < 0.02 else f"{category} item {sku}",
            "description": chance.choice(DESCRIPTIONS[category]),
            "category": category,
            "brand": chance.choice(("Bayani", "Luzon", "Mabuhay")),
            "price": f"{-price if chance.random() < 0.02 else price:.2f}",
            "cost": f"{price * 0.7:.2f}",
            "stock_quantity": str(chance.randrange(500)),
            "unit_of_measure": "EA",
            "barcode": f"48{chance.randrange(10**10):010}",
            "is_active": chance.choice(("true", "true", "TRUE", "1", "false", "")),
        }


def write_sample(folder: Path, size: int, seed: int, end: date) -> Written:
    """Write ``size`` transaction payloads as CSV and JSON files of several dialects, and products.

    CSV files hold objects only; what is no object goes into the JSON lines. Each CSV file also has
    two rows that cannot be read, each JSON lines file one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{seed}_{size}_{end:%Y%m%d}"
    payloads = transactions(size, seed, end)
    first, second = size // 2, size // 4
    files = [
        _write_csv(folder / f"transactions_{stem}.csv", payloads, first, ",", "utf-8-sig"),
        _write_csv(folder / f"transactions_{stem}_excel.csv", payloads, second, ";", "cp1252"),
        _write_jsonl(folder / f"transactions_{stem}.jsonl", payloads),
    ]
    catalogue = folder / f"products_{stem}.json"
    count = max(20, size // 100)
    catalogue.write_text(json.dumps(list(products(count, seed)), indent=1))
    files.append(catalogue)
    return Written(tuple(files), size + len(POISON) + count, broken_rows=5)


def _write_csv(
    path: Path, payloads: Iterator[Any], count: int, delimiter: str, encoding: str
) -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=delimiter)
        writer.writeheader()
        for _, payload in zip(range(count), payloads, strict=False):
            writer.writerow(payload)
        file.write(delimiter.join(("TXN-RAGGED", "2024-01-01", "12.00")) + "\r\n")
        file.write(delimiter.join(('"TXN-QUOTE" open', *("",) * (len(COLUMNS) - 1))) + "\r\n")
    return path


def _write_jsonl(path: Path, payloads: Iterator[Any]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for payload in payloads:
            file.write(json.dumps(payload, ensure_ascii=False) + "\n")
        for poison in POISON:
            file.write(json.dumps(poison) + "\n")
        file.write('{"transaction_id": "TXN-TORN", "amount": \n')
    return path
