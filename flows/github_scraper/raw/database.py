"""The raw tables themselves."""

from importlib.resources import files

import psycopg

from flows._shared.raw_tables import RawTables, ensure_raw_tables
from flows.github_scraper.raw.adoption import create_what_is_missing, fit_tables, fitting_by

# Taken inside a transaction while tables are created.
SCHEMA_LOCK = 7_310_001
# Views where the application has no tables of these names.
APPLICATIONS = (
    'public."Repository"',
    'public."Contributor"',
    'public."RepositoryContributor"',
)


def ensure_schema(connection: psycopg.Connection) -> None:
    """Create the raw tables where they are missing, and columns where tables lack them.

    Raises:
        ApplicationTablesError: a table of that name is there and cannot be fitted; nothing was
            changed.
        RawTablesLockedError: another session holds one of them; nothing was changed.
    """
    folder = files("flows.github_scraper")
    functions = folder.joinpath("functions.sql").read_text(encoding="utf-8")
    schema = folder.joinpath("schema.sql").read_text(encoding="utf-8")
    tables = RawTables(
        "the GitHub scraper's raw tables",
        "github_api",
        SCHEMA_LOCK,
        functions + schema,
        besides=fitting_by(),
        relations=APPLICATIONS,
    )

    def make() -> None:
        connection.execute(functions.encode())
        fit_tables(connection, schema)
        create_what_is_missing(connection, schema)
        # Ours, too, get the defaults that other writers need.
        fit_tables(connection, schema)

    ensure_raw_tables(connection, tables, make)
