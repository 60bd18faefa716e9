"""One delivery, posted as its sender would, followed until a mart shows it."""

import hashlib
import hmac
import json
import os
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx

from deployments.local.domains import Domain, is_own_database
from deployments.local.processes import wait_until
from deployments.local.runtime import Runtime, Say, receiver_of
from flows._shared.errors import PermanentError, TransientError
from flows._shared.postgres import connected

SLUG = "scout"
SECRETS = "WEBHOOKS_SCOUT_SECRETS"
PATIENCE_SECONDS = 300.0
CATEGORY = "Supplies"
NEWEST_MONTH = "select max(month) from gold.gold_monthly_summary"
IN_MART = """
select coalesce(sum(transaction_count), 0)
from gold.gold_monthly_summary
where month = date_trunc('month', cast(%s as date)) and category = %s and currency = 'PHP'
"""


def follow_delivery(runtime: Runtime, domains: tuple[Domain, ...], say: Say) -> None:
    """Post a transaction, and say after how long gold shows it.

    Nothing is posted where Scout was not run, or has a database or secrets of the user's own.

    Raises:
        PermanentError: the receiver refused.
        TransientError: the row is not in the mart in time.
    """
    receiver = receiver_of(runtime)
    is_run = SLUG in {domain.slug for domain in domains}
    is_ours = is_run and not is_own_database(SLUG) and SECRETS not in os.environ
    url = receiver.url() if receiver else None
    if not is_ours or receiver is None or url is None:
        return
    secret = receiver.secrets()[SECRETS]
    marts = runtime.databases[SLUG].reader
    transaction = transaction_among(marts)
    before = _in_mart(marts, transaction)
    began = time.monotonic()
    _post(url, "scout-transactions", secret, transaction)
    say(f"Posted a signed transaction to {url}/webhook/scout-transactions; gold is to show it")
    if not wait_until(lambda: _in_mart(marts, transaction) > before, PATIENCE_SECONDS, pause=0.1):
        raise TransientError(
            "following a delivery into gold.gold_monthly_summary",
            f"it is not there after {PATIENCE_SECONDS:.0f} s",
            "Look at the runs of scout-on-demand in the UI, and at .local/run/webhooks.log",
        )
    say(f"From the POST to the row in the mart: {time.monotonic() - began:.1f} s")


def transaction_among(marts: str) -> dict[str, Any]:
    """A transaction of the newest month of the marts: in a later one it would be alone."""
    with connected(marts, "the marts") as connection:
        row = connection.execute(NEWEST_MONTH).fetchone()
    newest = row[0] if row else None
    return {
        "transaction_id": f"webhook-{uuid.uuid4()}",
        "date": (newest or datetime.now(UTC).date()).isoformat(),
        "amount": "149.50",
        "currency": "PHP",
        "category": CATEGORY,
        "vendor_id": "V-0001",
        "vendor_name": "A sender of webhooks",
        "tax_code": "VAT-12",
        "tax_amount": "16.02",
        "description": "Posted by flows run",
    }


def _post(url: str, name: str, secret: str, document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Signature-256": f"sha256={signature}"}
    answer = httpx.post(f"{url}/webhook/{name}", content=body, headers=headers, timeout=30)
    if answer.status_code != httpx.codes.ACCEPTED:
        raise PermanentError(
            f"posting to {url}/webhook/{name}",
            f"the receiver answered {answer.status_code}: {answer.text}",
            "Look into .local/run/webhooks.log",
        )


def _in_mart(database: str, like: dict[str, Any]) -> int:
    """Transactions of the same month and category."""
    with connected(database, "the marts") as connection:
        row = connection.execute(IN_MART, (like["date"], like["category"])).fetchone()
    assert row is not None
    return int(row[0])
