"""The environment of commands that talk to a Prefect server."""

import os
from collections.abc import Sequence

from deployments.local.paths import LocalPaths


def with_local_server() -> None:
    """Where the environment names no server of the user's own, use the local one, if it runs.

    Called before Prefect is imported, which reads its settings then.
    """
    from deployments.local.server import PrefectServer, external_api

    paths = LocalPaths()
    if not external_api(paths) and (url := PrefectServer(paths).url()):
        from deployments.local import runtime

        os.environ.update(runtime.environment(paths, url))


def with_embedded_owner(arguments: Sequence[str]) -> list[str]:
    """The arguments of `roles`, with the embedded database of its owner where it runs and the
    environment names none: `check` looks there then, at the sample of LedgerMind, too."""
    from deployments.local.postgres import EmbeddedPostgres
    from deployments.roles import DATABASES
    from deployments.roles.__main__ import owner_variable

    slug = next((each for each in arguments if each in DATABASES), None)
    cluster = EmbeddedPostgres(LocalPaths().postgres)
    if (
        arguments[:1] != ["check"]
        or slug is None
        or os.environ.get(owner_variable(slug))
        or not cluster.is_running()
    ):
        return list(arguments)
    os.environ[owner_variable(slug)] = cluster.url(slug)
    return [*arguments, "--exclusive", "--sample"]
