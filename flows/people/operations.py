"""The flow that purges a person: found everywhere first, then purged, then all made of them anew.

What ties a name to the person may stand in one store alone. So every store remembers all names
before any is purged, and works from what it remembers: a run after one that broke finishes it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prefect import Flow, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext

from flows._shared.orchestration.credentials import (
    MissingBlockError,
    building_block,
    dbt_postgres_env,
)
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import PURGE, RunSummary, publish_summary
from flows._shared.purged import Person, Purged, new_person, of_names
from flows._shared.revised import revised
from flows.agent_analytics import flow as agents_flow
from flows.agent_analytics import raw as agents
from flows.github_scraper import flow as github_flow
from flows.github_scraper import raw as github
from flows.people.settings import Named, PurgeSettings
from flows.report.operations import report
from flows.report.publish import open_place
from flows.webhooks.persons import purge_person as purge_inbox

WHOLE = DbtOptions(full_refresh=True, exclude=("test_type:unit",))
OUT_OF_REACH = (
    "Backups, and archived write-ahead logs, of before this purge",
    "This Prefect server's logs, artifacts and parameters of earlier runs",
    "Clones in the state's folder, and the hosts of repositories: they hold what authors signed",
    "Files that runs read: telemetry, hooks' commits, Copilot reports, CSV files, insight graphs",
    "LedgerMind's and Scout's rows: their owners delete at the source; see docs/security.md",
    "What was copied out: downloads, Parquet files elsewhere, BigQuery's time travel of 7 days",
    "Rows that PostgreSQL has deleted, in its files until a vacuum has reused their room",
)


# Names lead to names: more than a few steps apart nobody is one person.
MOST_ROUNDS = 10


@dataclass
class Found:
    """What is known of the person, and what became of one place after the other."""

    person: Person
    pseudonym: str
    in_github: frozenset[str] = frozenset()
    in_agents: frozenset[str] = frozenset()
    lists: dict[str, Purged] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    models_built: int = 0
    tests_passed: int = 0


@flow(name="purge-person", flow_run_name=RunName("people in all domains, purge at {now}"))
def purge_person(
    person: Named, dry_run: bool = True, settings: PurgeSettings = PurgeSettings()
) -> dict[str, int]:
    """Let a person be known by a pseudonym alone, in raw rows, marts, copies and the inbox.

    Counts stay whole, and later loads of the same sources know the pseudonym alone. A second purge
    of the same person changes nothing.

    Args:
        person: By what they are known. This run's record of it is blotted out at its end.
        dry_run: Only count, place by place; nothing is changed.
        settings: Where people are known.
    """
    started = time.monotonic()
    found = Found(person.person, new_person())
    try:
        find_person(found, settings)
        remember_person(found, settings, dry_run)
        purge_the_inbox(found, settings, dry_run)
        purge_agents(found, settings, dry_run)
        purge_github(found, settings, dry_run)
        replace_report(found, settings, dry_run)
        _tell(found, dry_run, time.monotonic() - started)
    finally:
        _forget_parameters(person)
    return found.rows


@task(name="find person", retries=1, retry_condition_fn=retry_transient, cache_policy=NO_CACHE)
def find_person(found: Found, settings: PurgeSettings) -> None:
    """All names: what one store adds may be what ties others to the person in another."""
    for _ in range(MOST_ROUNDS):
        before = found.person
        try:
            with connect(settings.github.database_block) as connection:
                github.ensure_schema(connection)
                found.in_github = github.find_person(connection, found.person)
        except MissingBlockError as error:
            found.in_github = frozenset()
            if str(error) not in found.notes:
                found.notes.append(str(error))
        found.person = found.person.also(found.in_github)
        with _agents(settings) as store:
            if store is not None:
                found.in_agents = agents.find_person(store, found.person)
        found.person = found.person.also(found.in_agents)
        if found.person == before:
            return


@contextmanager
def _agents(settings: PurgeSettings) -> Iterator[agents.Store | None]:
    """The agents' file, of which this run is the one writer; None where there is none."""
    store = agents_flow.store_of(settings.agents)
    if not store.path.exists():
        yield None
        return
    say = get_run_logger().warning
    with store.locked(PURGE, settings.agents.lock_timeout_seconds, say):
        store.recover(say)
        yield store


@task(name="remember person", retries=1, retry_condition_fn=retry_transient, cache_policy=NO_CACHE)
def remember_person(found: Found, settings: PurgeSettings, is_dry: bool) -> None:
    """In each store, before any of them forgets what ties the names to one another."""
    if found.in_github:
        with connect(settings.github.database_block) as connection:
            found.lists["github"], found.pseudonym = github.remember_person(
                connection, found.in_github, found.pseudonym, is_dry=is_dry
            )
    with _agents(settings) as store:
        if store is not None:
            found.lists["agents"] = agents.remember_person(
                store, found.in_agents, found.pseudonym, is_dry=is_dry
            )
    found.lists["run"] = of_names(found.in_github | found.in_agents, found.pseudonym)


@task(name="purge github", retries=1, retry_condition_fn=retry_transient, cache_policy=NO_CACHE)
def purge_github(found: Found, settings: PurgeSettings, is_dry: bool) -> None:
    if "github" not in found.lists:
        found.notes.append("The GitHub scraper is not set up here")
        return
    with connect(settings.github.database_block) as connection:
        counts, _ = github.purge_person(connection, found.person, found.pseudonym, is_dry=is_dry)
    found.rows |= {f"github: {place}": rows for place, rows in counts.items()}
    if is_dry:
        return
    block = building_block(settings.github)
    with connect(block) as connection:
        found.rows["github: history"] = github.purge_history(connection, found.lists["github"])
    built = build_dbt("github_scraper", dbt_postgres_env(block), WHOLE)
    found.models_built += built.models_built
    found.tests_passed += built.tests_passed
    if settings.with_bigquery:
        found.rows["github: history on BigQuery"] = github_flow.purge_history(
            settings.github, found.lists["github"]
        )
        github_flow.export_tables(settings.github)
        github_flow.build_on_bigquery(settings.github, WHOLE)


@task(name="purge agents", retries=1, retry_condition_fn=retry_transient, cache_policy=NO_CACHE)
def purge_agents(found: Found, settings: PurgeSettings, is_dry: bool) -> None:
    with _agents(settings) as store:
        if store is None:
            path = agents_flow.store_of(settings.agents).path
            found.notes.append(f"There is no DuckDB file of the agents at {path}")
            return
        counts, _ = agents.purge_person(store, found.person, found.pseudonym, is_dry=is_dry)
        found.rows |= {f"agents: {place}": rows for place, rows in counts.items()}
        if not is_dry:
            built = agents_flow.build_purged(settings.agents, WHOLE)
            found.models_built += built.models_built
            found.tests_passed += built.tests_passed


@task(name="purge inbox", retries=1, retry_condition_fn=retry_transient, cache_policy=NO_CACHE)
def purge_the_inbox(found: Found, settings: PurgeSettings, is_dry: bool) -> None:
    with _agents(settings) as store:
        consumed = agents.loaded_up_to(store) if store is not None else 0
    try:
        with connect(settings.inbox_block) as connection:
            lists = [found.lists["run"], *found.lists.values()]
            counts = purge_inbox(connection, lists, consumed, is_dry=is_dry)
    except MissingBlockError as error:
        found.notes.append(f"No inbox is set up here: {error}")
        return
    found.rows |= {f"inbox: {place}": rows for place, rows in counts.items()}


@task(name="replace report", cache_policy=NO_CACHE)
def replace_report(found: Found, settings: PurgeSettings, is_dry: bool) -> None:
    """Dated versions show who was there then: one that is made anew takes their place."""
    if "://" in settings.report.address and settings.report.storage_block is not None:
        versions = ["unknown"]
    else:
        versions = open_place(settings.report.address, {}).versions()
    found.rows["report: dated versions"] = len(versions)
    if versions and not is_dry:
        report(revised(settings.report, versions_kept=1))


def _tell(found: Found, is_dry: bool, seconds: float) -> None:
    changed = {place: rows for place, rows in found.rows.items() if rows}
    for place, rows in changed.items():
        get_run_logger().info("%s: %s%s", place, f"{rows:,}", " would change" if is_dry else "")
    notes = (
        f"{'Counted alone: run again with dry_run false' if is_dry else 'Purged'}",
        *(f"{place}: {rows:,}" for place, rows in changed.items()),
        "Quality Compass knows facilities, not people",
        *found.notes,
        *(f"Out of reach: {place}" for place in OUT_OF_REACH),
    )
    publish_summary(
        PURGE,
        RunSummary(0, found.models_built, found.tests_passed, 0, 0, seconds, (), notes),
    )


def forget_parameters(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Also of a run that never began, as what it was given was refused."""
    get_client(sync_client=True).update_flow_run(flow_run.id, parameters={"person": {}})


purge_person.on_failure(forget_parameters)
purge_person.on_crashed(forget_parameters)
purge_person.on_cancellation(forget_parameters)


def _forget_parameters(person: Named) -> None:
    """The server keeps the parameters of a run for as long as the run."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    blotted = {
        kind: [f"purged {kind} {number}" for number, _ in enumerate(values, 1)]
        for kind, values in person.model_dump().items()
    }
    get_client(sync_client=True).update_flow_run(
        context.flow_run.id, parameters={"person": blotted}
    )
