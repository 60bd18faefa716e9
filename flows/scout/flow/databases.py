"""Connections to the databases that blocks name."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from prefect import task

from flows._shared.orchestration.credentials import postgres_url
from flows._shared.orchestration.retry import retry_transient
from flows.scout import raw
from flows.scout.records import DatabaseUnreachableError


@contextmanager
def connect(block: str) -> Iterator[psycopg.Connection]:
    """To the database of a block, committing each statement that is in no transaction.

    Statements are never prepared: behind a pooler that hands out connections by transaction, the
    next one may know nothing of them.

    Raises:
        DatabaseUnreachableError: no connection.
    """
    url = postgres_url(block)
    try:
        connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise DatabaseUnreachableError(
            f"Connecting to the database of the block {block}",
            str(error),
            "Check that it is up, and the block's host, user and password",
        ) from None
    with connection:
        yield connection


@task(
    name="prepare raw tables",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def prepare(database_block: str) -> None:
    with connect(database_block) as connection:
        raw.ensure_schema(connection)
