"""The environment of commands that talk to a Prefect server."""

import os

from deployments.local.paths import LocalPaths


def with_local_server() -> None:
    """Where the environment names no server, use the local one, if it runs.

    Called before Prefect is imported, which reads its settings then.
    """
    if os.environ.get("PREFECT_API_URL"):
        return
    from deployments.local import runtime
    from deployments.local.server import PrefectServer

    paths = LocalPaths()
    if url := PrefectServer(paths).url():
        os.environ.update(runtime.environment(paths, url))
