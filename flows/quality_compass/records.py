"""The things of this domain and their shapes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Protocol

from flows._shared.errors import PermanentError, PlatformError, TransientError

EXAMPLE_QUERY = (
    "select facility_id, metric_id, group_value, signal_type, severity_score "
    "from analytics.fct_signals "
    "where run_id = (select run_id from public_marts.fct_signals limit 1) "
    "order by severity_score desc nulls last limit 10"
)

Json = Mapping[str, Any]


class RunNotFoundError(PermanentError):
    """No run folder at the address, or nothing in it that is a run's output."""


class RunNameError(PermanentError):
    """The folder's name is not a run id and none was given."""


class RunsFailedError(PermanentError):
    """Some runs did not load; the others did, and the marts were built."""


class StorageError(PermanentError):
    """The address cannot be opened: no driver for its protocol, or no access."""


class StorageUnreachableError(TransientError):
    """The storage did not answer, or broke off."""


class FileChangedError(TransientError):
    """A file was written to while it was read."""


class Kind(Enum):
    """What a file of a run holds; the value is the folder or file that says so."""

    NODE = "results/nodes"
    CONTRIBUTION = "analysis/contribution"
    CLASSIFICATION = "analysis/classification"
    MODELING_RUN = "modeling/runs.jsonl"
    MODELING_EXPERIMENT = "modeling/experiments.jsonl"


class RawTable(Enum):
    """A raw table, one per kind of line; a node file feeds two."""

    NODE_RESULTS = "raw_node_results"
    ENTITY_RESULTS = "raw_entity_results"
    CONTRIBUTIONS = "raw_contributions"
    CLASSIFICATIONS = "raw_classifications"
    MODELING_RUNS = "raw_modeling_runs"
    MODELING_EXPERIMENTS = "raw_modeling_experiments"


@dataclass(frozen=True)
class RunFile:
    """One file of a run. ``path`` is relative to the run's folder, so that a run is the same run
    wherever it is read from. No link leads from it out of ``within``, a folder of this machine."""

    path: str
    kind: Kind
    url: str
    within: str | None = None


@dataclass(frozen=True)
class Run:
    """A run's folder, as found. ``indexes`` are the addresses of what says which files there are,
    by path; ``unread`` are files in it that are of no kind known here."""

    run_id: str
    url: str
    files: tuple[RunFile, ...]
    manifest_url: str | None = None
    unread: tuple[str, ...] = ()
    indexes: tuple[tuple[str, str], ...] = ()
    within: str | None = None


@dataclass(frozen=True)
class Findings:
    """Runs that can be loaded, oldest first, why others cannot, and what else to tell."""

    runs: tuple[Run, ...] = ()
    refused: tuple[PlatformError, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunStart:
    """When a run was started. ``is_stated``: its manifest says so; otherwise its id was read, and
    ``note`` says why where there is a manifest. ``zone`` is that of times without an offset."""

    at: datetime
    is_stated: bool
    note: str | None = None
    zone: str = "UTC"


class RawLine(NamedTuple):
    """A line that became a row. ``row_key`` is its identity within a run and table; ``told`` says
    what of the line is not read."""

    table: RawTable
    line_number: int
    row_key: str
    json_data: str
    canonical_node_id: str | None
    told: str = ""


class BadLine(NamedTuple):
    """A line that did not, and why. ``text`` is its beginning."""

    line_number: int
    reason: str
    text: str


@dataclass(frozen=True)
class LoadCounts:
    """What loading one run changed: files, and rows written; ``changed_at`` is when the run's
    content last changed, ``started_at`` when the run was started."""

    run_id: str
    files: int
    files_changed: int
    rows_by_table: Mapping[str, int]
    quarantined: int
    bytes_read: int
    changed_at: datetime
    started_at: datetime
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return sum(self.rows_by_table.values())


class Disagreement(NamedTuple):
    """A figure the run claims and the recomputation does not give."""

    file_path: str
    line_number: int
    subject: str
    field: str
    claimed: str
    recomputed: str


@dataclass(frozen=True)
class Observation:
    """One entity line: who, what was measured, and what the run claims about it.

    ``value`` is set for a whole period, ``timeline`` (period as ``YYYYMM``, value) for months.
    ``methods`` are the statistical methods as they stand in the file.
    """

    keys: Mapping[str, str]
    metric_id: str
    value: float | None
    timeline: tuple[tuple[str, float | None], ...] | None
    methods: tuple[Json, ...]

    @property
    def facet(self) -> tuple[tuple[str, str], ...]:
        """Entities with the same facet are peers."""
        return tuple(sorted((key, each) for key, each in self.keys.items() if key != "medicareId"))

    @property
    def subject(self) -> str:
        """No two entities have one: what parts keys and values is marked where it is in them."""
        return ", ".join(f"{_marked(key)}={_marked(value)}" for key, value in self.keys.items())


class LineReader(Protocol):
    """One file of a run, as the raw tables need it: see ``source.FileReader``."""

    bytes_read: int
    broken_off: str | None

    def content_hash(self) -> str: ...

    def lines(self, expected_hash: str | None = None) -> Iterator[tuple[int, bytes]]: ...

    def is_too_long(self, line: bytes) -> bool: ...


def _marked(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
