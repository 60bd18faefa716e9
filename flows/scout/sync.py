"""One source after the other into the raw tables. Knows no Prefect."""

import time
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
    DriveUnavailableError,
    FileCounts,
    SourceFile,
)
from flows.scout.rules import READABLE, entity_of, hash_text, shown
from flows.scout.sample import write_sample
from flows.scout.settings import ScoutSettings
from flows.scout.source import examine, read_delivery, read_rows
from flows.scout.source.drive import Changed, Drive, DriveFile, source_file

SLUG = "scout"
INBOX_KINDS = ("transactions", "products")
SECONDS_BEFORE_ANOTHER_TRY = (5.0, 30.0)
# After so many files in a row that did not come, Drive as a whole is not asked for the others.
MISSING_IN_A_ROW = 10


@dataclass(frozen=True)
class Intake:
    """What a run took in: files that ended well, files and sources that failed and why, remarks
    for people, and rows of deliveries."""

    counts: tuple[FileCounts, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    delivered: int = 0

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
    """One file into the raw tables, unless its content is the newest there already."""
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
        place=file.place,
    )


def fetch_changed(
    folder: Drive, folder_id: str, page_token: str | None, into: Path
) -> tuple[list[SourceFile], Changed, list[tuple[str, str]]]:
    """Download what is new in a Drive folder since a page token.

    Files that do not come are asked for again when the others are there: what was edited
    meanwhile has another size by then.

    Returns:
        The files, what changed, and the names of files that did not come, with the reason.
    """
    changed = folder.changed(folder_id, page_token)
    files: dict[str, SourceFile] = {}
    failed = _download_each(folder, changed.files, into, files)
    for seconds in SECONDS_BEFORE_ANOTHER_TRY:
        waiting = [
            each
            for each in changed.files
            if each.id not in files and isinstance(failed[each.id], DriveUnavailableError)
        ]
        if waiting:
            time.sleep(seconds)
            failed |= _download_each(folder, waiting, into, files, is_again=True)
    return (
        [files[each.id] for each in changed.files if each.id in files],
        changed,
        [(each.name, str(failed[each.id])) for each in changed.files if each.id not in files],
    )


def _download_each(
    folder: Drive,
    wanted: Sequence[DriveFile],
    into: Path,
    files: dict[str, SourceFile],
    is_again: bool = False,
) -> dict[str, DriveRefusedError | DriveUnavailableError]:
    """Add those that come to ``files``; those that do not have their error."""
    failed: dict[str, DriveRefusedError | DriveUnavailableError] = {}
    missing_in_a_row = 0
    for file in wanted:
        if missing_in_a_row == MISSING_IN_A_ROW:
            failed[file.id] = DriveUnavailableError(
                f"Downloading {shown(file.name)} from Drive",
                f"not tried after {MISSING_IN_A_ROW} files in a row that did not come",
                "Nothing is lost: run again",
            )
            continue
        path = into / hash_text(file.id)
        try:
            folder.download(folder.as_it_is_now(file) if is_again else file, path)
        except (DriveRefusedError, DriveUnavailableError) as error:
            failed[file.id] = error
            missing_in_a_row += isinstance(error, DriveUnavailableError)
        else:
            missing_in_a_row = 0
            files[file.id] = source_file(file, path)
    return failed


def load_next_deliveries(
    inbox: psycopg.Connection, connection: psycopg.Connection, batch: str
) -> DeliveryCounts:
    """The next deliveries of the inbox, with the position behind them."""

    def read(after: Position | None) -> Iterator[tuple[Delivery, Iterator[DeliveredRow]]]:
        for delivery in read_deliveries(inbox, SLUG, after, INBOX_KINDS):
            yield delivery, read_delivery(delivery)

    return raw.load_deliveries(connection, batch, datetime.now(UTC), read)


def names_left_alone(names: Sequence[str]) -> list[str]:
    return [f"Left alone, not {READABLE}: {name}" for name in names]


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
        if (each.rows_quarantined or not each.is_new) and (each.rows_loaded or not each.failure)
    ]
