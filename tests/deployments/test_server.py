import json
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from blocks.registration import register
from deployments.local import runtime
from deployments.local.api import PrefectApi, is_healthy
from deployments.local.bigquery import BigQueryEmulator
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.privilege import is_root
from deployments.local.processes import (
    BackgroundProcess,
    ProcessRecord,
    died,
    free_ports,
    listens,
    record_of,
)
from deployments.local.server import PrefectServer
from deployments.local.webhooks import WebhookReceiver
from flows._shared.environment import set_environment
from flows._shared.errors import TransientError
from tests.ports import own_ports
from tests.server_database import copy_server_database

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


def test_clients_of_the_local_server_read_one_authority_and_a_shell_keeps_them_all(
    prefect_server: str, local_paths: LocalPaths
) -> None:
    environment = runtime.environment(local_paths, prefect_server)
    context = ssl.create_default_context(cafile=environment["PREFECT_API_SSL_CERT_FILE"])
    assert len(context.get_ca_certs()) == 1
    assert "PREFECT_API_SSL_CERT_FILE" not in runtime.printable(environment)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_what_the_server_writes_is_for_its_user_alone(
    prefect_server: str, local_paths: LocalPaths
) -> None:
    kept = modes(local_paths.prefect) | modes(local_paths.run)
    for name in ("prefect.db", "sign-in", "server.log", "server.json"):
        assert not kept[name] & 0o077, name
    assert {modes(local_paths.state)[name] for name in ("prefect", "run")} == {0o700}


@pytest.mark.parametrize("credentials", [None, ("local", "a guess")])
def test_whoever_does_not_know_the_sign_in_reads_and_starts_nothing(
    prefect_server: str, credentials: tuple[str, str] | None
) -> None:
    for path in ("block_documents/filter", "deployments/filter", "flows/"):
        answer = httpx.post(f"{prefect_server}/{path}", json={"name": "f"}, auth=credentials)
        assert answer.status_code == 401, path


def test_a_schedule_that_is_on_leaves_its_next_runs(prefect_server: str) -> None:
    with PrefectApi(prefect_server, os.environ) as api:
        flow = api.call("POST", "flows/", {"name": "scheduled"})["id"]
        every_hour = {"schedule": {"cron": "0 * * * *", "timezone": "UTC"}, "active": True}
        made = {"name": "hourly", "flow_id": flow, "schedules": [every_hour]}
        deployment = api.call("POST", "deployments/", made)["id"]
        # As the scheduler does each minute.
        api.call("POST", f"deployments/{deployment}/schedule", {"max_runs": 3})
        runs = api.all("flow_runs/filter", {"deployments": {"id": {"any_": [deployment]}}})
        api.call("DELETE", f"deployments/{deployment}")
    assert {run["state_type"] for run in runs} == {"SCHEDULED"}
    assert len(runs) >= 3


def test_another_user_reads_nothing_of_an_installation_made_before() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        paths = LocalPaths(Path(folder) / "local")
        files = [paths.prefect / "prefect.db", paths.run / "applied.json", paths.cache / "a" / "b"]
        for file in [*files, paths.state / "note"]:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("a secret")
            file.chmod(0o644)
        paths.postgres.mkdir(mode=0o711)
        paths.make_private()
        closed = [paths.prefect, paths.run, paths.cache]
        assert {stat.S_IMODE(each.stat().st_mode) for each in closed} == {0o700}
        assert not stat.S_IMODE(paths.state.stat().st_mode) & 0o066
        if is_root():
            for file in [*files, paths.state / "note"]:
                command = ["cat", str(file)]
                seen = subprocess.run(command, user="nobody", capture_output=True)
                assert (seen.returncode, seen.stdout) == (1, b"")


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


@pytest.mark.parametrize("part", ["server", "bigquery", "webhooks"])
def test_a_port_that_another_program_took_meanwhile_is_left_to_it(
    part: str,
    tmp_path: Path,
    prefect_server: str,
    local_paths: LocalPaths,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seconds pass from the search for a free port to the part's own look at it."""
    taken = int(prefect_server.split(":")[2].split("/")[0])
    monkeypatch.setattr(f"deployments.local.{part}.free_ports", lambda *_: iter([taken]))
    paths = LocalPaths(tmp_path)
    # An empty one would be migrated before the server looks at its port.
    copy_server_database(local_paths.server_database, paths.server_database)
    receiver = WebhookReceiver(paths)
    if part == "webhooks":
        variables = {**receiver.secrets(), "WEBHOOKS_DATABASE_URL": database}
        with set_environment({"PREFECT_API_URL": prefect_server}):
            register(["webhooks"], variables)
    start: dict[str, Callable[[], str]] = {
        "server": PrefectServer(paths).start,
        "bigquery": BigQueryEmulator(paths).start,
        "webhooks": lambda: receiver.start({**os.environ, "PREFECT_API_URL": prefect_server}),
    }
    with pytest.raises(TransientError, match="each of its ports is taken"):
        start[part]()
    record = ProcessRecord.read(paths.run / f"{part}.json")
    assert record is not None
    assert record.process() is None
    assert is_healthy(prefect_server)


def test_what_ends_at_once_is_told_by_the_line_with_its_cause(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("ModuleNotFoundError: No module named 'x'\n" + "    in a frame\n" * 40)
    assert "No module named 'x'" in died("a part", log, "").seen


@pytest.mark.exhaustive
def test_two_clones_that_start_at_once_never_share_one_server(
    tmp_path: Path, prefect_server: str, local_paths: LocalPaths
) -> None:
    first = next(own_ports(27_200, step=4))
    clones = [LocalPaths(tmp_path / name) for name in ("one", "other")]
    for clone in clones:
        copy_server_database(local_paths.server_database, clone.server_database)
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


def test_no_integration_is_imported_to_remember_its_blocks(
    prefect_server: str, local_paths: LocalPaths
) -> None:
    assert not (local_paths.prefect / "memo_store.toml").exists()


def test_a_pid_that_now_belongs_to_another_program_is_not_taken_for_ours() -> None:
    mine = record_of(os.getpid())
    reused = ProcessRecord(mine.pid, mine.created - 3600)
    assert mine.process() == psutil.Process()
    assert reused.process() is None


def test_a_copy_of_a_clone_has_none_of_its_processes_and_a_clone_that_moved_keeps_them(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            original, copy = tmp_path / "original", tmp_path / "copy"
            record_of(process.pid, 4200).write(original / "worker.json")
            shutil.copytree(original, copy)
            of_copy = BackgroundProcess(copy, "worker", "the worker")
            assert (of_copy.pid, of_copy.last_port) == (None, 0)
            of_copy.stop()
            assert process.poll() is None
            moved = original.rename(tmp_path / "moved")
            assert BackgroundProcess(moved, "worker", "the worker").pid == process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("is_of_this_clone", [True, False])
def test_a_record_of_an_earlier_version_is_of_the_clone_in_which_its_process_works(
    tmp_path: Path, is_of_this_clone: bool
) -> None:
    with subprocess.Popen(
        ["sleep", "60"], cwd=PROJECT_ROOT if is_of_this_clone else "/"
    ) as process:
        try:
            created = psutil.Process(process.pid).create_time()
            file = tmp_path / "server.json"
            file.write_text(json.dumps({"pid": process.pid, "created": created, "port": 4200}))
            assert (ProcessRecord.read(file) is not None) == is_of_this_clone
        finally:
            process.kill()


def test_a_process_nobody_has_reaped_counts_as_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"], stdin=subprocess.DEVNULL)
    record = record_of(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert record.process() is None
    child.wait()


def test_ports_in_use_are_stepped_over_and_the_last_one_is_tried_first() -> None:
    first = next(own_ports(25_200, step=8))
    with socket.create_server(("127.0.0.1", first)):
        assert next(free_ports(first)) > first
    assert next(free_ports(first, preferred=first + 7)) == first + 7


def test_the_ui_calls_the_port_the_server_listens_on(prefect_server: str) -> None:
    settings = httpx.get(prefect_server.removesuffix("/api") + "/ui-settings").json()
    assert settings["api_url"] == prefect_server
