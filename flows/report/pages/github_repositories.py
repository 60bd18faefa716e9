"""Which repositories are active, and on how few people each rests."""

from collections import Counter

from flows.report import words
from flows.report.pages.ties import first_of
from flows.report.records import Column, DomainData, Figure, Row

MODEL = "rpt_github_repositories"
ACTIVE = "active"
LISTED = 50
TOLD = 3


def repositories_attention(data: DomainData) -> list[str]:
    repositories = _by_commits(data)
    active = [row for row in repositories if row["standing"] == ACTIVE]
    told = []
    if risky := [words.text(row["repository"]) for row in active if row["bus_factor"] == 1]:
        of = words.count(len(active), "repository", "repositories")
        rest = "rests on one person" if len(risky) == 1 else "rest on one person each"
        told.append(
            f"{words.number(len(risky))} of {of} with commits in 90 days {rest}: "
            f"{words.first(risky, TOLD)}"
        )
    if partial := sum(1 for row in repositories if row["is_shallow"]):
        told.append(
            f"Of {words.count(partial, 'repository', 'repositories')} only a part of the "
            "history was collected"
        )
    return told


def repositories_figure(data: DomainData) -> Figure:
    rows = _by_commits(data)
    first = first_of(rows, "total_commits")
    has, each = ("has", "") if len(first) == 1 else ("have", " each")
    alone = sum(1 for row in rows if row["bus_factor"] == 1)
    of = words.count(len(rows), "repository", "repositories")
    shown = f" The first {LISTED} are listed." if len(rows) > LISTED else ""
    return Figure(
        key="repositories",
        title="Repositories",
        answer=(
            f"{words.first([words.text(row['repository']) for row in first], TOLD)} {has} the most "
            f"commits ({words.number(first[0]['total_commits'])} ever{each}); "
            f"{words.number(alone)} of {of} {'has' if alone == 1 else 'have'} a bus factor of 1"
            f"{_apart(rows)}.{shown}"
        ),
        source=data.extracts[MODEL],
        columns=(
            Column("repository", "Repository"),
            Column("standing", "State"),
            Column("total_commits", "Commits", "number"),
            Column("commits_30d", "30 days", "number"),
            Column("commits_90d", "90 days", "number"),
            Column("human_contributors", "People", "number"),
            Column("bus_factor", "Bus factor", "number"),
            Column("gini_coefficient", "Gini", "number"),
            Column("last_commit_date", "Last commit", "date"),
        ),
        rows=rows[:LISTED],
        as_of=str(rows[0]["as_of_date"]),
        note="A bus factor of 1: one person made at least half of what people committed. Active: "
        "with commits in 90 days. Paused and retired ones are not read; their figures are those of "
        "the last time that they were.",
    )


def _by_commits(data: DomainData) -> list[Row]:
    rows = sorted(data.rows(MODEL), key=lambda row: row["commit_rank"])
    return [{**row, "standing": _standing(row)} for row in rows]


def _standing(row: Row) -> str:
    # A model that was built before these columns were there lacks them.
    if row.get("retired_at"):
        return "retired"
    if row.get("paused_at"):
        return "paused"
    return ACTIVE if row["commits_90d"] > 0 else "quiet"


def _apart(rows: list[Row]) -> str:
    """How many are not read any more."""
    many = Counter(row["standing"] for row in rows)
    told: list[str] = []
    for state in ("paused", "retired"):
        if many[state]:
            be = "" if told else "is " if many[state] == 1 else "are "
            told.append(f"{words.number(many[state])} {be}{state}")
    return f"; {words.listed(told)}" if told else ""
