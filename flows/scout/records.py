"""What this domain's things are called and what shape they have."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import BinaryIO, NamedTuple
from uuid import UUID

from flows._shared.errors import PermanentError, TransientError

EXAMPLE_QUERY = (
    "select month, category, currency, total_amount, mom_growth_pct "
    "from gold.gold_monthly_summary order by month desc, total_amount desc limit 10"
)

# Why a file of an archive has no rows, in the quarantine.
FAILED_MEMBER = "failed_member"


class Entity(Enum):
    """What the payloads of a file describe."""

    TRANSACTION = "transaction"
    PRODUCT = "product"


class Payload(NamedTuple):
    """One JSON value that PostgreSQL accepts, from a line (counted from 1) of a file.

    ``json`` is UTF-8 without tabs and line breaks, which JSON has between its parts only.
    """

    line_number: int
    json: bytes


class Quarantined(NamedTuple):
    """A row that cannot become a payload; ``text`` is the row as far as it is kept."""

    line_number: int
    reason: str
    detail: str
    text: str


class Remark(NamedTuple):
    """What people should know of a file; no row of it."""

    text: str


class Within(NamedTuple):
    """The rows behind this stand in a file of an archive, which has its name from both."""

    name: str


DeliveredRow = Payload | Quarantined
Row = DeliveredRow | Remark | Within


@dataclass(frozen=True)
class SourceFile:
    """A file to ingest. ``open`` gives its bytes from the beginning, as often as it is called.

    ``place`` stays the same for what lies at one address, whatever it holds, and is of no other.
    """

    name: str
    source: str
    open: Callable[[], BinaryIO]
    place: str = ""


@dataclass(frozen=True)
class FileFacts:
    """What a first pass over a file's bytes finds."""

    sha256: str
    bytes_read: int
    encoding: str


@dataclass(frozen=True)
class FileCounts:
    """How the ingestion of one file ended; ``rows_read = rows_loaded + rows_quarantined``.

    ``failure`` says why nothing of a file was loaded that has rows, or of files in it.
    """

    name: str
    entity: Entity
    is_new: bool
    rows_read: int = 0
    rows_loaded: int = 0
    rows_quarantined: int = 0
    remarks: tuple[str, ...] = ()
    failure: str | None = None


@dataclass(frozen=True)
class DeliveryCounts:
    """What became of deliveries: payloads loaded by entity, rows quarantined; whether more wait."""

    deliveries: int = 0
    transactions: int = 0
    products: int = 0
    rows_quarantined: int = 0
    are_more: bool = False

    @property
    def rows_loaded(self) -> int:
        return self.transactions + self.products

    def __add__(self, other: "DeliveryCounts") -> "DeliveryCounts":
        return DeliveryCounts(
            self.deliveries + other.deliveries,
            self.transactions + other.transactions,
            self.products + other.products,
            self.rows_quarantined + other.rows_quarantined,
            other.are_more,
        )


@dataclass(frozen=True)
class QualityMeasures:
    """What one table holds: shares from 0 to 100, age of its newest row (None when empty)."""

    table: str
    rows: int
    completeness: float
    uniqueness: float
    age_hours: float | None


@dataclass(frozen=True)
class QualityScore:
    """The score of one table, 0 to 100."""

    measures: QualityMeasures
    timeliness: float
    score: float


@dataclass(frozen=True)
class Rejections:
    """How many payloads silver rejected for one reason, and in which file most of them stand."""

    reason: str
    payloads: int
    commonest_file: str
    payloads_of_file: int


@dataclass(frozen=True)
class EmbeddingEndpoint:
    """An OpenAI-compatible endpoint. ``url`` ends before ``/embeddings``; ``key`` is secret."""

    url: str
    model: str
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Embeddings:
    """One vector per text; ``model`` is who gave them, where the endpoint says it."""

    vectors: list[list[float]]
    model: str | None = None


@dataclass(frozen=True)
class EmbeddedTexts:
    """How many texts of a batch have a vector now, and how many were refused one by one."""

    embedded: int
    refused: int


@dataclass(frozen=True)
class TextToEmbed:
    """One transaction's sentence."""

    id: UUID
    text: str


class SchemaRefusedError(PermanentError):
    """The role may not create the raw tables, or the server has no pgvector."""


class FolderUnreadableError(PermanentError):
    """The folder with the files to ingest cannot be listed."""


class FileUnreadableError(PermanentError):
    """A file cannot be taken apart into rows at all."""


class FilesFailedError(PermanentError):
    """Some files or sources did not load; the others did, and the layers were built from them."""


class LayerRefusedError(PermanentError):
    """Neither one of the layers nor a dbt selector."""


class DriveRefusedError(PermanentError):
    """Google Drive refuses: credentials, permissions, or a folder that is not there."""


class DrivePageTokenError(DriveRefusedError):
    """Google Drive takes a page token no more."""


class DriveUnavailableError(TransientError):
    """Google Drive did not answer, or asked to come back later."""


class EmbeddingsRefusedError(PermanentError):
    """The embeddings endpoint refuses, or answers something else than vectors."""


class TextsRefusedError(EmbeddingsRefusedError):
    """The embeddings endpoint gives no vectors for these texts; for fewer it may."""


class EmbeddingsUnavailableError(TransientError):
    """The embeddings endpoint did not answer, or asked to come back later."""


class EmbeddingsUnconfiguredError(PermanentError):
    """The block of the embeddings endpoint does not describe one."""


class LayerMissingError(PermanentError):
    """A layer that is needed was not built yet."""
