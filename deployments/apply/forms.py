"""Parameter schemas as the form of a run shows them: titles, units, what is turned first on top.

PostgreSQL keeps no order of a schema's keys: the form goes by ``position``.
"""

import re
from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

UNITS = (
    "seconds",
    "minutes",
    "hours",
    "days",
    "bytes",
    "megabytes",
    "gigabytes",
    "usd",
)
WRITTEN = {
    "api": "API",
    "bigquery": "BigQuery",
    "copilot": "Copilot",
    "dbt": "dbt",
    "e-mail": "e-mail",
    "gcp": "Google Cloud",
    "github": "GitHub",
    "id": "id",
    "ids": "ids",
    "json": "JSON",
    "mad": "MAD",
    "std": "standard deviation",
    "url": "URL",
    "usd": "USD",
    "zscore": "z-score",
}
# Of all parameters of a flow, these groups are turned most seldom.
LAST = ("settings", "dbt")
SAMPLE = "sample"


def readable(schema: Mapping[str, Any]) -> Schema:
    """The same schema with a title and a place for every field, also of its groups."""
    groups = schema.get("definitions") or {}
    return {
        **schema,
        "properties": _fields(schema.get("properties") or {}, is_top=True),
        "definitions": {
            name: {**group, "properties": _fields(group["properties"])}
            if "properties" in group
            else group
            for name, group in groups.items()
        },
    }


def title_of(name: str) -> str:
    """``lock_timeout_seconds`` as ``Lock timeout (seconds)``."""
    words = name.split("_")
    unit = words.pop() if len(words) > 1 and words[-1] in UNITS else None
    told = " ".join(WRITTEN.get(word, word) for word in words)
    told = told if words[0] in WRITTEN else told[:1].upper() + told[1:]
    return f"{told} ({WRITTEN.get(unit, unit)})" if unit else told


def _fields(fields: Mapping[str, Schema], is_top: bool = False) -> dict[str, Schema]:
    in_order = sorted(fields.items(), key=lambda each: each[1].get("position", 0) if is_top else 0)
    in_order.sort(key=lambda each: (_is_sample(each[0]), _place(each[0]) if is_top else 0))
    return {
        name: {
            **field,
            "title": title_of(name),
            "position": place,
            **(
                {"description": re.sub(r"\s+", " ", field["description"]).strip()}
                if field.get("description")
                else {}
            ),
        }
        for place, (name, field) in enumerate(in_order)
    }


def _place(name: str) -> int:
    return LAST.index(name) + 1 if name in LAST else 0


def _is_sample(name: str) -> bool:
    return name.split("_")[0] == SAMPLE
