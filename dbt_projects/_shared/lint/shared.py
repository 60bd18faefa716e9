"""The macros of the `shared` package as sqlfluff sees them: same names, SQL of the same shape.

sqlfluff's jinja templater reaches the macros of another package only as functions of a module.
"""


def safe_divide(numerator: str, denominator: str) -> str:
    return f"({numerator} / nullif({denominator}, 0))"


def date_spine(first_date: str, last_date: str) -> str:
    return f"generate_series({first_date}, {last_date})"


def generate_schema_name(custom_schema_name: str | None, node: object) -> str:
    return custom_schema_name or "analytics"


def cross_join_days(first_date: str, last_date: str, alias: str) -> str:
    return f"cross join lateral {date_spine(first_date, last_date)} as {alias} (date_day)"


def text(expression: str) -> str:
    return f"cast({expression} as text)"


def build_day() -> str:
    return "cast('2024-01-01' as date)"


def week_floor(day: str) -> str:
    return f"cast(date_trunc('week', cast({day} as timestamp)) as date)"


def month_floor(day: str) -> str:
    return f"cast(date_trunc('month', cast({day} as timestamp)) as date)"


def days_between(earlier: str, later: str) -> str:
    return f"({later} - {earlier})"


def add_days(day: str, count: str) -> str:
    return f"({day} + {count})"


def split_part(value: str, delimiter: str, part: int) -> str:
    return f"split_part({value}, '{delimiter}', {part})"


def matches(value: str, pattern: str) -> str:
    return f"({value} ~ '{pattern}')"


def first_match(value: str, pattern: str) -> str:
    return f"substring({value} from '{pattern}')"


def md5_hex(value: str) -> str:
    return f"md5({value})"


def departures(observed: str, **options: object) -> str:
    return f"(select * from {observed})"  # noqa: S608
