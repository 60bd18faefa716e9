"""The flow that alerts: reads what the newest builds and answers said, tells what is new or over.

It sends events; the server sends the messages (deployments/automations/alerts.yaml). What is told
of stays in the table artifact ``alerts`` until it is over.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.urls import url_for

from flows._shared.alerts import Cause, Severity, Standing, grouped, is_quiet, step, summed_up
from flows._shared.answers import cause_of
from flows._shared.budgets import Budget
from flows._shared.dbt_said import FAILED, WARNED, newest_words
from flows._shared.errors import PermanentError
from flows._shared.events import AlertTold, Event, alert_event
from flows._shared.markdown import UNSEEN
from flows._shared.orchestration.budgets import budgets_key
from flows._shared.orchestration.dbt_nodes import TESTS
from flows._shared.orchestration.events import send_events
from flows._shared.orchestration.flow_run import FlowRunApi, current_flow_run, kebab
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows._shared.secrets import without_secrets
from flows.report.records import DOMAINS
from flows.report.settings import AlertSettings
from flows.report.source import PROJECTS

KEY = "alerts"
BUILDS = 60
LONGEST = 600
NOBODY = "nobody is named"
# Anomalies are events with a message of their own, budgets are told by what they are of.
TOLD_ELSEWHERE = {
    "ledgermind": re.compile(r"^On .* was unusual:|^For .* no suggestion came:"),
    "agent_analytics": re.compile(r"^Budget: "),
}
Row = Mapping[str, Any]


@flow(name="report-alerts", flow_run_name=RunName("report alerts of all domains, at {now}"))
def alerts(settings: AlertSettings = AlertSettings()) -> None:
    """Tell what began to fail, to be stale, abnormal or over budget, and what no longer is.

    Args:
        settings: Quiet hours, in which only errors are told.
    """
    now = datetime.now(UTC)
    quiet = is_quiet(now, settings.quiet_from, settings.quiet_to, settings.time_zone)
    tell(look(now), now, quiet)


@task(name="look", retries=2, retry_delay_seconds=[2, 10], cache_policy=NO_CACHE)
def look(now: datetime) -> list[Cause]:
    """All causes there are now, from the artifacts of the newest runs."""
    api = _api()
    return [cause for slug in DOMAINS for cause in causes_of(slug, api, now)]


@task(
    name="tell",
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def tell(found: Sequence[Cause], now: datetime, quiet: bool) -> None:
    """Events first, then the memory of them: told twice under the same id, an event is one."""
    api = _api()
    kept = api.find_artifacts({"key": {"any_": [KEY]}}, 1)
    before = [Standing.of_row(row) for row in json.loads(kept[0]["data"])] if kept else []
    done = step(before, found, now, quiet)
    events = [*_events(done.opened, is_over=False), *_events(done.resolved, is_over=True)]
    if events:
        send_events(events)
    rows = [each.as_row() for each in done.standing]
    api.create_table(KEY, rows, "What is told of, until it is over")
    get_run_logger().info(
        "%s told, %s over, %s standing", len(done.opened), len(done.resolved), len(rows)
    )


def _api() -> FlowRunApi:
    api = current_flow_run()
    if api is None:
        raise PermanentError(
            "Looking for alerts", "this is no run of a flow", "Run the flow `alerts`"
        )
    return api


def causes_of(slug: str, api: FlowRunApi, now: datetime) -> Iterator[Cause]:
    """What a domain's newest builds, its newest answer and its newest budgets say."""
    owner = owner_of(slug)
    builds = api.find_artifacts({"key": {"like_": f"{kebab(slug)}-dbt-nodes"}}, BUILDS)
    yield from of_builds(slug, owner, builds)
    yield from of_answer(
        slug, owner, api.find_artifacts({"key": {"any_": [f"{kebab(slug)}-run"]}}, BUILDS)
    )
    budgets = api.find_artifacts({"key": {"any_": [budgets_key(slug)]}}, 1)
    yield from of_budgets(slug, owner, budgets, now)


def of_builds(slug: str, owner: str, builds: Sequence[Row]) -> Iterator[Cause]:
    """A cause for each node whose newest word is a failure or a warning.

    Args:
        builds: artifacts of dbt's nodes, the newest first; a part of the project is in each.
    """
    for build, is_on_bigquery, node in newest_words(builds):
        severity = _severity(str(node["status"]))
        if severity is not None:
            key = ("bigquery" if is_on_bigquery else "", str(node["type"]), str(node["name"]))
            yield _of_node(slug, owner, severity, node, build, key)


def _severity(status: str) -> Severity | None:
    return "error" if status in FAILED else "warning" if status == WARNED else None


def _of_node(
    slug: str,
    owner: str,
    severity: Severity,
    node: Row,
    build: Row,
    key: tuple[str, str, str],
) -> Cause:
    where = " on BigQuery" if key[0] else ""
    what = {"source": "is stale", "test": "fails", "unit_test": "fails"}.get(key[1], "is not built")
    told = "warns" if severity == "warning" and key[1] != "source" else what
    return Cause(
        key="/".join((slug, *key)),
        slug=slug,
        severity=severity,
        owner=owner,
        subject=shown(f"{slug}: {key[1]} {key[2]} {told}{where}"),
        detail=shown(str(node.get("message") or "")),
        rows=node.get("rows") if key[1] in TESTS else None,
        sql=_sql(node.get("compiled_sql")),
        link=_link(build),
    )


def of_answer(slug: str, owner: str, runs: Sequence[Row]) -> Iterator[Cause]:
    """A cause for each sentence of what needs attention in the newest answer.

    Args:
        runs: artifacts of measures, the newest first.
    """
    for run in runs:
        measures = {row["measure"]: row["value"] for row in json.loads(run["data"])}
        if "attention" not in measures:
            continue
        for sentence in measures["attention"]:
            elsewhere = TOLD_ELSEWHERE.get(slug)
            if elsewhere and elsewhere.search(sentence):
                continue
            yield Cause(
                # Figures move while it lasts.
                key=f"{slug}/attention/{cause_of(sentence)}",
                slug=slug,
                severity="warning",
                owner=owner,
                subject=shown(f"{slug}: {sentence}"),
                detail=shown(str(measures.get("headline") or "")),
                link=_link(run),
            )
        return


def of_budgets(slug: str, owner: str, artifacts: Sequence[Row], now: datetime) -> Iterator[Cause]:
    """A cause for each budget that is passed this month, or will be at its pace.

    Args:
        artifacts: of budgets, the newest first; what is of another month is over.
    """
    for artifact in artifacts[:1]:
        for row in json.loads(artifact["data"]):
            budget = Budget(**row)
            if budget.month != f"{now:%Y-%m}" or not budget.is_exceeded:
                continue
            yield Cause(
                key=f"{slug}/budget/{budget.month}/{budget.name}",
                slug=slug,
                severity="error" if budget.is_passed else "warning",
                owner=owner,
                subject=shown(
                    f"{slug}: the budget of {budget.name} "
                    f"{'is' if budget.is_passed else 'will be'} passed"
                ),
                detail=shown(str(budget)),
                link=_link(artifact),
            )


def owner_of(slug: str, projects: Path = PROJECTS) -> str:
    """Who answers for the models of a domain, as its project says in `meta`."""
    project = yaml.safe_load((projects / slug / "dbt_project.yml").read_text(encoding="utf-8"))
    meta = project["models"][slug].get("+meta") or {}
    return str(meta.get("owner") or NOBODY)


def shown(text: str) -> str:
    """One line of a message: no secret, of much the beginning, and no mark-up of a chat."""
    line = UNSEEN.sub("\ufffd", without_secrets(" ".join(text.split())))
    line = line if len(line) <= LONGEST else line[:LONGEST] + " …"
    # `<!channel>` calls everybody in a chat, `<address|text>` hides where a link leads.
    return re.sub(r"<(?=\S)", "< ", line)


def _sql(path: object) -> str:
    """The query itself where this machine has it, else the file that the builder has."""
    if not path:
        return ""
    file = Path(str(path))
    return shown(file.read_text(encoding="utf-8")) if file.is_file() else str(file)


def _link(artifact: Row) -> str:
    run = artifact.get("flow_run_id")
    return (url_for("flow-run", run) or "") if run else ""


def _events(told: Sequence[Standing], *, is_over: bool) -> Iterator[Event]:
    for group in grouped(told):
        cause = summed_up(group)
        payload = AlertTold(
            severity=cause.severity,
            owner=cause.owner,
            subject=cause.subject,
            detail=cause.detail,
            rows=cause.rows,
            sql=cause.sql,
            link=cause.link,
            since=min(each.since for each in group),
        )
        yield alert_event(cause.slug, payload, cause.key, is_over=is_over)
