"""Reading the sources into the raw tables."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prefect import task

from flows._shared.counted import counted
from flows._shared.orchestration.credentials import (
    MissingBlockError,
    postgres_url,
    reading_block,
)
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.events import emit_landed
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress
from flows._shared.outgoing import open_client
from flows._shared.state import state_dir
from flows.scout import raw
from flows.scout.records import DeliveryCounts, DriveRefusedError, Entity, FileCounts, SourceFile
from flows.scout.rules import batch_id, end_of_last_month
from flows.scout.settings import ScoutSettings
from flows.scout.source import list_files
from flows.scout.source.drive import Changed, Drive, fetch_token
from flows.scout.sync import (
    SLUG,
    Intake,
    fetch_changed,
    load_next_deliveries,
    load_source_file,
    names_left_alone,
    remarks_on,
    rewrite_sample,
)


@task(name="generate sample")
def generate_sample(settings: ScoutSettings) -> str:
    """The folder of the sample, written anew: the same files for the same settings and month."""
    end = settings.sample_end or end_of_last_month(datetime.now(UTC).date())
    folder = state_dir() / "scout" / "sample"
    rewrite_sample(folder, settings, end)
    return str(folder)


@task(
    task_run_name="load-{name}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def load_file(name: str, file: SourceFile, batch: str, settings: ScoutSettings) -> FileCounts:
    """One file into the raw tables, unless its content is the newest there already."""
    with connect(settings.database_block) as connection:
        return load_source_file(connection, name, file, batch, settings)


@task(
    name="fetch from Drive",
    retries=3,
    retry_delay_seconds=[5, 30, 120],
    retry_condition_fn=retry_transient,
)
def fetch_from_drive(
    settings: ScoutSettings, into: Path
) -> tuple[list[SourceFile], Changed, list[tuple[str, str]]]:
    """Download what is new in the Drive folder."""
    assert settings.drive_folder_id is not None
    with connect(settings.database_block) as connection:
        page_token = raw.drive_page_token(connection, settings.drive_folder_id)
    with open_client(timeout=60, follow_redirects=True) as client:
        token = fetch_token(client, service_account(settings.drive_credentials_block))
        folder = Drive(client, token, settings.drive_api_url)
        return fetch_changed(folder, settings.drive_folder_id, page_token, into)


def service_account(block: str) -> dict[str, Any]:
    """The service account key in a GcpCredentials block."""
    # Google's libraries take a second to import and are needed by those who use Drive only.
    from prefect_gcp import GcpCredentials

    try:
        credentials = GcpCredentials.load(block)
    except ValueError as error:
        raise DriveRefusedError(
            f"Loading the block gcp-credentials/{block}",
            str(error),
            "Save the JSON key of a service account as a GcpCredentials block of that name",
        ) from None
    info = credentials.service_account_info
    return dict(info.get_secret_value()) if info else {}


def take_in(settings: ScoutSettings, progress: Progress) -> Intake:
    """Every file of the sources; a file or a source that fails does not keep the others out."""
    if settings.sample_payloads:
        note = (
            f"No source was read: {settings.sample_payloads:,} sample payloads were generated "
            f"from seed {settings.sample_seed}"
        )
        files, _ = list_files(generate_sample(settings))
        return load_files(files, settings, progress, [note], "load generated sample", "csv")
    sources = (settings.folder, settings.drive_folder_id, settings.inbox_block)
    if all(source is None for source in sources):
        names = "`folder`, `drive_folder_id`, `inbox_block`"
        return Intake(notes=(f"No source is configured (settings {names}): nothing was read",))
    intake = Intake()
    if settings.inbox_block is not None:
        intake = take_in_from_inbox(settings, settings.inbox_block, progress)
    if settings.folder is not None:
        intake = intake.and_also(take_in_from_folder(settings, settings.folder, progress))
    if settings.drive_folder_id is not None:
        intake = intake.and_also(take_in_from_drive(settings, progress))
    return intake


@task(name="list the folder")
def list_folder(folder: str) -> tuple[list[SourceFile], list[str]]:
    """The files to ingest, and the names left alone."""
    return list_files(folder)


def take_in_from_folder(settings: ScoutSettings, folder: str, progress: Progress) -> Intake:
    listed = list_folder(folder, return_state=True).result(raise_on_failure=False)
    if isinstance(listed, Exception):
        return Intake(failed=(("The folder", str(listed)),))
    files, left_alone = listed
    notes = names_left_alone(left_alone)
    if not files:
        notes.append(f"{folder} holds no CSV, JSON or workbook: nothing was read from it")
    return load_files(files, settings, progress, notes, "load", "csv")


def take_in_from_drive(settings: ScoutSettings, progress: Progress) -> Intake:
    assert settings.drive_folder_id is not None
    with TemporaryDirectory(prefix="scout-drive-") as folder:
        state = fetch_from_drive(settings, Path(folder), return_state=True)
        fetched = state.result(raise_on_failure=False)
        if isinstance(fetched, Exception):
            return Intake(failed=(("Google Drive", str(fetched)),))
        files, changed, missing = fetched
        notes = names_left_alone(changed.left_alone)
        if changed.is_listed_anew:
            notes.append("Drive took the page token no more: the whole folder was listed anew")
        intake = load_files(files, settings, progress, notes, "load from Drive", "gdrive")
        intake = intake.and_also(Intake(failed=tuple(missing)))
    if not intake.failed:
        with connect(settings.database_block) as connection:
            raw.save_drive_page_token(
                connection, settings.drive_folder_id, changed.page_token, datetime.now(UTC)
            )
    return intake


@task(
    name="load deliveries",
    retries=3,
    retry_delay_seconds=[2, 10, 30],
    retry_condition_fn=retry_transient,
)
def load_deliveries(settings: ScoutSettings, inbox_block: str, batch: str) -> DeliveryCounts:
    """The next deliveries of the inbox, with the position behind them."""
    with (
        connect(inbox_block) as inbox,
        connect(settings.database_block) as connection,
    ):
        return load_next_deliveries(inbox, connection, batch)


def take_in_from_inbox(settings: ScoutSettings, inbox_block: str, progress: Progress) -> Intake:
    try:
        postgres_url(inbox_block)
    except MissingBlockError as error:
        return Intake(notes=(f"Deliveries were not read: {error}",))
    reading = reading_block(inbox_block)
    batch = batch_id("webhook", datetime.now(UTC))
    total = DeliveryCounts(are_more=True)
    failed: tuple[tuple[str, str], ...] = ()
    while total.are_more:
        state = load_deliveries(settings, reading, batch, return_state=True)
        counts = state.result(raise_on_failure=False)
        if isinstance(counts, Exception):
            failed = (("The webhook inbox", str(counts)),)
            break
        total += counts
        if total.deliveries:
            progress.update("load deliveries", total.deliveries, None, total.rows_loaded)
    if total.rows_loaded:
        tell_landed(batch, {Entity.TRANSACTION: total.transactions, Entity.PRODUCT: total.products})
    note = (
        f"{counted(total.deliveries, 'delivery', 'deliveries')}: "
        f"{counted(total.rows_loaded, 'payload')} loaded, {total.rows_quarantined:,} quarantined"
    )
    notes = (note,) if total.deliveries else ()
    return Intake(failed=failed, notes=notes, delivered=total.rows_loaded)


@task(
    name="tell what landed",
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_transient,
)
def tell_landed(batch: str, rows: dict[Entity, int]) -> None:
    """One event for each raw table that a load has changed."""
    for entity, added in rows.items():
        emit_landed(SLUG, table=raw.TABLES[entity], batch=batch, rows=added)


def load_files(
    files: Sequence[SourceFile],
    settings: ScoutSettings,
    progress: Progress,
    notes: Sequence[str],
    phase: str,
    batch_prefix: str,
) -> Intake:
    counts: list[FileCounts] = []
    failed: list[tuple[str, str]] = []
    batch = batch_id(batch_prefix, datetime.now(UTC))
    for done, file in enumerate(files):
        loaded = sum(each.rows_loaded for each in counts)
        progress.update(phase, done, len(files), loaded)
        state = load_file(file.name, file, batch, settings, return_state=True)
        outcome = state.result(raise_on_failure=False)
        if isinstance(outcome, FileCounts):
            counts.append(outcome)
            if outcome.failure:
                failed.append((file.name, outcome.failure))
        else:
            failed.append((file.name, str(outcome)))
    progress.update(phase, len(files), len(files), sum(each.rows_loaded for each in counts))
    added = {
        entity: sum(each.rows_loaded for each in counts if each.entity is entity)
        for entity in Entity
    }
    if any(added.values()):
        tell_landed(batch, added)
    return Intake(tuple(counts), tuple(failed), (*notes, *remarks_on(counts)))
