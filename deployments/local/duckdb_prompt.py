"""What psql is to PostgreSQL, for a DuckDB file that is only read.

DuckDB's own command line is a program to install; this needs nothing but the library.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb

from flows._shared.errors import PermanentError

PROMPT = "duckdb> "


def prompt(path: Path, arguments: Sequence[str]) -> int:
    """Answer the statement of ``-c``, or one after another until the end of the input.

    Raises:
        PermanentError: there is no such file.
    """
    parser = argparse.ArgumentParser(prog="flows psql")
    parser.add_argument("-c", metavar="SQL", help="answer this one statement")
    options = parser.parse_args(arguments)
    if not path.exists():
        raise PermanentError(
            f"opening {path}",
            "nothing was published yet",
            "Run `flows run agent_analytics` first",
        )
    with duckdb.connect(str(path), read_only=True) as connection:
        if options.c:
            return _answer(connection, options.c)
        if sys.stdin.isatty():
            sys.stdout.write(f"{path}, read-only. One statement a line; end with Ctrl-D.\n")
        while (statement := _next()) is not None:
            if statement.strip():
                _answer(connection, statement)
    return 0


def _next() -> str | None:
    try:
        return input(PROMPT if sys.stdin.isatty() else "")
    except EOFError:
        return None


def _answer(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    try:
        sys.stdout.write(f"{connection.sql(statement)}\n")
    except duckdb.Error as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
