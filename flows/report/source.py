"""Reads the `rpt_*` models and what their projects say of them."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import yaml
from psycopg import sql
from psycopg.rows import dict_row

from flows._shared.input_files import require_regular_file
from flows._shared.state import ROOT
from flows.report.records import SCHEMAS, Definition, DomainData, Extract, OperationsData, Row

PROJECTS = ROOT / "dbt_projects"
REF = re.compile(r"ref\('(\w+)'\)")
# The models are small; one that is not must not fill the memory, and the page says so.
MOST_ROWS = 20_000
# Of more rows those are read that come first by these, if the model has them, then by its grain.
PLACES = ("place", "commit_rank", "facility_place")
GRAIN = "shared.unique_combination_of_columns"
COLUMNS = """
select attname from pg_attribute
where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
"""
RUNS = 150
MEASURES = 100
PAGE = 200
WAITING_LONG = timedelta(minutes=10)
FRESHNESS = ROOT / "deployments" / "automations" / "freshness.yaml"
# Of a domain, the newest: a build of one layer says nothing of the marts of another.
BUILDS = 50
# Of a domain, the newest in which a node is looked for.
NODES = 10
SQL_CHARACTERS = 2_000
# Readers have a copy of its marts, which a run publishes as a whole.
COPIED = "agent_analytics"
Ask = Callable[[str, Mapping[str, Any]], Any]


def definitions(slug: str, projects: Path = PROJECTS) -> dict[str, Definition]:
    """The report models of a domain by name, with their descriptions."""
    folder = projects / slug / "models" / "report"
    return {each.model: each for each in _definitions(folder)}


def _definitions(folder: Path) -> Iterator[Definition]:
    for path in sorted(folder.glob("rpt_*.yml")):
        # Ten times as quick as `safe_load`, which reads a character at a time in Python.
        (model,) = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["models"]
        yield Definition(
            model=model["name"],
            description=_plain(model["description"]),
            columns={each["name"]: _plain(each["description"]) for each in model["columns"]},
            made_from=tuple(dict.fromkeys(REF.findall(path.with_suffix(".sql").read_text()))),
            order=tuple(_order(model)),
        )


def _order(model: Mapping[str, Any]) -> list[str]:
    known = [each["name"] for each in model["columns"]]
    grain = [
        column
        for test in model["data_tests"]
        if isinstance(test, dict) and GRAIN in test
        for column in test[GRAIN]["arguments"]["columns"]
    ]
    return list(dict.fromkeys([*(each for each in PLACES if each in known), *grain]))


def read_postgres(slug: str, connection: psycopg.Connection) -> DomainData:
    """Every report model of a domain as of one moment."""
    schema = SCHEMAS[slug]
    extracts = {}
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("set transaction isolation level repeatable read read only")
        for name, definition in definitions(slug).items():
            relation = f"{schema}.{name}"
            columns = {row["attname"] for row in cursor.execute(COLUMNS, (relation,))}
            if not columns:
                extracts[name] = Extract(definition, relation, is_built=False)
                continue
            table = sql.Identifier(schema, name)
            order = sql.SQL(", ").join(map(sql.Identifier, _known(definition, columns)))
            query = sql.SQL("select * from {} order by {} limit {}")
            rows = cursor.execute(query.format(table, order, sql.Literal(MOST_ROWS))).fetchall()
            unread = 0
            if len(rows) == MOST_ROWS:
                counted = cursor.execute(sql.SQL("select count(*) from {}").format(table))
                unread = counted.fetchall()[0]["count"] - MOST_ROWS
            extracts[name] = Extract(definition, relation, _whole(definition, rows), unread=unread)
    return DomainData(slug, extracts)


def _known(definition: Definition, columns: Collection[str]) -> list[str]:
    """By what its rows are ordered; a model that was built before a column was there lacks it."""
    return [each for each in definition.order if each in columns] or sorted(columns)


def read_duckdb(slug: str, path: Path) -> DomainData:
    """The same from a published DuckDB file, which is replaced in one step and never written to."""
    extracts = {}
    known = definitions(slug)
    if not path.exists():
        return nothing(slug)
    require_regular_file(path)
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        # Parameters of a query would have DuckDB import pandas, which is 80 MiB.
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables"
        )
        built = {name for schema, name in tables.fetchall() if schema == SCHEMAS[slug]}
        for name, definition in known.items():
            relation = f"{SCHEMAS[slug]}.{name}"
            if name not in built:
                extracts[name] = Extract(definition, relation, is_built=False)
                continue
            table = connection.table(relation)
            order = ", ".join(f'"{each}"' for each in _known(definition, table.columns))
            rows = table.order(order).limit(MOST_ROWS).fetchall()
            unread = len(table) - MOST_ROWS if len(rows) == MOST_ROWS else 0
            found = (dict(zip(table.columns, row, strict=True)) for row in rows)
            extracts[name] = Extract(definition, relation, _whole(definition, found), unread=unread)
    return DomainData(slug, extracts)


def _whole(definition: Definition, rows: Iterable[Row]) -> tuple[Row, ...]:
    """A model that was built before a column was there lacks it: nothing is known of it then."""
    columns = dict.fromkeys(definition.columns)
    return tuple({**columns, **row} for row in rows)


def nothing(slug: str, problem: str | None = None) -> DomainData:
    """A domain that was never built, or could not be read because of a ``problem``."""
    return DomainData(
        slug,
        {
            name: Extract(definition, f"{SCHEMAS[slug]}.{name}", is_built=False)
            for name, definition in definitions(slug).items()
        },
        problem,
    )


def read_operations(
    ask: Ask, tag: str, keys: Mapping[str, str], budget_keys: Mapping[str, str], now: datetime
) -> OperationsData:
    """Deployments, their newest runs, what these measured and what the month costs.

    Args:
        ask: posts a body to a path of the Prefect API and returns the JSON of the answer.
        tag: that all deployments of the project bear.
        keys: of the table artifacts with the measures of a run, by slug.
        budget_keys: of those with the budgets of a domain.
    """
    deployments = _all(ask, "deployments/filter", {"deployments": {"tags": {"all_": [tag]}}})
    known = {each["id"]: each for each in deployments}
    # The server makes runs for days to come: without a bound they would be the newest.
    begun = {"start_time": {"before_": now.isoformat()}}
    newest_first = {"flow_runs": begun, "sort": "START_TIME_DESC"}
    ours = {"deployments": {"tags": {"all_": [tag]}}}
    runs = ask("flow_runs/filter", {**ours, **newest_first, "limit": RUNS})
    older = [
        found[0]
        for each in sorted(known.keys() - {run["deployment_id"] for run in runs})
        if (
            found := ask(
                "flow_runs/filter",
                {"deployments": {"id": {"any_": [each]}}, **newest_first, "limit": 1},
            )
        )
    ]
    due = {
        "state": {"type": {"any_": ["SCHEDULED", "PENDING"]}},
        "start_time": {"is_null_": True},
        "expected_start_time": {"before_": (now - WAITING_LONG).isoformat()},
    }
    oldest_first = {**ours, "flow_runs": due, "sort": "EXPECTED_START_TIME_ASC"}
    waiting = _all(ask, "flow_runs/filter", oldest_first)
    measures = ask(
        "artifacts/filter",
        {
            "artifacts": {"key": {"any_": list(keys.values())}, "type": {"any_": ["table"]}},
            "sort": "UPDATED_DESC",
            "limit": MEASURES,
        },
    )
    budgets = [
        {**found[0], "slug": slug}
        for slug, key in budget_keys.items()
        if (found := ask("artifacts/filter", _newest(key)))
    ]
    slugs = {key: slug for slug, key in keys.items()}
    names = {slug.replace("_", "-"): slug for slug in SCHEMAS}
    completed = {
        slug: found[0]
        for name, slug in names.items()
        if (found := ask("flow_runs/filter", {**_well(name), "sort": "END_TIME_DESC", "limit": 1}))
    }
    fresh = [
        {**build, "slug": slug}
        for name, slug in names.items()
        for build in ask("artifacts/filter", _newest(f"{name}-freshness", BUILDS))
    ]
    copied = [build["flow_run_id"] for build in fresh if build["slug"] == COPIED]
    published = _published(ask, [run for run in copied if run]) if copied else set()
    fresh = [
        {**each, "is_published": each["slug"] != COPIED or each["flow_run_id"] in published}
        for each in fresh
    ]

    nodes = [
        {**build, "slug": slug, "data": _with_sql(build["data"])}
        for name, slug in names.items()
        for build in ask("artifacts/filter", _like(f"{name}-dbt-nodes", NODES))
    ]

    def named(found: Sequence[Row]) -> list[Row]:
        return [
            {**run, "deployment": known.get(run["deployment_id"], {}).get("name")} for run in found
        ]

    return OperationsData(
        runs=named(runs),
        older=named(older),
        waiting=named(waiting),
        deployments=deployments,
        measures=[{**each, "slug": slugs[each["key"]]} for each in measures],
        budgets=budgets,
        completed=completed,
        fresh=fresh,
        allowed=allowed_seconds(),
        nodes=nodes,
    )


def allowed_seconds(file: Path = FRESHNESS) -> dict[str, int]:
    """How long each domain may be without a run that goes well, by what alerts of it."""
    rules = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return {
        rule["trigger"]["match_related"]["prefect.resource.name"].replace("-", "_"): rule[
            "trigger"
        ]["within"]
        for rule in rules
        if "match_related" in rule["trigger"]
    }


def _well(flow: str) -> dict[str, Any]:
    return {
        "flows": {"name": {"any_": [flow]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
    }


def _published(ask: Ask, runs: Sequence[str]) -> set[str]:
    """Those of the runs that told so before they ended, or came to a good end."""
    well = {"id": {"any_": runs}, "state": {"type": {"any_": ["COMPLETED"]}}}
    key = f"{COPIED.replace('_', '-')}-progress"
    told = {"key": {"any_": [key]}, "flow_run_id": {"any_": runs}}
    return {each["id"] for each in ask("flow_runs/filter", {"flow_runs": well})} | {
        each["flow_run_id"]
        for each in ask("artifacts/filter", {"artifacts": told})
        if any(phase["phase"] == "publish" and phase["done"] for phase in json.loads(each["data"]))
    }


def _newest(key: str, most: int = 1) -> dict[str, Any]:
    return {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": most}


def _like(key: str, most: int) -> dict[str, Any]:
    return {"artifacts": {"key": {"like_": key}}, "sort": "CREATED_DESC", "limit": most}


def _with_sql(data: str) -> str:
    """Nodes with their SQL in place of where it is; without, where another machine has it."""
    return json.dumps(
        [{**node, "sql": _sql(node.get("compiled_sql"))} for node in json.loads(data)]
    )


def _sql(path: str | None) -> str:
    # The server says where it is, and the site shows it to all: what else is there is none of it.
    file = Path(path or "")
    if (file.parent.name, file.suffix) != ("compiled", ".sql") or not file.is_file():
        return ""
    with file.open(encoding="utf-8", errors="replace") as text:
        return text.read(SQL_CHARACTERS).strip()


def _all(ask: Ask, path: str, body: Mapping[str, Any]) -> list[Row]:
    found: list[Row] = []
    while page := ask(path, {**body, "limit": PAGE, "offset": len(found)}):
        found += page
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())
