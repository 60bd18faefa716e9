"""A BigQuery emulator, for domains whose warehouse is BigQuery in production."""

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial

import httpx

from deployments.local.paths import OWN, PROJECT_ROOT, LocalPaths
from deployments.local.processes import BackgroundProcess, ProcessRecord, free_ports
from flows._shared.errors import PermanentError

FIRST_PORT = 9050
START_SECONDS = 60.0
PROJECT = "ledgermind-ml-analytics"
# Where the emulator keeps what is sent to it, by default in a folder that all users share.
STAGING_VARIABLE = "BQEMU_UPLOAD_STAGING_DIR"
# Whether it asks DuckDB's host for an extension when it starts: for Avro, in which nothing is sent.
EXTENSIONS_VARIABLE = "BQEMU_ENABLE_FORMAT_EXTENSIONS"
# DuckDB keeps extensions in the home folder; the emulator would download this one.
UNPACK = "import duckdb_extensions; duckdb_extensions.import_extension('spatial')"


class BigQueryEmulator(BackgroundProcess):
    """The local emulator: started if absent, shared if running. What it holds ends with it.

    Args:
        paths: where its record, log and home folder are kept.
        first_port: ports are tried upwards from here.
    """

    def __init__(self, paths: LocalPaths, *, first_port: int = FIRST_PORT) -> None:
        super().__init__(paths.run, "bigquery", "the BigQuery emulator")
        self._home = paths.state / "bigquery"
        self._first_port = first_port

    def start(self) -> str:
        """Start the emulator unless it runs; returns its endpoint once it answers.

        Raises:
            PermanentError: it ended while starting; the message carries the end of its log.
            TransientError: it does not answer within a minute.
        """
        with self.locked():
            record = self.running()
            if record is None or not self._is_up(record):
                environment = self._environment()
                _unpack(environment)
                record = self.launch_at(
                    free_ports(self._first_port, self.last_port),
                    partial(self._launch, environment),
                    self._is_up,
                    "Correct what it names; an error about an import: set up .venv anew",
                )
            return _endpoint(record.port)

    def endpoint(self) -> str | None:
        """The address of the running emulator, None if it does not run."""
        record = self.running()
        return _endpoint(record.port) if record else None

    def _environment(self) -> dict[str, str]:
        self._home.mkdir(mode=OWN, parents=True, exist_ok=True)
        return {
            **os.environ,
            "HOME": str(self._home),
            "PYTHONPATH": str(PROJECT_ROOT),
            STAGING_VARIABLE: str(self._home / "sent"),
            EXTENSIONS_VARIABLE: "false",
        }

    def _launch(self, environment: Mapping[str, str], port: int) -> ProcessRecord:
        command = [sys.executable, "-m", "deployments.local.emulator", "start", "--ephemeral"]
        command += ["--project", PROJECT, "--log-level", "warning"]
        command += ["--rest-port", str(port)]
        return self.launch(command, environment, PROJECT_ROOT, port=port)

    def _is_up(self, record: ProcessRecord) -> bool:
        return self.wait(record, lambda: _answers(record.port), START_SECONDS)


def _unpack(environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNPACK], env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise PermanentError(
            "unpacking the emulator's DuckDB extension",
            done.stderr.strip(),
            "Set up .venv anew: duckdb-extension-spatial must be of DuckDB's own version",
        )


def _endpoint(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _answers(port: int) -> bool:
    address = f"{_endpoint(port)}/bigquery/v2/projects/{PROJECT}/datasets"
    try:
        return httpx.get(address, timeout=2.0).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
