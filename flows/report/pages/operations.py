"""What is late or failing, and why: what the Prefect server and the models say."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flows._shared.budgets import Budget
from flows.report import charts, words
from flows.report.pages import freshness
from flows.report.pages.ledgermind_rejected import rejected_rows
from flows.report.pages.nodes import node_figures
from flows.report.pages.runs import (
    BAD,
    deployments_figure,
    latest_of,
    moment,
    nobody_took,
    run_of,
    runs_figure,
    waiting_figure,
)
from flows.report.pages.sizes import sizes, sizes_figure
from flows.report.pages.ties import first_of
from flows.report.pages.verdicts import FAILURES_NOTE, KINDS, verdicts_figure
from flows.report.records import (
    DOMAINS,
    Column,
    DomainData,
    Figure,
    OperationsData,
    Page,
    Row,
)

SLUG, TITLE = "operations", "Operations"
QUESTION = "What is late or failing, and why?"
MEASURES = (
    "rows_loaded",
    "models_built",
    "models_unchanged",
    "tests_passed",
    "tests_unchanged",
    "warnings",
    "failures",
    "seconds",
)


# Of deployments that fail, as many are told with their reason.
TOLD = 5


def page(operated: OperationsData, data: Mapping[str, DomainData], now: datetime) -> Page:
    runs = [run_of(each) for each in operated.runs]
    latest = latest_of([*runs, *(run_of(each) for each in operated.older)])
    deployed = {
        str(each.get("id")): each.get("deployment") for each in (*operated.runs, *operated.older)
    }
    measures = [_measured(each, deployed) for each in operated.measures]
    sources = freshness.sources(operated, data, latest, now)
    figures = [freshness.figure(sources, now)]
    counted = sizes(operated.fresh, now)
    if counted:
        figures.append(sizes_figure(counted))
    if latest:
        figures.insert(0, deployments_figure(latest, now))
    if operated.waiting:
        figures.insert(0, waiting_figure(operated.waiting, now))
    if finished := [row for row in runs if row["started"]]:
        figures.append(runs_figure(finished))
    if measures:
        figures.append(_tests(measures))
    if verdicts := verdicts_figure(measures):
        figures.append(verdicts)
    figures += node_figures(operated.nodes)
    figures += budget_figures(operated.budgets, now)
    if rejected := _rejected_rows(data):
        figures.append(_rejected(rejected))
    return Page(
        SLUG,
        TITLE,
        QUESTION,
        _headline(operated, latest) + _late(freshness.behind(sources)),
        (*_attention(latest, operated.waiting, data), *freshness.late(sources, now)),
        tuple(figures),
        (operated.problem,) if operated.problem else (),
    )


def _headline(operated: OperationsData, latest: Sequence[Row]) -> str:
    if operated.problem:
        return "The Prefect server could not be asked"
    if not latest:
        return "No run of a deployment has ended yet"
    failing = [row for row in latest if row["state_type"] in BAD]
    if not failing:
        many = words.count(len(latest), "deployment")
        each = "each of " if len(latest) > 1 else ""
        return f"The last finished run of {each}{many} did not fail"
    names = [words.text(row["deployment"]) for row in failing]
    return f"{words.count(len(failing), 'deployment')} failing: {words.first(names, 3)}"


def _late(domains: Mapping[str, Sequence[Row]]) -> str:
    return f"; late: {words.listed(list(domains))}" if domains else ""


def _attention(
    latest: Sequence[Row], waiting: Sequence[Row], data: Mapping[str, DomainData]
) -> tuple[str, ...]:
    failing = [row for row in latest if row["state_type"] in BAD]
    told = [
        f"The last run of {words.text(row['deployment'])} {words.text(row['state']).lower()}: "
        f"{words.brief(row['message'])}"
        for row in failing[:TOLD]
    ]
    if rest := [words.text(row["deployment"]) for row in failing[TOLD:]]:
        reasons = "its reason is" if len(rest) == 1 else "their reasons are"
        told.append(f"And {len(rest)} more failed, {reasons} below: {words.listed(rest)}")
    unread = [f"{DOMAINS[slug]}: {each.problem}" for slug, each in data.items() if each.problem]
    late = [nobody_took(waiting)] if waiting else []
    return (*told, *late, *unread)


def _measured(row: Row, deployed: Mapping[str, str | None]) -> dict[str, Any]:
    """What a run measured, with the deployment that it is of where the server knows it still."""
    data = row["data"]
    rows = json.loads(data) if isinstance(data, str) else data
    values = {str(each.get("measure")): each.get("value") for each in rows or []}
    return {
        "domain": DOMAINS[row["slug"]],
        "slug": row["slug"],
        "deployment": deployed.get(str(row.get("flow_run_id"))),
        "at": moment(row.get("updated")),
        **{measure: words.finite(values.get(measure)) for measure in MEASURES},
    }


def _tests(measures: Sequence[Row]) -> Figure:
    # A run of one layer does not tell how a run of the whole domain went.
    newest: dict[tuple[str, str | None], Row] = {}
    for row in measures:
        newest.setdefault((row["domain"], row["deployment"]), row)
    last = [{**row, "name": row["deployment"] or row["domain"]} for row in newest.values()]
    total = {each: int(sum(row[each] or 0 for row in last)) for each in MEASURES}
    found = (
        f"{words.count(total['tests_passed'], 'test')} passed, "
        f"{words.count(total['warnings'], 'warning')}, {words.count(total['failures'], 'failure')}"
    )
    left_out = [
        words.count(total[measure], one)
        for measure, one in (("models_unchanged", "model"), ("tests_unchanged", "test"))
        if total[measure]
    ]
    unchanged = (
        f"; {words.listed(left_out)} left out, as nothing that they read has changed since their "
        "last success"
        if left_out
        else ""
    )
    return Figure(
        key="tests",
        title="What runs built and tested",
        answer=f"In the last run of each deployment that is listed: {found}{unchanged}.",
        source=None,
        columns=(
            Column("at", "When, UTC", "date"),
            Column("domain", "Domain"),
            Column("deployment", "Deployment"),
            Column("tests_passed", "Tests passed", "number"),
            Column("tests_unchanged", "Tests left out", "number"),
            Column("warnings", "Warnings", "number"),
            Column("failures", "Failures", "number"),
            Column("models_built", "Models built", "number"),
            Column("models_unchanged", "Models left out", "number"),
            Column("rows_loaded", "Rows loaded", "number"),
            Column("seconds", "Took", "seconds"),
        ),
        rows=measures,
        as_of=words.text(measures[0]["at"]),
        chart=charts.parts(
            last,
            "name",
            KINDS,
            "of the last run",
            f"Stacked bars by deployment: {found}.",
        ),
        note=f"{FAILURES_NOTE} such as a repository that could not be read: the summary of the "
        "run names each. What is left out is as it was when it was last built or tested. Without "
        "a deployment: a run that was started otherwise, or that the server knows no longer.",
    )


def budget_figures(artifacts: Sequence[Row], now: datetime) -> list[Figure]:
    rows = _budgets(artifacts, now)
    return [_months(rows)] if rows else []


def _budgets(artifacts: Sequence[Row], now: datetime) -> list[Row]:
    """The budgets of all domains, what is exceeded first, then what is not settled."""
    rows = [
        {
            **row,
            "domain": DOMAINS[artifact["slug"]],
            "state": budget.state,
            "is_exceeded": budget.is_exceeded,
            "is_open": budget.is_open and budget.month >= f"{now:%Y-%m}",
        }
        for artifact in artifacts
        for row in json.loads(artifact["data"])
        for budget in [Budget(**row).seen_in(f"{now:%Y-%m}")]
    ]
    return sorted(
        rows,
        key=lambda row: (not row["is_exceeded"], not row["is_open"], row["domain"], row["name"]),
    )


def _months(rows: Sequence[Row]) -> Figure:
    exceeded = sum(row["is_exceeded"] for row in rows)
    unsettled = sum(row["is_open"] for row in rows)
    rest = f"; whether {words.number(unsettled)} will hold is not settled" if unsettled else ""
    return Figure(
        key="budgets",
        title="Budgets of the month",
        answer=(
            f"{words.number(exceeded)} of {words.count(len(rows), 'budget')} passed or will be "
            f"passed at the pace of the month so far{rest}."
        ),
        source=None,
        columns=(
            Column("domain", "Domain"),
            Column("name", "What"),
            Column("month", "Month"),
            Column("spent_usd", "Spent", "money"),
            Column("projected_usd", "At its end, at this pace", "money"),
            Column("budget_usd", "Budget", "money"),
            Column("state", "State"),
        ),
        rows=rows,
        as_of="the last run of each",
        note="What BigQuery billed for the marts there, and what the coding agents cost.",
    )


def _rejected_rows(data: Mapping[str, DomainData]) -> list[Row]:
    rows: list[Row] = [
        {
            "domain": DOMAINS["scout"],
            "what": "payloads of transactions",
            "table": None,
            "reason": row["rejection_reason"],
            "rows": row["payloads"],
        }
        for row in data["scout"].rows("rpt_scout_rejections")
        if row["rejection_reason"] != "superseded"
    ]
    rows += [
        {
            "domain": DOMAINS["ledgermind"],
            "what": row["what"],
            "table": row["source_table"],
            "reason": row["reason"],
            "rows": row["rejected_rows"],
        }
        for row in rejected_rows(data["ledgermind"])
    ]
    return sorted(rows, key=lambda row: -row["rows"])


def _rejected(rows: Sequence[Row]) -> Figure:
    total = sum(row["rows"] for row in rows)
    most = first_of(rows, "rows")
    named = [f"{words.spoken(row['reason'])} in {row['domain']}" for row in most]
    return Figure(
        key="rejected",
        title="Rows put aside, and why",
        answer=(
            f"{words.count(total, 'row')}, most often {words.first(named, 3)} "
            f"({words.number(rows[0]['rows'])}{'' if len(most) == 1 else ' each'})."
        ),
        source=None,
        columns=(
            Column("domain", "Domain"),
            Column("what", "What", small="table"),
            Column("reason", "Reason", "code"),
            Column("rows", "Rows", "number"),
        ),
        rows=rows,
        as_of="the last builds",
        note="From the pages of the domains, which say of what time.",
    )
