"""Order, retries and artifacts of Quality Compass: load runs, audit, build, tell what is new."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prefect import flow, get_run_logger, task
from pydantic import BaseModel, ConfigDict, Field

from flows._shared.errors import PermanentError
from flows._shared.orchestration.credentials import (
    block_document,
    dbt_postgres_env,
    secret_value,
)
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.dbt import (
    DbtFreshnessError,
    DbtOptions,
    build_dbt,
    run_dbt_freshness,
)
from flows._shared.orchestration.events import emit_landed
from flows._shared.orchestration.flow_run import current_flow_run
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress, RunSummary, publish_summary
from flows._shared.state import state_dir
from flows.quality_compass import marts, raw, sample, source
from flows.quality_compass.records import (
    Disagreement,
    Kind,
    LoadCounts,
    Run,
    RunFile,
)
from flows.quality_compass.rules.audit import (
    ContributionAudit,
    NodeAudit,
    check_classification,
)
from flows.quality_compass.rules.json_lines import UnusableLineError, parse
from flows.quality_compass.rules.reading import observe, run_start
from flows.quality_compass.settings import QualityCompassSettings

SLUG = "quality_compass"
EXPECTED_KINDS = (Kind.NODE, Kind.CONTRIBUTION, Kind.CLASSIFICATION)
SAMPLE_RUNS = ("20250115060000", "20250215060000")
EXAMPLE_QUERY = (
    "select facility_id, metric_id, group_value, signal_type, severity_score "
    "from analytics.fct_signals order by detected_at desc, severity_score desc limit 10"
)


class DisagreementError(PermanentError):
    """A run claims figures that its own data does not give."""


class RunsRequest(BaseModel):
    """Which runs to load, and how strictly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    addresses: tuple[str, ...] = Field(
        (),
        description=(
            "Run folders, folders of runs, globs, or gs:// and s3:// prefixes. "
            "None: the `addresses` of the settings, else sample runs if `sample_facilities` is set."
        ),
    )
    run_id: str | None = Field(
        None,
        pattern=r"^\d{14}$",
        description="Id of a single run whose folder is not named after it.",
    )
    verify: bool = Field(
        False, description="Recompute what each run claims and report every disagreement."
    )
    fail_on_disagreement: bool = Field(
        False, description="With `verify`: a disagreement fails the flow, after the build."
    )


@task(
    name="prepare raw tables",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def prepare(database_block: str) -> None:
    with connect(database_block) as connection:
        raw.ensure_schema(connection)


@task(name="find runs", retries=2, retry_delay_seconds=5, retry_condition_fn=retry_transient)
def find_runs(request: RunsRequest, settings: QualityCompassSettings) -> list[Run]:
    addresses = request.addresses or settings.addresses or (str(make_sample(settings)),)
    storage = open_storage(settings)
    return source.merge(
        [source.find_runs(each, storage, run_id=request.run_id) for each in addresses]
    )


@task(
    task_run_name="load-{run.run_id}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def load_run(run: Run, settings: QualityCompassSettings) -> LoadCounts:
    storage = open_storage(settings)
    started = time.monotonic()
    with connect(settings.database_block) as connection:
        counts = raw.load_run(
            connection,
            run,
            lambda file: source.FileReader(file, storage, settings.max_line_bytes),
            start=run_start(
                run.run_id,
                source.read_manifest(run, storage),
                ZoneInfo(settings.run_id_time_zone),
            ),
        )
    get_run_logger().info(
        "%s: %s of %s files changed, %s rows written, %s lines quarantined in %.1f s",
        run.run_id,
        counts.files_changed,
        counts.files,
        counts.rows,
        counts.quarantined,
        time.monotonic() - started,
    )
    return counts


@task(
    task_run_name="tell-{counts.run_id}",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def tell_landed(counts: LoadCounts) -> None:
    """One event for each raw table in which a load wrote rows."""
    for table, rows in counts.rows_by_table.items():
        emit_landed(
            SLUG,
            table=table,
            batch=f"{counts.run_id} of {counts.changed_at.isoformat()}",
            rows=rows,
            max_timestamp=counts.started_at,
        )


@task(task_run_name="verify-{run.run_id}")
def verify_run(run: Run, settings: QualityCompassSettings) -> int:
    """Recompute a run; returns how many of its claims do not agree."""
    storage = open_storage(settings)
    with connect(settings.database_block) as connection:
        found = raw.record_disagreements(
            connection,
            run.run_id,
            disagreements(run, settings, storage),
            settings.max_disagreements,
        )
    get_run_logger().info("%s: %s claims do not agree with their recomputation", run.run_id, found)
    return found


def disagreements(
    run: Run, settings: QualityCompassSettings, storage: source.Storage
) -> Iterator[Disagreement]:
    """Every claim of a run's files that its own data does not give. Lines that cannot be read are
    left out: the load has quarantined them."""
    for file in run.files:
        reader = source.FileReader(file, storage, settings.max_line_bytes)
        if file.kind is Kind.NODE:
            yield from _node_disagreements(file, reader, settings)
        elif file.kind is Kind.CLASSIFICATION:
            for number, claim in _readable(reader):
                yield from check_classification(
                    claim, file.path, number, settings.tolerance, settings.classification
                )
        elif file.kind is Kind.CONTRIBUTION:
            contributions = ContributionAudit()
            for _, claim in _readable(reader):
                contributions.learn(claim)
            for number, claim in _readable(reader):
                yield from contributions.check(claim, file.path, number, settings.tolerance)


def _node_disagreements(
    file: RunFile, reader: source.FileReader, settings: QualityCompassSettings
) -> Iterator[Disagreement]:
    metadata: Mapping[str, Any] = {}
    for number, content in _readable(reader):
        if number == 1 and content.get("type") == "node_metadata":
            metadata = content
        break
    audit = NodeAudit(metadata, settings.statistics)
    for _, content in _readable(reader):
        if content.get("type") != "node_metadata":
            try:
                audit.learn(observe(content))
            except UnusableLineError:
                continue
    for number, content in _readable(reader):
        if content.get("type") != "node_metadata":
            try:
                observation = observe(content)
            except UnusableLineError:
                continue
            yield from audit.check(observation, file.path, number, settings.tolerance)
    yield from audit.check_metadata(file.path, settings.tolerance)


def _readable(reader: source.FileReader) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in reader.lines():
        try:
            yield number, parse(line)
        except UnusableLineError:
            continue


def make_sample(settings: QualityCompassSettings) -> Path:
    """The folder of the sample runs, written anew: it is a function of size and seed.

    Raises:
        PermanentError: no sample is asked for.
    """
    if settings.sample_facilities is None:
        raise PermanentError(
            "finding runs to load",
            "no run was given",
            "Name run folders in the parameter `runs`, as `addresses`, or for every run in the "
            "deployment's parameter `settings`, as `addresses`; `sample_facilities` there loads "
            "generated ones",
        )
    name = f"{settings.sample_facilities}-{settings.sample_seed}"
    folder = (settings.state_dir or state_dir() / "quality_compass") / "sample" / name
    get_run_logger().info(
        "no runs were given: generating %s sample runs of %s facilities with seed %s in %s",
        len(SAMPLE_RUNS),
        settings.sample_facilities,
        settings.sample_seed,
        folder,
    )
    for run_id in SAMPLE_RUNS:
        sample.write_run(folder, run_id, settings.sample_facilities, settings.sample_seed)
    return folder


def open_storage(settings: QualityCompassSettings) -> source.Storage:
    """Storage with the credentials of the blocks that the settings name.

    Raises:
        PermanentError: a block is missing or does not hold what it should.
    """
    options = _bucket_options(settings.storage_block) if settings.storage_block else None
    account = _service_account(settings.gcp_block) if settings.gcp_block else None
    return source.Storage(options, account)


def _service_account(block_name: str) -> Mapping[str, Any]:
    # Importing prefect-gcp for what is a document takes seconds.
    key = block_document(block_name, "gcp-credentials").get("service_account_info")
    if not isinstance(key, Mapping) or not key:
        raise PermanentError(
            f"reading the block {block_name}",
            "it holds no service account key",
            "Save the JSON key of a service account as a GcpCredentials block of that name",
        )
    return key


def _bucket_options(block_name: str) -> dict[str, dict[str, Any]]:
    try:
        options = json.loads(secret_value(block_name))
    except json.JSONDecodeError:
        options = None
    if (
        not isinstance(options, dict)
        or not options.keys() <= {"s3", "gs"}
        or not all(isinstance(each, dict) for each in options.values())
    ):
        raise PermanentError(
            f"reading the block {block_name}",
            "it does not hold a JSON object of options by s3 and gs",
            'Store it as {"s3": {"access_key": "...", "secret_key": "...", "region": "..."}}',
        )
    return options


@task(name="publish signals")
def publish_signals(settings: QualityCompassSettings) -> None:
    """The artifact ``quality-compass-signals``: what is new, worse, better since the last run."""
    api = current_flow_run()
    with connect(settings.database_block) as connection:
        changes = marts.read_changes(connection)
    if api is not None:
        api.create_markdown(
            "quality-compass-signals", marts.describe_changes(changes), "Signals since the last run"
        )


@flow(name="quality-compass")
def refresh(
    runs: RunsRequest = RunsRequest(),
    settings: QualityCompassSettings = QualityCompassSettings(),
    dbt: DbtOptions = DbtOptions(),
) -> None:
    """Load insight-graph runs, build the marts and say which signals are new, worse or better.

    Fails after all of it when a source is older than its freshness allows; generated sample runs
    may be of any age.

    Args:
        runs: Which runs to load, and whether to audit them. Default: all that are new at the
            `addresses` of the settings.
        settings: Where to read from and write to, and the constants of the audit.
        dbt: Which models to build, and how.
    """
    started = time.monotonic()
    progress = Progress(SLUG)
    is_named = bool(runs.addresses or settings.addresses)
    is_built_only = dbt.full_refresh and not is_named and settings.sample_facilities is None
    is_sample = not (is_named or is_built_only)
    prepare(settings.database_block)
    found = [] if is_built_only else find_runs(runs, settings)
    counts: list[LoadCounts] = []
    for run in found:
        progress.update("load", len(counts), len(found), sum(each.rows for each in counts))
        loaded = load_run(run, settings)
        counts.append(loaded)
        if loaded.rows:
            tell_landed(loaded)
    progress.update("load", len(counts), len(found), sum(each.rows for each in counts))
    disagreed = _verify(found, runs, settings, progress)
    environment = dbt_postgres_env(settings.database_block)
    outcome = build_dbt(SLUG, environment, dbt, progress=progress)
    stale, warnings = _judge_freshness(environment, dbt)
    publish_signals(settings)
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=sum(each.rows for each in counts),
            models_built=outcome.models_built,
            tests_passed=outcome.tests_passed,
            warnings=outcome.warnings + warnings,
            failures=outcome.failures + (stale is not None),
            seconds=time.monotonic() - started,
            look=(EXAMPLE_QUERY,),
            notes=(*_notes(is_sample, counts, disagreed, stale), *_absent(found)),
        ),
    )
    if stale is not None and not is_sample:
        raise stale
    total = sum(disagreed.values())
    if total and runs.fail_on_disagreement:
        raise DisagreementError(
            f"verifying {len(found)} runs",
            f"{total} claims do not agree with their recomputation",
            "See public.raw_disagreements; everything was loaded and built",
        )


def _judge_freshness(
    environment: Mapping[str, str], dbt: DbtOptions
) -> tuple[DbtFreshnessError | None, int]:
    """What is wrong with the age of the sources, if it is an error, and the number of warnings.

    After the build: what has arrived is in the marts even when something else did not arrive.
    """
    try:
        outcome = run_dbt_freshness(SLUG, environment, DbtOptions(target=dbt.target))
    except DbtFreshnessError as error:
        return error, error.outcome.warnings if error.outcome else 0
    return None, outcome.warnings


def _verify(
    found: Sequence[Run],
    request: RunsRequest,
    settings: QualityCompassSettings,
    progress: Progress,
) -> dict[str, int]:
    if not request.verify:
        return {}
    disagreed: dict[str, int] = {}
    for run in found:
        progress.update("verify", len(disagreed), len(found))
        disagreed[run.run_id] = verify_run(run, settings)
    progress.update("verify", len(disagreed), len(found))
    return disagreed


def _absent(found: Sequence[Run]) -> Iterator[str]:
    """A run may come without some kinds of files; it is said, for it may be a mistake."""
    for run in found:
        kinds = {file.kind for file in run.files}
        for kind in EXPECTED_KINDS:
            if kind not in kinds:
                yield f"{run.run_id}: no files in {kind.value}"


def _notes(
    is_sample: bool,
    counts: Sequence[LoadCounts],
    disagreed: Mapping[str, int],
    stale: DbtFreshnessError | None,
) -> Iterator[str]:
    if is_sample:
        yield "No runs were given: these are generated sample runs"
    if stale is not None:
        yield f"Sources are stale: {stale.seen}"
    for each in counts:
        if each.quarantined:
            yield f"{each.run_id}: {each.quarantined} lines quarantined, see public.raw_quarantine"
        for note in each.notes:
            yield f"{each.run_id}: {note}"
    for run_id, found in disagreed.items():
        verdict = f"{found} claims do not agree" if found else "every claim agrees"
        yield f"{run_id}: {verdict} with its recomputation"
