"""A Prefect server with its UI, kept running between commands, its database in the clone."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping

from deployments.local.api import is_healthy
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.processes import (
    ProcessRecord,
    died,
    end,
    free_ports,
    listens,
    locked,
    record_of,
    start_detached,
    tail,
)
from flows._shared.errors import TransientError

FIRST_PORT = 4200
# A first start migrates an empty database: 20 to 40 s on a machine of two cores.
START_SECONDS = 120.0
KEPT_PREFIXES = ("PREFECT_LOGGING_",)


class PrefectServer:
    """The local server: started if absent, shared if running.

    Args:
        paths: where its database, record and log are kept.
        first_port: ports are tried upwards from here; the one used last is tried before.
    """

    def __init__(self, paths: LocalPaths, *, first_port: int = FIRST_PORT) -> None:
        self.log = paths.run / "server.log"
        self._paths = paths
        self._record = paths.run / "server.json"
        self._lock = paths.run / "server.lock"
        self._first_port = first_port
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start the server unless it runs; returns its API address once it answers.

        Raises:
            PermanentError: it ended while starting; the message carries the end of its log.
            TransientError: it does not answer within two minutes.
        """
        with locked(self._lock):
            url = self.url()
            if url and self._wait(url, ProcessRecord.read(self._record)):
                return url
            last = ProcessRecord.read(self._record)
            for port in free_ports(self._first_port, last.port if last else 0):
                if url := self._start_at(port):
                    return url
        raise TransientError(
            "starting the Prefect server",
            f"no port from {self._first_port} up is free",
            "Stop what listens there, or set PREFECT_API_URL to a server of your own",
        )

    def stop(self) -> None:
        """Stop the server. Does nothing if it does not run."""
        with locked(self._lock):
            record = ProcessRecord.read(self._record)
            if record and (process := record.process()):
                end(process)
        if self._child:
            self._child.wait()
            self._child = None

    def url(self) -> str | None:
        """The API address of the running server, None if it does not run."""
        record = ProcessRecord.read(self._record)
        return api_url(record.port) if record and record.process() else None

    @property
    def pid(self) -> int | None:
        record = ProcessRecord.read(self._record)
        process = record.process() if record else None
        return process.pid if process else None

    def _start_at(self, port: int) -> str | None:
        url = api_url(port)
        command = [sys.executable, "-m", "prefect", "server", "start"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        environment = own_environment(os.environ) | server_environment(self._paths, url)
        self._paths.prefect.mkdir(parents=True, exist_ok=True)
        child = start_detached(command, environment, self.log, PROJECT_ROOT)
        record = record_of(child.pid, port)
        record.write(self._record)
        self._child = child
        if self._wait(url, record):
            return url
        # Seconds pass before the server takes the port it found free: another may be quicker.
        if "already in use" in self.log.read_text(errors="replace"):
            return None
        raise died("the Prefect server", self.log, _remedy(self._paths))

    def _wait(self, url: str, record: ProcessRecord | None) -> bool:
        """Whether our own server answered; False once its process is gone.

        A health answer alone proves nothing: the server of another clone may have the port.
        """
        deadline = time.monotonic() + START_SECONDS
        while record and (process := record.process()):
            if listens(process, record.port) and is_healthy(url):
                return True
            if time.monotonic() > deadline:
                raise TransientError(
                    f"waiting for the Prefect server at {url}",
                    f"no answer in {START_SECONDS:.0f} s; its log says:\n{tail(self.log)}\n",
                    "`make stop`, then try again",
                )
            time.sleep(0.2)
        return False


def api_url(port: int) -> str:
    return f"http://127.0.0.1:{port}/api"


def client_environment(paths: LocalPaths, url: str) -> dict[str, str]:
    """What a program needs to use the server at ``url`` and leave the user's own profile alone."""
    return {
        "PREFECT_API_URL": url,
        "PREFECT_HOME": str(paths.prefect),
        "PREFECT_PROFILES_PATH": str(paths.prefect / "profiles.toml"),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
    }


def server_environment(paths: LocalPaths, url: str) -> dict[str, str]:
    """What the server itself needs. Without both addresses its UI would call port 4200."""
    return client_environment(paths, url) | {
        "PREFECT_SERVER_UI_API_URL": url,
        # SQLite has one writer: waiting for it beats answering 503.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        # One commit per batch of task runs, not one each: see docs/decisions/0004.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
            f"sqlite+aiosqlite:///{paths.prefect / 'prefect.db'}"
        ),
    }


def own_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the user's Prefect settings, which are for another server."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("PREFECT_") or name.startswith(KEPT_PREFIXES)
    }


def _remedy(paths: LocalPaths) -> str:
    return (
        "An error about a module or an import tells of an environment unlike requirements.lock: "
        "remove .venv and run `make` again. One about the database: remove "
        f"{paths.prefect} and start again"
    )
