"""What is late, and why: the runs of a domain, each of its sources, and each of its marts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from flows.report import words
from flows.report.pages.runs import BAD, moment
from flows.report.records import DOMAINS, Column, DomainData, Figure, OperationsData, Row

LATE, IN_TIME, UNKNOWN = "late", "in time", "not judged"
# What comes in, and the column of days that tells how new it is, by model.
NEWEST = {
    "github_scraper": ("commits", "rpt_github_repositories", "last_commit_date"),
    "ledgermind": ("suggestions", "rpt_ledgermind_daily", "created_date"),
    "scout": ("transactions", "rpt_scout_months", "newest_transaction_date"),
    "quality_compass": ("signals of runs", "rpt_quality_facilities", "detected_date"),
    "agent_analytics": ("usage of agents", "rpt_agents_daily", "date"),
}
TOLD = 3
# Of a domain, the newest first: when, and what was said.
Builds = Sequence[tuple[datetime | None, Sequence[Row]]]
# Models of this report are no marts.
OF_REPORT = "rpt_"


def newest_fact(data: DomainData) -> date | None:
    """The day of the newest fact of a domain; None where there is none."""
    _, model, column = NEWEST[data.slug]
    # A model that was built before the column was there lacks it.
    return max((row[column] for row in data.rows(model) if row.get(column)), default=None)


def sources(
    operated: OperationsData, data: Mapping[str, DomainData], latest: Sequence[Row], now: datetime
) -> list[Row]:
    """A row for each domain, behind it one for each of its sources, then for each of its marts."""
    rows: list[Row] = []
    for slug, (what, model, column) in NEWEST.items():
        newest = newest_fact(data[slug])
        verdict, why = _judged(slug, operated, latest, now)
        rows.append(
            {
                "domain": DOMAINS[slug],
                "kind": "runs",
                "source": what,
                "raw": f"{data[slug].extracts[model].relation}.{column}",
                "verdict": verdict,
                "why": why,
                "newest": newest,
                "age": (now.date() - newest).days if newest else None,
            }
        )
        builds = [
            (moment(each.get("created")), json.loads(each["data"]))
            for each in operated.fresh
            if each["slug"] == slug
        ]
        rows += _tables(slug, builds, now)
        rows += _marts(slug, builds, operated.allowed.get(slug), now)
    return rows


def _judged(
    slug: str, operated: OperationsData, latest: Sequence[Row], now: datetime
) -> tuple[str, str]:
    if operated.problem:
        return UNKNOWN, "The Prefect server could not be asked"
    run, allowed = operated.completed.get(slug), operated.allowed.get(slug)
    ended = moment(run.get("end_time")) if run else None
    if ended is None or allowed is None:
        return UNKNOWN, "The Prefect server knows no run of it that went well"
    age = (now - ended).total_seconds()
    told = (
        f"The last run that went well ended {words.duration(age)} ago; "
        f"{words.duration(allowed)} are allowed"
    )
    names = slug.replace("_", "-")
    failed = [
        row
        for row in latest
        if row["state_type"] in BAD
        and words.text(row["deployment"]).startswith(names)
        and (row["ended"] or row["started"]) > ended
    ]
    because = [
        f"{words.text(row['deployment'])} {words.text(row['state']).lower()}: "
        f"{words.brief(row['message'])}"
        for row in failed
    ]
    if age <= allowed:
        return IN_TIME, "; ".join([told, *because])
    return LATE, "; ".join([told, *(because or ["none has failed since: did any start?"])])


def _tables(slug: str, builds: Builds, now: datetime) -> Iterator[dict[str, Any]]:
    """Each source as the newest build found it, by what is now."""
    for each in builds[0][1] if builds else ():
        if each["kind"] != "source":
            continue
        newest, limits = moment(each["newest"]), (each["warn_after"], each["error_after"])
        verdict, why = UNKNOWN, "Nothing has come yet"
        if newest:
            age = (now - newest).total_seconds()
            verdict = LATE if age > min(filter(None, limits)) else IN_TIME
            why = f"Newest of {words.text(newest)} UTC, {words.duration(age)} ago"
        told = [
            f"{what} after {words.duration(seconds)}"
            for what, seconds in zip(("a warning", "an error"), limits, strict=True)
            if seconds
        ]
        yield _row(slug, "source", each["name"], verdict, f"{why}; {', '.join(told)}")


def _marts(
    slug: str, builds: Builds, allowed: float | None, now: datetime
) -> Iterator[dict[str, Any]]:
    """Each mart by the newest build that made it, or left it out as nothing had changed."""
    made: dict[str, datetime | None] = {}
    for at, told in builds:
        for each in told:
            name = str(each["name"])
            if each["kind"] != "mart" or name.startswith(OF_REPORT):
                continue
            if made.setdefault(name, None) is None and each["is_current"]:
                made[name] = at
    for name, at in sorted(made.items()):
        verdict, why = LATE, f"None of {words.count(len(builds), 'build')} that are known made it"
        if at is not None:
            age = (now - at).total_seconds()
            verdict, why = IN_TIME, f"Of a build {words.duration(age)} ago"
            if allowed is not None:
                verdict = LATE if age > allowed else IN_TIME
                why += f"; {words.duration(allowed)} are allowed"
        yield _row(slug, "mart", name, verdict, why)


def _row(slug: str, kind: str, name: str, verdict: str, why: str) -> dict[str, Any]:
    return {
        "domain": DOMAINS[slug],
        "kind": kind,
        "source": words.spoken(name.removeprefix("raw_")),
        "raw": name,
        "verdict": verdict,
        "why": why,
        "newest": None,
        "age": None,
    }


def behind(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """What is late, by domain."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["verdict"] == LATE:
            found.setdefault(row["domain"], []).append(row)
    return found


def late(rows: Sequence[Row]) -> tuple[str, ...]:
    """A sentence for each domain with something that is late."""
    return tuple(
        f"{domain} is late ({words.first([row['source'] for row in those], TOLD)}): "
        f"{those[0]['why']}"
        for domain, those in behind(rows).items()
    )


def figure(rows: Sequence[Row], now: datetime) -> Figure:
    told = []
    if judged := [row["verdict"] for row in rows if row["verdict"] != UNKNOWN]:
        many = judged.count(LATE)
        are = "is" if many == 1 else "are"
        told.append(
            f"{words.number(many)} of "
            f"{words.count(len(judged), 'domain', 'domains, sources and marts')} {are} late"
        )
    if known := [row for row in rows if row["newest"]]:
        oldest = min(known, key=lambda row: row["newest"].toordinal())
        told.append(
            f"{oldest['domain']} has the oldest newest fact: {words.text(oldest['newest'])}, "
            f"{words.days_ago(oldest['age'])}"
        )
    answer = f"{'; '.join(told) or 'No domain has data yet'}."
    return Figure(
        key="freshness",
        title="How new the facts are",
        answer=answer,
        source=None,
        columns=(
            Column("domain", "Domain"),
            Column("kind", "Of"),
            Column("source", "What", small="raw"),
            Column("verdict", "Late?"),
            Column("why", "Why", "long"),
            Column("newest", "Newest fact", "date"),
            Column("age", "How old", "days ago"),
        ),
        rows=rows,
        as_of=f"{now:%Y-%m-%d %H:%M} UTC",
        note="A domain is late when none of its runs has gone well for longer than its alert "
        "allows, and a mart when no build has made it for as long; a source, when what came last "
        "is older than its freshness in dbt allows. The newest fact is by the days of the facts "
        "themselves: a source can be in time and quiet.",
    )
