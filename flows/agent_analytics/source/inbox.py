"""The inbox's deliveries: telemetry as lines, commits as rows."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from flows._shared.inbox import Delivery, Position, read_deliveries
from flows.agent_analytics.records import (
    Canonical,
    Commit,
    Rejected,
    Signal,
    UnreadableTelemetryError,
)
from flows.agent_analytics.rules import canonical_line, commit_of, commit_rows, otel_lines
from flows.agent_analytics.source.rows import EXCERPT, parsed, rejected_of, short
from flows.agent_analytics.source.written import LineFile, Lines

# Of commits and of what is put aside: a batch holds them in memory.
MOST_HELD = 100_000


@dataclass(frozen=True)
class InboxBatch:
    """Deliveries that are loaded together, and the position behind the last of them."""

    files: tuple[LineFile, ...]
    commits: tuple[Commit | Rejected, ...]
    rejected: tuple[Rejected, ...]
    position: Position


def read_inbox(
    connection: psycopg.Connection, after: Position | None, folder: Path, size: int
) -> Iterator[InboxBatch]:
    """The deliveries behind a position, in batches of about this many bytes.

    What cannot be read of a delivery is told in its batch. The files of a batch are gone once the
    next one is asked for.
    """
    deliveries = read_deliveries(connection, "agent_analytics", after)
    while batch := _inbox_batch(deliveries, folder, size):
        yield batch
        for file in batch.files:
            file.path.unlink(missing_ok=True)


def _inbox_batch(deliveries: Iterator[Delivery], folder: Path, size: int) -> InboxBatch | None:
    commits: list[Commit | Rejected] = []
    rejected: list[Rejected] = []
    position = None
    taken = 0
    with Lines(LineFile(folder / "inbox.jsonl", "inbox", is_canonical=True)) as lines:
        for delivery in deliveries:
            position = delivery.position
            taken += len(delivery.body)
            name = f"delivery {delivery.delivery_id}"
            try:
                if delivery.kind == "commits":
                    for number, row in enumerate(commit_rows(delivery.body), 1):
                        text = json.dumps(row).encode()
                        commits.append(parsed(text, commit_of, name, f"row {number}"))
                else:
                    delivered = _delivered_lines(delivery)
                    for line in [short(each.line) for each in delivered]:
                        lines.write(line.encode())
                    for each in delivered:
                        rejected += rejected_of(each, name)
            except (UnreadableTelemetryError, ValueError, ArithmeticError, RecursionError) as error:
                seen = error.seen if isinstance(error, UnreadableTelemetryError) else "not JSON"
                excerpt = delivery.body[:EXCERPT].decode("utf-8", "replace")
                rejected.append(Rejected(name, seen, excerpt))
            if taken >= size or len(rejected) + len(commits) >= MOST_HELD:
                break
    files = tuple(lines.files())
    if position is None:
        return None
    return InboxBatch(files, tuple(commits), tuple(rejected), position)


def _delivered_lines(delivery: Delivery) -> list[Canonical]:
    match delivery.kind:
        case "otlp-metrics":
            return [canonical_line(delivery.body, Signal.METRICS, delivery.content_type)]
        case "otlp-logs":
            return [canonical_line(delivery.body, Signal.LOGS, delivery.content_type)]
        case "otel":
            return otel_lines(delivery.body)
        case other:
            raise UnreadableTelemetryError(
                f"Reading delivery {delivery.delivery_id}",
                f"deliveries of the kind {other} are not read",
                "Send telemetry and commits to the paths that the runbook names",
            )
