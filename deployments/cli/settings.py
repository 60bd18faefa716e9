"""The environment of commands that talk to a Prefect server."""

import os
from collections.abc import Sequence

from deployments.local.paths import LocalPaths
from flows._shared.environment import of_libpq
from flows._shared.errors import PermanentError

NAMES_POSTGRES = "DATABASE_URL"
ONE_POOL = ("process", "prefork")


def without_libpq() -> None:
    """What a shell sets for all PostgreSQL servers (PGSSLMODE, PGSERVICE) is for those of the
    user's own: where the environment names neither one nor a Prefect server, whose blocks do, it is
    left out."""
    given = of_libpq(os.environ)
    if not given or any(name.endswith(NAMES_POSTGRES) and os.environ[name] for name in os.environ):
        return
    from deployments.local.server import external_api

    if not external_api(LocalPaths()):
        for name in given:
            del os.environ[name]


def with_local_server() -> bool:
    """Where the environment names no server of the user's own, use the local one, if it runs.

    Called before Prefect is imported, which reads its settings then. Tells whether it is used.
    """
    if url := _local_server():
        from deployments.local import runtime

        os.environ.update(runtime.environment(LocalPaths(), url))
    return url is not None


def with_server() -> None:
    """As `with_local_server`, for a command that does nothing without a server: Prefect would start
    one of its own, in the home folder.

    Raises:
        PermanentError: there is none, or the local one does not let in who knows its sign-in.
    """
    from deployments.local.server import PrefectServer

    if _local_server():
        PrefectServer(LocalPaths()).check_sign_in()
    elif not os.environ.get("PREFECT_API_URL"):
        raise PermanentError(
            "finding the Prefect server",
            "PREFECT_API_URL not set, and none runs here",
            "Set it, or use `flows up`, which starts one",
        )
    with_local_server()


def with_local_server_of_one_pool(pool_type: str | None) -> None:
    """As `with_local_server`, for a command that moves deployments to the pools that are named.

    Raises:
        PermanentError: the local server would get those of another, which nothing here serves.
    """
    from deployments.apply.infrastructure import POOL_VARIABLE
    from deployments.local.server import PrefectServer
    from deployments.local.worker import named_pools, refuse_another_pool

    if _local_server():
        PrefectServer(LocalPaths()).check_sign_in()
        refuse_another_pool(named_pools(is_served_here=True)[POOL_VARIABLE])
        if pool_type not in (None, *ONE_POOL):
            raise PermanentError(
                "applying to the server of this machine, whose one worker serves one pool",
                f"--pool-type {pool_type} is for a server elsewhere",
                "Name that server in PREFECT_API_URL; for the one of this machine leave it out",
            )
    with_local_server()


def _local_server() -> str | None:
    """Its address, where it runs and the environment names no other."""
    from deployments.local.server import PrefectServer, external_api

    paths = LocalPaths()
    return None if external_api(paths) else PrefectServer(paths).url()


def embedded_owner(slug: str) -> str | None:
    """The embedded database of a domain as its owner, where it runs and the environment names no
    other.

    Raises:
        PermanentError: the embedded PostgreSQL runs, and has no database of the domain yet.
    """
    from deployments.local.postgres import EmbeddedPostgres
    from deployments.roles.__main__ import owner_variable

    cluster = EmbeddedPostgres(LocalPaths().postgres)
    if os.environ.get(owner_variable(slug)) or not cluster.is_running():
        return None
    if not cluster.has_database(slug):
        raise PermanentError(
            f"looking for the database of {slug}",
            f"the embedded PostgreSQL has none of {slug} yet",
            f"`flows up` makes it; or set {owner_variable(slug)}, where another is meant",
        )
    return cluster.address(slug)


def with_embedded_owner(command: str, slug: str, options: Sequence[str]) -> list[str]:
    """The arguments of `roles`, with the embedded database of its owner where it runs and the
    environment names none: `check` looks there then, at the sample of LedgerMind, too.

    Raises:
        PermanentError: there is neither, or the embedded one has no database of the domain.
    """
    from deployments.roles.__main__ import owner_variable

    given = [command, slug, *options]
    variable = owner_variable(slug)
    if command != "check" or os.environ.get(variable):
        return given
    if url := embedded_owner(slug):
        os.environ[variable] = url
        return [*given, "--exclusive", "--sample"]
    raise PermanentError(
        f"looking for the database of {slug}",
        f"{variable} is not set, and the embedded one does not run",
        "`flows up` starts it; or set the variable: postgresql://user:password@host:5432/database",
    )
