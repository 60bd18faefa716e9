"""One source after the other into the raw tables. Knows no Prefect."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg

from flows._shared.counted import counted
from flows._shared.inbox import Delivery, Position, read_deliveries
from flows.scout import raw
from flows.scout.records import (
    DeliveredRow,
    DeliveryCounts,
    DriveRefusedError,
    FileCounts,
    SourceFile,
)
from flows.scout.rules import entity_of
from flows.scout.sample import write_sample
from flows.scout.settings import ScoutSettings
from flows.scout.source import examine, read_delivery, read_rows
from flows.scout.source.drive import Changed, Drive, source_file

SLUG = "scout"
INBOX_KINDS = ("transactions", "products")


@dataclass(frozen=True)
class Intake:
    """What a run took in: files that ended well, files that failed and why, remarks for people,
    and rows of deliveries."""

    counts: tuple[FileCounts, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    delivered: int = 0

    @property
    def files(self) -> int:
        return sum(not each.failure for each in self.counts) + len(self.failed)

    @property
    def rows_loaded(self) -> int:
        return self.delivered + sum(each.rows_loaded for each in self.counts)

    def and_also(self, other: "Intake") -> "Intake":
        return Intake(
            self.counts + other.counts,
            self.failed + other.failed,
            self.notes + other.notes,
            self.delivered + other.delivered,
        )


def rewrite_sample(folder: Path, settings: ScoutSettings, end: date) -> None:
    """The sample in its folder, alone: the same files for the same settings and last day."""
    assert settings.sample_payloads is not None
    for stale in folder.glob("*") if folder.exists() else ():
        stale.unlink()
    write_sample(folder, settings.sample_payloads, settings.sample_seed, end)


def load_source_file(
    connection: psycopg.Connection,
    name: str,
    file: SourceFile,
    batch: str,
    settings: ScoutSettings,
) -> FileCounts:
    """One file into the raw tables, unless its content is there already."""
    facts = examine(file, settings.fallback_encoding)
    return raw.load_file(
        connection,
        entity_of(name),
        name,
        file.source,
        facts,
        batch,
        datetime.now(UTC),
        lambda: read_rows(file, facts.encoding, settings.sheets, settings.fallback_encoding),
    )


def fetch_changed(
    folder: Drive, folder_id: str, page_token: str | None, into: Path
) -> tuple[list[SourceFile], Changed, list[tuple[str, str]]]:
    """Download what is new in a Drive folder since a page token.

    Returns:
        The files, what changed, and the names of files that Drive refuses, with its reason.
    """
    changed = folder.changed(folder_id, page_token)
    files, refused = [], []
    for number, file in enumerate(changed.files):
        path = into / str(number)
        try:
            folder.download(file, path)
        except DriveRefusedError as error:
            refused.append((file.name, str(error)))
        else:
            files.append(source_file(file, path))
    return files, changed, refused


def load_next_deliveries(
    inbox: psycopg.Connection, connection: psycopg.Connection, batch: str
) -> DeliveryCounts:
    """The next deliveries of the inbox, with the position behind them."""

    def read(after: Position | None) -> Iterator[tuple[Delivery, Iterator[DeliveredRow]]]:
        for delivery in read_deliveries(inbox, SLUG, after, INBOX_KINDS):
            yield delivery, read_delivery(delivery)

    return raw.load_deliveries(connection, batch, datetime.now(UTC), read)


def names_left_alone(names: Sequence[str]) -> list[str]:
    return [f"Left alone, neither CSV, JSON nor a workbook: {name}" for name in names]


def list_failed(failed: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- {name}: {reason}" for name, reason in failed)


def remarks_on(counts: Sequence[FileCounts]) -> list[str]:
    """What people should know of files that ended well."""
    said = [f"{each.name}: {remark}" for each in counts for remark in each.remarks]
    said += [
        f"{each.name}: it holds no rows" for each in counts if each.is_new and not each.rows_read
    ]
    return said + [
        f"{each.name}: {each.rows_quarantined:,} of {counted(each.rows_read, 'row')} quarantined"
        if each.is_new
        else f"{each.name}: loaded before, nothing added"
        for each in counts
        if (each.rows_quarantined or not each.is_new) and not each.failure
    ]
