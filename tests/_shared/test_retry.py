import pytest
from prefect import flow, task

from flows._shared.errors import PermanentError, PlatformError, TransientError
from flows._shared.orchestration.retry import retry_transient


class BusyError(TransientError):
    """A leaf, as a domain would have it."""


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (BusyError("reading x", "it is locked", "Wait"), 3),
        (PermanentError("reading x", "there is none", "Name another"), 1),
        (ZeroDivisionError("a bug"), 1),
    ],
)
def test_only_what_another_try_may_help_is_tried_again(
    error: PlatformError | ZeroDivisionError, attempts: int, prefect_server: str
) -> None:
    tried = []

    @task(retries=2, retry_delay_seconds=0, retry_condition_fn=retry_transient)
    def read() -> None:
        tried.append(1)
        raise error

    @flow
    def reads() -> None:
        read()

    state = reads(return_state=True)

    assert state.is_failed()
    assert len(tried) == attempts
