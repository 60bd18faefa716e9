"""A run that hangs is ended, and its log tells where it was."""

import threading
from pathlib import Path

import pytest

from tests.faults import runner
from tests.faults.campaign import waits_for_a_thread
from tests.faults.stages import STAGES, Place


class Unborn(threading.Thread):
    """Ends before it has said that it began, as one for which there is no memory."""

    def _bootstrap(self) -> None:
        raise MemoryError


def wait_for_a_thread(_: Place) -> None:
    Unborn().start()


def wait_for_another(_: Place) -> None:
    threading.Event().wait()


@pytest.mark.parametrize(
    ("stage", "is_of_python"), [(wait_for_a_thread, True), (wait_for_another, False)]
)
def test_a_run_that_hangs_is_ended_and_its_log_tells_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: object, is_of_python: bool
) -> None:
    monkeypatch.setitem(STAGES, "none", {"hang": stage})
    log = tmp_path / "log"
    place = {"url": "", "folder": tmp_path, "inputs": tmp_path}
    request = {"domain": "none", "stage": "hang", "place": place, "log": log}
    pid = runner.start(request)
    assert runner.wait(pid, 3)["is_hung"]
    assert stage.__name__ in log.read_text()  # type: ignore[attr-defined]
    assert waits_for_a_thread(log.read_text()) is is_of_python
