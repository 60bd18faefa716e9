"""What the webhook receiver bears, against PostgreSQL's own rate of single-row inserts.

    python -m tests.benchmarks.webhooks [--seconds 8] [--rounds 3]

On a durable embedded PostgreSQL of its own, each round measures: single-row inserts of the same
body by pgbench, each a commit, over one connection and over 16; then signed deliveries as fast as
the receiver takes them; then at half that rate, sent at fixed times, with latency counted from the
time at which a delivery was due; and pgbench's inserts at that rate, which tell what of the tail is
the database's and the machine's. Prints medians over the rounds. Events are left to
`python -m flows.webhooks dispatch`, which does not run here.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import uvloop

from deployments.local.paths import LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.programs import program
from deployments.local.server import PrefectServer, own_client_environment
from flows.webhooks.sources import AGENT_ANALYTICS, GITHUB

if TYPE_CHECKING:
    from tests.webhooks.harness import Running

SENDERS = 64
CONNECTIONS = 16
COMMITS = 20
BARE = """
create table bare (
    delivery_id text primary key, received_at timestamptz not null, headers jsonb not null,
    body bytea not null, payload jsonb
)
"""
INSERT = (
    "insert into bare values "
    "(gen_random_uuid()::text, now(), '{}', convert_to('BODY', 'UTF8'), 'BODY');"
)


@dataclass(frozen=True)
class Measured:
    """Deliveries per second, and milliseconds from when each was due to its answer."""

    rate: float
    p50: float
    p99: float


def push() -> bytes:
    """A push of the size that GitHub's are."""
    commits = [
        {
            "id": uuid.uuid4().hex + "00000000",
            "message": f"Change {number}: " + "say why, and what else was thought of. " * 4,
            "author": {"name": "Mona Lisa", "email": "mona@example.org", "username": "mona"},
            "added": [f"flows/module_{number}/{each}.py" for each in range(4)],
        }
        for number in range(COMMITS)
    ]
    return json.dumps(
        {
            "ref": "refs/heads/main",
            "before": "0" * 40,
            "after": "a" * 40,
            "repository": {"id": 1, "full_name": "octo/hello"},
            "commits": commits,
        }
    ).encode()


def insert_singly(
    folder: Path, url: str, connections: int, seconds: int, rate: float | None = None
) -> Measured:
    """Inserts of the same body, each in a transaction of its own, by pgbench: as fast as it can, or
    at a fixed rate, with latency counted as for deliveries."""
    script = folder / "insert.sql"
    text = push().decode().replace("'", "''")
    script.write_text(INSERT.replace("BODY", text))
    command = [str(program("pgbench")), "--no-vacuum", "--protocol=prepared", f"--file={script}"]
    command += [f"--client={connections}", "--jobs=1", f"--time={seconds}"]
    command += [f"--rate={rate}"] if rate else []
    with tempfile.TemporaryDirectory(dir=folder) as logs:
        subprocess.run(
            [*command, "--log", f"--log-prefix={logs}/inserts", url],
            capture_output=True,
            check=True,
        )
        lines = [line for log in Path(logs).iterdir() for line in log.read_text().splitlines()]
    cuts = statistics.quantiles([int(line.split()[2]) / 1000 for line in lines], n=100)
    return Measured(len(lines) / seconds, cuts[49], cuts[98])


def post_for(port: int, seconds: float, rate: float | None) -> Measured:
    """Post as fast as answers come, or at a fixed rate."""
    return uvloop.run(_post_for(port, seconds, rate))


async def _post_for(port: int, seconds: float, rate: float | None) -> Measured:
    from tests.webhooks.harness import hub_signature

    body = push()
    signature = hub_signature(body)
    latencies: list[float] = []
    start = time.monotonic() + 0.2
    end = start + seconds

    async def send(sender: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number = 0
        await asyncio.sleep(start - time.monotonic())
        while True:
            due = time.monotonic()
            if rate:
                due = start + (sender + number * SENDERS) / rate
                await asyncio.sleep(max(due - time.monotonic(), 0))
            if due >= end:
                break
            number += 1
            head = (
                "POST /webhook/github HTTP/1.1\r\nHost: receiver\r\n"
                "Content-Type: application/json\r\nX-GitHub-Event: push\r\n"
                f"X-GitHub-Delivery: {uuid.uuid4()}\r\nX-Hub-Signature-256: {signature}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 202"), answer
            length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append((time.monotonic() - due) * 1000)
        writer.close()

    await asyncio.gather(*(send(sender) for sender in range(SENDERS)))
    cuts = statistics.quantiles(latencies, n=100)
    return Measured(len(latencies) / seconds, cuts[49], cuts[98])


def rounds(
    folder: Path, url: str, port: int, seconds: int, count: int
) -> Iterator[Sequence[float]]:
    for _ in range(count):
        single = insert_singly(folder, url, 1, seconds)
        many = insert_singly(folder, url, CONNECTIONS, seconds)
        # Else what pgbench wrote is flushed beside the deliveries, and is most of their tail.
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("checkpoint")
        full = post_for(port, seconds, None)
        half = post_for(port, seconds, full.rate / 2)
        beside = insert_singly(folder, url, CONNECTIONS, seconds, full.rate / 2)
        yield (
            *(single.rate, many.rate, full.rate, full.p50, full.p99),
            *(half.rate, half.p50, half.p99, beside.p50, beside.p99),
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with surroundings("webhooks-benchmark-") as (folder, url):
        measure(folder, url, options)
    return 0


@contextmanager
def surroundings(prefix: str) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL of a database of its own beside a Prefect server, for a receiver."""
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        paths = LocalPaths(Path(folder))
        cluster = EmbeddedPostgres(paths.postgres, first_port=57_320)
        server = PrefectServer(paths, first_port=46_200)
        try:
            url = cluster.start().create_database("benchmark")
            os.environ.update(own_client_environment(paths, server.start()))
            yield Path(folder), url
        finally:
            server.stop()
            cluster.stop()


def started(folder: Path) -> "Running":
    """A receiver without a limit of rate, of a source for HTTP and of the one for gRPC."""
    from tests.webhooks.harness import settings, start

    enabled = [GITHUB.name, AGENT_ANALYTICS.name]
    sources = [
        {**each, "requests_per_second": 1_000_000, "burst": 1_000_000}
        for each in settings("benchmark")["sources"]
        if each["name"] in enabled
    ]
    return start(folder, "benchmark", sources=sources, enabled=enabled, dispatches=False)


def measure(folder: Path, url: str, options: argparse.Namespace) -> None:
    # Prefect reads its settings when it is imported: not before the server has an address.
    from tests.webhooks.harness import register

    register("benchmark", url)
    running = started(folder)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(BARE)
        port = int(running.url.rpartition(":")[2])
        found = list(rounds(folder, url, port, options.seconds, options.rounds))
    finally:
        running.stop()
    single, many, rate, p50, p99, half, half_p50, half_p99, beside_p50, beside_p99 = (
        statistics.median(column) for column in zip(*found, strict=True)
    )
    lines = [
        f"body of {len(push()):,} bytes, {SENDERS} senders, medians of {options.rounds} rounds",
        f"single-row inserts, one connection:  {single:8,.0f} a second",
        f"single-row inserts, {CONNECTIONS} connections: {many:8,.0f} a second",
        f"deliveries answered 202:             {rate:8,.0f} a second",
        f"  p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        f"  ratio to one connection {rate / single:.2f}, to {CONNECTIONS}: {rate / many:.2f}",
        f"at half that rate ({half:,.0f} a second):   p50 {half_p50:.1f} ms, p99 {half_p99:.1f} ms",
        f"  inserts at that rate: p50 {beside_p50:.1f} ms, p99 {beside_p99:.1f} ms",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
