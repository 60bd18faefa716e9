"""python -m deployments.prefork: a worker of the type ``prefork``.

``prefect worker start`` imports every integration of Prefect that is installed, to find the
worker's class: 330 MiB that the worker then holds for as long as it lives.
"""

import argparse
import asyncio
import os
import signal
from contextlib import suppress

from prefect.logging.configuration import setup_logging
from prefect.utilities.processutils import setup_signal_handlers_worker

from deployments.local.logs import keep_short
from deployments.prefork.worker import PreforkWorker


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployments.prefork", description=__doc__)
    parser.add_argument("--pool", required=True, help="the work pool to serve")
    parser.add_argument("--name", help="the worker's name on the server")
    parser.add_argument("--work-queue", action="append", help="serve these only (repeatable)")
    parser.add_argument("--limit", type=int, help="runs at once")
    parser.add_argument("--prefetch-seconds", type=float, help="runs are taken up as much earlier")
    parser.add_argument("--with-healthcheck", action="store_true", help="answer a cluster's probe")
    parser.add_argument(
        "--grace-seconds",
        type=float,
        default=0.0,
        help="what runs under way have at SIGTERM; without it they are told to end at once",
    )
    return parser


def main() -> None:
    options = parser().parse_args()
    keep_short(os.environ)
    setup_logging()
    setup_signal_handlers_worker(os.getpid(), "the prefork worker", print)
    worker = PreforkWorker(
        options.pool,
        work_queues=options.work_queue,
        name=options.name,
        # One made here for a name that was mistyped would wait for runs for ever.
        create_pool_if_not_found=False,
        prefetch_seconds=options.prefetch_seconds,
        limit=options.limit,
    )
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(serve(worker, options.grace_seconds, options.with_healthcheck))


async def serve(worker: PreforkWorker, grace_seconds: float, with_healthcheck: bool) -> None:
    """Serve until told to end. At a second SIGTERM runs have no grace; at a third, as at SIGINT,
    they are killed and report nothing."""
    serving = asyncio.create_task(worker.start(with_healthcheck=with_healthcheck))
    endings: list[asyncio.Task[None]] = []

    def ended(ending: asyncio.Task[None]) -> None:
        if not ending.cancelled():
            serving.cancel()

    def end() -> None:
        if len(endings) > 1:
            serving.cancel()
            return
        for each in endings:
            each.cancel()
        ending = asyncio.create_task(worker.finish(0.0 if endings else grace_seconds))
        ending.add_done_callback(ended)
        endings.append(ending)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    await serving


if __name__ == "__main__":
    main()
