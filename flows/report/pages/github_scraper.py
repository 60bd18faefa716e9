"""Who leads, is that a risk, how much happens."""

from flows.report import charts, words
from flows.report.pages.empty import QUESTIONS
from flows.report.pages.github_leaders import (
    WINDOWS,
    alone,
    boards,
    is_overall,
    leaders,
    leading,
    overall,
    programs,
)
from flows.report.pages.github_merges import MODEL as MERGES
from flows.report.pages.github_merges import merges_figure
from flows.report.pages.github_repositories import repositories_attention, repositories_figure
from flows.report.pages.people import told_apart
from flows.report.pages.ties import first_of
from flows.report.records import Column, DomainData, Figure, Page

DAYS = {
    1: "Monday",
    2: "Tuesday",
    3: "Wednesday",
    4: "Thursday",
    5: "Friday",
    6: "Saturday",
    7: "Sunday",
}
FRIDAY = 5
FEW_PEOPLE = 2
# The type of a commit whose subject names none.
UNTYPED = "other"


def page(data: DomainData) -> Page:
    data = told_apart(data, ["rpt_github_leaderboard", MERGES], "contributor_id", "display_name")
    board = data.rows("rpt_github_leaderboard")
    are_several = any(row["people"] > 1 for row in data.rows("rpt_github_concentration"))
    if len(overall(board, "all_time")) == 1 and not are_several:
        figures = [alone(data)]
    else:
        figures = [leaders(data, window) for window in WINDOWS if overall(board, window)]
    if are_several:
        figures.append(_concentration(data))
    if data.rows("rpt_github_repositories"):
        figures.append(repositories_figure(data))
    if data.rows("rpt_github_weekly"):
        figures.append(_weekly(data))
    if data.rows("rpt_github_commit_types"):
        figures.append(_types(data))
    if data.rows("rpt_github_hours"):
        figures.append(_hours(data))
    if made := [row for row in board if row["kind"] != "person" and is_overall(row)]:
        figures.append(programs(data, made))
    if by_repository := [row for row in board if row["scope"] == "repository"]:
        figures.append(boards(data, by_repository))
    if data.rows(MERGES):
        figures.append(merges_figure(data))
    return Page(
        "github_scraper",
        "GitHub",
        QUESTIONS["github_scraper"],
        _headline(data),
        tuple(repositories_attention(data)),
        tuple(figures),
    )


def _headline(data: DomainData) -> str:
    people = overall(data.rows("rpt_github_leaderboard"), "all_time")
    if not people:
        return "No commit of a person is known yet"
    leader = people[0]
    share = words.percent(leader["share_of_commits"], 0)
    names, many = leading(people)
    lead = f"{names} {'leads' if many == 1 else 'lead'} with {share} of all commits"
    lead += "" if many == 1 else " each"
    for row in data.rows("rpt_github_concentration")[:1]:
        factor = row["bus_factor"]
        is_risk = factor <= FEW_PEOPLE and row["people"] > factor
        verdict = "a risk" if is_risk else "no single point of failure"
        if row["people"] == 1:
            return f"{lead}; nobody else has committed: a risk"
        of_people = words.percent(leader["commits"] / row["commits"], 0)
        made = (
            f"one person made {of_people}"
            if factor == 1
            else f"{words.number(factor)} people made at least half"
        )
        return f"{lead}; {made} of what people committed: {verdict}"
    return lead


def _concentration(data: DomainData) -> Figure:
    rows = data.rows("rpt_github_concentration")
    rows = tuple(sorted(rows, key=lambda row: row["share_of_people"]))
    first = rows[0]
    factor, people = first["bus_factor"], first["people"]
    share = words.count(factor, "person has", "people have")
    answer = (
        f"{share} at least half of all {words.number(first['commits'])} commits ever of "
        f"{words.count(people, 'person', 'people')} (bus factor {factor}); "
        f"Gini coefficient {words.number(first['gini_coefficient'], 2)}."
    )
    return Figure(
        key="concentration",
        title="How concentrated the work is",
        answer=answer,
        source=data.extracts["rpt_github_concentration"],
        columns=(
            Column("share_of_people", "Share of people", "percent"),
            Column("share_of_commits", "Share of commits", "percent"),
        ),
        rows=rows,
        as_of=str(first["as_of_date"]),
        chart=charts.lorenz(
            rows,
            "Lorenz curve: the share of commits of each share of people, below the line of "
            f"equality. {answer}",
        ),
        note="The dashed line is where all would have equally many.",
    )


def _weekly(data: DomainData) -> Figure:
    rows = sorted(data.rows("rpt_github_weekly"), key=lambda row: row["commit_week"])
    split = [
        {**row, "people_commits": row["commits"] - row["agent_commits"] - row["bot_commits"]}
        for row in rows
    ]
    complete = [row for row in split if row["is_complete_week"]]
    newcomers = sum(row["new_people"] for row in rows)
    answer = f"{words.count(newcomers, 'newcomer')} in {words.count(len(rows), 'week')}"
    if complete:
        last = complete[-1]
        programs = last["agent_commits"] + last["bot_commits"]
        besides = f" and {words.number(programs)} by agents and bots" if programs else ""
        answer = (
            f"{words.count(last['commits'] - programs, 'commit')} by "
            f"{words.count(last['active_people'], 'person', 'people')}{besides} in the week of "
            f"{words.text(last['commit_week'])}, the last complete one; {answer}"
        )
    return Figure(
        key="weekly",
        title="Activity by week",
        answer=f"{answer}.",
        source=data.extracts["rpt_github_weekly"],
        columns=(
            Column("commit_week", "Week of", "date"),
            Column("commits", "Commits", "number"),
            Column("agent_commits", "By agents", "number"),
            Column("bot_commits", "By bots", "number"),
            Column("active_people", "People", "number"),
            Column("new_people", "Newcomers", "number"),
            Column("is_complete_week", "Complete"),
        ),
        rows=rows[::-1],
        as_of=str(rows[-1]["as_of_date"]),
        chart=charts.columns(
            complete,
            "commit_week",
            {"people_commits": "people", "agent_commits": "agents", "bot_commits": "bots"},
            "commits",
            f"Stacked columns of commits by week. {answer}.",
            days=7,
        )
        if complete
        else None,
        note="A week that is not over is in the table alone.",
    )


def _types(data: DomainData) -> Figure:
    rows = sorted(data.rows("rpt_github_commit_types"), key=lambda row: -row["commits"])
    total = sum(row["commits"] for row in rows)
    answer = "No commit names a type"
    if typed := [row for row in rows if row["commit_type"] != UNTYPED]:
        most = first_of(typed, "commits")
        share = words.percent(most[0]["commits"] / total) if total else words.ABSENT
        named = words.first([words.text(row["commit_type"]) for row in most], 3)
        are = "is the most common type" if len(most) == 1 else "are the most common types"
        each = "" if len(most) == 1 else " each"
        untyped = total - sum(row["commits"] for row in typed)
        answer = (
            f"{named} {are} ({share}{each} of {words.number(total)} in twelve months); "
            f"{words.number(untyped)} {'names' if untyped == 1 else 'name'} no type"
        )
    breaks = sum(row["breaking_commits"] for row in rows)
    told = words.count(breaks, "says it breaks", "say they break")
    return Figure(
        key="commit-types",
        title="What the commits are",
        answer=f"{answer}; {told if breaks else 'none says it breaks'} something.",
        source=data.extracts["rpt_github_commit_types"],
        columns=(
            Column("commit_type", "Type"),
            Column("commits", "Commits", "number"),
            Column("agent_commits", "By agents", "number"),
            Column("bot_commits", "By bots", "number"),
            Column("breaking_commits", "Breaking", "number"),
        ),
        rows=rows,
        as_of=str(rows[0]["as_of_date"]),
        chart=charts.bars(
            rows,
            "commit_type",
            "commits",
            "commits in twelve months",
            "Bars of commits by type: "
            + "; ".join(f"{words.text(r['commit_type'])} {r['commits']}" for r in rows[:5]),
        ),
    )


def _hours(data: DomainData) -> Figure:
    rows = sorted(
        (
            {**row, "day": DAYS.get(row["day_of_week"], words.ABSENT)}
            for row in data.rows("rpt_github_hours")
        ),
        key=lambda row: (row["day_of_week"], row["hour_of_day"]),
    )
    busiest = first_of(sorted(rows, key=lambda row: -row["commits"]), "commits")
    hours = [f"{row['day']} at {row['hour_of_day']:02} h" for row in busiest]
    total = sum(row["commits"] for row in rows)
    weekend = sum(row["commits"] for row in rows if row["day_of_week"] > FRIDAY)
    share = words.percent(weekend / total) if total else words.ABSENT
    known = {(row["day"], row["hour_of_day"]): row["commits"] for row in rows}
    drawn = [
        {"day": day, "hour": f"{hour:02}", "commits": known.get((day, hour), 0)}
        for day in DAYS.values()
        for hour in range(24)
    ]
    most = max(busiest[0]["commits"], 5)
    are, each = ("hour is", "") if len(busiest) == 1 else ("hours are", " each")
    answer = (
        f"The busiest {are} {words.first(hours, 3)}, UTC, with "
        f"{words.count(busiest[0]['commits'], 'commit')}{each} in 52 weeks; {share} of all are "
        "made on weekends."
    )
    return Figure(
        key="hours",
        title="When people and programs commit",
        answer=answer,
        source=data.extracts["rpt_github_hours"],
        columns=(
            Column("day", "Day"),
            Column("hour_of_day", "Hour, UTC", "number"),
            Column("commits", "Commits", "number"),
            Column("commits_of_people", "By people", "number"),
        ),
        rows=rows,
        as_of=str(busiest[0]["as_of_date"]),
        chart=charts.heat(
            drawn,
            "hour",
            "day",
            "commits",
            [most * step / 5 for step in range(1, 5)],
            f"Heat map of commits by day of the week and hour. {answer}",
            has_values=False,
        ),
        note="52 weeks, by the clock of UTC; each step of colour is a fifth of the busiest hour.",
    )
