"""Rows of LedgerMind's tables that cannot be used, and why."""

from flows.report import words
from flows.report.records import Column, DomainData, Figure, Row

# What LedgerMind's tables hold, for people.
TABLES = {
    "suggestion_events": "suggestions",
    "suggestion_feedback": "reactions to suggestions",
    "model_registry": "registered models",
    "transaction_labels": "labels of transactions",
}


def rejected_rows(data: DomainData) -> list[Row]:
    """Rows that cannot be used, by what they are and why, the most first."""
    return [
        {**row, "what": TABLES.get(row["source_table"]) or words.spoken(row["source_table"])}
        for row in sorted(
            data.rows("rpt_ledgermind_rejected"), key=lambda row: -row["rejected_rows"]
        )
    ]


def rejected_figure(data: DomainData) -> Figure:
    rows = rejected_rows(data)
    total = sum(row["rejected_rows"] for row in rows)
    return Figure(
        key="rejected",
        title="Rows that cannot be used",
        answer=(
            f"{words.count(total, 'row')}; most often: {words.spoken(rows[0]['reason'])} "
            f"({words.number(rows[0]['rejected_rows'])})."
        ),
        source=data.extracts["rpt_ledgermind_rejected"],
        columns=(
            Column("what", "What", small="source_table"),
            Column("reason", "Reason", "code"),
            Column("rejected_rows", "Rows", "number"),
        ),
        rows=rows,
        as_of="the last build",
    )
