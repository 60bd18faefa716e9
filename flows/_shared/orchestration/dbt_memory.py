"""What a warehouse remembers of a project's nodes, and how it tells whether a source changed."""

# ruff: noqa: S608  names of the project's relations and quoted literals enter the SQL

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbt.adapters.base import BaseAdapter
from dbt.config import RuntimeConfig
from dbt.contracts.graph.nodes import SourceDefinition
from dbt_common.invocation import get_invocation_id

from flows._shared.orchestration.dbt.plan import LastSuccess, SourceVersion

TABLE = "built_nodes"
# Of a project whose target names a schema that it may not write to.
SCHEMA_VARIABLE = "built_nodes_schema"
ABSENT = SourceVersion("absent", "")


@dataclass(frozen=True)
class Dialect:
    """How one warehouse tells what it holds.

    Attributes:
        relations: schema, name and shape of each table and view.
        holding_rows: how shapes begin of relations whose rows tell whether they changed.
        rows: an aggregate over a relation that is another once its rows are others.
    """

    relations: str
    holding_rows: tuple[str, ...]
    rows: str


DIALECTS = {
    "postgres": Dialect(
        "select nspname::text, relname::text, concat_ws(':', relkind, pg_class.oid, md5(string_agg("
        "concat_ws(' ', attname, atttypid, atttypmod), ',' order by attnum))) from pg_class "
        "inner join pg_namespace on pg_namespace.oid = relnamespace "
        "inner join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped "
        "where relkind in ('r', 'v', 'm', 'p', 'f') "
        "and nspname not in ('pg_catalog', 'information_schema', 'pg_toast') "
        "group by nspname, relname, relkind, pg_class.oid",
        ("r:", "m:"),
        # Rows of which none came, went or changed are of the same transactions, each with as many;
        # of hashes, for sums of the numbers themselves may agree.
        "sum(cast(hashtext(cast(xmin as text)) as bigint))",
    ),
    "duckdb": Dialect(
        "select schema_name, table_name, md5(string_agg(column_name || ' ' || data_type, ',' "
        "order by column_index)) from duckdb_columns() "
        "where not internal and database_name = current_database() group by all",
        ("",),
        "sum(hash(source))",
    ),
}


def is_test(node: Any) -> bool:
    return node.resource_type in ("test", "unit_test")


class Memory:
    """The table ``built_nodes`` of a target, by one connection of dbt's.

    ``key`` and ``build`` are of the last success; ``intended_key`` is the one that
    ``intended_build`` gives its node once it has written it: the post-hook takes it over. ``shape``
    is of the relation as ``shaped_by`` left it.
    """

    def __init__(self, adapter: BaseAdapter, config: RuntimeConfig) -> None:
        credentials = config.credentials
        schema = config.vars.to_dict().get(SCHEMA_VARIABLE) or credentials.schema
        self.adapter = adapter
        self._dialect = DIALECTS[adapter.type()]
        self._relation = adapter.Relation.create(
            credentials.database, schema, TABLE, quote_policy=config.quoting
        )

    def relations(self) -> dict[tuple[str, str], str]:
        """A text for each table and view, by schema and name: its kind, which one, its columns."""
        return {
            (schema, name): shape for schema, name, shape in self._rows(self._dialect.relations)
        }

    def prepare(self, there: Collection[tuple[str, str]]) -> None:
        """Make the table where it is not among the relations that are there."""
        schema = self._relation.schema
        if (schema, TABLE) in there:
            return
        if not self.adapter.check_schema_exists(self._relation.database, schema):
            self.adapter.create_schema(self._relation.without_identifier())
        self._run(
            f"create table if not exists {self._relation} ("
            "node text primary key, key text, build text, built_at text, "
            "intended_key text, intended_build text, shape text, shaped_by text)"
        )

    def successes(self) -> dict[str, LastSuccess]:
        """By the unique ids of nodes."""
        rows = self._rows(
            "select node, key, build, built_at, "
            f"case when shaped_by = build then shape end from {self._relation} "
            "where build is not null"
        )
        return {node: LastSuccess(*told) for node, *told in rows}

    def intend(self, keys: Mapping[str, str | None]) -> None:
        """Say which key each node gets that this build writes."""
        self._upsert(keys, "intended_key", "intended_build")

    def forget(self, tests: Collection[str]) -> None:
        """Of tests that are run again: whatever ends the build, a word that they passed is old."""
        self._upsert(dict.fromkeys(tests), "key", "build")

    def remember(self, done: Sequence[Any], keys: Mapping[str, str | None], at: str) -> None:
        """What the post-hook cannot: tests that passed, and how relations look after the build.

        Args:
            at: when the build began, in words.
        """
        tests = {each.unique_id: keys[each.unique_id] for each in done if is_test(each)}
        self._upsert(tests, "key", "build")
        self._upsert(dict.fromkeys(tests, at), "built_at", "build")
        shapes = self.relations()
        self._upsert(
            {
                each.unique_id: shapes.get((each.schema, each.alias))
                for each in done
                if not is_test(each)
            },
            "shape",
            "shaped_by",
        )

    def _upsert(self, told: Mapping[str, str | None], *columns: str) -> None:
        """A text for each node, and the id of this build."""
        if not told:
            return
        build = _literal(get_invocation_id())
        rows = [
            f"({_literal(name)}, {_literal(text)}, {build})" for name, text in sorted(told.items())
        ]
        news = ", ".join(f"{column} = excluded.{column}" for column in columns)
        self._run(
            f"insert into {self._relation} (node, {', '.join(columns)}) values {', '.join(rows)} "
            f"on conflict (node) do update set {news}"
        )

    def versions(
        self, sources: Sequence[SourceDefinition], there: Mapping[tuple[str, str], str]
    ) -> dict[str, SourceVersion | None]:
        """By unique id; None where nothing tells: of a view or a foreign table on PostgreSQL."""
        known: dict[str, SourceVersion | None] = {each.unique_id: ABSENT for each in sources}
        shapes = {
            each.unique_id: there[each.schema, each.identifier]
            for each in sources
            if (each.schema, each.identifier) in there
        }
        known |= dict.fromkeys(shapes)
        query = " union all ".join(
            f"select {_literal(each.unique_id)}, concat_ws(':', count(*), {self._dialect.rows}) "
            f"from {each.relation_name} as source"
            for each in sources
            if each.unique_id in shapes
            and shapes[each.unique_id].startswith(self._dialect.holding_rows)
        )
        rows = self._rows(query) if query else []
        return known | {name: SourceVersion(shapes[name], told) for name, told in rows}

    def _rows(self, sql: str) -> list[Any]:
        _, table = self.adapter.execute(sql, auto_begin=True, fetch=True)
        self.adapter.commit_if_has_connection()
        return [tuple(row) for row in table.rows]

    def _run(self, sql: str) -> None:
        self.adapter.execute(sql, auto_begin=True)
        self.adapter.commit_if_has_connection()


def _literal(text: str | None) -> str:
    return "null" if text is None else "'" + text.replace("'", "''") + "'"
