"""Order, retries and artifacts of Scout: read the source into raw, then build the layers."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import fsspec
import httpx
import psycopg
from prefect import flow, get_run_logger, task
from pydantic import ValidationError

from flows._shared.events import Event, QualityLow
from flows._shared.inbox import Delivery, Position, read_deliveries
from flows._shared.orchestration.credentials import (
    MissingBlockError,
    dbt_postgres_env,
    postgres_url,
    secret_value,
)
from flows._shared.orchestration.dbt import DbtOptions, DbtOutcome, build_dbt
from flows._shared.orchestration.events import emit_landed, send_events
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress, RunSummary, publish_summary
from flows._shared.revised import revised
from flows._shared.state import state_dir
from flows.scout import raw
from flows.scout.records import (
    DatabaseUnreachableError,
    DeliveryCounts,
    DriveRefusedError,
    EmbeddingEndpoint,
    Entity,
    FileCounts,
    FilesFailedError,
    LayerRefusedError,
    QualityScore,
    Row,
    SourceFile,
    TextToEmbed,
)
from flows.scout.rules import (
    batch_id,
    embed_by_hashing,
    end_of_last_month,
    entity_of,
    quality_score,
    selectors,
    takes_in,
)
from flows.scout.sample import write_sample
from flows.scout.settings import EmbeddingSettings, ScoutSettings
from flows.scout.source import examine, list_files, read_delivery, read_rows
from flows.scout.source.drive import Changed, Drive, fetch_token, source_file
from flows.scout.source.embeddings import (
    LOCAL_MODEL,
    embed_locally,
    endpoint_from,
    fetch_embeddings,
)

SLUG = "scout"
INBOX_KINDS = ("transactions", "products")
# They read whole tables, or no data at all: run with a full refresh, and by hand.
TESTS_OF_FULL_REFRESH = ("tag:whole_table", "test_type:unit")
EXAMPLE_QUERY = (
    "select month, category, currency, total_amount, mom_growth_pct "
    "from gold.gold_monthly_summary order by month desc, total_amount desc limit 10"
)


@dataclass(frozen=True)
class Intake:
    """What a run took in: files that ended well, files that failed and why, remarks for people,
    and rows of deliveries."""

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


@contextmanager
def connect(block: str) -> Iterator[psycopg.Connection]:
    """To the database of a block, committing each statement that is in no transaction.

    Statements are never prepared: behind a pooler that hands out connections by transaction, the
    next one may know nothing of them.

    Raises:
        DatabaseUnreachableError: no connection.
    """
    url = postgres_url(block)
    try:
        connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise DatabaseUnreachableError(
            f"Connecting to the database of the block {block}",
            str(error),
            "Check that it is up, and the block's host, user and password",
        ) from None
    with connection:
        yield connection


@task(
    name="prepare raw tables",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def prepare(database_block: str) -> None:
    with connect(database_block) as connection:
        raw.ensure_schema(connection)


@task(name="generate sample")
def generate_sample(settings: ScoutSettings) -> str:
    """The folder of the sample, written anew: the same files for the same settings and month."""
    assert settings.sample_payloads is not None
    end = settings.sample_end or end_of_last_month(datetime.now(UTC).date())
    folder = state_dir() / "scout" / "sample"
    for stale in folder.glob("*") if folder.exists() else ():
        stale.unlink()
    write_sample(folder, settings.sample_payloads, settings.sample_seed, end)
    return str(folder)


@task(
    task_run_name="load-{name}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def load_file(name: str, file: SourceFile, batch: str, settings: ScoutSettings) -> FileCounts:
    """One file into the raw tables, unless its content is there already."""
    facts = examine(file, settings.fallback_encoding)
    with connect(settings.database_block) as connection:
        return raw.load_file(
            connection,
            entity_of(name),
            name,
            file.source,
            facts,
            batch,
            datetime.now(UTC),
            lambda: read_rows(file, facts.encoding),
        )


@task(
    name="fetch from Drive",
    retries=3,
    retry_delay_seconds=[5, 30, 120],
    retry_condition_fn=retry_transient,
)
def fetch_from_drive(settings: ScoutSettings, into: Path) -> tuple[list[SourceFile], Changed]:
    """Download what is new in the Drive folder."""
    assert settings.drive_folder_id is not None
    with connect(settings.database_block) as connection:
        page_token = raw.drive_page_token(connection, settings.drive_folder_id)
    with httpx.Client(timeout=60, follow_redirects=True) as client:
        token = fetch_token(client, service_account(settings.drive_credentials_block))
        folder = Drive(client, token, settings.drive_api_url)
        changed = folder.changed(settings.drive_folder_id, page_token)
        files = []
        for number, file in enumerate(changed.files):
            path = into / str(number)
            folder.download(file, path)
            files.append(source_file(file, path))
    return files, changed


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
    """Every file of the sources; one that fails does not keep the others out."""
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
        files, left_alone = list_files(settings.folder)
        notes = _left_alone(left_alone)
        intake = intake.and_also(load_files(files, settings, progress, notes, "load", "csv"))
    if settings.drive_folder_id is not None:
        intake = intake.and_also(take_in_from_drive(settings, progress))
    return intake


def take_in_from_drive(settings: ScoutSettings, progress: Progress) -> Intake:
    assert settings.drive_folder_id is not None
    with TemporaryDirectory(prefix="scout-drive-") as folder:
        files, changed = fetch_from_drive(settings, Path(folder))
        notes = _left_alone(changed.left_alone)
        intake = load_files(files, settings, progress, notes, "load from Drive", "gdrive")
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
    with connect(inbox_block) as inbox, connect(settings.database_block) as connection:

        def read(after: Position | None) -> Iterator[tuple[Delivery, Iterator[Row]]]:
            for delivery in read_deliveries(inbox, SLUG, after, INBOX_KINDS):
                yield delivery, read_delivery(delivery)

        return raw.load_deliveries(connection, batch, datetime.now(UTC), read)


def take_in_from_inbox(settings: ScoutSettings, inbox_block: str, progress: Progress) -> Intake:
    try:
        postgres_url(inbox_block)
    except MissingBlockError as error:
        return Intake(notes=(f"Deliveries were not read: {error}",))
    batch = batch_id("webhook", datetime.now(UTC))
    total = DeliveryCounts()
    while (counts := load_deliveries(settings, inbox_block, batch)).deliveries:
        total += counts
        progress.update("load deliveries", total.deliveries, None, total.rows_loaded)
    if total.rows_loaded:
        tell_landed(batch, {Entity.TRANSACTION: total.transactions, Entity.PRODUCT: total.products})
    note = (
        f"{total.deliveries:,} deliveries: {total.rows_loaded:,} payloads loaded, "
        f"{total.rows_quarantined:,} quarantined"
    )
    return Intake(notes=(note,) if total.deliveries else (), delivered=total.rows_loaded)


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


def _left_alone(names: Sequence[str]) -> list[str]:
    return [f"Left alone, neither CSV nor JSON: {name}" for name in names]


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
        else:
            failed.append((file.name, str(outcome)))
    progress.update(phase, len(files), len(files), sum(each.rows_loaded for each in counts))
    added = {
        entity: sum(each.rows_loaded for each in counts if each.entity is entity)
        for entity in Entity
    }
    if any(added.values()):
        tell_landed(batch, added)
    remarks = [
        f"{each.name}: {each.rows_quarantined:,} of {each.rows_read:,} rows quarantined"
        if each.is_new
        else f"{each.name}: loaded before, nothing added"
        for each in counts
        if each.rows_quarantined or not each.is_new
    ]
    return Intake(tuple(counts), tuple(failed), (*notes, *remarks))


def build_layers(settings: ScoutSettings, options: DbtOptions, progress: Progress) -> DbtOutcome:
    """One build at a time per database, whichever deployment or machine it runs on."""
    with (
        connect(settings.database_block) as connection,
        raw.one_build_at_a_time(connection),
    ):
        environment = dbt_postgres_env(settings.building_block)
        return build_dbt(SLUG, environment, options, progress=progress)


def layer_options(layer: str, dbt: DbtOptions) -> DbtOptions:
    """How a layer is built.

    Raises:
        LayerRefusedError: the layer is neither one of the five nor dbt selectors.
    """
    spared = () if dbt.full_refresh else TESTS_OF_FULL_REFRESH
    try:
        chosen = selectors(layer) or dbt.select
        return revised(dbt, select=chosen, exclude=(*dbt.exclude, *spared))
    except ValidationError as error:
        raise LayerRefusedError(
            f"Building the layer {layer!r}",
            "; ".join(each["msg"] for each in error.errors()),
            "Name bronze, silver, gold, platinum, all, or dbt selectors such as `silver+`",
        ) from None


@flow(name="scout")
def refresh(
    layer: str = "all",
    settings: ScoutSettings = ScoutSettings(),
    dbt: DbtOptions = DbtOptions(),
) -> None:
    """Take in new files and build the layers.

    Args:
        layer: `bronze`, `silver`, `gold`, `platinum`, `all`, or dbt selectors such as `silver+`.
            Files are read when it is `all` or names bronze.
        settings: Where to read from and write to.
        dbt: How to build; `select` here narrows nothing when `layer` names a layer.
    """
    started = time.monotonic()
    progress = Progress(SLUG)
    options = layer_options(layer, dbt)
    prepare(settings.database_block)
    intake = take_in(settings, progress) if takes_in(layer) else Intake()
    for note in intake.notes:
        get_run_logger().info(note)
    outcome = build_layers(settings, options, progress)
    low = alerts(score_quality(settings), settings)
    for line in low:
        get_run_logger().warning(line)
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=intake.rows_loaded,
            models_built=outcome.models_built,
            tests_passed=outcome.tests_passed,
            warnings=outcome.warnings + len(low),
            failures=outcome.failures + len(intake.failed),
            seconds=time.monotonic() - started,
            look=(EXAMPLE_QUERY,),
            notes=(
                *low,
                *intake.notes,
                *(f"{name}: {reason}" for name, reason in intake.failed),
            ),
        ),
    )
    if intake.failed:
        listed = "\n".join(f"- {name}: {reason}" for name, reason in intake.failed)
        raise FilesFailedError(
            f"Taking in {len(intake.counts) + len(intake.failed)} files",
            f"{len(intake.failed)} failed, the others were loaded and built:\n{listed}",
            "Mend or remove these and run again; what is loaded is not loaded twice",
        )


@task(name="score quality")
def score_quality(settings: ScoutSettings) -> tuple[QualityScore, ...]:
    """Score every table that is there and keep the scores."""
    now, window = datetime.now(UTC), timedelta(days=settings.quality.window_days)
    with connect(settings.database_block) as connection:
        scores = tuple(
            QualityScore(measures, *quality_score(measures, settings.quality))
            for measures in raw.measure_quality(connection, now, window)
        )
        raw.record_scores(connection, scores, now)
    return scores


def alerts(scores: Sequence[QualityScore], settings: ScoutSettings) -> tuple[str, ...]:
    """A line for each table whose score is too low; each is also an event, for automations."""
    low = [each for each in scores if each.score < settings.quality.alert_below]
    if low:
        tell_low([each.measures.table for each in low], [each.score for each in low], settings)
    return tuple(
        f"Quality of {each.measures.table} is {each.score:.0f}, below "
        f"{settings.quality.alert_below:.0f} (completeness {each.measures.completeness:.0f}, "
        f"uniqueness {each.measures.uniqueness:.0f}, timeliness {each.timeliness:.0f})"
        for each in low
    )


@task(
    name="tell low quality",
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_transient,
)
def tell_low(tables: list[str], scores: list[float], settings: ScoutSettings) -> None:
    limit = settings.quality.alert_below
    send_events(
        [
            Event(
                uuid4(),
                "scout.quality.low",
                f"scout.table.{table}",
                QualityLow(score=round(score, 1), alert_below=limit),
            )
            for table, score in zip(tables, scores, strict=True)
        ]
    )


@flow(name="scout-docs")
def publish_docs(settings: ScoutSettings = ScoutSettings()) -> None:
    """Write the dbt documentation of the layers, a site of three files, to where people read it.

    Args:
        settings: `docs_folder` says where; the database tells which tables and columns are there.
    """
    outcome = build_dbt(SLUG, dbt_postgres_env(settings.building_block), command="docs generate")
    folder = settings.docs_folder or str(state_dir() / "scout" / "docs")
    # The manifest of the run has no secrets in it; the others hold none.
    target = outcome.artifacts_dir.parents[1]
    for file in (
        target / "index.html",
        target / "catalog.json",
        outcome.artifacts_dir / "manifest.json",
    ):
        with fsspec.open(f"{folder.rstrip('/')}/{file.name}", "wb", auto_mkdir=True) as copy:
            copy.write(file.read_bytes())
    get_run_logger().info("The documentation is in %s: open index.html from a web server", folder)


@task(
    task_run_name="embed-batch-{number}",
    retries=3,
    retry_delay_seconds=[2, 10, 60],
    retry_jitter_factor=0.5,
    retry_condition_fn=retry_transient,
)
def embed_batch(
    number: int, texts: list[TextToEmbed], settings: EmbeddingSettings, model: str
) -> int:
    """Embed and store one batch; equal texts are sent once."""
    unique = sorted({each.text for each in texts})
    if endpoint := _endpoint(settings):
        vectors = fetch_embeddings(endpoint, unique, settings.length, settings.timeout_seconds)
    elif settings.is_local:
        vectors = embed_locally(unique)
    else:
        vectors = [embed_by_hashing(text, settings.length) for text in unique]
    by_text = dict(zip(unique, vectors, strict=True))
    with connect(settings.database_block) as connection:
        raw.save_vectors(
            connection, texts, [by_text[each.text] for each in texts], model, datetime.now(UTC)
        )
    return len(texts)


def _endpoint(settings: EmbeddingSettings) -> EmbeddingEndpoint | None:
    if settings.endpoint_block is None:
        return None
    return endpoint_from(secret_value(settings.endpoint_block))


@flow(name="scout-embeddings")
def embed(settings: EmbeddingSettings = EmbeddingSettings()) -> None:
    """Embed new and changed texts of platinum, a batch at a time.

    A batch that is stored stays stored: after a failure the next run begins where this one ended.

    Args:
        settings: The endpoint, the local model, or the stand-in that hashes words.
    """
    started = time.monotonic()
    endpoint = _endpoint(settings)
    if endpoint:
        model = endpoint.model
    elif settings.is_local:
        model = LOCAL_MODEL
    elif settings.use_hashing:
        model = f"hashing-{settings.length}"
    else:
        get_run_logger().warning(
            "No embeddings endpoint is configured (setting `endpoint_block`), `use_local_model` "
            "and `use_hashing` are off: nothing was embedded. Everything else of Scout works "
            "without."
        )
        return
    prepare(settings.database_block)
    progress = Progress("scout_embeddings")
    embedded = 0
    with connect(settings.database_block) as connection:
        raw.prepare_vectors(connection, settings.length, model)
        dropped = raw.drop_vectors_out_of_window(connection)
        total = raw.count_texts_to_embed(connection)
        texts = raw.texts_to_embed(connection, None, settings.batch_size)
        for number in count(1):
            progress.update("embed", embedded, total, embedded)
            if not texts:
                break
            embedded += embed_batch(number, texts, settings, model)
            texts = raw.texts_to_embed(connection, texts[-1].id, settings.batch_size)
    progress.flush()
    get_run_logger().info(
        "%s texts embedded with %s, %s vectors dropped in %.1f s",
        embedded,
        model,
        dropped,
        time.monotonic() - started,
    )
