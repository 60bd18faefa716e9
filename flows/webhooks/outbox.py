"""The outbox: one event per delivery, sent to the Prefect server until its store holds it.

The server acknowledges an event before it stores it; one that is killed in between has lost what it
took. So an event that was sent is looked for in the store a little later, and sent again unless it
is there. The server keeps an event id once, however often it comes.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from flows._shared.errors import PlatformError
from flows._shared.orchestration.events import post_events, stored_events
from flows.webhooks.metrics import Metrics
from flows.webhooks.settings import ReceiverSettings
from flows.webhooks.wakes import Wakes
from flows.webhooks.writer import DatabaseUrl, open_inbox

BATCH = 100
IDLE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
GAUGES_SECONDS = 5.0

# The lease: whoever takes an event moves the time on at which it is due.
TAKE = """
with due as (
    select id
    from webhooks.outbox
    where stored_at is null and due_at <= now()
    order by due_at, id
    limit %s
    for update skip locked
), taken as (
    update webhooks.outbox
    set due_at = now() + make_interval(secs => %s), attempts = outbox.attempts + 1
    from due
    where outbox.id = due.id
    returning outbox.id, outbox.event, outbox.sent_at, outbox.attempts
)
select id, event, sent_at is not null, attempts from taken order by id
"""
MARK_SENT = """
update webhooks.outbox
set
    sent_at = coalesce(sent_at, now()),
    due_at = now() + make_interval(secs => least(%s * power(2, attempts - 1), %s)),
    last_error = null
where id = any(%s)
"""
MARK_STORED = "update webhooks.outbox set stored_at = now(), last_error = null where id = any(%s)"
MARK_FAILED = """
update webhooks.outbox
set due_at = now() + make_interval(secs => least(power(2, attempts - 1), %s)), last_error = %s
where id = any(%s)
"""
WAITING = """
select
    count(*),
    coalesce(extract(epoch from now() - min(due_at) filter (where sent_at is null)), 0)
from webhooks.outbox
where stored_at is null
"""


@dataclass(frozen=True)
class _Taken:
    id: int
    event: Mapping[str, Any]
    was_sent: bool
    attempts: int


class Dispatcher:
    """Sends what is due, in a thread or a process of its own; any number may run at once.

    Args:
        database_url: asked again for each connection.
    """

    def __init__(
        self, settings: ReceiverSettings, database_url: DatabaseUrl, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._database_url = database_url
        self._metrics = metrics
        self._connection: psycopg.Connection | None = None
        self._wakes = Wakes()
        self._news = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self.run, name="outbox-dispatcher", daemon=True)
        self._log = logging.getLogger("webhooks.outbox")
        self._gauges_at = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the batch that is under way. What is left is due for the next one."""
        self._is_over.set()
        self._news.set()
        self._thread.join()

    def wake(self) -> None:
        """Tell that there is something to send. Safe from any thread."""
        self._news.set()

    def run(self) -> None:
        """Send until ``stop`` is called."""
        while not self._is_over.is_set():
            began = time.monotonic()
            try:
                self._ask_for_runs()
                sent = self.send_due()
                self._show_waiting()
            except (psycopg.Error, PlatformError) as error:
                self._log.warning("outbox not reached", extra={"error": type(error).__name__})
                self._drop_connection()
                sent = 0
            if sent:
                pause = sent / self._settings.events_per_second - (time.monotonic() - began)
                self._is_over.wait(max(pause, 0))
            else:
                self._news.wait(IDLE_SECONDS)
                self._news.clear()
        self._drop_connection()

    def _ask_for_runs(self) -> None:
        try:
            self._wakes.ask(self._connected())
        except (PlatformError, LookupError, TypeError, ValueError) as error:
            # Also an answer of another form than Prefect's: events go on.
            self._log.warning("no run asked for", extra={"error": type(error).__name__})

    def send_due(self) -> int:
        """Take one batch of due events, send it, and note what came of it; how many they were.

        Raises:
            DatabaseUnreachableError: the database does not answer.
            psycopg.Error: it broke off, or has no inbox yet.
        """
        connection = self._connected()
        rows = connection.execute(TAKE, (BATCH, self._settings.lease_seconds)).fetchall()
        taken = [_Taken(*row) for row in rows]
        if not taken:
            return 0
        try:
            self._confirm_or_send(connection, taken)
        except PlatformError as error:
            self._metrics.events_failed.inc()
            reason = type(error).__name__
            self._log.warning("events not taken", extra={"error": reason, "events": len(taken)})
            ids = [each.id for each in taken]
            connection.execute(MARK_FAILED, (LONGEST_PAUSE_SECONDS, reason, ids))
        return len(taken)

    def _confirm_or_send(self, connection: psycopg.Connection, taken: list[_Taken]) -> None:
        asked = [each for each in taken if each.was_sent]
        stored = stored_events([str(each.event["id"]) for each in asked]) if asked else set()
        done = [each.id for each in asked if each.event["id"] in stored]
        if done:
            connection.execute(MARK_STORED, (done,))
        pending = [each for each in taken if each.id not in set(done)]
        if not pending:
            return
        now = datetime.now(UTC).isoformat()
        post_events([{**each.event, "occurred": now} for each in pending])
        self._metrics.events_sent.inc(len(pending))
        connection.execute(
            MARK_SENT,
            (self._settings.confirm_seconds, LONGEST_PAUSE_SECONDS, [each.id for each in pending]),
        )

    def _show_waiting(self) -> None:
        if time.monotonic() - self._gauges_at < GAUGES_SECONDS:
            return
        self._gauges_at = time.monotonic()
        row = self._connected().execute(WAITING).fetchone()
        assert row is not None
        self._metrics.outbox_waiting.set(row[0])
        self._metrics.outbox_oldest_seconds.set(max(float(row[1]), 0))

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = open_inbox(self._database_url)
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
