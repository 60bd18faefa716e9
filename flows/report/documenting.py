"""The flow that writes dbt's documentation and the lineage of columns beside the report."""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows._shared.errors import PermanentError, PlatformError
from flows._shared.orchestration.credentials import (
    MissingBlockError,
    building_block,
    dbt_postgres_env,
    storage_options,
)
from flows._shared.orchestration.dbt import DbtOutcome, build_dbt
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows.report.docs import docs_page, docs_path, lineage_path
from flows.report.lineage import Lineage, lineage_page, read_lineage
from flows.report.making import AGENTS, IN_POSTGRES
from flows.report.publish import open_place, writing
from flows.report.records import DOMAINS
from flows.report.settings import ReportSettings

COMMAND = "docs generate"
AGENTS_VARIABLE = "AGENT_ANALYTICS_DUCKDB_PATH"


class DocsFailedError(PermanentError):
    """The documentation of some projects was not written; that of the others was."""


@dataclass(frozen=True)
class Builder:
    """Names the block of a database; that of the role that builds is found beside it."""

    database_block: str
    dbt_block: str | None = None


@flow(name="report-docs", flow_run_name=RunName("report docs of all domains, as of {now}"))
def document(settings: ReportSettings = ReportSettings()) -> None:
    """Write the documentation of every project that is set up here, a page each, beside the report.

    Args:
        settings: As of the report: where it goes, and where the marts are.
    """
    failed = {}
    for slug in DOMAINS:
        try:
            write_docs.with_options(task_run_name=f"docs-{slug}")(slug, settings)
        except MissingBlockError as error:
            get_run_logger().info("%s is not set up here: %s", DOMAINS[slug], error)
        except PlatformError as error:
            failed[slug] = str(error)
    if failed:
        raise DocsFailedError(
            f"writing the documentation of {len(DOMAINS)} projects",
            "; ".join(f"{slug}: {reason}" for slug, reason in failed.items()),
            "Mend what is named, then run it again; the others are written",
        )


@task(
    name="write docs",
    retries=1,
    retry_delay_seconds=10,
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def write_docs(slug: str, settings: ReportSettings) -> None:
    outcome = _of_postgres(slug, settings) if slug in IN_POSTGRES else _of_agents(settings)
    if outcome is None:
        get_run_logger().info("%s has published nothing yet", DOMAINS[slug])
        return
    now = datetime.now(UTC)
    page, lineage = page_of(outcome), lineage_of(outcome)
    if lineage.untraced:
        get_run_logger().info("%s: SQL that could not be followed: %s", slug, lineage.untraced)
    options = storage_options(settings.storage_block)
    with writing(settings.address):
        place = open_place(settings.address, options)
        place.replace(docs_path(slug), page)
        place.replace(lineage_path(slug), lineage_page(slug, lineage, now))
    get_run_logger().info("%s: %.1f MB, %s", slug, len(page) / 1e6, now.date())


def _of_postgres(slug: str, settings: ReportSettings) -> DbtOutcome:
    block = building_block(Builder(getattr(settings.blocks, slug)))
    return build_dbt(slug, dbt_postgres_env(block), command=COMMAND)


def _of_agents(settings: ReportSettings) -> DbtOutcome | None:
    """From a copy: dbt opens the file to write, and the published one is for readers."""
    published = settings.agents_path
    if not published.exists():
        return None
    with TemporaryDirectory(prefix="report-docs-") as folder:
        copy = Path(folder) / published.name
        shutil.copyfile(published, copy)
        return build_dbt(AGENTS, {AGENTS_VARIABLE: str(copy)}, command=COMMAND)


def page_of(outcome: DbtOutcome) -> bytes:
    """The page of a project whose documentation dbt has just generated."""
    target, manifest, catalog = _written(outcome)
    return docs_page(
        (target / "index.html").read_text(encoding="utf-8"),
        json.loads(manifest.read_text(encoding="utf-8")),
        json.loads(catalog.read_text(encoding="utf-8")),
    )


def lineage_of(outcome: DbtOutcome) -> Lineage:
    """What its columns are made of."""
    _, manifest, catalog = _written(outcome)
    return read_lineage(manifest, catalog)


def _written(outcome: DbtOutcome) -> tuple[Path, Path, Path]:
    """dbt's folder, the manifest of the run and the catalog; none of them holds a secret."""
    target = outcome.artifacts_dir.parents[1]
    return target, outcome.artifacts_dir / "manifest.json", target / "catalog.json"
