"""The macros of the `shared` package as sqlfluff sees them: same names, SQL of the same shape.

sqlfluff's jinja templater reaches the macros of another package only as functions of a module.
"""


def safe_divide(numerator: str, denominator: str) -> str:
    return f"({numerator} / nullif({denominator}, 0))"


def date_spine(first_date: str, last_date: str) -> str:
    return f"generate_series({first_date}, {last_date})"


def generate_schema_name(custom_schema_name: str | None, node: object) -> str:
    return custom_schema_name or "analytics"
