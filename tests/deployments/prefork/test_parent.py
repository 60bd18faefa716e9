"""Children of a warm process, without Prefect: what they share, and how they end."""

import array
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.settings import get_current_settings

from deployments.local.paths import PROJECT_ROOT
from deployments.local.processes import is_alive, wait_until
from deployments.prefork.parent import receive
from deployments.prefork.relay import LENGTH_BYTES, NO_PARENT, SOCKET_VARIABLE
from deployments.prefork.warmth import require_nothing_open, require_nothing_running, settled
from deployments.prefork.worker import MEMORY_VARIABLE, RELAY, RUNS_VARIABLE, Parents, bytes_of
from flows._shared.errors import PermanentError
from tests.deployments.prefork import warm as warm_module
from tests.deployments.prefork.engine import WARM

ENGINE = "tests.deployments.prefork.engine"
RUNS, EXHAUSTIVE_RUNS = 30, 500
MEBIBYTE = 2**20


@dataclass
class Run:
    """A relay and what its child wrote."""

    relay: "subprocess.Popen[str]"
    out: Path

    def end(self) -> tuple[int, str]:
        said, _ = self.relay.communicate(timeout=60)
        return self.relay.returncode, said

    def seen(self) -> dict[str, Any]:
        assert wait_until(lambda: (self.out / "seen").exists(), 60), self.relay.poll()
        return dict(json.loads((self.out / "seen").read_text()))

    def child(self) -> psutil.Process:
        return psutil.Process(self.seen()["pid"])


class Warm:
    """Parents kept by an event loop in a thread, as the worker keeps them."""

    def __init__(self, folder: Path) -> None:
        self.parents = Parents(ENGINE, [WARM])
        self._folder = folder
        self._count = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._do(self.parents.open)

    def close(self) -> None:
        self._do(self.parents.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Callable[[], Any]) -> None:
        asyncio.run_coroutine_threadsafe(what(), self._loop).result(60)

    def start(self, what: str, *limits: str, cwd: Path = PROJECT_ROOT, **more: str) -> Run:
        self._count += 1
        out = self._folder / str(self._count)
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        environment = {**os.environ, **settings, "TEST_OUT": str(out), "TEST_DO": what}
        environment |= {SOCKET_VARIABLE: self.parents.address, "PYTHONPATH": str(PROJECT_ROOT)}
        environment |= more
        command = [sys.executable, "-I", "-S", str(RELAY), ENGINE, *limits]
        relay = subprocess.Popen(
            command,
            env=environment,
            cwd=cwd,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return Run(relay, out)

    @property
    def parent(self) -> psutil.Process:
        assert wait_until(lambda: psutil.pid_exists(self.parents.pid or 0), 60)
        return psutil.Process(self.parents.pid)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    own = {"PYTHONPATH": str(PROJECT_ROOT), RUNS_VARIABLE: "100000", MEMORY_VARIABLE: "100000"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in own.items():
            environment.setenv(name, value)
        up = Warm(tmp_path_factory.mktemp("runs"))
        yield up
        up.close()


def is_gone(process: psutil.Process) -> Callable[[], bool]:
    return lambda: not is_alive(process)


def test_a_run_has_its_own_environment_directory_and_output_and_nothing_of_another(
    warm: Warm, tmp_path: Path
) -> None:
    first = warm.start("exit:0", cwd=tmp_path, DOMAIN_ONE="1")
    assert first.end() == (0, f"told in {first.out.name}\n")
    second = warm.start("exit:0", DOMAIN_TWO="2")
    assert second.end()[0] == 0
    one, two = first.seen(), second.seen()
    assert one["directory"] == str(tmp_path)
    assert two["directory"] == str(PROJECT_ROOT)
    assert one["environment"]["DOMAIN_ONE"] == "1"
    assert "DOMAIN_ONE" not in two["environment"]
    assert "OPENBLAS_NUM_THREADS" not in two["environment"]
    assert SOCKET_VARIABLE not in two["environment"]
    for seen, run in ((one, first), (two, second)):
        assert seen["is_warm"]
        assert seen["parent"] == warm.parent.pid
        assert seen["met"] == [str(run.out)]
        # The three streams, and the folder that lists them.
        assert len(seen["files"]) == 4
    assert warm_module.met == []


def test_the_end_of_a_run_is_that_of_its_relay_and_the_next_is_well(warm: Warm) -> None:
    ends = {"exit:0": 0, "exit:3": 3, "die:SIGKILL": -9, "die:SIGSEGV": -11, "leave": 0}
    runs = {what: warm.start(what) for what in ends}
    assert {what: run.end()[0] for what, run in runs.items()} == ends
    assert wait_until(lambda: warm.parent.children(recursive=True) == [], 10)
    left = runs["leave"].seen()["left"]
    assert wait_until(lambda: not psutil.pid_exists(left) or is_gone(psutil.Process(left))(), 10)


def test_a_signal_to_the_relay_reaches_the_run_and_its_death_kills_it(warm: Warm) -> None:
    told, killed = warm.start("hold:60"), warm.start("hold:60")
    children = [told.child(), killed.child()]
    told.relay.send_signal(signal.SIGTERM)
    killed.relay.kill()
    assert told.end()[0] == -signal.SIGTERM
    assert all(wait_until(is_gone(child), 10) for child in children)


def test_a_run_past_its_memory_or_its_time_is_ended_and_says_so(warm: Warm) -> None:
    greedy = warm.start("take:400", str(300 * MEBIBYTE))
    slow = warm.start("hold:60", "0", "0.2")
    status, said = greedy.end()
    assert (status, "memory_limit of 300 MiB" in said) == (-signal.SIGKILL, True)
    status, said = slow.end()
    assert (status, "longer than its time_limit" in said) == (-signal.SIGTERM, True)


def test_many_runs_leave_no_child_no_open_file_and_no_memory(
    warm: Warm, is_exhaustive: bool
) -> None:
    for _ in range(3):
        warm.start("exit:0").end()
    parent = warm.parent
    assert wait_until(lambda: parent.children() == [], 10)
    before = parent.memory_info().rss, parent.num_fds()
    for _ in range(EXHAUSTIVE_RUNS if is_exhaustive else RUNS):
        assert warm.start("exit:0").end()[0] == 0
    assert warm.parent == parent
    assert wait_until(lambda: parent.children() == [], 10)
    # A parent may still close what belonged to the last run.
    assert wait_until(lambda: parent.num_fds() <= before[1], 10)
    assert parent.memory_info().rss - before[0] < 2 * MEBIBYTE


def test_a_run_with_other_settings_of_what_is_imported_is_a_process_of_its_own(warm: Warm) -> None:
    own = warm.start("exit:0", PREFECT_LOGGING_LEVEL="DEBUG")
    forked = warm.start("exit:0", PREFECT__FLOW_RUN_ID="of one run")
    assert (own.end()[0], forked.end()[0]) == (0, 0)
    assert own.seen()["environment"]["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert not own.seen()["is_warm"]
    assert forked.seen()["is_warm"]


def test_a_run_that_no_parent_takes_is_a_process_of_its_own(warm: Warm, tmp_path: Path) -> None:
    untaken = warm.start("exit:3", FLOWS_PREFORK_SOCKET=str(tmp_path / "nobody"))
    status, said = untaken.end()
    assert (status, "a process of its own" in said) == (3, True)
    assert not untaken.seen()["is_warm"]
    assert SOCKET_VARIABLE not in untaken.seen()["environment"]


def test_a_call_whose_relay_has_given_up_is_no_request() -> None:
    parent, relay = socket.socketpair()
    content = b"0\0000\0/\0A=1"
    streams = array.array("i", [0, 1, 2])
    relay.sendmsg(
        [len(content).to_bytes(LENGTH_BYTES, "big") + content],
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)],
    )
    relay.close()
    with pytest.raises(ValueError, match="given up"):
        receive(parent)
    parent.close()


def test_a_killed_parent_ends_its_runs_and_one_that_forked_its_runs_is_replaced(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, run = warm.parent, warm.start("hold:60")
    child = run.child()
    monkeypatch.setenv(RUNS_VARIABLE, "1")
    parent.kill()
    assert run.end()[0] == NO_PARENT
    assert wait_until(is_gone(child), 10)
    assert wait_until(lambda: warm.parent != parent, 60)
    monkeypatch.undo()
    worn = warm.parent
    assert warm.start("exit:0").end()[0] == 0
    assert wait_until(is_gone(worn), 60)
    assert warm.start("exit:0").end()[0] == 0


def test_a_changed_file_replaces_the_parent_while_its_runs_go_on(warm: Warm) -> None:
    parent, run = warm.parent, warm.start("hold:4")
    assert run.child().ppid() == parent.pid
    now = time.time()
    os.utime(warm_module.__file__, (now, now))
    after = warm.start("exit:0")
    assert after.end()[0] == 0
    assert after.seen()["parent"] != parent.pid
    assert run.end()[0] == 0
    assert wait_until(is_gone(parent), 20)


def test_a_thread_or_an_open_file_keeps_the_parent_from_forking(tmp_path: Path) -> None:
    is_over = threading.Event()
    thread = threading.Thread(target=is_over.wait)
    thread.start()
    with pytest.raises(PermanentError, match="threads"):
        require_nothing_running()
    is_over.set()
    thread.join()
    with (tmp_path / "file").open("w"), pytest.raises(PermanentError, match="open"):
        require_nothing_open(allowed={0, 1, 2})


def test_a_file_that_changed_while_it_was_imported_counts_as_changed() -> None:
    files = frozenset({("old", 5, 1), ("written meanwhile", 15, 1), ("of a clock ahead", 99, 1)})
    assert {name for name, *_ in settled(files, began=10, now=20)} == {"old", "of a clock ahead"}


def test_amounts_are_read_as_kubernetes_writes_them() -> None:
    assert [bytes_of(each) for each in ("1", "2Ki", "512Mi", "1.5Gi")] == [
        1,
        2048,
        512 * MEBIBYTE,
        1536 * MEBIBYTE,
    ]
    with pytest.raises(ValueError, match="many"):
        bytes_of("many")
