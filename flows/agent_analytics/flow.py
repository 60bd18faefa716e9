"""Order, retries and artifacts of agent analytics: load what is new, build, publish."""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path

import duckdb
import psycopg
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows._shared.errors import PermanentError
from flows._shared.inbox import Position
from flows._shared.orchestration.credentials import MissingBlockError, postgres_url, secret_value
from flows._shared.orchestration.dbt import (
    DbtBuildError,
    DbtOptions,
    DbtOutcome,
    DbtProjectError,
    build_dbt,
)
from flows._shared.orchestration.events import emit_landed
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress, RunSummary, publish_summary
from flows._shared.revised import revised
from flows._shared.state import state_dir
from flows.agent_analytics import raw, sample, source
from flows.agent_analytics.records import (
    Commit,
    CopilotDay,
    Landed,
    LoadCounts,
    PostgresDownError,
    Rejected,
    StoreDamagedError,
    UnreadableTelemetryError,
)
from flows.agent_analytics.settings import (
    PATH_VARIABLE,
    AgentAnalyticsInputs,
    AgentAnalyticsSettings,
    SampleSize,
)

SLUG = "agent_analytics"
MEGABYTE = 1_000_000
READ_ONLY = "-c default_transaction_read_only=on -c TimeZone=UTC"
LOOK = (
    "select * from mart.fct_agent_costs order by date desc, daily_cost_usd desc limit 10",
    "select * from mart.fct_cost_forecast order by forecast_cost_usd desc limit 10",
)
UNPRICED = """
    select model_name, cast(sum(unpriced_tokens) as bigint)
    from intermediate.int_token_costs where unpriced_tokens > 0
    group by model_name order by model_name
"""
BUDGETS = """
    select developer_id, forecast_cost_usd, monthly_budget_usd, budget_status
    from mart.fct_cost_forecast where budget_status not in ('within', 'no budget')
    order by developer_id
"""

Worked = tuple[LoadCounts, tuple[Landed, ...], DbtOutcome]
Work = Callable[[], Worked]
Load = Callable[[duckdb.DuckDBPyConnection, Sequence[source.LineFile], Path], LoadCounts]


def store_of(settings: AgentAnalyticsSettings) -> raw.Store:
    return raw.Store(settings.store_path, settings.threads, settings.memory_limit)


def load_telemetry(
    store: raw.Store, patterns: Sequence[str], batch_bytes: int, progress: Progress | None = None
) -> LoadCounts:
    """Everything new in the telemetry files; each batch of files is one transaction.

    The caller holds the lock. A file with lines that are not OTLP loads without them.
    """
    files = source.telemetry_files(patterns)
    counts = LoadCounts()
    with store.connect() as connection, store.scratch() as scratch:
        raw.ensure_schema(connection)
        done = 0
        for parts in _batches(connection, files, batch_bytes):
            counts += _load_parts(connection, parts, scratch, batch_bytes)
            done += len(parts)
            if progress:
                progress.update("telemetry", done, None, counts.rows_new)
    if progress:
        progress.update("telemetry", done, done, counts.rows_new)
    return counts


def _batches(
    connection: duckdb.DuckDBPyConnection, files: Iterable[Path], batch_bytes: int
) -> Iterator[list[source.FilePart]]:
    """Small files together, large ones in pieces: what is loaded at a time has a bound."""
    batch: list[source.FilePart] = []
    size = 0
    for path in files:
        part = source.unread_part(path, raw.read_before(connection, path))
        for piece in source.split(part, batch_bytes) if part else ():
            if batch and size + piece.end - piece.begin > batch_bytes:
                yield batch
                batch, size = [], 0
            batch.append(piece)
            size += piece.end - piece.begin
    if batch:
        yield batch


def _load_parts(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[source.FilePart],
    scratch: Path,
    batch_bytes: int,
) -> LoadCounts:
    """One transaction. Lines that are not OTLP are looked for only where a load fails."""
    try:
        return _load_and_record(connection, parts, scratch, batch_bytes, _load_whole)
    except (duckdb.Error, UnreadableTelemetryError):
        return _load_and_record(connection, parts, scratch, batch_bytes, _load_good_lines)


def _load_and_record(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[source.FilePart],
    scratch: Path,
    batch_bytes: int,
    load: Load,
) -> LoadCounts:
    with _transaction(connection):
        counts = _load_files(connection, parts, scratch, batch_bytes, load)
        for part in parts:
            raw.record_read(connection, part.path, part.end, part.start_hash, part.modified_ns)
    return counts


def _load_files(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[source.FilePart],
    scratch: Path,
    batch_bytes: int,
    load: Load,
) -> LoadCounts:
    counts = LoadCounts()
    files: list[source.LineFile] = []
    size = 0
    for part in parts:
        for found in source.line_files(part, scratch, batch_bytes):
            if isinstance(found, Rejected):
                counts += LoadCounts(rejected=raw.reject(connection, [found]))
                continue
            more = found.path.stat().st_size
            if files and size + more > batch_bytes:
                counts += load(connection, files, scratch)
                files, size = [], 0
            files.append(found)
            size += more
    if files:
        counts += load(connection, files, scratch)
    return counts


def _load_whole(
    connection: duckdb.DuckDBPyConnection, files: Sequence[source.LineFile], scratch: Path
) -> LoadCounts:
    name = files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
    counts = raw.load_lines(connection, [file.path for file in files], name)
    for file in files:
        if file.path.parent == scratch:
            file.path.unlink()
    return counts


def _load_good_lines(
    connection: duckdb.DuckDBPyConnection, files: Sequence[source.LineFile], scratch: Path
) -> LoadCounts:
    """Line by line: slow, and only for a batch that does not load whole."""
    counts = LoadCounts()
    for file in files:
        good, rejected = source.good_lines(file, scratch)
        counts += LoadCounts(rejected=raw.reject(connection, rejected))
        if good.path.stat().st_size:
            counts += raw.load_lines(
                connection, [good.path], file.name, longest=raw.LONGEST_LINE_BYTES
            )
        good.path.unlink()
        if file.path.parent == scratch:
            file.path.unlink()
    return counts


def _damaged(seen: str) -> StoreDamagedError:
    return StoreDamagedError(
        "Working on the DuckDB file",
        f"a part of it cannot be read ({seen.splitlines()[0]})",
        "Put a good copy in its place, or move it away and load everything again.",
    )


@task(name="load telemetry", retries=1, retry_condition_fn=retry_transient, cache_policy=NO_CACHE)
def load_telemetry_files(
    patterns: Sequence[str], settings: AgentAnalyticsSettings, progress: Progress
) -> LoadCounts:
    return load_telemetry(
        store_of(settings), patterns, settings.batch_megabytes * MEGABYTE, progress
    )


@task(
    name="load inbox",
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def load_inbox(settings: AgentAnalyticsSettings, progress: Progress) -> LoadCounts:
    """What the webhook receiver stored since the last run: telemetry and commits."""
    try:
        url = postgres_url(settings.inbox_block or "")
    except MissingBlockError as error:
        get_run_logger().info("No inbox is read: %s", error)
        return LoadCounts()
    batch_bytes = settings.batch_megabytes * MEGABYTE
    return load_deliveries(store_of(settings), url, batch_bytes, progress)


def load_deliveries(
    store: raw.Store, inbox_url: str, batch_bytes: int, progress: Progress | None = None
) -> LoadCounts:
    """Everything new in the inbox. A batch, and how far it reaches, is one transaction.

    The caller holds the lock.

    Raises:
        PostgresDownError: the inbox does not answer.
    """
    counts = LoadCounts()
    with store.connect() as connection, store.scratch() as scratch:
        raw.ensure_schema(connection)
        consumed = raw.consumed(connection, SLUG)
        after = Position.from_json(consumed) if consumed else None
        with _postgres(inbox_url, "the webhook inbox") as inbox:
            for batch in source.read_inbox(inbox, after, scratch, batch_bytes):
                counts += _load_batch(connection, batch)
                if progress:
                    progress.update("inbox", batch.position.number, None, counts.rows_new)
    return counts


@contextmanager
def _postgres(url: str, what: str) -> Iterator[psycopg.Connection]:
    """A connection that only reads."""
    try:
        with psycopg.connect(url, options=READ_ONLY) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise PostgresDownError(
            f"Reading {what}",
            f"PostgreSQL does not answer ({type(error).__name__})",
            "The run tries again; else check the database that the block names",
        ) from error


def _load_batch(connection: duckdb.DuckDBPyConnection, batch: source.InboxBatch) -> LoadCounts:
    with _transaction(connection):
        counts = LoadCounts(rejected=raw.reject(connection, batch.rejected))
        if batch.lines.path.stat().st_size:
            counts += raw.load_lines(
                connection,
                [batch.lines.path],
                batch.lines.name,
                longest=raw.LONGEST_LINE_BYTES,
            )
        counts += raw.load_commits(connection, batch.commits)
        raw.record_consumed(connection, SLUG, batch.position.to_json())
    return counts


@task(name="load commits", retries=1, retry_condition_fn=retry_transient, cache_policy=NO_CACHE)
def load_commits(inputs: AgentAnalyticsInputs, settings: AgentAnalyticsSettings) -> LoadCounts:
    """The hook's files, then repositories, then the GitHub scraper's marts.

    All of their commits are read, as only new ones are written.
    """
    rows = chain(
        chain.from_iterable(source.read_commit_rows(path) for path in _paths(inputs.commits)),
        chain.from_iterable(source.git_commits(path) for path in inputs.repositories),
        _mart_commits(settings.github_block),
    )
    with store_of(settings).connect() as connection:
        raw.ensure_schema(connection)
        with _transaction(connection):
            return raw.load_commits(connection, rows)


def _mart_commits(block: str | None) -> Iterator[Commit]:
    if block is None:
        return
    with _postgres(postgres_url(block), "the GitHub scraper's marts") as connection:
        yield from source.mart_commits(connection)


@task(name="load copilot files", cache_policy=NO_CACHE)
def load_copilot_files(patterns: Sequence[str], settings: AgentAnalyticsSettings) -> LoadCounts:
    rows = chain.from_iterable(source.read_copilot_rows(path) for path in _paths(patterns))
    return _load_copilot(rows, settings)


def _load_copilot(
    rows: Iterable[CopilotDay | Rejected], settings: AgentAnalyticsSettings
) -> LoadCounts:
    with store_of(settings).connect() as connection:
        raw.ensure_schema(connection)
        with _transaction(connection):
            return raw.load_copilot(connection, rows)


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing of one load.

    Raises:
        StoreDamagedError: the file cannot be read or written any more.
    """
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException as error:
        with suppress(duckdb.Error):  # A connection to a damaged file knows no transaction.
            connection.rollback()
        if isinstance(error, duckdb.Error) and raw.is_damage(str(error), type(error)):
            raise _damaged(str(error)) from error
        raise


def _paths(patterns: Sequence[str]) -> list[Path]:
    return source.telemetry_files(patterns)


@task(name="make sample input")
def make_sample(size: SampleSize) -> AgentAnalyticsInputs:
    """Write the example input by size and seed, once, and name it as the input."""
    folder = (
        state_dir() / SLUG / f"sample-{size.days}-days-{size.developers}-developers-{size.seed}"
    )
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for name, lines in (
            ("telemetry", sample.telemetry(size.days, size.developers, size.seed)),
            ("commits", _dumped(sample.commits(size.days, size.developers, size.seed))),
            ("copilot", _dumped(sample.copilot_rows(size.days, size.developers, size.seed))),
        ):
            (unfinished / name).mkdir(parents=True)
            with (unfinished / name / f"{name}.jsonl").open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        unfinished.rename(folder)
    get_run_logger().warning(
        "No input is configured: this run uses made-up sample input in %s", folder
    )
    return AgentAnalyticsInputs(
        telemetry=(str(folder / "telemetry"),),
        commits=(str(folder / "commits"),),
        copilot=(str(folder / "copilot"),),
    )


def _dumped(rows: Iterable[dict[str, object]]) -> Iterator[str]:
    return (json.dumps(row, separators=(",", ":")) for row in rows)


def build_and_publish(
    settings: AgentAnalyticsSettings, dbt: DbtOptions, progress: Progress | None = None
) -> DbtOutcome:
    """Build the marts and let readers see them; a failed build leaves them the last good copy.

    Raises:
        StoreDamagedError: models could not be built because the file cannot be read.
    """
    environment = {
        PATH_VARIABLE: str(settings.store_path),
        "AGENT_ANALYTICS_DUCKDB_MEMORY": settings.memory_limit,
    }
    outcome: DbtOutcome | None
    try:
        outcome = build_dbt(SLUG, environment, dbt, progress=progress)
    except (DbtBuildError, DbtProjectError) as error:
        outcome = error.outcome if isinstance(error, DbtBuildError) else None
        failed = outcome.failed if outcome else ()
        for message in (error.seen, *(node.message for node in failed)):
            if raw.is_damage(message):
                raise _damaged(message) from error
        raise
    store_of(settings).publish()
    return outcome


def work_on(store: raw.Store, purpose: str, wait_seconds: float, work: Work) -> Worked:
    """Be the one writer and do the work; if the file is damaged, restore it and do it once more.

    The work has to read again what was loaded since the published copy: everything that says how
    far was read is in the file itself.
    """
    say = get_run_logger().warning
    with store.locked(purpose, wait_seconds, say):
        store.recover(say)
        try:
            return work()
        except StoreDamagedError as damage:
            store.restore(damage, say)
            return work()


@task(
    name="announce",
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def announce(landings: Sequence[Landed]) -> None:
    """Tell the server which raw tables grew."""
    for landed in landings:
        emit_landed(
            SLUG,
            table=landed.table,
            batch=landed.batch,
            rows=landed.rows,
            max_timestamp=landed.max_timestamp,
        )


def warnings_of(store: raw.Store) -> tuple[str, ...]:
    """What a person should know of the published marts: models without a price, budgets."""
    with store.reader() as connection:
        unpriced = connection.execute(UNPRICED).fetchall()
        budgets = connection.execute(BUDGETS).fetchall()
    return (
        *(
            f"{model} has no price: {tokens:,} tokens have no cost. Add it to model_prices.csv"
            for model, tokens in unpriced
        ),
        *(
            f"{developer}: {status}: {cost:,.2f} USD expected this month, budget {budget:,.2f}"
            for developer, cost, budget, status in budgets
        ),
    )


@flow(name="agent-analytics")
def refresh(
    inputs: AgentAnalyticsInputs = AgentAnalyticsInputs(),
    settings: AgentAnalyticsSettings = AgentAnalyticsSettings(),
    dbt: DbtOptions = DbtOptions(),
) -> None:
    """Load new telemetry, commits and Copilot files, rebuild the marts, publish them.

    Args:
        inputs: Where to read. Files that were read before are read on from where reading ended.
        settings: Where to write to, and what a run may cost.
        dbt: Which models to build, and how.
    """
    started = time.monotonic()
    logger = get_run_logger()
    progress = Progress(SLUG)
    if inputs.sample:
        made = make_sample(inputs.sample)
        progress.update("made-up sample input, as none is configured", 1, 1)
        inputs = revised(made, repositories=inputs.repositories)
    store = store_of(settings)

    def work() -> Worked:
        counts, landed = _loaded(store, lambda: _load_all(inputs, settings, progress))
        logger.info(
            "%s rows new, %s known before, %s pieces put aside",
            f"{counts.rows_new:,}",
            f"{counts.rows_repeated:,}",
            f"{counts.rejected:,}",
        )
        return counts, landed, build_and_publish(settings, dbt, progress)

    counts, landed, outcome = work_on(store, "agent-analytics", settings.lock_timeout_seconds, work)
    announce(landed)
    _summarize(store, counts, outcome, started)


def _load_all(
    inputs: AgentAnalyticsInputs, settings: AgentAnalyticsSettings, progress: Progress
) -> LoadCounts:
    counts = load_telemetry_files(inputs.telemetry or (_inbox(),), settings, progress)
    if settings.inbox_block:
        counts += load_inbox(settings, progress)
    if inputs.commits or inputs.repositories or settings.github_block:
        counts += load_commits(inputs, settings)
    if inputs.copilot:
        counts += load_copilot_files(inputs.copilot, settings)
    return counts


def _loaded(
    store: raw.Store, load: Callable[[], LoadCounts]
) -> tuple[LoadCounts, tuple[Landed, ...]]:
    """What a load counted, and which tables it made longer."""
    with store.connect() as connection:
        raw.ensure_schema(connection)
        before = raw.last_ids(connection)
    counts = load()
    with store.connect() as connection:
        return counts, raw.landed(connection, before)


def _inbox() -> str:
    """Where the receiver puts what it was sent."""
    return str(state_dir() / SLUG / "inbox")


def _summarize(
    store: raw.Store, counts: LoadCounts, outcome: DbtOutcome | None, started: float
) -> None:
    notes = warnings_of(store) if outcome else ()
    for note in notes:
        get_run_logger().warning("%s", note)
    if counts.rejected:
        notes += (f"{counts.rejected:,} pieces of input were put aside: see raw.rejected",)
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=counts.rows_new,
            models_built=outcome.models_built if outcome else 0,
            tests_passed=outcome.tests_passed if outcome else 0,
            warnings=outcome.warnings if outcome else 0,
            failures=outcome.failures if outcome else 0,
            seconds=time.monotonic() - started,
            look=(f"duckdb -readonly {store.published_path}", *LOOK),
            notes=notes,
        ),
    )


@task(
    name="fetch copilot reports",
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def fetch_copilot(
    organization: str, days: Sequence[date], settings: AgentAnalyticsSettings
) -> LoadCounts:
    """All days in one transaction: a try that fails half-way leaves nothing behind."""
    token = secret_value(settings.copilot_token_block)
    with source.copilot_client(settings.copilot_api, token) as copilot:
        if settings.copilot_report == "legacy":
            return _load_copilot(copilot.fetch_legacy(organization, days), settings)
        rows = chain.from_iterable(copilot.fetch_day(organization, day) for day in days)
        return _load_copilot(rows, settings)


@flow(name="agent-analytics-copilot")
def refresh_copilot(
    days_back: int = 3,
    settings: AgentAnalyticsSettings = AgentAnalyticsSettings(),
    dbt: DbtOptions = DbtOptions(select=("stg_copilot_metrics+",)),
) -> None:
    """Fetch the Copilot reports of the last days and rebuild what rests on them.

    Args:
        days_back: Days fetched again, yesterday being the last: reports are corrected for a while.
        settings: The organization, the token's block, where to write to.
        dbt: Which models to build, and how.
    """
    started = time.monotonic()
    if not settings.organization:
        raise PermanentError(
            "Fetching Copilot reports",
            "no organization is named",
            "Give it in the parameter `settings`, as `organization`",
        )
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=back) for back in range(days_back, 0, -1)]
    store = store_of(settings)
    organization = settings.organization

    def work() -> Worked:
        counts, landed = _loaded(store, lambda: fetch_copilot(organization, days, settings))
        # A part can be built only where the rest of it was before.
        all_of_it = revised(dbt, select=(), exclude=())
        chosen = dbt if store.published_path.exists() else all_of_it
        return counts, landed, build_and_publish(settings, chosen)

    counts, landed, outcome = work_on(
        store, "agent-analytics-copilot", settings.lock_timeout_seconds, work
    )
    announce(landed)
    _summarize(store, counts, outcome, started)


@flow(name="agent-analytics-report")
def report(
    folder: Path | None = None, settings: AgentAnalyticsSettings = AgentAnalyticsSettings()
) -> None:
    """Export the published marts as Parquet and say what needs attention. Blocks nobody.

    Args:
        folder: Where the files go. Default: `parquet` beside the DuckDB file.
        settings: Where the DuckDB file is.
    """
    started = time.monotonic()
    store = store_of(settings)
    if not store.published_path.exists():
        raise PermanentError(
            f"Reading {store.published_path}",
            "nothing was published yet",
            "Run the flow agent-analytics first",
        )
    target = folder or store.path.parent / "parquet"
    written = store.export_marts(target)
    get_run_logger().info("%s marts written to %s", len(written), target)
    notes = warnings_of(store)
    publish_summary(
        f"{SLUG}_report",
        RunSummary(0, 0, 0, len(notes), 0, time.monotonic() - started, (str(target),), notes),
    )
