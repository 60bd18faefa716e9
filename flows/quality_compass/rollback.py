"""Rebuilds one mart from an earlier revision of its SQL beside the current one, compares them row
by row, and changes places on request.

Only the mart's own SQL and its YAML twin come from the revision; everything it reads is current.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql

from flows._shared.counted import counted
from flows._shared.errors import PermanentError
from flows._shared.raw_tables import change_tables
from flows._shared.refusals import refusal
from flows._shared.revisions import RevisionError, read_revision

ROOT = Path(__file__).parents[2]
PROJECTS = ROOT / "dbt_projects"
PROJECT = "quality_compass"
SIDE_PROJECT = "quality_compass_rollback"
SCHEMA = "analytics"
SIDE_SCHEMA = "quality_compass_rollback"
REPLACED_SCHEMA = "quality_compass_replaced"
KEYS: Mapping[str, str] = {
    "fct_signals": "signal_id",
    "fct_contributions": "contribution_id",
    "dim_facilities": "facility_id",
    "dim_metrics": "metric_id",
}
EXAMPLES = 20
SWAP_LOCK = 7_510_003
COLUMNS = """
select
    attname,
    format_type(atttypid, atttypmod),
    col_description(attrelid, attnum)
from pg_attribute
where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
order by attnum
"""
MATERIALIZED = """
with recursive readers as (
    select cast(%s as regclass) as oid
    union
    select rules.ev_class
    from readers
    inner join pg_depend as uses
        on readers.oid = uses.refobjid and uses.classid = cast('pg_rewrite' as regclass)
    inner join pg_rewrite as rules on uses.objid = rules.oid
)

select cast(pg_class.relnamespace as regnamespace)::text || '.' || quote_ident(pg_class.relname)
from readers
inner join pg_class on readers.oid = pg_class.oid
where pg_class.relkind = 'm'
order by 1
"""


class MartBrakedError(PermanentError):
    """A swap would take away all rows of a mart, or more than may go unsaid."""


@dataclass(frozen=True)
class Comparison:
    """The current mart against the rebuilt one, row by row.

    ``differing`` counts rows by column among the columns both have; ``examples`` are keys of rows
    that are on one side only or differ.
    """

    current_rows: int
    rebuilt_rows: int
    only_current: int
    only_rebuilt: int
    changed_rows: int
    differing: Mapping[str, int]
    columns_only_current: tuple[str, ...]
    columns_only_rebuilt: tuple[str, ...]
    examples: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        return not (
            self.only_current
            or self.only_rebuilt
            or self.changed_rows
            or self.columns_only_current
            or self.columns_only_rebuilt
        )


class Brake(NamedTuple):
    """What a swap may take away, as `shared.brake` says it of a build."""

    maximum_fall: float
    minimum_rows: float

    def why(self, before: int, after: int) -> str | None:
        if before and not after:
            return f"no row is left of {before:,}"
        if before >= self.minimum_rows and after < before * (1 - self.maximum_fall):
            return (
                f"{counted(after, 'row')} where {before:,} are published, a fall of more than "
                f"{self.maximum_fall:.0%}"
            )
        return None


def prepare_project(
    mart: str,
    revision: str,
    folder: Path,
    repository: str | None = None,
    token: str | None = None,
) -> Path:
    """A copy of the dbt project with the mart as of the revision, to be built by
    ``build_dbt(SIDE_PROJECT, ..., projects_dir=<what this returns>)``.

    Args:
        repository, token: as of ``flows._shared.revisions.read_revision``.

    Raises:
        RevisionError: unknown mart or revision, or no history.
        RepositoryUnreachableError: the repository does not answer.
    """
    if mart not in KEYS:
        raise RevisionError(
            f"rolling back {mart}", "there is no such mart", f"Name one of: {', '.join(KEYS)}"
        )
    paths = [f"dbt_projects/{PROJECT}/models/marts/{mart}{suffix}" for suffix in (".sql", ".yml")]
    files = read_revision(revision, paths, repository, token)
    shutil.rmtree(folder, ignore_errors=True)
    unwanted = shutil.ignore_patterns("dbt_packages", "target", "logs")
    shutil.copytree(PROJECTS / PROJECT, folder / SIDE_PROJECT, ignore=unwanted)
    shutil.copytree(PROJECTS / "_shared", folder / "_shared", ignore=unwanted)
    for path, content in files.items():
        (folder / SIDE_PROJECT / "models" / "marts" / Path(path).name).write_bytes(content)
    configuration = folder / SIDE_PROJECT / "dbt_project.yml"
    text = configuration.read_text(encoding="utf-8")
    marker = "    marts:\n"
    assert marker in text, "the folder of the marts is configured in dbt_project.yml"
    side = f"{marker}      {mart}:\n        +schema: {SIDE_SCHEMA}\n"
    configuration.write_text(text.replace(marker, side), encoding="utf-8")
    return folder


def compare(connection: psycopg.Connection, mart: str) -> Comparison:
    """Row by row over the columns both have; NULLs are equal to NULLs."""
    key = KEYS[mart]
    current, rebuilt = _columns(connection, SCHEMA, mart), _columns(connection, SIDE_SCHEMA, mart)
    shared = [column for column in current if column in rebuilt and column != key]
    differs = {
        column: sql.SQL("current.{0} is distinct from rebuilt.{0}").format(sql.Identifier(column))
        for column in shared
    }
    joined = sql.SQL(
        "from {schema}.{mart} as current full join {side}.{mart} as rebuilt "
        "on current.{key} = rebuilt.{key}"
    ).format(
        schema=sql.Identifier(SCHEMA),
        side=sql.Identifier(SIDE_SCHEMA),
        mart=sql.Identifier(mart),
        key=sql.Identifier(key),
    )
    on_both = sql.SQL("current.{0} = rebuilt.{0}").format(sql.Identifier(key))
    any_differs = sql.SQL("({})").format(
        sql.SQL(" or ").join([*differs.values(), sql.SQL("false")])
    )
    counts = [
        sql.SQL("count(current.{})").format(sql.Identifier(key)),
        sql.SQL("count(rebuilt.{})").format(sql.Identifier(key)),
        sql.SQL("count(*) filter (where rebuilt.{} is null)").format(sql.Identifier(key)),
        sql.SQL("count(*) filter (where current.{} is null)").format(sql.Identifier(key)),
        sql.SQL("count(*) filter (where {} and {})").format(on_both, any_differs),
        *(
            sql.SQL("count(*) filter (where {} and {})").format(on_both, each)
            for each in differs.values()
        ),
    ]
    row = connection.execute(
        sql.SQL("select {} {}").format(sql.SQL(", ").join(counts), joined)
    ).fetchone()
    assert row is not None
    examples = connection.execute(
        sql.SQL(
            "select coalesce(current.{key}, rebuilt.{key}) {joined} "
            "where current.{key} is null or rebuilt.{key} is null or {differs} order by 1 limit {n}"
        ).format(
            key=sql.Identifier(key), joined=joined, differs=any_differs, n=sql.Literal(EXAMPLES)
        )
    ).fetchall()
    return Comparison(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        {column: count for column, count in zip(shared, row[5:], strict=True) if count},
        tuple(column for column in current if column not in rebuilt),
        tuple(column for column in rebuilt if column not in current),
        tuple(str(each[0]) for each in examples),
    )


def swap(connection: psycopg.Connection, mart: str, brake: Brake | None) -> str:
    """Put the rebuilt mart's rows and columns in the current one's place, in one transaction.

    The table itself stays, and with it who may read it and what reads it: views of any kind,
    grants, comments. Returns the schema in which what was replaced is kept until the next swap.

    Args:
        brake: None where a person released it.

    Raises:
        MartBrakedError: the rebuilt mart has no rows, or far fewer; nothing was changed.
        PermanentError: something needs a column, or forbids a row, as the rebuilt mart has it.
        RawTablesLockedError: a build or a reader holds the mart; nothing was changed.
    """
    current, rebuilt, kept = (
        sql.Identifier(schema, mart) for schema in (SCHEMA, SIDE_SCHEMA, REPLACED_SCHEMA)
    )

    def put_in_place() -> None:
        for statement in (
            "create schema if not exists {schema}",
            "drop table if exists {kept}",
            "lock table {current} in share row exclusive mode",
        ):
            connection.execute(
                sql.SQL(statement).format(
                    schema=sql.Identifier(REPLACED_SCHEMA), kept=kept, current=current
                )
            )
        if brake is not None:
            _stop_a_fall(connection, mart, brake)
        for statement in (
            "create table {kept} as table {current}",
            "delete from {current}",
        ):
            connection.execute(sql.SQL(statement).format(kept=kept, current=current))
        columns = _fit_columns(connection, mart)
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        connection.execute(
            sql.SQL("insert into {} ({}) select {} from {}").format(current, names, names, rebuilt)
        )
        connection.execute(sql.SQL("drop table {}").format(rebuilt))

    relations = [f"{schema}.{mart}" for schema in (SCHEMA, SIDE_SCHEMA, REPLACED_SCHEMA)]
    try:
        change_tables(connection, f"the mart {mart}", SWAP_LOCK, relations, put_in_place)
    except (
        psycopg.errors.DependentObjectsStillExist,
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.IntegrityError,
    ) as error:
        raise PermanentError(
            f"putting the rebuilt {mart} in place",
            refusal(error, connection)
            if isinstance(error, psycopg.IntegrityError)
            else " ".join(filter(None, [error.diag.message_primary, error.diag.message_detail])),
            "Roll back what is named there, too, or only compare",
        ) from None
    return REPLACED_SCHEMA


def materialized_readers(connection: psycopg.Connection, mart: str) -> list[str]:
    """Materialized views on the mart, or on views of it: they show a swap once refreshed."""
    return [row[0] for row in connection.execute(MATERIALIZED, (f"{SCHEMA}.{mart}",))]


def _stop_a_fall(connection: psycopg.Connection, mart: str, brake: Brake) -> None:
    before, after = (
        connection.execute(
            sql.SQL("select count(*) from {}").format(sql.Identifier(schema, mart))
        ).fetchall()[0][0]
        for schema in (SCHEMA, SIDE_SCHEMA)
    )
    if seen := brake.why(before, after):
        raise MartBrakedError(
            f"putting the rebuilt {mart} in place",
            f"the brake stopped it: {seen}",
            "Readers keep the current rows. Look at the comparison; where it is right, run once "
            """with -p dbt='{"release_brake": true}'""",
        )


def _fit_columns(connection: psycopg.Connection, mart: str) -> list[str]:
    """Give the emptied current mart the columns of the rebuilt one; returns their names."""

    def described(schema: str) -> dict[str, tuple[str, str | None]]:
        found = connection.execute(COLUMNS, (f"{schema}.{mart}",)).fetchall()
        return {name: (type_, comment) for name, type_, comment in found}

    current, rebuilt = described(SCHEMA), described(SIDE_SCHEMA)
    table = sql.Identifier(SCHEMA, mart)
    for name in current.keys() - rebuilt.keys():
        connection.execute(
            sql.SQL("alter table {} drop column {}").format(table, sql.Identifier(name))
        )
    for name, (type_, comment) in rebuilt.items():
        column, of_type = sql.Identifier(name), sql.SQL(type_)
        if name not in current:
            connection.execute(
                sql.SQL("alter table {} add column {} {}").format(table, column, of_type)
            )
            connection.execute(
                sql.SQL("comment on column {}.{} is {}").format(table, column, comment)
            )
        elif current[name][0] != type_:
            connection.execute(
                sql.SQL("alter table {} alter column {} type {} using null").format(
                    table, column, of_type
                )
            )
    return list(rebuilt)


def _columns(connection: psycopg.Connection, schema: str, mart: str) -> list[str]:
    rows = connection.execute(
        "select column_name from information_schema.columns "
        "where table_schema = %s and table_name = %s order by ordinal_position",
        (schema, mart),
    ).fetchall()
    if not rows:
        raise PermanentError(
            f"comparing {mart}",
            f"there is no table {schema}.{mart}",
            "Build the marts with quality-compass first",
        )
    return [row[0] for row in rows]
