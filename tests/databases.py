"""The names of databases, and their copies: what took a build to fill is copied in no time."""

from pathlib import Path

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
