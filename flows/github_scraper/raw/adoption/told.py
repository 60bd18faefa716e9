"""What the database says of a table of another shape, as an error that names it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from flows._shared.refusals import refusal
from flows.github_scraper.records import ApplicationTablesError

# All that a database says but trouble of a connection or of a moment.
REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
    psycopg.ProgrammingError,
)


@contextmanager
def refused_rows_are_told(connection: psycopg.Connection, doing: str) -> Iterator[None]:
    """What somebody gave one of the tables, such as a key, a check or a trigger, refuses a row.

    All that is done within is undone then.

    Raises:
        ApplicationTablesError: it names the table, the column and the rule.
    """
    try:
        with connection.transaction():
            yield
    except REFUSED as error:
        raise ApplicationTablesError(
            doing,
            said_of(error, connection),
            "Take the rule or trigger off the table, or give the column a default; other "
            "repositories are loaded meanwhile",
        ) from error


def create_what_is_missing(connection: psycopg.Connection, schema: str) -> None:
    """Run the statements of the schema.

    Raises:
        ApplicationTablesError: something in the database stands in their way.
    """
    try:
        connection.execute(schema.encode())
    except REFUSED as error:
        before = schema[: int(error.diag.statement_position or 0)]
        statements = [line for line in before.splitlines() if line[:1].isalpha()]
        raise ApplicationTablesError(
            f"Creating the raw tables ({statements[-1]} ...)" if statements else "Creating them",
            said_of(error, connection),
            "Change or rename what is named; docs/contracts/github_scraper.md tells the shape",
        ) from error


def said_of(error: psycopg.Error, connection: psycopg.Connection | None = None) -> str:
    """What was refused and where. The row itself is left out: it may hold anything; the names of
    what depends on something are told.

    Args:
        connection: see `refusal`.
    """
    diag = error.diag
    said = refusal(error, connection)
    if isinstance(error, psycopg.IntegrityError) and diag.table_name:
        return said
    if isinstance(error, psycopg.errors.DependentObjectsStillExist) and diag.message_detail:
        said += f" ({diag.message_detail})"
    told = {"table": diag.table_name, "column": diag.column_name, "rule": diag.constraint_name}
    where = ", ".join(f"{what} {name}" for what, name in told.items() if name)
    said = f"{type(error).__name__}: {said}"
    return f"{said} ({where})" if where else said
