"""Rows for every report model, made up by its contract: as in a database, and odd on purpose."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from flows.report.records import SCHEMAS

PROJECTS = Path(__file__).parents[2] / "dbt_projects"
# What a column of text may hold where the pages tell kinds apart.
KINDS: Mapping[str, Any] = {
    "scope": "overall",
    "time_window": "all_time",
    "kind": "person",
    "dimension": "engine",
    "change": "worse",
    "decision": "open",
    "developer_id": "all",
    "place": 1,
    "sharing_rank": 1,
    "facility_place": 1,
    "day_of_week": 7,
}
VALUES: Mapping[str, Any] = {
    "text": "some text",
    "varchar": "some text",
    "bigint": 7,
    "integer": 7,
    "double precision": 0.5,
    "double": 0.5,
    "boolean": False,
    "date": date(2026, 11, 27),
    "timestamp": datetime(2026, 11, 27, 8),
    "timestamp with time zone": datetime(2026, 11, 27, 8, tzinfo=UTC),
}


@dataclass(frozen=True)
class Contract:
    """A report model: its columns with their types, and which of them are never NULL."""

    slug: str
    model: str
    types: Mapping[str, str]
    required: frozenset[str]

    @property
    def relation(self) -> str:
        return f"{SCHEMAS[self.slug]}.{self.model}"

    @property
    def ddl(self) -> str:
        columns = ", ".join(f"{name} {kind}" for name, kind in self.types.items())
        return f"create table {self.relation} ({columns})"

    def row(self, text: str = "some text", **given: Any) -> dict[str, Any]:
        return {
            name: given.get(name, KINDS.get(name, self._value(kind, text)))
            for name, kind in self.types.items()
        }

    def sparse(self) -> dict[str, Any]:
        """A row in which everything that may be NULL is."""
        return {
            name: value if name in self.required else None for name, value in self.row().items()
        }

    def _value(self, kind: str, text: str) -> Any:
        if kind in ("text", "varchar"):
            return text
        return Decimal("12.34") if kind.startswith(("numeric", "decimal")) else VALUES[kind]


def contracts(slug: str) -> Iterator[Contract]:
    for path in sorted((PROJECTS / slug / "models" / "report").glob("*.yml")):
        (model,) = yaml.safe_load(path.read_text())["models"]
        columns = model["columns"]
        yield Contract(
            slug,
            model["name"],
            {each["name"]: each["data_type"] for each in columns},
            frozenset(
                each["name"]
                for each in columns
                if {"type": "not_null"} in each.get("constraints", [])
            ),
        )
