"""What the pages of contracts say: columns with their types, and the queries of consumers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGES = Path(__file__).parents[1] / "docs" / "contracts"
QUERY = re.compile(r"^\*([^*\n]+?):\*[^\n]*\n\n```sql\n(.*?)```", re.MULTILINE | re.DOTALL)
COLUMNS = re.compile(r"^\| `(\w+\.\w+)` \| ([^|`]+?) \| (`.+`) \|$", re.MULTILINE)

GRANTS = "Grants of the application's role"

# What PostgreSQL calls otherwise than dbt.
SAME = {"float": "double precision"}

HELD = """
select
    relation.relnamespace::regnamespace || '.' || relation.relname,
    attribute.attname,
    format_type(attribute.atttypid, attribute.atttypmod)
from pg_attribute as attribute
inner join pg_class as relation on attribute.attrelid = relation.oid
where attribute.attnum > 0 and not attribute.attisdropped and relation.relkind in ('r', 'v')
"""

HELD_BY_DUCKDB = """
select schema_name || '.' || table_name, column_name, lower(data_type) from duckdb_columns()
"""


def queries(slug: str) -> dict[str, str]:
    """The queries on a page by what stands above each."""
    return {name: query for name, query in _statements(slug).items() if name != GRANTS}


def grants(slug: str) -> str:
    """What a page says that the role of a program of others needs."""
    return _statements(slug)[GRANTS]


def _statements(slug: str) -> dict[str, str]:
    return dict(QUERY.findall((PAGES / f"{slug}.md").read_text()))


def typed_by_owners(schema: str) -> str:
    """What the page on security has the owner of a database type to purge a person."""
    page = (PAGES.parent / "security.md").read_text()
    (found,) = (each for each in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if schema in each)
    return str(found)


def columns(slug: str) -> dict[str, dict[str, str]]:
    """Types by column and relation, as the section on columns lists them."""
    section = (PAGES / f"{slug}.md").read_text().partition("\n## Columns and types\n")[2]
    found: dict[str, dict[str, str]] = {}
    for relation, type_, names in COLUMNS.findall(section):
        found.setdefault(relation, {}).update(dict.fromkeys(re.findall(r"`(\w+)`", names), type_))
    return found


def differences(
    slug: str, promised: dict[str, dict[str, str]], held: dict[str, dict[str, str]]
) -> list[str]:
    """Where a page says another thing than is so, a sentence for each column."""
    return [
        f"{relation}.{column}: docs/contracts/{slug}.md says {says or 'nothing'}, "
        f"the model has {has or 'no such column'}"
        for relation in sorted(promised.keys() | held.keys())
        for column in sorted(promised.get(relation, {}).keys() | held.get(relation, {}).keys())
        for says in [promised.get(relation, {}).get(column)]
        for has in [held.get(relation, {}).get(column)]
        if says != has
    ]


def assert_columns_are_as_promised(
    slug: str, query: Callable[[str], list[tuple[Any, ...]]], catalogue: str = HELD
) -> None:
    """What a built database holds, by what it says of itself, against the page of its domain."""
    held: dict[str, dict[str, str]] = {}
    for relation, column, type_ in query(catalogue):
        held.setdefault(relation, {})[column] = type_
    promised = {
        relation: {column: SAME.get(type_, type_) for column, type_ in each.items()}
        for relation, each in columns(slug).items()
    }
    assert promised
    found = differences(slug, promised, {name: held.get(name, {}) for name in promised})
    assert not found, "\n".join(found)
