"""The rows of LedgerMind's operational database, and the tables that are exported."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from uuid import UUID

from flows._shared.errors import PermanentError

EXAMPLE_QUERY = "select * from analytics.mart_suggestions_kpis order by created_date desc limit 5"


class FeedbackShape(Enum):
    """`suggestion_feedback` before and after its migration of 2025-11-04."""

    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True)
class Tenant:
    id: int
    name: str
    created_at: datetime
    suggest_canary_pct: int | None


@dataclass(frozen=True)
class Transaction:
    """``amount`` is in the account's currency, negative for an expense."""

    id: int
    user_id: int | None
    tenant_id: int | None
    date: date
    merchant: str | None
    amount: float
    category: str | None
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True)
class Model:
    id: int
    model_id: str
    created_at: datetime
    phase: str | None


@dataclass(frozen=True)
class Event:
    """``candidates`` is the JSON array as text; ``created_at`` is UTC without a zone."""

    id: UUID
    txn_id: int
    model_id: str | None
    features_hash: str | None
    candidates: str
    mode: str
    created_at: datetime


@dataclass(frozen=True)
class Feedback:
    """``event_id`` None or of no event: a reaction whose event is not there."""

    id: UUID
    event_id: UUID | None
    txn_id: int
    action: str
    label: str
    confidence: float | None
    user_id: str | None
    created_at: datetime


@dataclass(frozen=True)
class Label:
    """``source`` is human, rule or import."""

    txn_id: int
    label: str
    source: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Features:
    """A transaction as models read it; ``ts_month`` is the first day of its month."""

    txn_id: int
    ts_month: date
    amount: float
    merchant: str | None
    mcc: str | None
    channel: str
    hour_of_day: int
    dow: int
    is_subscription: bool


@dataclass(frozen=True)
class Sample:
    """One operational database, complete."""

    tenants: Sequence[Tenant]
    models: Sequence[Model]
    transactions: Sequence[Transaction]
    events: Sequence[Event]
    feedback: Sequence[Feedback]
    labels: Sequence[Label] = ()
    features: Sequence[Features] = ()


@dataclass(frozen=True)
class AnomalyEnded:
    """A metric that is as expected again since ``day``, after a departure of ``days`` days."""

    metric: str
    day: date
    days: int


class OperationalDatabaseError(PermanentError):
    """The operational database is not what the flow can read, or must not be written to."""
