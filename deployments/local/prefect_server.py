"""The Prefect server's own command, with five things changed for which Prefect 3.8 has no setting.

Its background tasks come by docket from a Redis within the process: ten times a second it looks for
tasks that were cancelled, each time by a thread of its own, four times for new ones and four for
those whose time has come. What arrives wakes it at once: looking seldom delays no task but those of
a schedule, by a second at most. This may go once docket waits for what is within its process.

A transaction of SQLite that reads and then writes fails at once where another wrote meanwhile,
however long it was told to wait: "database is locked". A trigger that counts an event does so, and
an event that failed four times is counted by none. Here transactions begin as writers, in turn.
This may go once Prefect lets all that write begin so.

The form of a flow is held against the JSON Schema of schemas with each run, 25 ms of CPU each time,
and three times with each change of its deployment: here once.

The time zone of a schedule is looked for among all that the machine has, for which a thousand files
are looked at: 5 ms for each schedule that is read, ten times for each change of a deployment. Here
they are listed once.

An action of an automation asks for the application that it is part of, which is found by all
settings, and for that logging is set up anew: 120 ms of CPU each time. Here it is found once.
"""

import asyncio
import json
import os
import queue
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import cache, lru_cache, partial
from typing import Any

from burner_redis.pubsub import PubSub
from docket import Worker
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from prefect._internal.schemas import validators
from prefect.cli import app
from prefect.server.api import background_workers, server
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.utilities.schema_tools import validation

from deployments.local.logs import keep_short

FORMS_KEPT = 256
BETWEEN_LOOKS = timedelta(seconds=1)

Begin = Callable[..., AbstractAsyncContextManager[Any]]
_is_within: ContextVar[bool] = ContextVar("is_within", default=False)


async def next_message(subscription: Any, timeout: float | None) -> Any:
    """The next message of a subscription, None if none came meanwhile."""
    if timeout == 0.0:
        try:
            return subscription._queue.get_nowait()
        except queue.Empty:
            return None
    while True:
        try:
            return await asyncio.to_thread(
                subscription._queue.get, True, BETWEEN_LOOKS.total_seconds()
            )
        except queue.Empty:
            if timeout is not None:
                return None


def as_writers(begin: Begin) -> Begin:
    """A way to begin transactions in which each waits for the one before, if it may have to write.

    One within another, which would wait for itself, begins as it did.
    """

    @asynccontextmanager
    async def begin_transaction(
        database: AioSqliteConfiguration, session: Any, with_for_update: bool = False
    ) -> AsyncIterator[Any]:
        is_writer = with_for_update or not _is_within.get()
        outer = _is_within.set(True)
        try:
            async with begin(database, session, is_writer) as transaction:
                yield transaction
        finally:
            _is_within.reset(outer)

    return begin_transaction


def checked_once(check: Callable[..., None]) -> Callable[..., None]:
    """A check of schemas that remembers those that are right."""

    @lru_cache(FORMS_KEPT)
    def check_text(schema: str, **options: Any) -> None:
        check(json.loads(schema), **options)

    return lambda schema, **options: check_text(json.dumps(schema), **options)


def found_once(create: Callable[..., Any]) -> Callable[..., Any]:
    """A way to make applications that remembers the one asked for without saying which."""
    own = lru_cache(maxsize=1)(create)
    return lambda *given, **options: create(*given, **options) if given or options else own()


if __name__ == "__main__":
    keep_short(os.environ)
    PubSub._queue_get = next_message
    vars(background_workers)["Worker"] = partial(
        Worker, minimum_check_interval=BETWEEN_LOOKS, scheduling_resolution=BETWEEN_LOOKS
    )
    begin = as_writers(AioSqliteConfiguration.begin_transaction)
    setattr(AioSqliteConfiguration, "begin_transaction", begin)  # noqa: B010  typed as a method
    for validator in (validation._VALIDATOR, Draft202012Validator):
        validator.check_schema = checked_once(validator.check_schema)
    vars(validators)["get_timezones"] = cache(vars(validators)["get_timezones"])
    vars(server)["create_app"] = found_once(server.create_app)
    app()
