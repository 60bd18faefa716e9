"""Starting receivers, and posting to them as their senders do."""

import base64
import hashlib
import hmac
import json
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import yaml
from prefect.blocks.system import Secret
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks.registration import connection
from deployments.local.paths import PROJECT_ROOT
from deployments.local.processes import wait_until
from flows.webhooks.settings import ANYONE
from flows.webhooks.sources import BUILT_IN
from tests.ports import own_ports

SECRET = "It's a Secret to Everybody"
OLD_SECRET = "the secret before"
STANDARD_SECRET = "whsec_" + base64.b64encode(b"a standard secret").decode()
# As the libraries of Standard Webhooks take it, too.
BARE_SECRET = base64.b64encode(b"another standard secret").decode()
START_SECONDS = 60.0
FIRST_PORT = 23_000

SHOP = {
    "name": "shop",
    "schemes": [{"type": "hmac", "header": "X-Shop-Signature", "encoding": "base64"}],
    "endpoints": [
        {
            "path": "/webhook/shop",
            "kind": "order",
            "delivery_id_header": "X-Shop-Delivery",
            "without_id": "by content",
            "attributes": {"order": "/order/id", "first": "/lines/0/sku"},
            "max_bytes": 1000,
        }
    ],
    "networks": ["127.0.0.0/8"],
    "silent_where": {"/sender/login": r"our-app\[bot\]"},
}

# Lets three requests pass, and one every two seconds after that.
LIMITED = {
    "name": "limited",
    "unsigned": ANYONE,
    "endpoints": [{"path": "/webhook/limited", "kind": "any"}],
    "requests_per_second": 0.5,
    "burst": 3,
}


# Opens one path of Scout's.
SCOPED_PATH = "/webhook/scout-transactions"
SCOPED_SECRET = "of-one-sender-of-rows-alone"


def register(name: str, url: str) -> None:
    """The blocks of one receiver: its database, and the secrets of every source."""
    SqlAlchemyConnector(connection_info=connection("the database", url)).save(
        f"webhooks-{name}-postgres", overwrite=True
    )
    for source in [*(source.name for source in BUILT_IN), "shop"]:
        scoped = [f"{SCOPED_PATH} {SCOPED_SECRET}"] if source == "scout" else []
        set_secrets(name, source, [STANDARD_SECRET, BARE_SECRET, SECRET, OLD_SECRET, *scoped])


def set_secrets(name: str, source: str, secrets: list[str]) -> None:
    block = f"webhooks-{name}-{source.replace('_', '-')}-secrets"
    Secret(value=json.dumps(secrets)).save(block, overwrite=True)


def settings(name: str, **changes: Any) -> dict[str, Any]:
    """The settings of a receiver whose blocks were registered under ``name``."""
    sources = [source.model_dump(mode="json") for source in BUILT_IN]
    for source in (own := [*sources, dict(SHOP), dict(LIMITED)]):
        source["secrets_block"] = f"webhooks-{name}-{source['name'].replace('_', '-')}-secrets"
    return {
        "database_block": f"webhooks-{name}-postgres",
        "sources": own,
        # Each time six blocks are asked for, at the server that the other tests use, too.
        "secrets_refresh_seconds": 8,
        **changes,
    }


@dataclass
class Running:
    """A receiver that answers."""

    url: str
    log: Path
    command: list[str]
    metrics_url: str
    grpc_address: str
    process: "subprocess.Popen[bytes]" = field(init=False)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def again(self) -> None:
        """Start it at its address, as a supervisor does after a crash."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, cwd=PROJECT_ROOT, stdout=output, stderr=subprocess.STDOUT
            )
        wait_ready(self.url, self.process, self.log)

    def lines(self) -> list[dict[str, Any]]:
        """The log, without a line that is still being written."""
        return [json.loads(line) for line in self.log.read_text().split("\n")[:-1]]

    def metric(self, name: str) -> float:
        text = httpx.get(self.metrics_url, verify=False).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def start(folder: Path, name: str, **changes: Any) -> Running:
    """Start a receiver and wait until it is ready."""
    file = folder / "receiver.yaml"
    ports = own_ports(FIRST_PORT)
    taken = {name: next(ports) for name in ("port", "metrics_port", "grpc_port")}
    file.write_text(yaml.safe_dump(settings(name, **taken, **changes)))
    command = [sys.executable, "-m", "flows.webhooks", "serve", "--settings", str(file)]
    at = {name: f"127.0.0.1:{port}" for name, port in taken.items()}
    running = Running(
        f"http://{at['port']}",
        folder / "log",
        command,
        f"http://{at['metrics_port']}/metrics",
        at["grpc_port"],
    )
    running.again()
    return running


def wait_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    with httpx.Client(base_url=url, verify=False) as client:

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return client.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        assert wait_until(is_ready, START_SECONDS), log.read_text()


def hub_signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def github_headers(body: bytes, event: str = "push", **changes: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": hub_signature(body),
        **changes,
    }


def own_headers(body: bytes, secret: str = SECRET, **changes: str) -> dict[str, str]:
    """As a sender to Scout or Quality Compass signs."""
    return {
        "Content-Type": "application/json",
        "X-Signature-256": hub_signature(body, secret),
        **changes,
    }


def standard_headers(
    body: bytes,
    identity: str,
    timestamp: float | None = None,
    secret: str = STANDARD_SECRET,
    names: str = "webhook",
) -> dict[str, str]:
    at = int(time.time() if timestamp is None else timestamp)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{identity}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        f"{names}-id": identity,
        f"{names}-timestamp": str(at),
        f"{names}-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def token_headers(secret: str = SECRET, **changes: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {secret}",
        **changes,
    }


def rows(url: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def deliveries(url: str) -> int:
    return int(rows(url, "select count(*) from webhooks.deliveries")[0][0])
