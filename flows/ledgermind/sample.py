"""Makes a LedgerMind operational database with the shape and mess of a real one.

Days before the mission's own day (2025-11-04) and after it hold generated events; that day holds
exactly the twelve events whose marts the system's README shows.
"""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from flows.ledgermind.records import (
    Event,
    Features,
    Feedback,
    Label,
    Model,
    Sample,
    Tenant,
    Transaction,
)

MISSION_DAY = date(2025, 11, 4)
MISSION_TRANSACTIONS = 3
DAYS = 60
CATEGORIES = ("Groceries", "Restaurants", "Transport", "Subscriptions", "Health", "Utilities")
MERCHANTS = ("Acme Market", "Bäckerei Süß", "Metro", "Streamly", "City Power", "O'Neil's", "東京堂")
# model, its share of events, and how often its suggestions are accepted
ENGINES = (
    ("heuristic@v1", 0.34, 0.55),
    ("merchant-majority@v1", 0.22, 0.72),
    ("lgbm@1f0c93ab", 0.24, 0.66),
    ("lgbm@77d2e0c4", 0.09, 0.71),
    ("lgbm@b05e11f9", 0.05, 0.50),
    ("none", 0.04, 0.0),
    (None, 0.02, 0.3),
)
PHASES = (
    ("heuristic@v1", "live"),
    ("merchant-majority@v1", "live"),
    ("lgbm@1f0c93ab", "live"),
    ("lgbm@77d2e0c4", "canary10"),
    ("lgbm@b05e11f9", "shadow"),
    ("lgbm@0000dead", None),
)
MODES = (("auto", 0.70), ("model", 0.18), ("heuristic", 0.12))


def mission_day() -> Sample:
    """The twelve events of 2025-11-04: three transactions, four accepts, four rejects."""
    return sample(0)


def sample(
    events: int, seed: int = 0, *, days: int = DAYS, first_day: date | None = None
) -> Sample:
    """A database with ``events`` generated events beside the twelve of the mission's day.

    Args:
        events: how many to generate; there are about a tenth as many transactions.
        seed: the same seed gives the same rows.
        days: over how many days they are spread, the mission's day left out.
        first_day: default: half of them lie before the mission's day.
    """
    chance = random.Random(seed)
    first = first_day or MISSION_DAY - timedelta(days=days // 2)
    opened = datetime.combine(first, time(6), UTC) - timedelta(days=30)
    tenants = [
        Tenant(n, f"Tenant {n}", opened + timedelta(days=n), 10 if n % 3 else None)
        for n in range(1, max(3, min(40, events // 500)) + 1)
    ]
    models = [
        Model(n, model, (opened + timedelta(days=n)).replace(tzinfo=None), phase)
        for n, (model, phase) in enumerate(PHASES, start=1)
    ]
    transactions = list(_transactions(chance, MISSION_TRANSACTIONS + events // 10, tenants, first))
    generated = list(_events(chance, events, len(transactions), first, days))
    feedback = [*_mission_feedback(), *_feedback(chance, generated)]
    made = [*_mission_events(), *generated]
    # In the order in which an application writes them.
    made.sort(key=lambda event: event.created_at)
    feedback.sort(key=lambda reaction: reaction.created_at)
    labels = list(_labels(chance, transactions))
    features = [_features(chance, t) for t in transactions if chance.random() < 0.8]
    return Sample(tenants, models, transactions, made, feedback, labels, features)


def _identifier(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


def _mission_events() -> Iterator[Event]:
    candidates = json.dumps(
        [{"label": "Groceries", "confidence": 0.6, "reasons": ["keyword"]}], sort_keys=True
    )
    for number in range(12):
        moment = datetime.combine(MISSION_DAY, time(9 + number // 4, 5 * number))
        txn_id = 1 + number % MISSION_TRANSACTIONS
        identifier = UUID(int=0x20251104 << 64 | number)
        yield Event(identifier, txn_id, "heuristic@v1", None, candidates, "auto", moment)


def _mission_feedback() -> Iterator[Feedback]:
    for number, event in enumerate(list(_mission_events())[:8]):
        action = "accept" if number < 4 else "reject"
        given = event.created_at.replace(tzinfo=UTC) + timedelta(minutes=3)
        identifier = UUID(int=0x20251104F << 64 | number)
        yield Feedback(
            identifier, event.id, event.txn_id, action, "Groceries", 0.6, "user-1", given
        )


def _transactions(
    chance: random.Random, count: int, tenants: Sequence[Tenant], first: date
) -> Iterator[Transaction]:
    for number in range(1, count + 1):
        kind = chance.random()
        tenant = chance.choice(tenants).id if kind < 0.85 else None
        user = chance.randint(1, 50) if kind < 0.95 else None
        updated = datetime.combine(first, time(5), UTC) - timedelta(minutes=chance.randint(0, 9999))
        yield Transaction(
            id=number,
            user_id=user,
            tenant_id=tenant,
            date=first - timedelta(days=chance.randint(0, 6)),
            merchant=chance.choice((*MERCHANTS, None)),
            amount=round(chance.uniform(-250, 60), 2),
            category=chance.choice((*CATEGORIES, None)),
            updated_at=updated,
            deleted_at=updated if chance.random() < 0.01 else None,
        )


def _labels(chance: random.Random, transactions: Sequence[Transaction]) -> Iterator[Label]:
    """Of about half the transactions, most with the category they have, some corrected later."""
    for transaction in transactions:
        if chance.random() < 0.5:
            continue
        is_right = transaction.category and chance.random() < 0.8
        label = transaction.category if is_right else chance.choice(CATEGORIES)
        source = chance.choices(("human", "rule", "import"), (0.5, 0.3, 0.2))[0]
        made = transaction.updated_at + timedelta(hours=chance.randint(1, 240))
        changed = made + timedelta(days=3) if chance.random() < 0.05 else made
        yield Label(transaction.id, str(label), source, made, changed)


def _features(chance: random.Random, transaction: Transaction) -> Features:
    return Features(
        txn_id=transaction.id,
        ts_month=transaction.date.replace(day=1),
        amount=0.0 if chance.random() < 0.01 else transaction.amount,
        merchant=transaction.merchant,
        mcc=chance.choice(("5411", "5812", "4111", None)),
        channel=chance.choice(("card", "transfer", "online")),
        hour_of_day=chance.randint(0, 23),
        dow=transaction.date.weekday(),
        is_subscription=transaction.category == "Subscriptions",
    )


def _events(
    chance: random.Random, count: int, transactions: int, first: date, days: int
) -> Iterator[Event]:
    spread = (first + timedelta(days=n) for n in range(days + 1))
    calendar = [day for day in spread if day != MISSION_DAY]
    # Fewer at weekends, and one day on which almost nothing came through.
    weights = [0.6 if day.weekday() >= 5 else 1.0 for day in calendar]
    weights[-3] = 0.1
    models = [model for model, _, _ in ENGINES]
    shares = [share for _, share, _ in ENGINES]
    modes, mode_shares = [mode for mode, _ in MODES], [share for _, share in MODES]
    texts = {model: [_candidates(chance, model) for _ in range(60)] for model in models}
    for day in chance.choices(calendar, weights, k=count):
        model = chance.choices(models, shares)[0]
        moment = datetime.combine(day, time()) + timedelta(
            microseconds=chance.randrange(86_400_000_000)
        )
        hashed = f"{chance.getrandbits(64):016x}" if model and model.startswith("lgbm") else None
        yield Event(
            _identifier(chance),
            chance.randint(1, transactions),
            model,
            hashed,
            chance.choice(texts[model]),
            chance.choices(modes, mode_shares)[0],
            moment,
        )


def _candidates(chance: random.Random, model: str | None) -> str:
    """A JSON array of up to three candidates, the surest first; now and then something odd."""
    if model == "none" or chance.random() < 0.02:
        return "[]"
    odd = chance.random()
    if odd < 0.01:
        return '[{"label": "Groceries", "confidence": "high"}]'
    if odd < 0.02:
        return '[{"label": "Groceries", "confidence": 1.7}]'
    if odd < 0.03:
        return '{"label": "Groceries"}'
    edges = (0.25, 0.5, 0.75, 1.0, 0.0)
    count = chance.choice((1, 1, 2, 3))
    confidences = sorted((round(chance.betavariate(5, 2), 4) for _ in range(count)), reverse=True)
    if chance.random() < 0.1:
        confidences[0] = chance.choice(edges)
    return json.dumps(
        [
            {"label": label, "confidence": confidence, "reasons": ["sample"], "source": model}
            for label, confidence in zip(chance.sample(CATEGORIES, count), confidences, strict=True)
        ]
    )


def _feedback(chance: random.Random, events: Sequence[Event]) -> Iterator[Feedback]:
    """Reactions to about half the events: doubled, undone, changed, late, and of no event."""
    rates = {model: rate for model, _, rate in ENGINES}
    for event in events:
        if chance.random() < 0.5:
            continue
        action = "accept" if chance.random() < rates[event.model_id] else "reject"
        delay = timedelta(seconds=chance.expovariate(1 / 3600))
        if chance.random() < 0.03:
            delay += timedelta(days=chance.randint(2, 20))
        given = event.created_at.replace(tzinfo=UTC) + delay
        yield _reaction(chance, event.id, event.txn_id, action, given)
        odd = chance.random()
        if odd < 0.02:
            yield _reaction(chance, event.id, event.txn_id, action, given)
        elif odd < 0.05:
            later = given + timedelta(minutes=chance.randint(1, 600))
            yield _reaction(chance, event.id, event.txn_id, "undo", later)
        elif odd < 0.07:
            other = "reject" if action == "accept" else "accept"
            yield _reaction(chance, event.id, event.txn_id, other, given + timedelta(minutes=5))
        elif odd < 0.08:
            yield _reaction(chance, None, 0, action, given)


def _reaction(
    chance: random.Random, event_id: UUID | None, txn_id: int, action: str, given: datetime
) -> Feedback:
    return Feedback(
        id=_identifier(chance),
        event_id=event_id,
        txn_id=txn_id,
        action=action,
        label=chance.choice(CATEGORIES),
        confidence=round(chance.random(), 3),
        user_id=f"user-{chance.randint(1, 50)}",
        created_at=given,
    )
