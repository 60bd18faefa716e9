"""Exporters that call the receiver over gRPC."""

import os
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

# What the library does around each fork breaks calls under way, and processes of the bench are
# started by others' forks all the time; none of these calls. To be set before it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from flows.webhooks.rpc import SERVICES
from tests.faults.receiving import SECRET

CALLS, PAIRS, FORGED = 36, 6, 3
LONG_BYTES = 300_000
# Also of a call that waits for a receiver that is gone.
PATIENCE_SECONDS = 4.0
# A sender whose connection broke tries again at once, as over HTTP.
OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
)
ACCEPTED, UNANSWERED = 200, 0
# As over HTTP; whatever is not here is nothing that a receiver should say.
STATUSES = {
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.DEADLINE_EXCEEDED: UNANSWERED,
    grpc.StatusCode.CANCELLED: UNANSWERED,
}


@dataclass(frozen=True)
class Call:
    """One export. ``is_forged``: its token is wrong, so that it is never stored."""

    number: int
    service: str
    body: bytes
    is_packed: bool
    is_forged: bool = False
    after: None = None

    @property
    def path(self) -> str:
        return f"/{SERVICES[self.service]}/Export"


def calls(stage: str, seed: int = 5) -> Sequence[Call]:
    """What is sent while a stage runs, among it pairs at once."""
    chance = random.Random(f"{stage} {seed}")
    made: list[Call] = []

    def add(service: str, body: bytes, is_forged: bool = False) -> None:
        made.append(Call(len(made), service, body, chance.random() < 0.5, is_forged))

    for number in range(CALLS):
        length = LONG_BYTES if not number else chance.randint(500, 8_000)
        text = chance.randbytes(length // 2).hex()
        service, body = _export(f"{stage}-{number}", text, is_log=bool(number % 2))
        for _ in range(2 if number < PAIRS else 1):
            add(service, body)
    for number in range(FORGED):
        add(*_export(f"{stage}-forged-{number}", "", is_log=False), is_forged=True)
    return made


def _export(name: str, text: str, *, is_log: bool) -> tuple[str, bytes]:
    if is_log:
        logs = ExportLogsServiceRequest()
        record = logs.resource_logs.add().scope_logs.add().log_records.add(event_name=name)
        record.body.string_value = text
        return "otlp-logs", logs.SerializeToString()
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    metric.description = text
    return "otlp-metrics", metrics.SerializeToString()


class Exporter:
    """A connection of its own."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", OPTIONS)

    def send(self, each: Call) -> int:
        """The status of the answer, as over HTTP."""
        secret = "another secret" if each.is_forged else SECRET
        try:
            self._channel.unary_unary(each.path)(
                each.body,
                metadata=(("authorization", f"Bearer {secret}"),),
                timeout=PATIENCE_SECONDS,
                # Where a connection is not made at once an exporter tries again, which nobody does
                # here.
                wait_for_ready=True,
                compression=grpc.Compression.Gzip if each.is_packed else None,
            )
        except grpc.RpcError as error:
            return STATUSES.get(error.code(), 500)
        return ACCEPTED

    def close(self) -> None:
        with suppress(Exception):
            self._channel.close()
