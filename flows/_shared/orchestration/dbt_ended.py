"""dbt in a run that is told to stop: it cancels what its threads have under way.

dbt does so for a `KeyboardInterrupt` or a `SystemExit` only, and lets statements run on to their
end for all else. Whatever ends it, it hands back as the exception of its result.

What it runs in the main thread itself, hooks above all, is cancelled from beside: psycopg2 waits
for the server and hears no signal.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dbt.task.runnable import GraphRunnableTask

from flows._shared.orchestration.cancellation import (
    TOLD_TO_STOP,
    ended_in_time,
    heard_beside,
)
from flows._shared.orchestration.dbt_postgres import end_statement_of


@contextmanager
def statements_that_end_with_the_run() -> Iterator[None]:
    """While it lasts, dbt takes the end of a run for an interruption."""
    run_queue = GraphRunnableTask.run_queue
    is_heard, main = threading.Event(), threading.get_ident()
    with ended_in_time() as told:

        def unheard() -> None:
            if not is_heard.is_set():
                told()
                end_statement_of(main)

        def until_told(task: GraphRunnableTask, pool: object) -> None:
            try:
                run_queue(task, pool)
            except TOLD_TO_STOP as ended:
                is_heard.set()
                told()
                raise SystemExit("the run was told to stop") from ended

        GraphRunnableTask.run_queue = until_told
        try:
            with heard_beside(unheard):
                yield
        finally:
            GraphRunnableTask.run_queue = run_queue


def raise_what_ended_it(exception: BaseException | None) -> None:
    """Raise what ended dbt from outside: nothing where dbt ended, or failed, by itself."""
    if exception is None or isinstance(exception, Exception):
        return
    raise exception.__cause__ or exception
