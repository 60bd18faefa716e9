"""The Prefect server's own command, which waits where Prefect 3.8 looks again many times a second.

Its background tasks come by docket from a Redis within the process: ten times a second it looks for
tasks that were cancelled, each time by a thread of its own, four times for new ones and four for
those whose time has come. What arrives wakes it at once: looking seldom delays no task but those of
a schedule, by a second at most. This may go once docket waits for what is within its process.
"""

import asyncio
import queue
from datetime import timedelta
from functools import partial
from typing import Any

from burner_redis.pubsub import PubSub
from docket import Worker
from prefect.cli import app
from prefect.server.api import background_workers

BETWEEN_LOOKS = timedelta(seconds=1)


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


if __name__ == "__main__":
    patient = partial(
        Worker, minimum_check_interval=BETWEEN_LOOKS, scheduling_resolution=BETWEEN_LOOKS
    )
    PubSub._queue_get = next_message
    vars(background_workers)["Worker"] = patient
    app()
