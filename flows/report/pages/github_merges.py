"""Which accounts are counted as one, and why."""

from flows.report import words
from flows.report.records import Column, DomainData, Figure

MODEL = "rpt_github_merges"


def merges_figure(data: DomainData) -> Figure:
    rows = sorted(data.rows(MODEL), key=lambda row: row["place"])
    first = rows[0]
    accounts, by_hand = first["identities"], first["identities_by_hand"]
    are = "is" if accounts == 1 else "are"
    listed = f" The newest {len(rows)} are listed." if accounts > len(rows) else ""
    return Figure(
        key="merges",
        title="Whose accounts are one, and why",
        answer=(
            f"{words.count(accounts, 'account or address', 'accounts or addresses')} {are} counted "
            f"with {words.count(first['contributors'], 'contributor')}: "
            f"{words.number(accounts - by_hand)} as GitHub says that it is one account, "
            f"{words.number(by_hand)} as a person listed.{listed}"
        ),
        source=data.extracts[MODEL],
        columns=(
            Column("display_name", "Counted with"),
            Column("kind", "Kind"),
            Column("identity_name", "What signs as"),
            Column("identity_kind", "Known by", "code"),
            Column("reason", "Why"),
            Column("merged_at", "Since, UTC", "date"),
        ),
        rows=rows,
        as_of=words.text(first["merged_at"]),
        note="Names that are alike are no reason. A wrong one is taken back by "
        "`select public.revert_contributor_merge(id)`; see docs/runbooks/github_scraper.md.",
    )
