"""What a diagnosis looks at. A test gives it a world that is broken in one place."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from deployments.apply.infrastructure import pools
from deployments.local.api import PrefectApi
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.processes import ProcessRecord
from deployments.local.server import api_url
from deployments.local.worker import wanted_type

GIBIBYTE = 1 << 30


@dataclass(frozen=True)
class World:
    """A set-up.

    Args:
        environment: of whoever asks; with that of the local runtime, if its server is used.
        python: version of the interpreter.
        needed_bytes: room that a disk must have.
        is_let_in: by the Prefect server, which is there; otherwise it is asked for nothing.
    """

    paths: LocalPaths = field(default_factory=LocalPaths)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    project: Path = PROJECT_ROOT
    python: tuple[int, int] = sys.version_info[:2]
    needed_bytes: int = 2 * GIBIBYTE
    github: str = "https://api.github.com"
    is_let_in: bool = True

    @classmethod
    def here(cls) -> "World":
        from deployments.cli.settings import with_local_server

        with_local_server()
        environment = dict(os.environ)
        # As GitHub's own runners name it, and people with an enterprise server.
        github = environment.get("GITHUB_API_URL") or cls.github
        return cls(environment=environment, github=github.rstrip("/"))

    @property
    def url(self) -> str | None:
        """The Prefect server: that of the environment, else the local one, if it runs."""
        if given := self.environment.get("PREFECT_API_URL"):
            return given
        record = ProcessRecord.read(self.paths.run / "server.json")
        return api_url(record.port) if record and record.process() else None

    @property
    def is_local(self) -> bool:
        """Whether that server is the one that this runtime started, and nobody else's."""
        record = ProcessRecord.read(self.paths.run / "server.json")
        is_running = record is not None and record.process() is not None
        return is_running and record is not None and self.url == api_url(record.port)

    @cached_property
    def api(self) -> PrefectApi:
        assert self.url is not None, "asked only of a server that answers"
        return PrefectApi(self.url, self.environment)

    @property
    def pools(self) -> tuple[str, ...]:
        """The work pools of deployments: one here, two in a cluster."""
        return pools(self.environment) or (f"local-{wanted_type()}",)
