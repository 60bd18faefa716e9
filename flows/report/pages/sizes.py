"""How many rows the marts have, had before, and whether that is usual."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from flows.report import words
from flows.report.pages.freshness import NO_MARTS
from flows.report.pages.runs import moment
from flows.report.records import DOMAINS, Column, Figure, Row

REMEMBERED = timedelta(days=28)
# With fewer builds before the last change nothing is usual yet.
FEWEST = 5
# As far beyond the fewest and the most that there were.
BEYOND = 0.2
VERDICTS = ("unusual", "not judged", "usual")


def sizes(builds: Sequence[Row], now: datetime) -> list[Row]:
    """A row for each mart that is counted, unusual ones first.

    Args:
        builds: artifacts of what builds said of marts with their ``slug``, the newest first.
    """
    told: dict[tuple[str, str], list[tuple[datetime, int]]] = {}
    for build in builds:
        at = moment(build.get("created"))
        if at is None or now - at > REMEMBERED or not build.get("is_published", True):
            continue
        for each in json.loads(build["data"]):
            name = str(each["name"])
            # A build of an earlier version told no rows.
            is_counted = each["kind"] == "mart" and each.get("rows") is not None
            if is_counted and not name.startswith(NO_MARTS):
                told.setdefault((build["slug"], name), []).append((at, int(each["rows"])))
    rows = [_row(slug, name, counts) for (slug, name), counts in sorted(told.items())]
    return sorted(rows, key=lambda row: VERDICTS.index(row["verdict"]))


def _row(slug: str, name: str, counts: Sequence[tuple[datetime, int]]) -> dict[str, Any]:
    at, size = counts[0]
    # Of the builds that found it as it is, the oldest changed it.
    changed = next((place for place, each in enumerate(counts) if each[1] != size), len(counts))
    earlier = [rows for _, rows in counts[changed:]]
    before = earlier[0] if earlier else None
    low = high = None
    verdict = "not judged"
    if len(earlier) >= FEWEST:
        low, high = round(min(earlier) * (1 - BEYOND)), round(max(earlier) * (1 + BEYOND))
        verdict = "usual" if low <= size <= high else "unusual"
    return {
        "domain": DOMAINS[slug],
        "mart": name,
        "rows": size,
        "before": before,
        "change": (size - before) / before * 100 if before else None,
        "low": low,
        "high": high,
        "verdict": verdict,
        "since": counts[changed - 1][0],
        "at": at,
    }


def sizes_figure(rows: Sequence[Row]) -> Figure:
    judged = [row for row in rows if row["verdict"] != "not judged"]
    many = sum(row["verdict"] == "unusual" for row in rows)
    told = (
        f"{words.number(many)} of {words.count(len(judged), 'mart')} "
        f"{'has' if many == 1 else 'have'} an unusual number of rows"
        if judged
        else "No mart has changed after enough builds to say what is usual"
    )
    changes = [row for row in rows if row["change"] is not None]
    if changes:
        most = max(changes, key=lambda row: abs(row["change"]))
        told += (
            f"; {words.text(most['mart'])} of {most['domain']} changed most, from "
            f"{words.number(most['before'])} to {words.number(most['rows'])}"
        )
    return Figure(
        key="sizes",
        title="How many rows marts have",
        answer=f"{told}.",
        source=None,
        columns=(
            Column("verdict", "Usual?", "word"),
            Column("domain", "Domain", "word"),
            Column("mart", "Mart"),
            Column("rows", "Rows now", "number"),
            Column("before", "Before", "number"),
            Column("change", "Change", "growth"),
            Column("low", "Usual from", "number"),
            Column("high", "to", "number"),
            Column("since", "Since, UTC", "date"),
        ),
        rows=rows,
        as_of=words.text(max(row["at"] for row in rows)),
        note="Counted by builds on PostgreSQL and DuckDB, of tables under contract. Before is the "
        "last other size. Usual are the sizes of the builds of 28 days before the last change, of "
        "50 at most, and a fifth beyond; with fewer than five such builds none is judged.",
    )
