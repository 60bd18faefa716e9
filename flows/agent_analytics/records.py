"""What the rooms of this domain hand each other, and what can go wrong between them.

StoreBusyError      (transient)  another process writes the DuckDB file
CopilotDownError    (transient)  the Copilot API does not answer or asks to wait
StoreFullError      (permanent)  the disk of the DuckDB file is full; nothing is lost
StoreMemoryError    (permanent)  DuckDB may use too little memory
StoreUnusableError  (permanent)  the folder of the DuckDB file cannot be written to
StoreDamagedError   (permanent)  the DuckDB file cannot be read; restored if a copy was published
UnreadableTelemetry (permanent)  a body or file is not OTLP
CopilotRefusedError (permanent)  the Copilot API refuses the token or the address
GitReadError        (permanent)  a repository cannot be read
MartsMissingError   (permanent)  the GitHub scraper's marts are not built
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from flows._shared.errors import PermanentError, TransientError

EXAMPLE_QUERY = "select * from mart.fct_cost_forecast order by forecast_cost_usd desc limit 10"


class StoreBusyError(TransientError):
    """Another process has held the file for longer than this one may wait."""


class CopilotDownError(TransientError):
    """The Copilot API does not answer, or asks to come back later."""


class StoreFullError(PermanentError):
    """There is no room on the disk of the DuckDB file."""


class StoreUnusableError(PermanentError):
    """The folder of the DuckDB file cannot be made or written to."""


class StoreDamagedError(PermanentError):
    """The DuckDB file cannot be read."""


class StoreOutdatedError(PermanentError):
    """The DuckDB file is of a version whose telemetry had other keys."""


class SourcesFailedError(PermanentError):
    """Sources of a run were not taken in; the others were loaded and built."""


class UnreadableTelemetryError(PermanentError):
    """A body or a file is not OTLP in an encoding that is read."""


class MixedLinesError(UnreadableTelemetryError):
    """Not all lines of a file can be read as they are; it is read line by line."""


class StoreMemoryError(PermanentError):
    """DuckDB may use too little memory for what was asked of it."""


class CopilotRefusedError(PermanentError):
    """The Copilot API refuses: the token, its permissions, or the address."""


class GitReadError(PermanentError):
    """A repository's commits cannot be read."""


class InputMissingError(PermanentError):
    """A file or folder that a person named is not there."""


class MartsMissingError(PermanentError):
    """The GitHub scraper's marts are not in the database that should hold them."""


@dataclass(frozen=True)
class Unread:
    """A part of a request that is put aside: why, and the beginning of it with its sender."""

    reason: str
    excerpt: str


@dataclass(frozen=True)
class Canonical:
    """A request as a line of OTLP JSON without a newline, and what of it is not in the line."""

    line: str
    unread: tuple[Unread, ...] = ()


class Signal(Enum):
    """The two OTLP signals that are kept; the value is the last part of the receiver's path."""

    METRICS = "metrics"
    LOGS = "logs"


@dataclass(frozen=True)
class Commit:
    """One git commit. ``committed_at`` is UTC without an offset, as DuckDB's TIMESTAMP is.

    ``co_authors`` names them where the message, which else does, is not known.
    """

    commit_hash: str
    message: str
    author_name: str
    author_email: str
    committed_at: datetime
    files_changed: int | None = None
    lines_added: int | None = None
    lines_deleted: int | None = None
    is_agent_assisted: bool = False
    agent_session_id: str | None = None
    agent_type: str | None = None
    developer_id: str | None = None
    project_id: str | None = None
    co_authors: str | None = None


@dataclass(frozen=True)
class CopilotDay:
    """One developer's day of Copilot; ``developer_id`` is ``__org__`` for the aggregate report.

    Requests and tokens are those of the command line and of the app, as GitHub counts them.
    """

    day: date
    developer_id: str
    suggestions: int
    acceptances: int
    lines_suggested: int
    lines_accepted: int
    active_users: int
    languages: dict[str, int]
    ai_credits: float | None = None
    cli_requests: int = 0
    cli_prompt_tokens: int = 0
    cli_output_tokens: int = 0
    app_requests: int = 0
    app_prompt_tokens: int = 0
    app_output_tokens: int = 0


@dataclass(frozen=True)
class Rejected:
    """A piece of input that was put aside. ``excerpt`` is its beginning."""

    source: str
    reason: str
    excerpt: str


@dataclass(frozen=True)
class LoadCounts:
    """What loading did: rows new, rows already there (a resend), pieces put aside."""

    rows_new: int = 0
    rows_repeated: int = 0
    rejected: int = 0

    def __add__(self, other: "LoadCounts") -> "LoadCounts":
        return LoadCounts(
            self.rows_new + other.rows_new,
            self.rows_repeated + other.rows_repeated,
            self.rejected + other.rejected,
        )


@dataclass(frozen=True)
class Landed:
    """Rows that one run added to a raw table. ``max_timestamp`` is of the newest of them, UTC."""

    table: str
    batch: str
    rows: int
    max_timestamp: datetime
