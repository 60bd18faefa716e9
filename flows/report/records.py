"""What a page is made of: rows and their definitions come in, figures go out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from flows._shared.errors import PermanentError, TransientError
from flows._shared.masks import is_address, masked

Row = Mapping[str, Any]
Spec = Mapping[str, Any]

DOMAINS: Mapping[str, str] = {
    "github_scraper": "GitHub",
    "ledgermind": "LedgerMind",
    "scout": "Scout",
    "quality_compass": "Quality Compass",
    "agent_analytics": "Coding agents",
}
# Where each domain's build puts its rpt_ models.
SCHEMAS: Mapping[str, str] = {
    "github_scraper": "analytics",
    "ledgermind": "analytics",
    "scout": "gold",
    "quality_compass": "analytics",
    "agent_analytics": "report",
}


class UnreadableModelsError(PermanentError):
    """The report models of a domain are there and cannot be read."""


class UnmadePagesError(PermanentError):
    """Some pages could not be made of what was read; the others are published."""


class DestinationError(PermanentError):
    """The site cannot be written to where the settings say."""


class DestinationUnreachableError(TransientError):
    """The storage of the site does not answer, or broke off."""


@dataclass(frozen=True)
class Definition:
    """What a model says of itself, in its YAML twin; ``order`` is of its rows, the first first."""

    model: str
    description: str
    columns: Mapping[str, str]
    made_from: tuple[str, ...]
    order: tuple[str, ...]


@dataclass(frozen=True)
class Extract:
    """The rows of one `rpt_*` model; none where it was not built yet.

    ``unread`` are those behind the first, which would be too many to read.
    """

    definition: Definition
    relation: str
    rows: tuple[Row, ...] = ()
    is_built: bool = True
    unread: int = 0


def _masked(row: Row, apart: Mapping[str, str]) -> Row:
    return {
        name: apart.get(value) or masked(value) if isinstance(value, str) else value
        for name, value in row.items()
    }


def _apart(rows: Iterable[Row]) -> Mapping[str, str]:
    """Addresses that look alike when they are masked, each with a number behind it."""
    alike: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for value in row.values():
            if isinstance(value, str) and is_address(value):
                alike[masked(value)].add(value)
    return {
        value: f"{mask} ({at})"
        for mask, values in alike.items()
        if len(values) > 1
        for at, value in enumerate(sorted(values), start=1)
    }


@dataclass(frozen=True)
class DomainData:
    """All that the report knows of one domain. ``problem`` says why nothing could be read."""

    slug: str
    extracts: Mapping[str, Extract]
    problem: str | None = None

    @property
    def masked(self) -> "DomainData":
        """The same without addresses of people: the site is seen by more than the marts are."""
        apart = _apart(row for extract in self.extracts.values() for row in extract.rows)
        extracts = {
            model: replace(extract, rows=tuple(_masked(row, apart) for row in extract.rows))
            for model, extract in self.extracts.items()
        }
        return replace(self, extracts=extracts)

    def rows(self, model: str) -> tuple[Row, ...]:
        return self.extracts[model].rows

    @property
    def is_empty(self) -> bool:
        return not any(extract.rows for extract in self.extracts.values())


@dataclass(frozen=True)
class OperationsData:
    """What the Prefect server says, as it answers. ``problem`` says why it could not be asked.

    ``runs`` are the newest that have begun, ``older`` the last of each deployment that none of
    these is of, and ``waiting`` those that should have begun long ago. ``completed`` is the newest
    of each domain that went well, ``fresh`` what its newest builds said of how new its sources and
    marts are, the newest first, and ``allowed`` how many seconds may lie between two runs of a
    domain that go well. ``nodes`` are what the newest builds said of each test and model.
    """

    runs: Sequence[Row] = ()
    older: Sequence[Row] = ()
    waiting: Sequence[Row] = ()
    deployments: Sequence[Row] = ()
    measures: Sequence[Row] = ()
    budgets: Sequence[Row] = ()
    completed: Mapping[str, Row] = field(default_factory=dict)
    fresh: Sequence[Row] = ()
    allowed: Mapping[str, int] = field(default_factory=dict)
    nodes: Sequence[Row] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Column:
    """A column of a table on a page: how its values are written says ``kind``; a ``word`` is short
    and stays on its line.

    ``small`` is the key of what is shown below the value in small, as what programs call it.
    """

    key: str
    title: str
    kind: str = "text"
    small: str = ""


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification without a size, and what it shows in words.

    ``rows`` are those that have a name each; none in a chart along an axis.
    """

    spec: Spec
    alternative: str
    rows: int = 0


@dataclass(frozen=True)
class Figure:
    """One question: the answer in a sentence, a picture, a table, and where it comes from.

    ``columns`` are of the table of the page, ``rows`` are its rows; the CSV file has every
    column of the rows that were read.
    """

    key: str
    title: str
    answer: str
    source: Extract | None
    columns: Sequence[Column]
    rows: Sequence[Row]
    as_of: str
    chart: Chart | None = None
    note: str = ""
    data: Sequence[Row] | None = None


@dataclass(frozen=True)
class Page:
    """One page of the site; ``attention`` are the sentences that the front page repeats.

    ``problem`` is why it could not be made, for the log.
    """

    slug: str
    title: str
    question: str
    headline: str
    attention: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    to_do: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Site:
    pages: tuple[Page, ...]
    made_at: datetime
