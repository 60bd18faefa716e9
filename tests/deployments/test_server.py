import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil

from deployments.local.api import is_healthy
from deployments.local.paths import LocalPaths
from deployments.local.processes import ProcessRecord, free_ports, listens, record_of
from deployments.local.server import PrefectServer

START = (
    "import sys; from pathlib import Path;"
    "from deployments.local.paths import LocalPaths;"
    "from deployments.local.server import PrefectServer;"
    "server = PrefectServer(LocalPaths(Path(sys.argv[1])), first_port=int(sys.argv[2]));"
    "print(server.start(), server.pid)"
)


def test_a_second_start_reuses_the_running_server(
    prefect_server: str, local_paths: LocalPaths
) -> None:
    server = PrefectServer(local_paths)
    before = server.pid
    assert server.start() == prefect_server
    assert server.pid == before


def test_a_killed_server_comes_back_once_at_its_address_however_many_ask(
    prefect_server: str, local_paths: LocalPaths
) -> None:
    server = PrefectServer(local_paths)
    killed = server.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    port = prefect_server.split(":")[2].split("/")[0]
    command = [sys.executable, "-c", START, str(local_paths.state), port]
    starters = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {starter.communicate(timeout=150)[0].strip() for starter in starters}
    assert answers == {f"{prefect_server} {server.pid}"}
    assert server.pid != killed
    assert is_healthy(prefect_server)


def test_two_clones_that_start_at_once_never_share_one_server(
    tmp_path: Path, prefect_server: str, local_paths: LocalPaths
) -> None:
    first = next(free_ports(27200 + os.getpid() % 1000))
    clones = [LocalPaths(tmp_path / name) for name in ("one", "other")]
    for clone in clones:
        copy_server_database(local_paths, clone)
    commands = [[sys.executable, "-c", START, str(c.state), str(first)] for c in clones]
    try:
        starters = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True) for c in commands]
        answers = [starter.communicate(timeout=250)[0].split() for starter in starters]
        assert all(len(answer) == 2 for answer in answers)
        assert len({url for url, _ in answers}) == 2
        for url, pid in answers:
            assert listens(psutil.Process(int(pid)), int(url.split(":")[2].split("/")[0]))
    finally:
        for clone in clones:
            PrefectServer(clone).stop()


def copy_server_database(source: LocalPaths, clone: LocalPaths) -> None:
    """Its migrations are half of what a first start costs."""
    clone.prefect.mkdir(parents=True)
    with (
        closing(sqlite3.connect(source.prefect / "prefect.db")) as database,
        closing(sqlite3.connect(clone.prefect / "prefect.db")) as copy,
    ):
        database.backup(copy)


def test_no_integration_is_imported_to_remember_its_blocks(
    prefect_server: str, local_paths: LocalPaths
) -> None:
    assert not (local_paths.prefect / "memo_store.toml").exists()


def test_a_pid_that_now_belongs_to_another_program_is_not_taken_for_ours() -> None:
    mine = record_of(os.getpid())
    reused = ProcessRecord(mine.pid, mine.created - 3600)
    assert mine.process() == psutil.Process()
    assert reused.process() is None


def test_a_process_nobody_has_reaped_counts_as_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"], stdin=subprocess.DEVNULL)
    record = record_of(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert record.process() is None
    child.wait()


def test_ports_in_use_are_stepped_over_and_the_last_one_is_tried_first() -> None:
    first = next(free_ports(25200))
    with socket.create_server(("127.0.0.1", first)):
        assert next(free_ports(first)) > first
    assert next(free_ports(first, preferred=first + 7)) == first + 7


def test_the_ui_calls_the_port_the_server_listens_on(prefect_server: str) -> None:
    import httpx

    settings = httpx.get(prefect_server.removesuffix("/api") + "/ui-settings").json()
    assert settings["api_url"] == prefect_server
