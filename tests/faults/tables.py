"""All tables of a domain as sorted rows, without what no two runs have in common."""

import re
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg import sql

# Of all but LedgerMind's operational tables: what stands in those is given, whatever its name.
COLUMN = r"(?!public\.(suggestion|transaction|ml_|tenant|model_)).*\."
# By `schema.table.column`, with what keeps two runs from having it in common.
DIFFERS_BY_NATURE = {
    "the moment of a run": COLUMN
    + r"((newest_|first_|last_|source_|details_|dbt_)?(created|updated|ingested|loaded|changed|made"
    r"|sent|validated|rejected|calculated|built|observed|attempt|processed|reset|exported)_at"
    r"|dbt_valid_from|valid_from|silver_through)",
    "made of such a moment, or of PostgreSQL's own numbers": COLUMN
    + r"(dbt_scd_id|fingerprint|input_hash|relation|checksum)",
    "a number that a sequence gave, which leaves some out after a rollback": COLUMN
    + r"(id|file_id|bronze_id|repository_id|contributor_id|identity_id|last_metric_id|last_log_id"
    r"|daily_commits_id)",
    "a run more asks more of the API": r"github_api\..*",
    "what each run measures anew": r"scout\.data_quality_scores\..*"
    r"|public\.database_sizes\.bytes|raw\.looks\.looked_at",
    "when a delivery came, and a number that a sequence gave": r"webhooks\.\w+"
    r"\.(received_at|due_at|position|delivery)",
}
PASSED_OVER = re.compile("|".join(DIFFERS_BY_NATURE.values()))
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00")
# In events, and in the headers of Standard Webhooks.
OF_DELIVERY = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)|(?<=webhook-timestamp\"\": \"\")\d+"
)
# In names of Scout's loads.
OF_LOAD = re.compile(r"(?<=[a-z]_)\d{8}_\d{6}\b")
# Sums of floats depend on the order of adding: nine digits of what is built are compared.
FLOAT = re.compile(r"-?\d+\.\d{9,}(e[+-]\d+)?")
LOADED = frozenset({"public", "raw", "scout", "webhooks"})
LEADS_TO = re.compile(r"versions/([^/\"]+)/")
Tables = dict[str, list[str]]
COLUMNS = """
    select nspname, relname, array_agg(attname::text order by attnum)
    from pg_class
    inner join pg_namespace on pg_namespace.oid = relnamespace
    inner join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
    where relkind in ('r', 'p', 'm') and nspname !~ '^pg_|^information_schema$'
        and relname <> 'built_nodes'
    group by 1, 2 order by 1, 2
"""


def in_postgres(url: str) -> Tables:
    found: Tables = {}
    with psycopg.connect(url) as connection:
        for schema, table, columns in connection.execute(COLUMNS).fetchall():
            name = f"{schema}.{table}"
            kept = [each for each in columns if not PASSED_OVER.fullmatch(f"{name}.{each}")]
            if kept:
                found[name] = _postgres_rows(connection, schema, table, kept)
    return found


def _postgres_rows(
    connection: psycopg.Connection, schema: str, table: str, columns: list[str]
) -> list[str]:
    query = sql.SQL("select row({})::text from {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, table)
    )
    found = (row for (row,) in connection.execute(query))
    without = {"webhooks": OF_DELIVERY, "scout": OF_LOAD, "bronze": OF_LOAD}.get(schema)
    rows = (without.sub("", row) if without else row for row in found)
    return sorted(rows if schema in LOADED else (FLOAT.sub(_nine_digits, row) for row in rows))


def _nine_digits(number: re.Match[str]) -> str:
    return f"{float(number[0]):.9g}"


def in_duckdb(path: Path) -> Tables:
    found: Tables = {}
    if not path.exists():
        return found
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_type = 'BASE TABLE' and table_name <> 'built_nodes' order by 1, 2"
        ).fetchall()
        for schema, table in tables:
            found[f"{schema}.{table}"] = _duckdb_rows(connection, f"{schema}.{table}")
    return found


def _duckdb_rows(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    cursor = connection.execute(f"select * from {name}")
    assert cursor.description is not None
    kept = [
        number
        for number, column in enumerate(cursor.description)
        if not PASSED_OVER.fullmatch(f"{name}.{column[0]}")
    ]
    return sorted(str([_plain(row[number]) for number in kept]) for row in cursor.fetchall())


def _plain(value: Any) -> Any:
    return f"{value:.9g}" if isinstance(value, float) else value


def in_site(folder: Path) -> Tables:
    """The version that readers are led to; that each page leads there is a row, too."""
    index = folder / "index.html"
    if not index.exists():
        return {}
    (version,) = set(LEADS_TO.findall(index.read_text()))
    led = [
        f"{page.name} {set(LEADS_TO.findall(page.read_text())) == {version}}"
        for page in sorted((folder / "latest").iterdir())
    ]
    pages = folder / "versions" / version
    return {"site latest": led} | {
        f"site {path.relative_to(pages)}": MOMENT.sub("", path.read_text()).splitlines()
        for path in sorted(pages.rglob("*"))
        if path.is_file()
    }


def differences(found: Tables, wanted: Tables) -> list[str]:
    """A line for each table that is not as it should be, with the first row of each side."""
    said = []
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found or name not in wanted:
            said.append(f"{name} is {'surplus' if name in found else 'missing'}")
        elif found[name] != wanted[name]:
            surplus = [row for row in found[name] if row not in set(wanted[name])]
            missing = [row for row in wanted[name] if row not in set(found[name])]
            said.append(
                f"{name}: {len(found[name])} rows for {len(wanted[name])};"
                f" surplus {str(surplus[:1])[:600]}, missing {str(missing[:1])[:600]}"
            )
    return said
