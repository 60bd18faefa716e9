"""Asks for a run that reads what was delivered: at once, and never for a second one that waits.

A deployment is told that deliveries wait for it (``<slug>.delivery.pending``), and its trigger
starts it, unless a run of it has yet to begin: that one will read them. What arrives once a run has
begun may have come too late for it, and asks for one more. So a burst is a run or two, a stream
without a pause has one run at work and one waiting, and nothing waits for a clock.
"""

import time
from dataclasses import dataclass
from datetime import timedelta

import psycopg

from flows._shared.events import pending_event
from flows._shared.orchestration.events import post_events
from flows._shared.orchestration.waiting_runs import (
    Listener,
    has_waiting_run,
    listening,
    newest_run,
)

# While deliveries keep coming, the server is asked this often; else for deployments that are new.
PAUSE_SECONDS, IDLE_SECONDS = 1.0, 30.0
# An event that the server lost has asked for nothing; a trigger that is off never will.
PATIENCE, LONGEST_PATIENCE = timedelta(seconds=15), timedelta(minutes=10)

NEWEST = "select coalesce(max(position), 0) from webhooks.deliveries"
ENROL = "insert into webhooks.wakes (deployment) values (%s) on conflict do nothing"
TAKE = """
select asked_position, asks, run_before, now() - asked_at
from webhooks.wakes
where deployment = %s
for update skip locked
"""
NEWS = """
select
    coalesce(max(position), %(after)s),
    coalesce(bool_or(array[slug || '.' || kind, slug || '.*'] && %(topics)s::text[]), false)
from webhooks.deliveries
where position > %(after)s
"""
KEEP = """
update webhooks.wakes
set asked_position = %s, asks = %s, run_before = %s, asked_at = now()
where deployment = %s
"""


@dataclass(frozen=True)
class _Wake:
    """What a deployment was last asked for: ``asks`` is 0 once the run is there, ``run_before`` the
    newest one before it."""

    asked_position: int
    asks: int
    run_before: str | None
    since: timedelta

    @property
    def is_overdue(self) -> bool:
        patience: timedelta = PATIENCE * 2 ** min(self.asks - 1, 10)
        return self.since > min(patience, LONGEST_PATIENCE)

    @property
    def is_young(self) -> bool:
        return self.since <= PATIENCE


class Wakes:
    """Any number of these may be at work; one at a time looks after a deployment."""

    def __init__(self) -> None:
        self._looked_at = float("-inf")
        self._settled: int | None = None

    def ask(self, connection: psycopg.Connection) -> None:
        """Ask for the runs that are wanted and that nobody has asked for.

        Args:
            connection: to the inbox, in autocommit.

        Raises:
            NoServerError, EventsNotTakenError: nothing was noted; ask again.
            psycopg.Error: likewise.
        """
        if time.monotonic() - self._looked_at < PAUSE_SECONDS:
            return
        (newest,) = connection.execute(NEWEST).fetchone() or (0,)
        was_just_looked = time.monotonic() - self._looked_at < IDLE_SECONDS
        if newest == self._settled and was_just_looked:
            return
        self._looked_at = time.monotonic()
        self._settled = None
        are_settled = [self._ask_for(connection, listener) for listener in listening()]
        self._settled = newest if all(are_settled) else None

    def _ask_for(self, connection: psycopg.Connection, listener: Listener) -> bool:
        """Whether all that was delivered is asked for, and the run there that was asked for."""
        connection.execute(ENROL, (listener.id,))
        with connection.transaction():
            row = connection.execute(TAKE, (listener.id,)).fetchone()
            if row is None:
                return False
            wake = _Wake(*row)
            # Before the look at the server: what is stored later may come too late for a run that
            # begins now.
            wanted = {"after": wake.asked_position, "topics": sorted(listener.topics)}
            newest, is_wanted = connection.execute(NEWS, wanted).fetchone() or (0, False)
            if wake.asks:
                if not (wake.is_young or wake.is_overdue):
                    return False
                is_there = newest_run(listener) != wake.run_before
                if not is_there and not (wake.is_overdue and has_waiting_run(listener)):
                    if wake.is_overdue:
                        self._tell(connection, listener, newest, wake.asks + 1)
                    return False
                connection.execute(KEEP, (wake.asked_position, 0, None, listener.id))
            if is_wanted and not has_waiting_run(listener):
                self._tell(connection, listener, newest, 1)
                return False
            if newest > wake.asked_position:
                connection.execute(KEEP, (newest, 0, None, listener.id))
            return True

    def _tell(
        self, connection: psycopg.Connection, listener: Listener, newest: int, asks: int
    ) -> None:
        run_before = newest_run(listener)
        event = pending_event(listener.slug, listener.name, listener.id, newest, asks)
        post_events([event.as_json([_as_related(listener)])])
        connection.execute(KEEP, (newest, asks, run_before, listener.id))


def _as_related(listener: Listener) -> dict[str, str]:
    return {
        "prefect.resource.id": f"prefect.deployment.{listener.id}",
        "prefect.resource.role": "deployment",
        "prefect.resource.name": listener.name,
    }
