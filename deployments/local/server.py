"""A Prefect server with its UI, kept running between commands, its database in the clone."""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

import certifi

from deployments.local.api import is_healthy, lacking
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.processes import (
    ANEW,
    BackgroundProcess,
    ProcessRecord,
    fingerprint_of,
    free_ports,
    locked,
    write_private,
)
from flows._shared.environment import past_proxies
from flows._shared.errors import PermanentError, TransientError

FIRST_PORT = 4200
LOOPBACK = "http://127.0.0.1:"
# A first start migrates an empty database: 20 to 40 s on a machine of two cores, 130 s where eight
# busy programs share them.
START_SECONDS = 240.0
KEPT_PREFIXES = ("PREFECT_LOGGING_",)
# How often the server looks for what nothing here waits for, and Prefect's own pace: at that, these
# looks are a fifth of the CPU that it takes while nothing runs (docs/performance.md).
UNUSED = {
    # Runs that are paused: no flow of this project pauses. 5 s.
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "300",
    # Work that is handed to workers to clean up behind runs: ours take none. 5 s.
    "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "300",
}
SELDOM = UNUSED | {
    # Runs that are late, 15 s after their time; who is told of them is told after 15 minutes. 5 s.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "30",
    # Schedules that have just changed; those of a laptop are off, and a change waits so long. 5 s.
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "30",
    # Automations for what has not happened: the shortest of ours waits 5 minutes for it. 5 s.
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT15S",
    # Three looks at what cancelled runs left; Prefect gives them 5 minutes before. 20 s.
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "120",
    # Whether workers still poll: `flows doctor` looks at its own machine's process, too. 15 s.
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "30",
}
END_OF_CERTIFICATE = "-----END CERTIFICATE-----\n"


class PrefectServer(BackgroundProcess):
    """The local server: started if absent, shared if running.

    Args:
        paths: where its database, record and log are kept.
        first_port: ports are tried upwards from here; the one used last is tried before.
        looks_seldom: for what nothing waits for, at the cost of seconds where something does.
    """

    def __init__(
        self, paths: LocalPaths, *, first_port: int = FIRST_PORT, looks_seldom: bool = True
    ) -> None:
        super().__init__(paths.run, "server", "the Prefect server")
        self._paths = paths
        self._first_port = first_port
        self._pace = SELDOM if looks_seldom else UNUSED

    def start(self) -> str:
        """Start the server unless it runs; returns its API address once it answers.

        Raises:
            PermanentError: it ended while starting; the message carries the end of its log.
            TransientError: it does not answer within four minutes, or finds no port.
        """
        with self.locked():
            record = self.running()
            if record and self._is_up(record):
                self.check_sign_in()
                return api_url(record.port)
            ports = free_ports(self._first_port, self.last_port)
            record = self.launch_at(ports, self._launch, self._is_up, _remedy(self._paths))
            return api_url(record.port)

    def check_sign_in(self) -> None:
        """Before the sign-in is used for a server that runs.

        Raises:
            PermanentError: it was lost or changed since, and the server does not let it in.
        """
        record = self.running()
        if record and record.fingerprint not in ("", _fingerprint(self._paths)):
            raise PermanentError(
                f"signing in to the Prefect server of this machine by {self._paths.sign_in}",
                "it was started with another sign-in, which was lost or changed there since",
                ANEW,
            )

    def url(self) -> str | None:
        """The API address of the running server, None if it does not run."""
        record = self.running()
        return api_url(record.port) if record else None

    def _launch(self, port: int) -> ProcessRecord:
        url = api_url(port)
        command = [sys.executable, "-m", "deployments.local.prefect_server", "server", "start"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        own = server_environment(self._paths, url) | self._pace
        environment = own_environment(os.environ) | own
        self._paths.make_private()
        fingerprint = _fingerprint(self._paths)
        return self.launch(command, environment, PROJECT_ROOT, port=port, fingerprint=fingerprint)

    def _is_up(self, record: ProcessRecord) -> bool:
        return self.wait(record, lambda: is_healthy(api_url(record.port)), START_SECONDS)


def api_url(port: int) -> str:
    return f"{LOOPBACK}{port}/api"


def check_reachable(url: str) -> None:
    """Of the server that the user's environment names.

    Raises:
        TransientError: it does not answer, or the address is not that of an API.
    """
    lack = lacking(url)
    if lack or not is_healthy(url, timeout_seconds=10.0):
        raise TransientError(
            f"reaching the Prefect server at {url}, which PREFECT_API_URL names",
            lack or "it does not answer",
            "Start it, correct the address (http://host:4200/api), or unset PREFECT_API_URL to "
            "use an embedded one",
        )


def external_api(paths: LocalPaths) -> str | None:
    """The server that the user's environment names, unless it is the local one.

    A shell keeps the address of a local server that has another port since: what is on this
    machine and comes with the sign-in of this clone is the local one.
    """
    given = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    record = ProcessRecord.read(paths.run / "server.json")
    if not given or (record is not None and given == api_url(record.port)):
        return None
    signs_in = os.environ.get("PREFECT_API_AUTH_STRING")
    is_former = (
        given.startswith(LOOPBACK)
        and paths.sign_in.exists()
        and paths.sign_in.read_text() == signs_in
    )
    return None if is_former else given


def told(url: str) -> str:
    """A server that the user's environment names; with its folder where that is another clone's."""
    home = Path(os.environ.get("PREFECT_HOME", ""))
    record = ProcessRecord.read(home.parent / "run" / "server.json")
    is_clones = record is not None and url.rstrip("/") == api_url(record.port)
    return f"{url}, the Prefect server of {home.parent.parent}" if is_clones else url


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
        **past_proxies(os.environ),
    }


def own_client_environment(paths: LocalPaths, url: str) -> dict[str, str]:
    """What a program needs to use the local server at ``url``, which lets nobody else in."""
    return client_environment(paths, url) | {
        "PREFECT_API_AUTH_STRING": sign_in(paths),
        "PREFECT_API_SSL_CERT_FILE": str(one_authority(paths)),
    }


def one_authority(paths: LocalPaths) -> Path:
    """A file with one of the authorities that certify servers.

    Each client of Prefect's reads all 140 as it is made, some 40 ms of CPU, and a run and its
    worker make a dozen. The local server speaks plain http and shows no certificate.
    """
    file = paths.prefect / "one-authority.pem"
    if not file.exists():
        first, end, _ = Path(certifi.where()).read_text().partition(END_OF_CERTIFICATE)
        write_private(file, first + end)
    return file


def sign_in(paths: LocalPaths) -> str:
    """The ``name:password`` that the local server asks programs and its UI for; made once."""
    with locked(paths.run / "sign-in.lock"):
        if not paths.sign_in.exists():
            write_private(paths.sign_in, f"local:{secrets.token_urlsafe(24)}")
        return paths.sign_in.read_text()


def _fingerprint(paths: LocalPaths) -> str:
    return fingerprint_of({"sign-in": sign_in(paths)}, ["sign-in"])


def server_environment(paths: LocalPaths, url: str) -> dict[str, str]:
    """What the server itself needs. Without both addresses its UI would call port 4200."""
    own = own_client_environment(paths, url)
    return own | {
        "PREFECT_SERVER_API_AUTH_STRING": own["PREFECT_API_AUTH_STRING"],
        "PREFECT_SERVER_UI_API_URL": url,
        # `prefect deployment run --watch` shows what a run logs, why it failed among it, by these.
        "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",
        "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
        # SQLite has one writer: waiting for it beats answering 503.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        # One commit per batch of task runs, not one each: see docs/decisions/0004.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        # A run that waits for its deployment's slot begins as that is free, where its next try lies
        # within the 10 seconds that a worker looks ahead.
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "10",
        # To remember the blocks it registered, a server first imports every integration and hashes
        # their blocks: that took longer than registering them anew. Clients register their own.
        "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": (f"sqlite+aiosqlite:///{paths.server_database}"),
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
