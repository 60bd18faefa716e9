"""python -m deployments.prefork: a worker of the type ``prefork``.

``prefect worker start`` imports every integration of Prefect that is installed, to find the
worker's class: 330 MiB that the worker then holds for as long as it lives.
"""

import argparse
import asyncio
import os
from contextlib import suppress

from prefect.logging.configuration import setup_logging
from prefect.utilities.processutils import setup_signal_handlers_worker

from deployments.prefork.worker import PreforkWorker


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deployments.prefork", description=__doc__)
    parser.add_argument("--pool", required=True, help="the work pool to serve")
    parser.add_argument("--name", help="the worker's name on the server")
    parser.add_argument("--work-queue", action="append", help="serve these only (repeatable)")
    parser.add_argument("--limit", type=int, help="runs at once")
    parser.add_argument("--prefetch-seconds", type=float, help="runs are taken up as much earlier")
    parser.add_argument("--with-healthcheck", action="store_true", help="answer a cluster's probe")
    options = parser.parse_args()
    setup_logging()
    setup_signal_handlers_worker(os.getpid(), "the prefork worker", print)
    worker = PreforkWorker(
        options.pool,
        work_queues=options.work_queue,
        name=options.name,
        prefetch_seconds=options.prefetch_seconds,
        limit=options.limit,
    )
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(worker.start(with_healthcheck=options.with_healthcheck))


if __name__ == "__main__":
    main()
