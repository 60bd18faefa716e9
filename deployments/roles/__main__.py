"""Roles that load, build and read, apart: make them so, or say what is not.

    apply   makes the roles, schemas, owners and grants as they should be; says what it changed
    check   says what deviates and which statement mends it; ends with status 1 if anything does

The database is that of <DOMAIN>_OWNER_DATABASE_URL, with a role that may make others. Passwords are
those of <DOMAIN>_LOADER_PASSWORD, _TRANSFORMER_PASSWORD and _READER_PASSWORD, or are made and
written, as whole addresses, to files of the folder of --secrets.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg

from deployments.roles import DATABASES, Names, Role, Wanted, apply, check, logins
from deployments.roles.passwords import at_address, password_variable, write
from flows._shared.chosen import chosen, status_of
from flows._shared.errors import PermanentError, PlatformError
from flows._shared.postgres import DatabaseRefusedError, RoleRefusedError, connected


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deployments.roles",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("apply", "check"))
    parser.add_argument("domain", metavar="{" + ",".join(DATABASES) + "}")
    for role in Role:
        parser.add_argument(f"--{role}", metavar="NAME", help=f"default: <domain>_{role}")
    parser.add_argument(
        "--former",
        action="append",
        default=[],
        metavar="ROLE",
        help="under which flows worked before, whose schemas and tables are handed over; those of "
        "superusers and of the role that applies always are",
    )
    parser.add_argument(
        "--exclusive",
        action="store_true",
        help="neither everybody nor a role of another domain may connect to the database",
    )
    parser.add_argument(
        "--sample",
        action="store_true",
        help="LedgerMind without an application: its tables are a sample that the loader makes",
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="of the database as runs reach it; default: as here"
    )
    parser.add_argument("--secrets", type=Path, metavar="FOLDER", help="of files of mode 0600")
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return status_of(error)


def run(options: argparse.Namespace) -> int:
    (slug,) = chosen([options.domain], DATABASES)
    database = DATABASES[slug].with_sample if options.sample else DATABASES[slug]
    given = {role.value: getattr(options, role) for role in Role if getattr(options, role)}
    names = replace(Names.of(slug), **given)
    wanted = Wanted(database, names, options.exclusive, options.former)
    url = owner_url(slug)
    with _typed_by_a_person(slug), connected(url, f"the database of {slug}") as connection:
        if options.command == "check":
            return tell(connection, wanted)
        found = logins(
            database, names, at_address(url, options.address), os.environ, options.secrets
        )
        passwords = {login.role: login.password for login in found if login.password}
        if options.secrets:
            write(found, options.secrets)
        for step in apply(connection, wanted, passwords):
            say(f"{step.seen}: {step.statement}")
    for login in found:
        if login.url and options.secrets:
            say(f"{login.variable} is in {options.secrets}")
        elif not login.password:
            variable = password_variable(slug, login.role)
            say(f"{names[login.role]} has the password it had, or none: {variable} is not set")
    return 0


def tell(connection: psycopg.Connection, wanted: Wanted) -> int:
    steps = check(connection, wanted)
    for step in steps:
        say(f"{step.seen}\n    {step.statement};")
    if not steps:
        say(f"{wanted.database.slug}: every role may what it should and no more")
    return 1 if steps else 0


def owner_variable(slug: str) -> str:
    return f"{slug.upper()}_OWNER_DATABASE_URL"


@contextmanager
def _typed_by_a_person(slug: str) -> Iterator[None]:
    """The address is no block: what is to be corrected is the variable."""
    try:
        yield
    except RoleRefusedError:
        raise
    except DatabaseRefusedError as error:
        raise DatabaseRefusedError(
            error.attempted,
            error.seen,
            f"Correct {owner_variable(slug)}: postgresql://user:password@host:5432/database, with "
            "what is no letter or digit in user and password percent-encoded (@ as %40)",
        ) from None


def owner_url(slug: str) -> str:
    variable = owner_variable(slug)
    if url := os.environ.get(variable):
        return url
    raise PermanentError(
        f"looking for the database of {slug}",
        f"{variable} is not set",
        "Give it as postgresql://user:password@host:5432/database, of a role that may make others",
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
