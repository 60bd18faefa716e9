"""Of what parts the value of a facility is made."""

from collections.abc import Sequence

from flows.report import charts, words
from flows.report.records import Column, DomainData, Figure, Row

CONTRIBUTIONS = "rpt_quality_contributions"
DRAWN = 12


def contributions_figure(data: DomainData, facility: str, metric: str) -> Figure:
    rows = sorted(data.rows(CONTRIBUTIONS), key=lambda row: row["place"])
    first = rows[0]
    whole = facility
    if first["parent_service_line"]:
        whole += f", {words.text(first['parent_service_line'])}"
    parts = words.count(first["children"], "part")
    answer = (
        f"{metric} of {whole} is {words.number(first['parent_value'], 3)}, made of {parts}"
        f"{_furthest(rows)}."
    )
    listed = f" The first {len(rows)} are listed." if first["children"] > len(rows) else ""
    return Figure(
        key="contributions",
        title=f"Of what the value is made: {metric}, {whole}",
        answer=f"{answer}{listed}",
        source=data.extracts[CONTRIBUTIONS],
        columns=(
            Column("child_group_value", "Part", small="child_groupby_label"),
            Column("child_value", "Value", "number"),
            Column("weight_share", "Share of the weight", "percent"),
            Column("raw_component", "Adds to the whole", "number"),
            Column("excess_over_parent", "More than the whole's value would", "number"),
        ),
        rows=rows,
        as_of=f"run {words.text(first['run_id'])}",
        chart=charts.waterfall(
            _drawn(rows),
            "child_group_value",
            "raw_component",
            words.finite(first["parent_value"]) or 0.0,
            metric,
            f"Waterfall of what each part adds to the value of the whole. {answer}",
        ),
        note="A part adds its share of the weight times its value. It raises the whole where its "
        "own value is above that of the whole, and lowers it where it is below.",
    )


def _furthest(rows: Sequence[Row]) -> str:
    """Which part raises the whole most, and which lowers it most."""
    known = [row for row in rows if words.finite(row["excess_over_parent"])]
    told = []
    for sign, does in ((1, "raises"), (-1, "lowers")):
        of_sign = [row for row in known if sign * row["excess_over_parent"] > 0]
        if of_sign:
            most = max(of_sign, key=lambda row: sign * float(row["excess_over_parent"]))
            told.append(f"{words.text(most['child_group_value'])} {does} it most")
    return f"; {words.listed(told)}" if told else ""


def _drawn(rows: Sequence[Row]) -> list[Row]:
    """The parts that add most, and all others together."""
    if len(rows) <= DRAWN:
        return list(rows)
    first, others = rows[: DRAWN - 1], rows[DRAWN - 1 :]
    rest = sum(words.finite(row["raw_component"]) or 0.0 for row in others)
    # Of more than are listed the rest is known by the whole alone.
    if others[0]["children"] > len(rows):
        rest = float(rows[0]["parent_value"]) - sum(float(row["raw_component"]) for row in first)
    return [*first, {"child_group_value": "all others", "raw_component": rest}]
