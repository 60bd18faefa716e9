"""Each diagnosis, on a set-up that is broken just there."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit

import httpx
import psutil
import psycopg
import pytest

from blocks import CATALOGUE, BlockNeed, not_in_use
from blocks.registration import register
from deployments.apply.infrastructure import TEMPLATE_FILES
from deployments.cli.app import main
from deployments.cli.doctor import (
    World,
    databases,
    diagnose,
    looked,
    machine,
    outside,
    schedules,
    server,
    store,
)
from deployments.cli.told import Diagnosis
from deployments.local import applied, commands
from deployments.local.paths import LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import ProcessRecord, record_of, wait_until, write_private
from deployments.local.worker import PREFORK
from deployments.roles import DATABASES
from flows._shared.errors import PermanentError
from flows.agent_analytics.raw import Store
from flows.agent_analytics.settings import PATH_VARIABLE
from flows.webhooks.inbox import prepare_inbox
from tests.accounts import without_root
from tests.deployments.pool import Pool
from tests.lasting_blocks import LastingBlocks

ENDED = ProcessRecord(pid=2**22 - 7, created=1.0)
INBOX, READER = CATALOGUE["webhooks"][:2]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(LocalPaths(tmp_path / "local"), {}, tmp_path)


@contextmanager
def answering(
    status: int = 200, body: object = None, headers: Mapping[str, str] | None = None
) -> Iterator[str]:
    """An HTTP server that says the same to everyone."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(body).encode()
            self.send_response_only(status if "health" not in self.path else 200)
            for name, value in {"Date": self.date_time_string(), **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=served.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{served.server_address[1]}"
    finally:
        served.shutdown()
        served.server_close()


def only(look: Callable[[World], Iterator[Diagnosis]], world: World) -> Diagnosis:
    found = list(look(world))
    problems = [each for each in found if each.is_problem]
    assert len(problems) == 1, found
    assert problems[0].remedy
    return problems[0]


def test_a_folder_of_another_account(world: World) -> None:
    assert not list(machine.access(world))
    world.project.chmod(0o500)
    with without_root():
        told = only(machine.access, world)
    world.project.chmod(0o700)
    assert told.seen == f"{world.project} cannot be written"
    assert f"belongs to {world.project.owner()}" in told.remedy


def test_a_wrong_python(world: World) -> None:
    broken = World(world.paths, python=(3, 10))
    assert (
        "3.10 runs; the locked packages are for 3.11 to 3.13" in only(machine.python, broken).seen
    )


def test_packages_that_are_not_those_of_the_lock(world: World) -> None:
    (world.project / "requirements.lock").write_text("prefect==0.1 \\\n    --hash=sha256:0\n")
    assert ", requirements.lock has 0.1" in only(machine.packages, world).seen


def test_a_disk_that_is_full(world: World) -> None:
    full = World(world.paths, project=world.project, needed_bytes=10**18)
    assert "databases and builds stop when it is full" in only(machine.disk, full).seen


def test_what_a_process_that_ended_left(world: World) -> None:
    ENDED.write(world.paths.run / "worker.json")
    assert not [each for each in machine.leftovers(world) if each.is_problem], "all is stopped"
    record_of(os.getpid()).write(world.paths.run / "server.json")
    assert f"process {ENDED.pid}, which has ended" in only(machine.leftovers, world).seen


def test_a_part_that_a_signal_stopped(world: World) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            record_of(process.pid).write(world.paths.run / "worker.json")
            assert not [each for each in machine.leftovers(world) if each.is_problem]
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            stopped = only(machine.leftovers, world)
        finally:
            process.kill()
    assert stopped.seen == f"process {process.pid} of the worker is stopped, as by a signal"
    assert f"`kill -CONT {process.pid}`" in stopped.remedy


def test_a_postgresql_of_this_machine_that_is_stopped_or_killed_or_lets_nobody_in(
    world: World,
) -> None:
    cluster = EmbeddedPostgres(world.paths.postgres, first_port=26_520, is_durable=False)
    assert list(machine.postgresql(world)) == []
    try:
        pid = cluster.start().pid
        assert pid is not None
        password = cluster.directory / "password"
        known = password.read_text()
        assert [each.is_problem for each in machine.postgresql(world)] == [False]
        password.unlink()
        assert f"{password} is missing" in only(machine.postgresql, world).seen
        password.write_text("changed")
        with pytest.raises(PermanentError, match="password authentication failed"):
            list(machine.postgresql(world))
        password.write_text(known)
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        stopped = only(machine.postgresql, world)
        assert stopped.seen == f"process {pid} is stopped, as by a signal"
        assert "`flows up`" in stopped.remedy
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not cluster.is_running(), 10)
        killed = only(machine.postgresql, world)
        assert killed.seen == f"process {pid} of it works no more, and was not stopped"
        assert "`flows up`" in killed.remedy
    finally:
        cluster.stop()
    assert list(machine.postgresql(world)) == []
    record_of(os.getpid()).write(world.paths.run / "server.json")
    assert only(machine.postgresql, world).seen == "it does not run"
    elsewhere = World(world.paths, {"DATABASE_URL": "postgresql://db.example/all"}, world.project)
    assert list(machine.postgresql(elsewhere)) == []


def test_a_deployment_or_automation_that_was_deleted(served: World, pool: Pool) -> None:
    write_private(served.paths.run / applied.FILE, json.dumps({"names": ["automation gone-since"]}))
    assert list(server.deleted(served)) == [], "of a server elsewhere"
    record_of(os.getpid(), urlsplit(pool.url).port or 0).write(served.paths.run / "server.json")
    told = only(server.deleted, served)
    assert (told.seen, told.details) == (
        "1 that `flows up` applied is gone",
        ["automation gone-since"],
    )
    known = json.dumps({"names": sorted(applied.names(pool.api))})
    write_private(served.paths.run / applied.FILE, known)
    assert list(server.deleted(served)) == []


def test_a_receiver_that_does_not_answer_or_is_not_ready(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(port: int) -> World:
        record_of(os.getpid(), port).write(world.paths.run / "webhooks.json")
        return world

    assert list(machine.receiver(world)) == []
    monkeypatch.setattr(machine, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        asked = only(machine.receiver, at(mute.getsockname()[1]))
    assert f"process {os.getpid()} runs and does not answer" in asked.seen
    assert asked.remedy == "`flows stop`, then `flows up`"
    with answering(503, "the source scout has no secret") as url:
        unready = only(machine.receiver, at(urlsplit(url).port or 0))
    assert "the source scout has no secret" in unready.seen
    with answering(200, "ready") as url:
        (ready,) = machine.receiver(at(urlsplit(url).port or 0))
    assert not ready.is_problem


def test_a_bigquery_emulator_that_runs_are_told_of_and_that_is_gone(world: World) -> None:
    def told(host: str) -> list[Diagnosis]:
        environment = {**os.environ, "BIGQUERY_EMULATOR_HOST": host}
        with subprocess.Popen(["sleep", "60"], env=environment) as worker:
            try:
                record_of(worker.pid).write(world.paths.run / "worker.json")
                # A process has begun a moment before its environment can be read.
                assert wait_until(lambda: psutil.Process(worker.pid).environ() == environment, 10)
                return list(machine.emulator(world))
            finally:
                worker.kill()

    assert list(machine.emulator(world)) == []
    assert told("") == []
    with answering(404) as url:
        (there,) = told(url)
    assert not there.is_problem
    (gone,) = told("http://127.0.0.1:9")
    assert (gone.name, gone.is_problem) == ("BigQuery emulator", True)
    assert "http://127.0.0.1:9, which runs are told of, does not answer" in gone.seen


def test_a_machine_without_git(world: World) -> None:
    without = World(world.paths, {"PATH": str(world.project)}, world.project)
    assert only(machine.git, without).seen.startswith("none on PATH")
    (there,) = machine.git(World(world.paths, {"PATH": os.environ["PATH"]}, world.project))
    assert not there.is_problem


def test_events_that_the_local_server_put_aside(world: World) -> None:
    assert list(machine.events_put_aside(world)) == []
    aside = world.paths.prefect / "dlq"
    aside.mkdir(parents=True)
    for number in range(2):
        event = json.dumps({"event": "prefect.flow-run.Completed"})
        (aside / str(number)).write_text(json.dumps({"data": event}))
    (aside / "cut").write_text('{"data"')
    told = only(machine.events_put_aside, world)
    assert told.seen.startswith("3 that the local server could not take in, the last at ")
    assert told.details == ["2 of prefect.flow-run.Completed", "1 of a kind that cannot be read"]
    assert str(aside) in told.remedy


def test_a_port_that_is_taken(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ProcessRecord(ENDED.pid, ENDED.created, port).write(world.paths.run / "server.json")
        seen = only(machine.ports, world).seen
    assert f"port {port}, which the Prefect server had, is taken by python" in seen


def test_dbt_packages_that_are_missing(world: World) -> None:
    projects = world.project / "dbt_projects"
    (projects / "scout" / "dbt_packages").mkdir(parents=True)
    (projects / "scout" / "packages.yml").write_text("packages: [{local: ../_shared}]")
    (projects / "_shared").mkdir()
    (projects / "_shared" / "dbt_project.yml").write_text("name: analytics_shared")
    assert only(machine.dbt_packages, world).remedy == "`flows dbt scout deps`"


@pytest.mark.parametrize("slug", list(DATABASES))
def test_what_tables_should_have_are_columns(slug: str) -> None:
    columns = set().union(*databases.expected_columns(slug).values())
    assert [each for each in columns if not each.strip('"').isidentifier()] == []


def test_a_duckdb_file_that_is_locked_or_damaged(world: World, tmp_path: Path) -> None:
    own = Store(tmp_path / "agents.duckdb")
    here = World(world.paths, {PATH_VARIABLE: str(own.path)}, tmp_path)
    own.connect().close()
    (opens,) = store.duckdb_file(here)
    assert not opens.is_problem
    with own.locked("the hourly run", 1, print):
        (held,) = store.duckdb_file(here)
    assert "is written by the hourly run" in held.seen
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(own.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert "does not wait its turn" in only(store.duckdb_file, here).seen
        other.communicate(b"\n")
    own.path.write_bytes(b"\0" * 20_000)
    damaged = only(store.duckdb_file, here)
    assert "is damaged" in damaged.seen
    assert damaged.remedy.startswith("Put a backup in its place")


def test_a_server_that_is_not_there_or_lets_nobody_in(world: World) -> None:
    assert only(server.reachable, world).remedy == "`flows up`, or set PREFECT_API_URL"
    nowhere = World(world.paths, {"PREFECT_API_URL": "http://127.0.0.1:9/api"})
    assert "127.0.0.1:9/api does not answer" in only(server.reachable, nowhere).seen
    with answering(401, {"exception_message": "Unauthorized"}) as url:
        refusing = World(world.paths, {"PREFECT_API_URL": f"{url}/api"})
        assert "PREFECT_API_AUTH_STRING" in only(server.reachable, refusing).remedy


def test_an_address_that_lacks_a_part_is_told_the_part(world: World, prefect_server: str) -> None:
    for wrong, lack in (
        (prefect_server.removesuffix("/api"), "it lacks /api at its end"),
        (prefect_server.removeprefix("http://"), "it lacks http:// or https:// in front"),
    ):
        told = only(server.reachable, World(world.paths, {"PREFECT_API_URL": wrong}))
        assert (told.seen, lack in told.seen) == (f"{wrong} is no address of an API: {lack}", True)
        assert told.remedy.startswith("Correct PREFECT_API_URL")


def test_a_sign_in_that_changed_while_the_server_runs(
    prefect_server: str,
    local_paths: LocalPaths,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in ("settings", "doctor.world"):
        monkeypatch.setattr(f"deployments.cli.{module}.LocalPaths", lambda: local_paths)
    monkeypatch.setattr(commands, "LocalPaths", lambda: local_paths)
    known = local_paths.sign_in.read_text()
    try:
        for other in ("local:another", None):
            local_paths.sign_in.unlink()
            if other:
                local_paths.sign_in.write_text(other)
            for command in ("env", "replay --source scout --id x", "blocks check", "apply"):
                with patch.dict(os.environ):
                    assert main(command.split()) == 1, command
                told = capsys.readouterr()
                assert "with another sign-in" in told.err, command
                assert "`flows stop`, then `flows up`" in told.err, command
                assert told.out == ""
            wrong = {
                "PREFECT_API_URL": prefect_server,
                "PREFECT_API_AUTH_STRING": "local:another",
            }
            refused = World(local_paths, wrong)
            told_by_doctor = only(server.reachable, refused)
            assert str(local_paths.sign_in) in told_by_doctor.seen
            assert told_by_doctor.remedy == "`flows stop`, then `flows up`"
            with pytest.raises(PermanentError, match="PREFECT_API_AUTH_STRING"):
                refused.api.call("GET", "admin/version")
    finally:
        write_private(local_paths.sign_in, known)


def test_of_a_token_in_a_server_that_does_not_let_us_in_nothing_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.cli.doctor.OF_MACHINE", ())
    with answering(401, {}) as url:
        for api in (f"{url}/api", "http://127.0.0.1:9/api"):
            there = World(world.paths, {"PREFECT_API_URL": api}, world.project, github=url)
            assert [each.name for each in diagnose(there) if each.is_problem] == ["Prefect server"]
            assert "GitHub token" not in [each.name for each in diagnose(there)]


def test_a_server_of_another_version(world: World) -> None:
    with answering(200, "3.0.0") as url:
        older = World(world.paths, {"PREFECT_API_URL": f"{url}/api"})
        assert only(server.version, older).seen.startswith("the server is 3.0.0, the client 3.")


@pytest.fixture(scope="module")
def pool(prefect_server: str) -> Pool:
    return Pool(prefect_server)


@pytest.fixture
def served(world: World, pool: Pool) -> World:
    import os

    environment = {**os.environ, "PREFECT_API_URL": pool.url, "PREFECT_WORK_POOL": pool.name}
    return World(world.paths, environment, world.project)


def test_a_pool_that_is_missing_or_paused_or_has_no_worker(served: World, pool: Pool) -> None:
    (good,) = server.work_pools(served)
    assert not good.is_problem
    absent = only(server.workers, served)
    assert f"no worker polls {pool.name}" in absent.seen
    assert f"`prefect worker start --pool {pool.name}`" in absent.remedy
    warm = Pool(pool.url, PREFORK).name
    of_forks = World(served.paths, {**served.environment, "PREFECT_WORK_POOL": warm})
    assert f"`python -m deployments.prefork --pool {warm}`" in only(server.workers, of_forks).remedy
    pool.api.call("PATCH", f"work_pools/{pool.name}", {"is_paused": True})
    assert "is paused" in only(server.work_pools, served).seen
    pool.api.call("PATCH", f"work_pools/{pool.name}", {"is_paused": False, "concurrency_limit": 0})
    assert "has the concurrency limit 0: nothing takes its runs" in (
        only(server.work_pools, served).seen
    )
    pool.api.call("PATCH", f"work_pools/{pool.name}", {"concurrency_limit": None})
    queues = f"work_pools/{pool.name}/queues"
    for broken, seen in (
        ({"concurrency_limit": 0}, "has the concurrency limit 0"),
        ({"is_paused": True}, "is paused"),
    ):
        pool.api.call("POST", queues, {"name": "closed", **broken})
        told = only(server.work_pools, served)
        assert told.seen == f"the queue closed of {pool.name} {seen}: nothing takes its runs"
        assert f" closed --pool {pool.name}`" in told.remedy
        pool.api.call("DELETE", f"{queues}/closed")
    # Whoever mends one cause is told of the others at once.
    pool.api.call("PATCH", f"work_pools/{pool.name}", {"is_paused": True, "concurrency_limit": 0})
    pool.api.call("POST", queues, {"name": "closed", "is_paused": True, "concurrency_limit": 0})
    assert [
        each.seen.removesuffix(": nothing takes its runs") for each in server.work_pools(served)
    ] == [
        f"{pool.name} is paused",
        f"{pool.name} has the concurrency limit 0",
        f"the queue closed of {pool.name} is paused",
        f"the queue closed of {pool.name} has the concurrency limit 0",
    ]
    pool.api.call("DELETE", f"{queues}/closed")
    opened = {"is_paused": False, "concurrency_limit": None}
    pool.api.call("PATCH", f"work_pools/{pool.name}", opened)
    without = World(served.paths, {**served.environment, "PREFECT_WORK_POOL": "nobodys"})
    nobodys = only(server.work_pools, without)
    assert "the server has no pool nobodys" in nobodys.seen
    assert [each for each in TEMPLATE_FILES if each not in nobodys.remedy] == []
    of_both = World(served.paths, {**served.environment, "PREFECT_WARM_WORK_POOL": warm})
    assert [each.seen for each in server.work_pools(of_both)] == [
        f"{pool.name}, of type process",
        f"{warm}, of type prefork",
    ]
    assert [each.seen for each in server.workers(of_both)] == [
        f"no worker polls {pool.name}",
        f"no worker polls {warm}",
    ]


def test_the_worker_of_this_machine_polls_if_its_process_runs(
    served: World, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = urlsplit(pool.url).port or 0
    ours = ProcessRecord(os.getpid(), record_of(os.getpid()).created, port)
    ours.write(served.paths.run / "server.json")
    record_of(os.getpid()).write(served.paths.run / "worker.json")
    monkeypatch.setattr(server, "WORKER_BEGINS_SECONDS", 0.0)
    assert f"process {os.getpid()} of local does not" in only(server.workers, served).seen
    monkeypatch.setattr(server, "WORKER_BEGINS_SECONDS", float("inf"))
    (starting,) = server.workers(served)
    assert f"process {os.getpid()} of local runs and has not polled {pool.name}" in starting.seen
    heartbeat = f"work_pools/{pool.name}/workers/heartbeat"
    pool.api.call("POST", heartbeat, {"name": "local"})
    assert [each.seen for each in server.workers(served)] == [f"local polls {pool.name}"]
    ENDED.write(served.paths.run / "worker.json")
    stopped = only(server.workers, served)
    assert f"no worker polls {pool.name}; process {ENDED.pid} of local has ended" in stopped.seen
    # Another server's worker of that name may be another machine's.
    ENDED.write(served.paths.run / "server.json")
    (told,) = server.workers(served)
    assert "that of this machine has ended" in told.seen
    pool.api.call("POST", heartbeat, {"name": "other"})
    ours.write(served.paths.run / "server.json")
    assert [each.seen for each in server.workers(served)] == [f"other polls {pool.name}"]
    for name in ("local", "other"):
        pool.api.call("DELETE", f"work_pools/{pool.name}/workers/{name}")


def test_runs_that_are_late_or_stuck(
    served: World, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = pool.api.deployment(pool.deploy())
    assert found is not None
    run = pool.api.start_run(found["id"], {})
    assert not any(each.is_problem for each in server.late_runs(served))
    monkeypatch.setattr(server, "LATE", timedelta(seconds=-60))
    assert run["id"] in only(server.late_runs, served).details[0]
    for state in ("PENDING", "RUNNING"):
        body = {"state": {"type": state, "name": state.capitalize()}}
        pool.api.call("POST", f"flow_runs/{run['id']}/set_state", body)
        assert not any(each.is_problem for each in server.stuck_runs(served))
        with monkeypatch.context() as patched:
            patched.setattr(server, state, timedelta(0))
            assert run["id"] in only(server.stuck_runs, served).details[0]
    pool.api.mark_crashed(run["id"], "over")


def test_schedules_for_which_the_server_plans_no_runs(
    served: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(served.environment["PREFECT_API_URL"])
    here = World(served.paths, {**served.environment, "PREFECT_WORK_POOL": pool.name})
    (none,) = schedules.planned_runs(here)
    assert (none.seen, none.is_problem) == ("none is active", False)
    hourly = {"cron": "0 * * * *", "timezone": "UTC"}
    in_half_a_year = (datetime.now(UTC) + timedelta(days=200)).isoformat()
    seldom = {"interval": 400 * 86_400, "anchor_date": in_half_a_year, "timezone": "UTC"}
    over = {"rrule": "DTSTART:20200101T000000\nFREQ=DAILY;COUNT=2", "timezone": "UTC"}
    good = pool.deploy_on("good", hourly=hourly, seldom=seldom, over=over)
    pool.deploy_on("paused", is_paused=True, hourly=hourly)
    (young,) = schedules.planned_runs(here)
    assert (young.seen, young.is_problem) == (
        "runs are planned for the 3 that are active, of which 3 may still wait",
        False,
    )
    monkeypatch.setattr(schedules, "LOOKS", 0)
    pool.api.call("POST", f"deployments/{good}/schedule", {})
    (planned,) = schedules.planned_runs(here)
    assert (planned.seen, planned.is_problem) == (
        "runs are planned for the 3 that are active",
        False,
    )

    broken = pool.deploy_on("broken", hourly=hourly, never={"cron": "0 0 30 2 *"})
    with pytest.raises(PermanentError):
        pool.api.call("POST", f"deployments/{broken}/schedule", {})
    told = only(schedules.planned_runs, here)
    assert told.seen == "the server does not plan the runs of 2 of 5 that are active"
    assert [each.partition(", the first due")[0] for each in sorted(told.details)] == [
        "broken, schedule hourly: 0 of the next 3",
        "broken, schedule never: no date comes of it (CroniterBadDateError)",
    ]
    assert told.remedy.startswith("Its log says why")
    record = ProcessRecord(
        os.getpid(), record_of(os.getpid()).created, urlsplit(pool.url).port or 0
    )
    record.write(served.paths.run / "server.json")
    assert str(served.paths.run / "server.log") in only(schedules.planned_runs, here).remedy
    assert schedules.server_began(here).timestamp() == record.created


def test_a_server_or_schedule_that_is_minutes_old_may_have_planned_nothing_yet() -> None:
    now = datetime.now(UTC)
    before, lately = now - timedelta(hours=1), now - timedelta(minutes=4)
    looked = {
        (changed, began): schedules.Plan({}, now).has_looked_at(
            {"updated": changed.isoformat()}, began
        )
        for changed in (before, lately)
        for began in (before, lately)
    }
    assert [each for each, has_looked in looked.items() if has_looked] == [(before, before)]
    assert not schedules.Plan({"loop_seconds": 900}, now).has_looked_at(
        {"updated": before.isoformat()}, before
    )


def test_a_slot_that_no_run_holds(served: World, pool: Pool) -> None:
    name = f"analytics-flows-{pool.name}"
    limit = pool.post("v2/concurrency_limits/", {"name": name, "limit": 1, "active_slots": 1})
    try:
        problems = [each for each in server.slots(served) if each.is_problem]
        (leaked,) = [each for each in problems if name in each.seen]
        assert "held by no run" in leaked.seen
        assert "--active-slots 0" in leaked.remedy
    finally:
        pool.api.call("DELETE", f"v2/concurrency_limits/{limit['id']}")


def test_a_domain_that_a_server_has_no_block_of_is_not_missed_where_it_has_others() -> None:
    registered = {"scout-postgres", "webhooks-inbox-secrets"}

    def has(need: BlockNeed) -> bool:
        return need.name in registered

    absent = not_in_use(has)
    assert "scout" not in absent
    assert {"github_scraper", "ledgermind", "quality_compass"} <= set(absent)
    registered.add("ledgermind-dbt-postgres")
    assert "ledgermind" not in not_in_use(has), "one of its blocks is enough to miss the others"
    registered.clear()
    assert not_in_use(has) == (), "a server without any block serves no domain, and is told so"


def test_blocks_that_are_missing_and_a_receiver_without_secrets(served: World) -> None:
    missing = [each.seen for each in server.blocks(served) if each.is_problem]
    assert any("webhooks-postgres is not registered" in each for each in missing)
    assert "every delivery is refused" in only(server.receiver_secrets, served).seen


def test_a_source_without_a_secret(
    served: World, pool: Pool, lasting_blocks: LastingBlocks
) -> None:
    kept = lasting_blocks.present()
    senders = {
        need.variable: "a-secret-of-32-characters-or-more"
        for need in CATALOGUE["webhooks"]
        if need.variable.endswith("_SECRETS") and "SCOUT" not in need.variable
    }
    register(("webhooks",), {INBOX.variable: "postgresql://u@127.0.0.1:9/inbox", **senders})
    # Receivers elsewhere may leave the source out.
    (elsewhere,) = server.receiver_secrets(served)
    assert not elsewhere.is_problem
    assert "the setting `enabled`" in elsewhere.remedy
    port = urlsplit(pool.url).port or 0
    record_of(os.getpid(), port).write(served.paths.run / "server.json")
    here = only(server.receiver_secrets, served)
    assert "webhooks-scout-secrets is not registered: what its sender posts is refused" in here.seen
    assert "webhooks-github-secrets" in here.seen
    assert here.remedy.startswith("`flows up` registers one")
    lasting_blocks.end_all_but(kept)


def test_a_password_that_is_wrong_and_a_database_that_is_not_there(
    served: World, database: str, lasting_blocks: LastingBlocks, local_paths: LocalPaths
) -> None:
    kept = lasting_blocks.present()
    for wrong, seen in (
        (database.replace("@", "x@", 1), "password authentication failed"),
        (database.rsplit("/", 1)[0] + "/nobodys", 'database "nobodys" does not exist'),
    ):
        register(("webhooks",), {INBOX.variable: wrong})
        problems = [each for each in databases.databases(served) if each.is_problem]
        assert any(seen in each.seen and "flows blocks" in each.remedy for each in problems)
        assert not any(wrong in each.seen for each in problems)
    # Of the one that is embedded here `flows up` makes the block.
    here = World(local_paths, served.environment, served.project)
    embedded = only(databases.databases, here)
    assert embedded.remedy.startswith(
        "`prefect block delete sqlalchemy-connector/webhooks-postgres`, then `flows up`"
    )
    register(("webhooks",), {INBOX.variable: "postgresql://u@127.0.0.1:9/inbox"})
    away = only(databases.databases, here)
    delete, _, _ = embedded.remedy.partition(". ")
    assert away.remedy == f"{delete}; or start what is to answer at 127.0.0.1:9"
    lasting_blocks.end_all_but(kept)


def test_a_role_that_may_not_log_in_has_no_connection_or_only_reads(
    served: World, database: str, lasting_blocks: LastingBlocks
) -> None:
    kept = lasting_blocks.present()
    parts = urlsplit(database)
    netloc = f"doctors_patient:known@{parts.hostname}:{parts.port}"
    register(("webhooks",), {INBOX.variable: urlunsplit(parts._replace(netloc=netloc))})
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop role if exists doctors_patient")
        connection.execute("create role doctors_patient login password 'known'")
        connection.execute("create schema webhooks authorization doctors_patient")
        try:
            for broken, seen, remedy in (
                ("connection limit 0", "too many connections", "raise the limit"),
                ("nologin", "not permitted", "`alter role doctors_patient login`"),
                ("set default_transaction_read_only = on", "writes nothing", "`alter role doctors"),
            ):
                connection.execute("alter role doctors_patient login connection limit -1")
                connection.execute(f"alter role doctors_patient {broken}".encode())
                told = only(databases.databases, served)
                assert (seen in told.seen, remedy in told.remedy) == (True, True), told
            connection.execute("alter role doctors_patient reset default_transaction_read_only")
            assert not any(each.is_problem for each in databases.databases(served))
        finally:
            connection.execute("drop owned by doctors_patient")
            connection.execute("drop role doctors_patient")
    lasting_blocks.end_all_but(kept)


def test_what_is_wrong_in_a_database(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        prepare_inbox(connection)
        assert list(databases.look(connection, "webhooks", INBOX)) == []
        connection.execute(
            "insert into webhooks.outbox (event_id, event, due_at)"
            " values (gen_random_uuid(), '{}', now() - interval '1 hour')"
        )
        (behind,) = databases.look(connection, "webhooks", INBOX)
        assert behind.seen.startswith("1 event waits to be sent, the oldest for 3,60")
        connection.execute("delete from webhooks.outbox")
        connection.execute("alter table webhooks.deliveries drop column replays")
        (older,) = databases.look(connection, "webhooks", INBOX)
        assert older.seen == "webhooks.deliveries is of an older version: it lacks replays"
        connection.execute("drop role if exists doctors_patient")
        connection.execute("create role doctors_patient")
        connection.execute("grant usage on schema webhooks to doctors_patient")
        connection.execute("set role doctors_patient")
        try:
            refused, also_older = databases.look(connection, "webhooks", INBOX)
            assert "doctors_patient of webhooks-postgres may not write" in refused.seen
            assert also_older.seen == older.seen
            assert list(databases.look(connection, "webhooks", READER)) == []
            connection.execute("reset role")
            connection.execute("revoke usage on schema webhooks from doctors_patient")
            connection.execute("set role doctors_patient")
            (barred,) = databases.look(connection, "webhooks", READER)
            assert barred.seen == (
                "the role doctors_patient of webhooks-reader-postgres may not use the schema "
                "webhooks"
            )
            assert "`flows roles check webhooks`" in barred.remedy
        finally:
            connection.execute("reset role")
            connection.execute("drop owned by doctors_patient")
            connection.execute("drop role doctors_patient")


def test_github_that_is_away_a_name_without_address_and_a_firewall(world: World) -> None:
    def at(address: str, token: str = "a-token") -> World:
        return World(world.paths, {"GITHUB_TOKEN": token}, world.project, github=address)

    assert "cannot be reached" in only(outside.github, at("http://127.0.0.1:9")).seen
    nowhere = only(outside.github, at("http://no-such-host.invalid"))
    assert (nowhere.name, "port 53" in nowhere.remedy) == ("DNS", True)
    (noted,) = outside.github(at("http://no-such-host.invalid", token=""))
    assert (noted.name, noted.is_problem, noted.remedy) == ("DNS", False, "")
    assert "not needed" in noted.seen
    with answering(503) as url:
        assert "answers 503" in only(outside.github, at(url)).seen
    dropped = outside.unreachable("127.0.0.1", httpx.ConnectTimeout("timed out"))
    assert (dropped.name, "Let port 443 out" in dropped.remedy) == ("egress", True)


@pytest.mark.parametrize(("minutes", "word"), [(-60, "ahead of"), (60, "behind")])
def test_a_clock_that_is_wrong(world: World, minutes: int, word: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    with answering(200, {}, {"Date": date}) as url:
        seen = only(outside.github, World(world.paths, {}, world.project, github=url)).seen
    assert word in seen


def test_a_token_that_is_rejected(world: World) -> None:
    with answering(401) as url:
        given = {"GITHUB_TOKEN": "not-one"}
        rejected = only(outside.token, World(world.paths, given, world.project, github=url))
    assert "GitHub rejects it (401)" in rejected.seen
    assert "not-one" not in rejected.seen


def test_a_look_that_breaks_off_is_a_problem_and_tells_what_it_saw_before(world: World) -> None:
    def broken(_: World) -> Iterator[Diagnosis]:
        """Something."""
        yield Diagnosis("Something", "seen before")
        raise ValueError("ghp_secret")

    before, problem = looked(broken, world)
    assert (before.seen, problem.name, problem.is_problem) == ("seen before", "Something", True)
    assert f"ValueError at {__file__}:" in problem.seen
    assert "ghp_secret" not in str(problem)


def test_a_diagnosis_is_told_before_the_next_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before: list[str] = []

    def first(_: World) -> Iterator[Diagnosis]:
        yield Diagnosis("First", "seen")

    def second(_: World) -> Iterator[Diagnosis]:
        before.append(capsys.readouterr().out)
        yield Diagnosis("Second", "seen, too")

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr("deployments.cli.doctor.OF_MACHINE", (first, second))
    monkeypatch.setattr("deployments.cli.doctor.OF_OUTSIDE", ())
    assert main(["doctor"]) == 1
    assert before == ["ok       First: seen\n"]


def test_the_command_says_all_of_it_and_ends_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_\u201cof-a-page\u201d")
    with answering(200, {}) as url:
        monkeypatch.setenv("GITHUB_API_URL", url)
        assert main(["doctor", "--json"]) == 1
        told = json.loads(capsys.readouterr().out)["diagnoses"]
        assert main(["doctor"]) == 1
    by_name = {each["name"]: each for each in told}
    assert by_name["Prefect server"]["is_problem"]
    assert not by_name["GitHub"]["is_problem"]
    malformed = by_name["GitHub token"]
    assert malformed["seen"].startswith("Using the token of the variable GITHUB_TOKEN: ")
    assert "of-a-page" not in str(malformed)
    shown = capsys.readouterr().out
    assert "problem  Prefect server: http://127.0.0.1:9/api does not answer" in shown
