"""Who leads, by window and by repository: people, and what programs commit."""

from collections.abc import Sequence

from flows.report import charts, words
from flows.report.pages.ties import first_of
from flows.report.records import Column, DomainData, Figure, Row

WINDOWS = {"trailing_30d": "30 days", "trailing_90d": "90 days", "all_time": "all time"}
SHOWN = 10
TOLD = 3
BOARD = (
    Column("rank_in_kind", "Rank", "number"),
    Column("display_name", "Name"),
    Column("commits", "Commits", "number"),
    Column("share_of_commits", "Share", "percent"),
    Column("move", "Moved", "move"),
    Column("commits_before", "Commits before", "number"),
)


def is_overall(row: Row) -> bool:
    return str(row["scope"]) == "overall"


def overall(board: Sequence[Row], window: str) -> list[Row]:
    rows = [
        row
        for row in board
        if is_overall(row) and row["kind"] == "person" and row["time_window"] == window
    ]
    return sorted(rows, key=lambda row: row["place"])


def leading(rows: Sequence[Row]) -> tuple[str, int]:
    """Who has the first rank, and how many have it: more than are listed may share it."""
    first = [words.text(row["display_name"]) for row in first_of(rows, "commits")]
    # A model that was built before the column was there lacks it.
    many = max(len(first), rows[0].get("sharing_rank") or 0)
    return words.first(first, TOLD, many), many


def with_move(row: Row) -> Row:
    before = row["rank_in_kind_before"]
    return {**row, "move": "new" if before is None else before - row["rank_in_kind"]}


def alone(data: DomainData) -> Figure:
    """Of one person there is nobody to compare with, and nothing to draw."""
    board = data.rows("rpt_github_leaderboard")
    rows = [
        {**row, "window": WINDOWS[window]} for window in WINDOWS for row in overall(board, window)
    ]
    person = rows[-1]
    made = words.count(person["commits"], "commit")
    return Figure(
        key="leaders-all-time",
        title="Who commits",
        answer=(
            f"{words.text(person['display_name'])} alone made all that people committed, {made} "
            f"({words.percent(person['share_of_commits'])} of all, agents and bots included): a "
            "risk, for nobody else knows the work."
        ),
        source=data.extracts["rpt_github_leaderboard"],
        columns=(Column("window", "Window"), *BOARD[1:4]),
        rows=rows,
        as_of=str(person["as_of_date"]),
    )


def leaders(data: DomainData, window: str) -> Figure:
    rows = [with_move(row) for row in overall(data.rows("rpt_github_leaderboard"), window)]
    leader = rows[0]
    name = WINDOWS[window]
    names, many = leading(rows)
    leads = "leads" if many == 1 else "lead"
    among = f"{leads} among people" if len(rows) > 1 else "is the only person who committed,"
    each = "" if many == 1 else " each"
    answer = (
        f"{names} {among} with {words.count(leader['commits'], 'commit')}{each} "
        f"({words.percent(leader['share_of_commits'])} of all{each}, agents and bots included)."
    )
    climbed = [row for row in rows if isinstance(row["move"], int) and row["move"] > 0]
    if climbed:
        best = max(climbed, key=lambda row: int(row["move"]))
        furthest = [row for row in climbed if row["move"] == best["move"]]
        told = words.first([words.text(row["display_name"]) for row in furthest], TOLD)
        answer += f" Of those listed, {told} climbed most: {words.moved(best['move'])}."
    against = "itself 30 days ago" if window == "all_time" else f"the {name} before"
    shown = rows[:SHOWN]
    return Figure(
        key=f"leaders-{window.replace('_', '-')}",
        title=f"Leaders, {name}",
        answer=answer,
        source=data.extracts["rpt_github_leaderboard"],
        columns=BOARD,
        rows=rows,
        as_of=str(leader["as_of_date"]),
        chart=charts.bars(
            shown,
            "display_name",
            "commits",
            "commits",
            f"Bars of commits, the first {len(shown)}: "
            + "; ".join(f"{words.text(r['display_name'])} {r['commits']}" for r in shown[:5]),
        )
        if len(rows) > 1
        else None,
        note=f"Moved: places gained or lost against {against}.",
    )


def programs(data: DomainData, programs: Sequence[Row]) -> Figure:
    rows = [
        {**row, "window": WINDOWS.get(row["time_window"], row["time_window"])} for row in programs
    ]
    rows.sort(key=lambda row: (list(WINDOWS).index(row["time_window"]), -row["commits"]))
    of_all = [row for row in rows if row["time_window"] == "all_time"]
    share = sum(words.finite(row["share_of_commits"]) or 0 for row in of_all)
    return Figure(
        key="programs",
        title="Agents and bots",
        answer=f"Those listed made {words.percent(share)} of all commits, all time.",
        source=data.extracts["rpt_github_leaderboard"],
        columns=(
            Column("window", "Window"),
            Column("kind", "Kind"),
            Column("display_name", "Name"),
            Column("commits", "Commits", "number"),
            Column("share_of_commits", "Share", "percent"),
        ),
        rows=rows,
        as_of=str(rows[0]["as_of_date"]),
    )


def boards(data: DomainData, board: Sequence[Row]) -> Figure:
    rows = [
        with_move({**row, "window": WINDOWS.get(row["time_window"], row["time_window"])})
        for row in board
        if row["kind"] == "person" and row["place"] <= 5
    ]
    rows.sort(
        key=lambda row: (
            words.text(row["scope_name"]),
            list(WINDOWS).index(row["time_window"]),
            row["place"],
        )
    )
    names = {row["repository_id"] for row in rows}
    return Figure(
        key="leaders-by-repository",
        title="Leaders by repository",
        answer=(
            f"The first five people of {words.count(len(names), 'repository', 'repositories')}, "
            "those with the most commits."
        ),
        source=data.extracts["rpt_github_leaderboard"],
        columns=(
            Column("scope_name", "Repository"),
            Column("window", "Window"),
            *BOARD,
        ),
        rows=rows,
        as_of=str(board[0]["as_of_date"]),
    )
