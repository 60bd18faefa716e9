"""What is late, and why: the runs of a domain, each of its sources, and each of its marts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from flows.report import words
from flows.report.pages.runs import BAD, moment
from flows.report.records import DOMAINS, Column, DomainData, Figure, OperationsData, Row

LATE, IN_TIME, UNKNOWN = "late", "in time", "not judged"
# As a table shows them.
VERDICTS = (LATE, UNKNOWN, IN_TIME)
# What comes in, and the column of days that tells how new it is, by model.
NEWEST = {
    "github_scraper": ("commits", "rpt_github_repositories", "last_commit_date"),
    "ledgermind": ("suggestions", "rpt_ledgermind_groups", "last_date"),
    "scout": ("transactions", "rpt_scout_months", "newest_transaction_date"),
    "quality_compass": ("signals of runs", "rpt_quality_facilities", "detected_date"),
    "agent_analytics": ("usage of agents", "rpt_agents_daily", "date"),
}
TOLD = 3
# Models of this report are no marts, and what others are made from is none, also under contract.
NO_MARTS = ("rpt_", "stg_", "int_")


class Build(NamedTuple):
    """What a build said of sources and marts, and whether readers have what it made."""

    at: datetime | None
    told: Sequence[Row]
    is_published: bool


def newest_fact(data: DomainData) -> date | None:
    """The day of the newest fact of a domain; None where there is none."""
    _, model, column = NEWEST[data.slug]
    # A model that was built before the column was there lacks it.
    return max((row[column] for row in data.rows(model) if row.get(column)), default=None)


def sources(
    operated: OperationsData, data: Mapping[str, DomainData], latest: Sequence[Row], now: datetime
) -> list[Row]:
    """A row for each domain, each of its sources and each of its marts; late ones first."""
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
            Build(
                moment(each.get("created")),
                json.loads(each["data"]),
                each.get("is_published", True),
            )
            for each in operated.fresh
            if each["slug"] == slug
        ]
        rows += _tables(slug, builds, now)
        rows += _marts(slug, builds, operated.allowed.get(slug), now)
    return sorted(rows, key=lambda row: VERDICTS.index(row["verdict"]))


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


def _tables(slug: str, builds: Sequence[Build], now: datetime) -> Iterator[dict[str, Any]]:
    """Each source as the newest build found it, by what is now."""
    for each in builds[0].told if builds else ():
        if each["kind"] != "source":
            continue
        newest, limits = moment(each["newest"]), (each["warn_after"], each["error_after"])
        verdict, why = UNKNOWN, "Nothing has come yet"
        if newest:
            age = (now - newest).total_seconds()
            verdict = LATE if age > min(filter(None, limits)) else IN_TIME
            why = f"Last loaded {words.text(newest)} UTC, {words.duration(age)} ago"
        told = [
            f"{what} after {words.duration(seconds)}"
            for what, seconds in zip(("a warning", "an error"), limits, strict=True)
            if seconds
        ]
        why = f"{why}; {', '.join(told)}"
        yield _row(slug, "source", each["name"], verdict, why, newest, now)


def _marts(
    slug: str, builds: Sequence[Build], allowed: float | None, now: datetime
) -> Iterator[dict[str, Any]]:
    """Each mart by the newest build that made it, or left it out as nothing had changed.

    What a run publishes as a whole has in it what the runs before made, too.
    """
    places = (place for place, build in enumerate(builds) if build.is_published)
    published = next(places, len(builds))
    made: dict[str, datetime | None] = {}
    unpublished: set[str] = set()
    for place, build in enumerate(builds):
        for each in build.told:
            name = str(each["name"])
            if each["kind"] != "mart" or name.startswith(NO_MARTS):
                continue
            made.setdefault(name, None)
            if not each["is_current"]:
                continue
            if place < published:
                unpublished.add(name)
            elif made[name] is None:
                made[name] = build.at
    for name, at in sorted(made.items()):
        verdict, why = LATE, f"None of {words.count(len(builds), 'build')} that are known made it"
        if at is not None:
            age = (now - at).total_seconds()
            verdict, why = IN_TIME, f"Of a build {words.duration(age)} ago"
            if allowed is not None:
                verdict = LATE if age > allowed else IN_TIME
                why += f"; {words.duration(allowed)} are allowed"
        elif name in unpublished:
            why = "None that is known was published"
        if at is not None and name in unpublished:
            why += "; a newer one was not published"
        yield _row(slug, "mart", name, verdict, why, at, now)


def _row(
    slug: str, kind: str, name: str, verdict: str, why: str, newest: datetime | None, now: datetime
) -> dict[str, Any]:
    return {
        "domain": DOMAINS[slug],
        "kind": kind,
        "source": words.spoken(name.removeprefix("raw_")),
        "raw": name,
        "verdict": verdict,
        "why": why,
        "newest": newest,
        "age": (now.date() - newest.date()).days if newest else None,
    }


def behind(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """What is late, by its name: a domain, or so many sources or marts of one.

    Marts of a domain that is late itself are no more news.
    """
    found: dict[str, list[Row]] = {}
    those = [row for row in rows if row["verdict"] == LATE]
    domains = [row["domain"] for row in those if row["kind"] == "runs"]
    for kind in ("runs", "source", "mart"):
        for domain in dict.fromkeys(row["domain"] for row in those if row["kind"] == kind):
            part = [row for row in those if (row["domain"], row["kind"]) == (domain, kind)]
            if kind == "runs":
                found[domain] = part
            elif kind == "source" or domain not in domains:
                found[f"{words.count(len(part), kind)} of {domain}"] = part
    return found


def late(rows: Sequence[Row], now: datetime) -> tuple[str, ...]:
    """A sentence for each domain that is late, or has sources or marts that are."""
    return tuple(
        f"{name} {'is' if len(those) == 1 else 'are'} late: "
        + (
            those[0]["why"]
            if those[0]["kind"] == "runs"
            else words.first([_aged(row, now) for row in those], TOLD)
        )
        for name, those in behind(rows).items()
    )


def _aged(row: Row, now: datetime) -> str:
    if row["newest"] is None:
        return f"{row['source']} ({row['why'][0].lower()}{row['why'][1:]})"
    ago = words.duration((now - row["newest"]).total_seconds())
    what = "last loaded" if row["kind"] == "source" else "of a build"
    return f"{row['source']} ({what} {ago} ago)"


def figure(rows: Sequence[Row], now: datetime) -> Figure:
    told = []
    if judged := [row["verdict"] for row in rows if row["verdict"] != UNKNOWN]:
        many = judged.count(LATE)
        are = "is" if many == 1 else "are"
        told.append(
            f"{words.number(many)} of "
            f"{words.count(len(judged), 'domain', 'domains, sources and marts')} {are} late"
        )
    if known := [row for row in rows if row["kind"] == "runs" and row["newest"]]:
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
            Column("verdict", "Late?", "word"),
            Column("domain", "Domain", "word"),
            Column("kind", "Of", "word"),
            Column("source", "What", small="raw"),
            Column("age", "How old", "days ago", small="newest"),
            Column("why", "Why", "long"),
        ),
        rows=rows,
        as_of=f"{now:%Y-%m-%d %H:%M} UTC",
        note="A domain is late when none of its runs has gone well for longer than its alert "
        "allows, and a mart when no build has made it for as long; a source, when what came last "
        "is older than its freshness in dbt allows. How old tells of a domain its newest fact, of "
        "a source its last load, of a mart its build. A source can be in time and quiet: GitHub's "
        "are loaded by each sync, also one that finds nothing new.",
    )
