"""Group commit: deliveries that arrive together are committed together, by one thread.

While one batch commits, the next gathers; nobody waits for a clock. The more arrive, the larger the
batches, and the fewer the commits.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from itertools import repeat

import psycopg

from flows._shared.errors import PlatformError
from flows._shared.postgres import DatabaseUnreachableError, open_connection
from flows.webhooks.inbox import NewDelivery, Outcome, prepare_inbox, store
from flows.webhooks.metrics import Metrics
from flows.webhooks.settings import ReceiverSettings
from flows.webhooks.spool import Spool, SpoolFullError

CONNECT_SECONDS = 3
# After a failure, this long no other attempt is made: senders hear of it at once.
PAUSE_SECONDS = 1.0
IDLE_SECONDS = 1.0
# A database that is cut off without a word is given up after this.
SILENCE_MILLISECONDS = 10_000
BATCHES_DRAINED_AT_A_TIME = 20
# Waits for all that storing waits for, and writes nothing.
TRY = "update webhooks.deliveries set position = position where false"

log = logging.getLogger("webhooks.writer")

DatabaseUrl = Callable[[], str]
Waiting = tuple[NewDelivery, "asyncio.Future[Kept]"]


class Kept(Enum):
    """What became of a delivery that the writer took."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    SPOOLED = "spooled"


class InboxDownError(Exception):
    """The delivery is nowhere: neither in the database nor in a spool."""


class Writer:
    """The one that writes to the inbox.

    Args:
        database_url: asked again for each connection, so that a changed password counts.
        on_stored: called after each commit of new deliveries, in the writer's thread.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        database_url: DatabaseUrl,
        metrics: Metrics,
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._database_url = database_url
        self._metrics = metrics
        self._on_stored = on_stored
        self._waiting: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._spool = Spool(settings.spool, settings.spool_bytes) if settings.spool else None
        if self._spool is not None:
            metrics.spool_bytes.set(self._spool.bytes)
            metrics.spool_damaged.set_function(lambda: self._spool.damaged if self._spool else 0)
        self._connection: psycopg.Connection | None = None
        self._failed_at = float("-inf")
        self._is_prepared = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)
        self.is_up = False
        self.last_error = "not connected yet"

    def start(self) -> None:
        """Called within the event loop whose tasks call ``keep``."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    async def keep(self, delivery: NewDelivery) -> Kept:
        """Have a delivery committed; it is durable when this returns.

        Raises:
            InboxDownError: it is not, or not in time.
        """
        done: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._waiting.put((delivery, done))
        try:
            return await asyncio.wait_for(done, self._settings.store_seconds)
        except TimeoutError:
            raise InboxDownError from None

    def _run(self) -> None:
        while True:
            batch = self._gather()
            if batch is None:
                break
            self._keep(batch)
        self._drop_connection()
        if self._spool is not None:
            self._spool.close()

    def _gather(self) -> list[Waiting] | None:
        """Everything that waits, up to the limits; after a while without any, an empty batch."""
        batch: list[Waiting] = []
        size = 0
        with suppress(queue.Empty):
            while len(batch) < self._settings.batch_rows and size < self._settings.batch_bytes:
                if batch:
                    taken = self._waiting.get_nowait()
                else:
                    taken = self._waiting.get(timeout=IDLE_SECONDS)
                if taken is None:
                    if not batch:
                        return None
                    self._waiting.put(None)
                    break
                # Whoever gave up waiting has been told that it is not stored.
                if not taken[1].cancelled():
                    batch.append(taken)
                    size += len(taken[0].body)
        return batch

    def _keep(self, batch: Sequence[Waiting]) -> None:
        deliveries = [delivery for delivery, _ in batch]
        kept: list[Kept] | None = None
        try:
            if self._drain():
                kept = [Kept(each.value) for each in self._store(deliveries)]
        except (psycopg.Error, PlatformError):
            self._metrics.inbox_failures.inc()
        except Exception as error:
            # Without this thread nobody's delivery would be kept until the receiver is restarted.
            self._metrics.inbox_failures.inc()
            self._remember(error)
            log.exception("deliveries were not stored")
        if kept is None and batch:
            kept = self._put_aside(deliveries)
        assert self._loop is not None
        outcomes = kept or repeat(None, len(batch))
        results = list(zip((done for _, done in batch), outcomes, strict=True))
        # The loop is closed when the receiver was stopped with requests under way.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_settle, results)

    def _put_aside(self, deliveries: Sequence[NewDelivery]) -> list[Kept] | None:
        if self._spool is None:
            return None
        try:
            self._spool.append(deliveries)
        except (SpoolFullError, OSError) as error:
            self._metrics.spool_refused.inc()
            self.last_error = type(error).__name__
            return None
        self._metrics.spool_bytes.set(self._spool.bytes)
        return [Kept.SPOOLED] * len(deliveries)

    def _drain(self) -> bool:
        """Store what waits in the spool, oldest first, a part at a time; whether nothing is left.

        What arrives meanwhile gets in line behind it.
        """
        if self._spool is not None:
            for _ in range(BATCHES_DRAINED_AT_A_TIME):
                found = self._spool.oldest()
                if found is None:
                    break
                path, deliveries = found
                self._store(deliveries)
                self._spool.remove(path)
                self._metrics.spool_bytes.set(self._spool.bytes)
        return not self._spool

    def _store(self, deliveries: Sequence[NewDelivery]) -> list[Outcome]:
        if not deliveries:
            self._ping()
            return []
        try:
            outcomes = store(self._connected(), deliveries)
        except psycopg.errors.LockNotAvailable as error:
            self._remember(error)
            raise
        except psycopg.OperationalError:
            # The connection may have been cut while idle. Storing twice is safe.
            self._drop_connection()
            try:
                outcomes = store(self._connected(), deliveries)
            except psycopg.Error as error:
                self._remember(error)
                raise
        except psycopg.Error as error:
            self._remember(error)
            raise
        self._note_up()
        self._metrics.batch_rows.observe(len(deliveries))
        self._on_stored()
        return outcomes

    def _ping(self) -> None:
        try:
            self._connected().execute(TRY)
        except psycopg.Error as error:
            self._remember(error)
            raise
        self._note_up()

    def _note_up(self) -> None:
        self.is_up = True
        self.last_error = ""

    def _connected(self) -> psycopg.Connection:
        if self._connection and not self._connection.closed:
            return self._connection
        if time.monotonic() - self._failed_at < PAUSE_SECONDS:
            raise DatabaseUnreachableError(
                "Connecting to the webhook inbox", "it did not answer a moment ago", "Wait"
            )
        try:
            self._connection = open_inbox(self._database_url)
            # Whoever is held up longer is told so, or spooled, before senders give up.
            waits = f"{self._settings.store_seconds * 500:.0f}ms"
            self._connection.execute("select set_config('lock_timeout', %s, false)", (waits,))
            if not self._is_prepared:
                prepare_inbox(self._connection)
                self._is_prepared = True
        except (psycopg.Error, PlatformError) as error:
            self._failed_at = time.monotonic()
            self._remember(error)
            raise
        return self._connection

    def _remember(self, error: Exception) -> None:
        """Name the error; its text may quote what was stored."""
        self._drop_connection()
        self.is_up = False
        state = f" {error.sqlstate}" if isinstance(error, psycopg.Error) and error.sqlstate else ""
        self.last_error = f"{type(error).__name__}{state}"

    def _drop_connection(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


def open_inbox(database_url: DatabaseUrl) -> psycopg.Connection:
    """A connection that notices a silent server before senders give up."""
    return open_connection(
        database_url(),
        "the webhook inbox",
        application="analytics-flows-webhooks",
        connect_seconds=CONNECT_SECONDS,
        silence_milliseconds=SILENCE_MILLISECONDS,
    )


def _settle(results: "Sequence[tuple[asyncio.Future[Kept], Kept | None]]") -> None:
    for done, kept in results:
        # Whoever waited too long has been told so.
        if done.done():
            continue
        if kept is None:
            done.set_exception(InboxDownError())
        else:
            done.set_result(kept)
