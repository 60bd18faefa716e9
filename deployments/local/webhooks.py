"""The webhook receiver of this machine, with secrets of its own."""

import json
import secrets
import sys
from collections.abc import Mapping
from functools import partial

import httpx

from blocks import CATALOGUE, Kind
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.processes import (
    BackgroundProcess,
    ProcessRecord,
    fingerprint_of,
    free_ports,
    write_private,
)

SLUG = "webhooks"
FIRST_PORT = 8090
START_SECONDS = 120.0
NOT_READY = "`flows doctor` tells what it lacks and what mends it; then `flows up` again"
# What the receiver must be restarted for when it changes.
FINGERPRINTED = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")


class WebhookReceiver(BackgroundProcess):
    """The local receiver: started if absent, shared if running against the same server.

    Args:
        paths: where its record, log and secrets are kept.
        first_port: ports are tried upwards from here; the one used last is tried before.
    """

    def __init__(self, paths: LocalPaths, *, first_port: int = FIRST_PORT) -> None:
        super().__init__(paths.run, "webhooks", "the webhook receiver")
        self._secrets = paths.run / "webhooks-secrets.json"
        self._first_port = first_port

    def start(self, environment: Mapping[str, str]) -> str:
        """Start the receiver unless it runs; returns its address once it is ready.

        Its blocks must be registered: see ``secrets``.

        Args:
            environment: names the Prefect server, whose blocks it reads.

        Raises:
            PermanentError: it ended while starting; the message carries the end of its log.
            TransientError: it is not ready within two minutes.
        """
        fingerprint = fingerprint_of(environment, FINGERPRINTED)
        with self.locked():
            record = self.running()
            if not record or record.fingerprint != fingerprint or not self._is_up(record):
                self.end()
                record = self.launch_at(
                    free_ports(self._first_port, self.last_port),
                    partial(self._launch, environment, fingerprint),
                    self._is_up,
                    "Correct what it names, then try again",
                )
            return _address(record.port)

    def _launch(self, environment: Mapping[str, str], fingerprint: str, port: int) -> ProcessRecord:
        command = [sys.executable, "-m", "flows.webhooks", "serve", "--port", str(port)]
        return self.launch(command, environment, PROJECT_ROOT, port=port, fingerprint=fingerprint)

    def _is_up(self, record: ProcessRecord) -> bool:
        address = _address(record.port)
        return self.wait(record, lambda: _is_ready(address), START_SECONDS, NOT_READY)

    def url(self) -> str | None:
        """The address of the running receiver, None if it does not run."""
        record = self.running()
        return _address(record.port) if record else None

    def secrets(self) -> dict[str, str]:
        """A secret for each source by environment variable; made once, kept readable by us only."""
        names = [
            need.variable
            for need in CATALOGUE[SLUG]
            if need.kind is Kind.SECRET and need.variable.endswith("_SECRETS")
        ]
        try:
            known = dict(json.loads(self._secrets.read_text()))
        except FileNotFoundError:
            known = {}
        kept = {name: known.get(name) or secrets.token_hex(32) for name in names}
        if kept != known:
            write_private(self._secrets, json.dumps(kept))
        return kept


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=2.0).is_success
    except httpx.HTTPError:
        return False
