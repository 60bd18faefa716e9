"""What a new cluster needs once its parts are up: databases, roles, blocks, deployments.

`python -m deployments.kubernetes.set_up`, as the Job `set-up` of the overlay for a laptop runs it.
Done again, it changes what deviates, and makes every password anew, in the blocks too. POSTGRES_URL
names the cluster's PostgreSQL, of a role that may make databases and roles; PREFECT_API_URL,
PREFECT_WORK_POOL and PREFECT_WARM_WORK_POOL are as for `python -m deployments.apply`.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from psycopg import sql

from blocks import mounted
from blocks.registration import register
from deployments.apply.__main__ import main as apply_deployments
from deployments.local.api import wait_healthy
from deployments.roles import DATABASES, Names, Wanted, apply, logins
from deployments.roles.passwords import write
from flows._shared.counted import counted
from flows._shared.errors import PermanentError, PlatformError, TransientError
from flows._shared.postgres import connected

URL_VARIABLE = "POSTGRES_URL"
SERVER_SECONDS = 300


def main(environment: Mapping[str, str] = os.environ) -> int:
    try:
        set_up(environment)
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return apply_deployments(["--pool-type", "kubernetes"])


def set_up(environment: Mapping[str, str]) -> None:
    """Databases with their roles, and blocks of these.

    Raises:
        PlatformError: PostgreSQL or the server cannot be used; the message says what to do.
    """
    server = environment.get(URL_VARIABLE)
    if not server:
        raise PermanentError(
            "setting up the cluster's databases",
            f"{URL_VARIABLE} is not set",
            "Give it as postgresql://user:password@host:5432/postgres",
        )
    with tempfile.TemporaryDirectory(prefix="secrets-") as folder:
        for slug in DATABASES:
            make_database(server, slug)
            make_roles(urlsplit(server)._replace(path=f"/{slug}").geturl(), slug, Path(folder))
        url = environment.get("PREFECT_API_URL", "")
        if not wait_healthy(url, SERVER_SECONDS):
            raise TransientError(
                f"waiting for the Prefect server at {url}",
                f"it was not healthy for {SERVER_SECONDS} s",
                "Look at its log; then start the Job again",
            )
        for registration in register(tuple(DATABASES), mounted(Path(folder))):
            say(str(registration))


def make_database(server: str, name: str) -> None:
    with connected(server, "the cluster's PostgreSQL") as connection:
        connection.autocommit = True
        known = connection.execute("select 1 from pg_database where datname = %s", [name])
        if known.fetchone() is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            say(f"made the database {name}")


def make_roles(url: str, slug: str, folder: Path) -> None:
    """The roles of a database, LedgerMind's with the tables of its sample."""
    wanted = Wanted(DATABASES[slug].with_sample, Names.of(slug), is_exclusive=True)
    found = logins(wanted.database, wanted.names, url, {}, folder)
    passwords = {login.role: login.password for login in found if login.password}
    with connected(url, f"the database of {slug}") as connection:
        steps = apply(connection, wanted, passwords)
    write(found, folder)
    say(f"{slug}: {counted(len(steps), 'change')} to its roles, each with a new password")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
