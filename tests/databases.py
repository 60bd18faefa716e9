"""The names of databases, and their copies: what took a build to fill is copied in no time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from deployments.local.postgres import EmbeddedPostgres

TESTS = Path(__file__).parent


def database_of(file: Path) -> str:
    """The name of the database of every test of a file, one after the other.

    For a database of another name dbt would parse a project anew.
    """
    return "_".join(file.relative_to(TESTS).with_suffix("").parts).strip("_")


def copy_database(postgres: EmbeddedPostgres, source: str, name: str) -> str:
    """Make ``name`` a copy of a database to which no one is connected; returns its URL.

    What was there under that name is dropped.
    """
    postgres.drop_database(name)
    statement = sql.SQL("create database {} template {} strategy file_copy")
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(source)))
    return postgres.url(name)


@contextmanager
def reader_of(url: str, name: str) -> Iterator[str]:
    """The URL of a role that may log in to a database, owns nothing in it and is gone afterwards.

    It has the role's name for a password.
    """
    role = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as owner:
        made = sql.SQL("create role {} login password {}")
        owner.execute(made.format(role, sql.Literal(name)))
        try:
            at = urlsplit(url)
            yield f"postgresql://{name}:{name}@{at.hostname}:{at.port}{at.path}"
        finally:
            owner.execute(sql.SQL("drop owned by {0}; drop role {0}").format(role))


def everything_of(connection: psycopg.Connection) -> dict[str, list[str]]:
    """All rows of all tables of a database as text, in a fixed order; bytes as they read."""
    tables: dict[str, list[str]] = {}
    columns = connection.execute(
        "select nspname, relname, array_agg(attname::text order by attnum),"
        " array_agg(atttypid = 'bytea'::regtype order by attnum)"
        " from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace"
        " inner join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped"
        " where relkind in ('r', 'p', 'm') and nspname !~ '^pg_|^information_schema$'"
        " group by 1, 2 order by 1, 2"
    ).fetchall()
    for schema, table, names, are_bytes in columns:
        told = [
            sql.SQL("encode({}, 'escape')" if is_bytes else "{}::text").format(sql.Identifier(name))
            for name, is_bytes in zip(names, are_bytes, strict=True)
        ]
        rows = connection.execute(
            sql.SQL("select concat_ws(' | ', {}) from {} order by 1").format(
                sql.SQL(", ").join(told), sql.Identifier(schema, table)
            )
        )
        tables[f"{schema}.{table}"] = [row for (row,) in rows]
    return tables
