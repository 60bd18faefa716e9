"""A database by the name of its block: what a flow opens, under the name of its run."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from prefect.runtime import flow_run

from flows._shared.orchestration.credentials import postgres_url
from flows._shared.postgres import APPLICATION, connected


@contextmanager
def connect(
    block: str, *, autocommit: bool = True, options: str | None = None
) -> Iterator[psycopg.Connection]:
    """A connection to the database of a `SqlAlchemyConnector` block, closed at the end.

    Raises:
        MissingBlockError: no such block.
        UnusableBlockError: it is not a PostgreSQL connection.
        DatabaseUnreachableError: no connection, or it broke off.
        DatabaseRefusedError: the user, the password or the database is wrong.
    """
    with connected(
        postgres_url(block),
        f"the database of the block {block}",
        autocommit=autocommit,
        options=options,
        application=application_name(),
    ) as connection:
        yield connection


def application_name() -> str:
    """What `pg_stat_activity` shows for a run: its id, by which a run can be found and ended."""
    run_id = flow_run.id
    return f"{APPLICATION} {run_id}" if run_id else APPLICATION
