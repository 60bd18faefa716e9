"""A BigQuery emulator, for domains whose warehouse is BigQuery in production."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

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
from flows._shared.errors import PermanentError, TransientError

FIRST_PORT = 9050
START_SECONDS = 60.0
PROJECT = "ledgermind-ml-analytics"
# DuckDB keeps extensions in the home folder; the emulator would download this one.
UNPACK = "import duckdb_extensions; duckdb_extensions.import_extension('spatial')"


class BigQueryEmulator:
    """The local emulator: started if absent, shared if running. What it holds ends with it.

    Args:
        paths: where its record, log and home folder are kept.
        first_port: ports are tried upwards from here; two are taken.
    """

    def __init__(self, paths: LocalPaths, *, first_port: int = FIRST_PORT) -> None:
        self.log = paths.run / "bigquery.log"
        self._home = paths.state / "bigquery"
        self._record = paths.run / "bigquery.json"
        self._lock = paths.run / "bigquery.lock"
        self._first_port = first_port
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start the emulator unless it runs; returns its endpoint once it answers.

        Raises:
            PermanentError: it ended while starting; the message carries the end of its log.
            TransientError: it does not answer within a minute.
        """
        with locked(self._lock):
            record = ProcessRecord.read(self._record)
            if not record or not record.process():
                record = self._launch()
            self._wait(record)
            return _endpoint(record.port)

    def stop(self) -> None:
        """Stop the emulator. Does nothing if it does not run."""
        with locked(self._lock):
            record = ProcessRecord.read(self._record)
            if record and (process := record.process()):
                end(process)
        if self._child:
            self._child.wait()
            self._child = None

    def endpoint(self) -> str | None:
        """The address of the running emulator, None if it does not run."""
        record = ProcessRecord.read(self._record)
        return _endpoint(record.port) if record and record.process() else None

    @property
    def pid(self) -> int | None:
        record = ProcessRecord.read(self._record)
        process = record.process() if record else None
        return process.pid if process else None

    def _launch(self) -> ProcessRecord:
        environment = {**os.environ, "HOME": str(self._home)}
        self._unpack(environment)
        last = ProcessRecord.read(self._record)
        ports = free_ports(self._first_port, last.port if last else 0)
        rest = next(ports)
        grpc = next(port for port in ports if port != rest)
        command = [str(Path(sys.executable).parent / "bqemulator"), "start", "--ephemeral"]
        command += ["--project", PROJECT, "--log-level", "warning"]
        command += ["--rest-port", str(rest), "--grpc-port", str(grpc)]
        self._child = start_detached(command, environment, self.log, PROJECT_ROOT)
        record = record_of(self._child.pid, rest)
        record.write(self._record)
        return record

    def _unpack(self, environment: dict[str, str]) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", UNPACK], env=environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise PermanentError(
                "unpacking the emulator's DuckDB extension",
                done.stderr.strip(),
                "Set up .venv anew: duckdb-extension-spatial must be of DuckDB's own version",
            )

    def _wait(self, record: ProcessRecord) -> None:
        deadline = time.monotonic() + START_SECONDS
        while process := record.process():
            if listens(process, record.port) and _answers(record.port):
                return
            if time.monotonic() > deadline:
                raise TransientError(
                    f"waiting for the BigQuery emulator on port {record.port}",
                    f"no answer in {START_SECONDS:.0f} s; its log says:\n{tail(self.log)}\n",
                    "`make stop`, then try again",
                )
            time.sleep(0.2)
        raise died("the BigQuery emulator", self.log, "Set up .venv anew, then try again")


def _endpoint(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _answers(port: int) -> bool:
    address = f"{_endpoint(port)}/bigquery/v2/projects/{PROJECT}/datasets"
    try:
        return httpx.get(address, timeout=2.0).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
