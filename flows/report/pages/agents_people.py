"""The names of developers, each of one developer alone."""

from collections import defaultdict
from dataclasses import replace

from flows.report import words
from flows.report.pages.agents_month import DEVELOPERS
from flows.report.records import DomainData


def told_apart(data: DomainData) -> DomainData:
    """The same, with a number behind each name that several developers have."""
    sharing: dict[str, list[str]] = defaultdict(list)
    for row in data.rows(DEVELOPERS):
        if row["developer_id"] != "all":
            sharing[words.text(row["developer"])].append(row["developer_id"])
    names = {
        developer: f"{name} ({at})"
        for name, developers in sharing.items()
        if len(developers) > 1
        for at, developer in enumerate(sorted(developers), start=1)
    }
    extract = data.extracts[DEVELOPERS]
    rows = tuple(
        {**row, "developer": names.get(row["developer_id"], row["developer"])}
        for row in extract.rows
    )
    return replace(data, extracts={**data.extracts, DEVELOPERS: replace(extract, rows=rows)})
