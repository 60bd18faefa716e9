"""Retry asks the error: only what another try may help is tried again."""

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from flows._shared.errors import TransientError


def retry_transient(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """For ``@task(retries=n, retry_condition_fn=retry_transient)``.

    True when the attempt ended in a ``TransientError``. Everything else fails at once: a
    ``PermanentError``, a bug, and an exception from a library that nobody has classified yet.
    """
    return isinstance(state.result(raise_on_failure=False), TransientError)
