"""How large the database is and becomes."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class TableSize:
    """One table with its indexes, in bytes."""

    schema: str
    table: str
    bytes: int


@dataclass(frozen=True)
class DaySize:
    """The bytes of all tables on one UTC day."""

    day: date
    bytes: int


@dataclass(frozen=True)
class SizeOutlook:
    """``bytes_per_day`` is None before there are two days to compare; ``limit_on`` is the day the
    limit is reached at that pace, None where it never is or nothing is known of the pace."""

    bytes: int
    limit_bytes: int
    bytes_per_day: float | None
    limit_on: date | None
    is_warning: bool

    def __str__(self) -> str:
        size = f"{self.bytes / 1e9:.2f} of {self.limit_bytes / 1e9:g} GB"
        if self.bytes_per_day is None:
            pace = "growth is known from the second day on"
        else:
            pace = f"growth {self.bytes_per_day / 1e9:.3f} GB a day"
        reached = f", the limit is reached on {self.limit_on}" if self.limit_on else ""
        remedy = "; plan the move to BigQuery (github-scraper-migrate)" if self.is_warning else ""
        return f"Raw tables and marts take {size}; {pace}{reached}{remedy}"
