"""What builds said of single tests and models: what fails, with its SQL, and what takes longest."""

from collections.abc import Iterator, Sequence
from typing import Any

from flows._shared.dbt_said import FAILED, SKIPPED, WARNED, newest_words
from flows.report import charts, words
from flows.report.pages.runs import moment
from flows.report.records import DOMAINS, Column, Figure, Row

# Of these nothing was done in that build.
LEFT_OUT = (SKIPPED, "unchanged", "no-op")
SLOWEST = 20


def _nodes(builds: Sequence[Row]) -> Iterator[Row]:
    """The newest word on each node of each domain, for the tables."""
    for slug, title in DOMAINS.items():
        of_domain = [build for build in builds if build["slug"] == slug]
        for build, is_on_bigquery, node in newest_words(of_domain):
            yield {
                **node,
                "domain": title,
                "target": "BigQuery" if is_on_bigquery else "",
                "kind": words.spoken(node["type"]),
                "at": moment(build.get("created")),
            }


def node_figures(builds: Sequence[Row]) -> list[Figure]:
    """Of what builds said of nodes.

    Args:
        builds: artifacts of dbt's nodes with their ``slug``, the newest first.
    """
    nodes = list(_nodes(builds))
    return [*_failing(nodes), *_slowest(nodes)]


def _failing(nodes: Sequence[Row]) -> Iterator[Figure]:
    if not nodes:
        return
    rows = [
        {**node, "says": words.without_paths(str(node["message"] or "")), "see": _see(node)}
        for node in nodes
        if node["status"] in (*FAILED, WARNED)
    ]
    rows.sort(key=lambda row: (row["status"] == WARNED, row["domain"], row["name"]))
    fail = sum(row["status"] != WARNED for row in rows)
    nothing = "no test, model or source fails or warns"
    names = [f"{words.text(row['name'])} of {row['domain']}" for row in rows]
    told = (
        f"{words.number(fail)} {'fails' if fail == 1 else 'fail'} and "
        f"{words.count(len(rows) - fail, 'warns', 'warn')}: {words.first(names, 3)}"
    )
    yield Figure(
        key="failing",
        title="What fails or warns, and its SQL",
        answer=f"As each was last built or tested, {told if rows else nothing}.",
        source=None,
        columns=(
            Column("domain", "Domain", small="target"),
            Column("name", "What", small="kind"),
            Column("status", "State"),
            Column("rows", "Rows", "number"),
            Column("says", "Says", "folded"),
            Column("see", "To see the rows", "folded"),
            Column("at", "When, UTC", "date"),
        ),
        rows=rows,
        as_of=words.text(max((node["at"] for node in nodes if node["at"]), default=None)),
        note="Rows of a test are those that break its rule. The site shows none of them: they may "
        "hold what readers of the site may not see.",
    )


def _see(node: Row) -> str:
    """The query that shows the rows, or where they are kept."""
    if node["type"] == "test" and node.get("relation"):
        # For people to run.
        return f"select * from {node['relation']} limit 20"  # noqa: S608
    # Its first line is what the folded cell shows.
    return f"-- {node['name']}\n{node['sql']}" if node.get("sql") else ""


def _slowest(nodes: Sequence[Row]) -> Iterator[Figure]:
    built = [
        node
        for node in nodes
        if node["status"] not in LEFT_OUT and words.finite(node.get("seconds")) is not None
    ]
    if not built:
        return
    total = sum(float(node["seconds"]) for node in built)
    rows: list[dict[str, Any]] = [
        {**node, "share": node["seconds"] / total if total else None}
        for node in sorted(built, key=lambda node: (-node["seconds"], node["domain"]))[:SLOWEST]
    ]
    first = rows[0]
    answer = (
        f"{words.text(first['name'])} of {first['domain']} took longest, "
        f"{words.duration(first['seconds'])} ({words.percent(first['share'])} of what all took "
        "that were built or tested)"
    )
    yield Figure(
        key="slowest",
        title="What takes longest to build and test",
        answer=f"{answer}.",
        source=None,
        columns=(
            Column("domain", "Domain", small="target"),
            Column("name", "What", small="kind"),
            Column("seconds", "Took", "seconds"),
            Column("share", "Of all", "percent"),
            Column("rows", "Rows", "number"),
            Column("at", "When, UTC", "date"),
        ),
        rows=rows,
        as_of=words.text(max((row["at"] for row in rows if row["at"]), default=None)),
        chart=charts.bars(
            rows[:10], "name", "seconds", "seconds", f"Bars of seconds by node. {answer}.", ",.1~f"
        ),
        note="As each was last built or tested. Rows are those that a model wrote in that build, "
        "or that break the rule of a test.",
    )
