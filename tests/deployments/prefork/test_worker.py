"""The worker type prefork with a Prefect server: what becomes of runs, and of their ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from deployments.local import runtime
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.processes import is_alive, wait_until
from deployments.local.worker import PREFORK, ProcessWorker
from tests._shared.slow_sample import working, write_slow
from tests.dbt_projects.warehouse import postgres_environment
from tests.deployments.pool import Pool
from tests.ports import own_ports

# A machine that is busy with other tests takes this long to import everything.
PATIENCE_SECONDS = 180.0
FINISHED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
FLOWS = "tests.deployments.prefork.flows"
# The worker with little to import: `early` and the tests of one machine have the real one.
LUKEWARM = "tests.deployments.prefork.lukewarm"
# The worker asks so seldom that runs begin because it is told of them.
SECONDS_BETWEEN_QUESTIONS = 30

MEBIBYTE = 2**20
WARM = PROJECT_ROOT / "deployments" / "kubernetes" / "base" / "warm.yaml"
RERUN = PROJECT_ROOT / "deployments" / "automations" / "rerun-crashed.yaml"
GRACE_SECONDS = 8
FIRST_HEALTH_PORT = 27_400
# Of a worker without a grace, before which `flows stop` would kill it.
SECONDS_TO_END = 14


@dataclass
class Deployed:
    """Deployments on a pool of forks, with its worker."""

    pool: Pool
    worker: ProcessWorker

    @property
    def parent(self) -> psutil.Process:
        """The warm process, once the worker has one."""
        said: list[str] = []

        def is_ready() -> bool:
            text = self.worker.log.read_text()
            said[:] = re.findall(r"prefork parent (\d+): ready after", text)
            return bool(said)

        assert wait_until(is_ready, PATIENCE_SECONDS), self.worker.log.read_text()
        return psutil.Process(int(said[-1]))

    def start(self, flow: str, parameters: Mapping[str, Any], **job: Any) -> str:
        made = self.pool.post("flows/", {"name": f"prefork-{flow}"})
        body = {
            "name": f"{self.pool.name}-{len(job)}",
            "flow_id": made["id"],
            "work_pool_name": self.pool.name,
            "entrypoint": f"{FLOWS}.{flow}",
            "pull_steps": [],
            "job_variables": job,
        }
        deployment = self.pool.post("deployments/", body)
        return str(self.pool.api.start_run(deployment["id"], parameters)["id"])

    def end_of(self, run: str) -> tuple[str, str]:
        """The state in which a run ends, and its message."""
        found: list[dict[str, Any]] = []

        def is_over() -> bool:
            found[:] = [self.pool.api.flow_run(run)["state"]]
            return found[0]["type"] in FINISHED

        assert wait_until(is_over, PATIENCE_SECONDS, pause=0.2), self.worker.log.read_text()
        return found[0]["type"], found[0]["message"] or ""

    def log_of(self, run: str) -> list[str]:
        body = {"logs": {"flow_run_id": {"any_": [run]}}}
        return [line["message"] for line in self.pool.post_list("logs/filter", body)]


ByHand = tuple[Deployed, Callable[..., subprocess.Popen[bytes]]]


@pytest.fixture(scope="module")
def shared(prefect_server: str, local_paths: LocalPaths) -> Iterator[Deployed]:
    worker = ProcessWorker(local_paths)
    yield Deployed(Pool(prefect_server, PREFORK), worker)
    worker.stop()


@pytest.fixture
def deployed(shared: Deployed, local_paths: LocalPaths) -> Deployed:
    """With its worker, which the test before may have ended."""
    if serve(shared, local_paths):
        assert shared.parent
    return shared


def serve(deployed: Deployed, paths: LocalPaths) -> bool:
    own = {
        "PREFECT_WORK_POOL": deployed.pool.name,
        "PREFECT_WORKER_QUERY_SECONDS": str(SECONDS_BETWEEN_QUESTIONS),
    }
    environment = {**runtime.environment(paths, deployed.pool.url), **own}
    return deployed.worker.start(environment, deployed.pool.api)


@pytest.fixture(scope="module", autouse=True)
def early(
    shared: Deployed, local_paths: LocalPaths, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What a run saw that was asked for before the worker had a warm process, and which that is.

    Other tests end it, and the worker makes another.
    """
    serve(shared, local_paths)
    path = tmp_path_factory.mktemp("early") / "seen"
    assert shared.end_of(shared.start("look", {"path": str(path)}))[0] == "COMPLETED"
    return {**seen(path), "warm": shared.parent.pid}


def seen(path: Path) -> dict[str, Any]:
    assert wait_until(path.exists, PATIENCE_SECONDS)
    return dict(json.loads(path.read_text()))


def test_a_run_that_comes_while_the_warm_process_imports_is_a_fork_of_it(
    early: dict[str, Any],
) -> None:
    assert early["parent"] == early["warm"]


def test_a_run_finds_the_macros_of_dbt_compiled(early: dict[str, Any]) -> None:
    assert early["compiled"] > 500


def test_the_locks_of_dbt_started_no_process_that_tracks_them(early: dict[str, Any]) -> None:
    assert early["tracker"] is None


def test_a_run_begins_when_the_server_tells_of_it_not_when_the_worker_asks(
    deployed: Deployed, tmp_path: Path
) -> None:
    began = time.monotonic()
    for number in range(2):
        run = deployed.start("look", {"path": str(tmp_path / str(number))})
        assert deployed.end_of(run)[0] == "COMPLETED"
    assert time.monotonic() - began < SECONDS_BETWEEN_QUESTIONS / 2


def test_while_nothing_runs_the_warm_process_has_one_thread_no_connection_and_no_file(
    deployed: Deployed,
) -> None:
    warm = deployed.parent

    def opened() -> list[str]:
        return [each.path for each in warm.open_files() if each.path != str(deployed.worker.log)]

    # It may still close what belonged to the last run.
    assert wait_until(lambda: warm.children() == [], 20)
    assert wait_until(lambda: warm.num_threads() == 1, 20)
    assert wait_until(lambda: warm.net_connections("inet") == [], 20), warm.net_connections("inet")
    assert wait_until(lambda: opened() == [], 20), opened()


def test_the_worker_imports_no_integration_of_prefect(deployed: Deployed) -> None:
    held = psutil.Process(deployed.worker.pid).memory_full_info().uss
    assert held < 200 * MEBIBYTE


def test_two_runs_at_once_see_their_own_environment_only_and_say_what_they_do_on_the_server(
    deployed: Deployed, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    first = deployed.start("look", {"path": str(one), "hold_seconds": 2}, env={"DOMAIN": "one"})
    second = deployed.start("look", {"path": str(two), "hold_seconds": 2})
    assert deployed.end_of(first)[0] == "COMPLETED"
    assert deployed.end_of(second)[0] == "COMPLETED"
    a, b = seen(one), seen(two)
    assert a["parent"] == b["parent"]
    assert a["pid"] != b["pid"]
    assert (a["environment"]["DOMAIN"], b["environment"].get("DOMAIN")) == ("one", None)
    assert (a["environment"]["PREFECT__FLOW_RUN_ID"], a["met"]) == (first, [str(one)])
    assert (b["environment"]["PREFECT__FLOW_RUN_ID"], b["met"]) == (second, [str(two)])
    assert a["directory"] == str(PROJECT_ROOT)
    assert a["thread"]
    assert any("Finished in state Completed" in line for line in deployed.log_of(first))
    warm = psutil.Process(a["parent"])
    assert wait_until(lambda: warm.children() == [], 20)
    said = deployed.worker.log.read_text()
    assert f"prefork parent {warm.pid}: ready after" in said
    assert "not imported beforehand" not in said


def test_a_killed_run_is_reported_as_crashed_and_the_next_is_well(
    deployed: Deployed, tmp_path: Path
) -> None:
    lost = deployed.start("die", {})
    state, message = deployed.end_of(lost)
    assert (state, "-9" in message) == ("CRASHED", True)
    # As `rerun-crashed` does it in a cluster: a second report would end that start.
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    again = {
        "type": "SCHEDULED",
        "name": "AwaitingRetry",
        "state_details": {"scheduled_time": later},
    }
    deployed.pool.api.call("POST", f"flow_runs/{lost}/set_state", {"state": again})
    assert deployed.end_of(deployed.start("look", {"path": str(tmp_path / "next")}))[0] == (
        "COMPLETED"
    )
    assert deployed.pool.api.flow_run(lost)["state"]["name"] == "AwaitingRetry"
    deployed.pool.api.mark_cancelled(lost, "the test is over")


def test_a_run_that_takes_more_memory_than_its_limit_is_crashed(deployed: Deployed) -> None:
    run = deployed.start("take", {"mebibytes": 900}, memory_limit="800Mi")
    assert deployed.end_of(run)[0] == "CRASHED"
    said = "memory_limit of 800 MiB"
    assert wait_until(lambda: said in deployed.worker.log.read_text(), 20)


def test_a_cancelled_run_ends_its_statement_and_its_process_and_is_cancelled(
    deployed: Deployed, database: str, tmp_path: Path
) -> None:
    write_slow(tmp_path, "postgres")
    build = {"project": "slow", "projects": str(tmp_path)}
    run = deployed.start("build", build, env=postgres_environment(database))
    assert wait_until(lambda: bool(working(database)), PATIENCE_SECONDS)
    # The server may know of the end of the run before while its process is still there.
    assert wait_until(lambda: len(deployed.parent.children()) == 1, 20)
    [process] = deployed.parent.children()
    state = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    deployed.pool.post(f"flow_runs/{run}/set_state", state)
    assert wait_until(lambda: working(database) == [], 5)
    assert deployed.end_of(run)[0] == "CANCELLED"
    assert wait_until(lambda: not is_alive(process), 20)
    states = deployed.pool.api.call("GET", f"flow_run_states/?flow_run_id={run}")
    assert "Crashed" not in [each["name"] for each in states]


def test_a_run_of_a_dead_worker_is_crashed_by_the_next(deployed: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "held"
    run = deployed.start("look", {"path": str(path), "hold_seconds": 120})
    process = psutil.Process(seen(path)["pid"])
    environment = {
        **runtime.environment(LocalPaths(tmp_path), deployed.pool.url),
        "PREFECT_WORK_POOL": deployed.pool.name,
        "ANALYTICS_FLOWS_STATE_DIR": os.fspath(tmp_path),
    }
    dead = psutil.Process(deployed.worker.pid)
    for each in [dead, *dead.children(recursive=True)]:
        each.kill()
    assert deployed.worker.start(environment, deployed.pool.api)
    assert deployed.end_of(run)[0] == "CRASHED"
    assert wait_until(lambda: not is_alive(process), 20)
    # The tests of other workers, which come next, need no warm process of this one.
    deployed.worker.stop()


@pytest.fixture
def in_a_cluster(
    shared: Deployed, tmp_path: Path
) -> Iterator[tuple[Deployed, subprocess.Popen[bytes]]]:
    """A worker started as its manifest says, but for names, the grace of its runs, and what it
    imports beforehand."""
    own = Deployed(Pool(shared.pool.url, PREFORK), ProcessWorker(LocalPaths(tmp_path)))
    spec = yaml.safe_load(next(iter(WARM.read_text().split("---\n"))))["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    port = str(next(own_ports(FIRST_HEALTH_PORT)))
    given = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    given |= {"PREFECT_API_URL": own.pool.url, "PREFECT_WORKER_WEBSERVER_PORT": port}
    changed = {
        "deployments.prefork": LUKEWARM,
        "--pool=warm": f"--pool={own.pool.name}",
        "--grace-seconds=540": f"--grace-seconds={GRACE_SECONDS}",
    }
    assert changed.keys() <= set(container["args"])
    command = [sys.executable, *(changed.get(each, each) for each in container["args"][1:])]
    own.worker.log.parent.mkdir(parents=True)
    environment = {**runtime.environment(LocalPaths(tmp_path), own.pool.url), **os.environ, **given}
    automation = own.pool.post("automations/", yaml.safe_load(RERUN.read_text()))
    with own.worker.log.open("wb") as log:
        worker = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
    health = f"http://127.0.0.1:{port}{container['readinessProbe']['httpGet']['path']}"
    assert wait_until(lambda: answers(health), PATIENCE_SECONDS), own.worker.log.read_text()
    yield own, worker
    worker.kill()
    worker.wait()
    own.pool.api.call("DELETE", f"automations/{automation['id']}")


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def test_a_worker_of_a_cluster_that_is_told_to_end_waits_for_its_runs_and_hands_the_others_back(
    in_a_cluster: tuple[Deployed, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    own, worker = in_a_cluster

    def state(run: str) -> str:
        return str(own.pool.api.flow_run(run)["state"]["name"])

    # Its report is out, and it is scheduled again, before the worker is through with it.
    killed = own.start("look", {"path": str(tmp_path / "killed"), "hold_seconds": 2})
    first = seen(tmp_path / "killed")["pid"]
    (tmp_path / "killed").unlink()
    os.kill(first, signal.SIGKILL)
    assert seen(tmp_path / "killed")["pid"] != first
    assert own.end_of(killed)[0] == "COMPLETED"
    assert "Traceback" not in own.worker.log.read_text()

    short = own.start("look", {"path": str(tmp_path / "short"), "hold_seconds": 3})
    long = own.start("look", {"path": str(tmp_path / "long"), "hold_seconds": 300})
    processes = [psutil.Process(seen(tmp_path / each)["pid"]) for each in ("short", "long")]
    assert seen(tmp_path / "long")["directory"] == str(PROJECT_ROOT)
    worker.terminate()
    late = own.start("look", {"path": str(tmp_path / "late")})
    on_one_machine = Pool(own.pool.url, PREFORK, prefix="local-test")
    lost = Deployed(on_one_machine, own.worker).start("look", {"path": str(tmp_path / "lost")})
    on_one_machine.api.mark_crashed(lost, "somebody ended it")

    assert own.end_of(short)[0] == "COMPLETED"
    assert worker.wait(PATIENCE_SECONDS) == 0
    assert not any(is_alive(each) for each in processes)
    # By the automation: its pod is gone, and another takes the run up.
    assert wait_until(lambda: state(long) == "AwaitingRetry", 30), state(long)
    assert state(late) == "Scheduled"
    assert not (tmp_path / "late").exists()
    assert state(lost) == "Crashed"
    for run in (long, late):
        own.pool.api.mark_cancelled(run, "the test is over")


@pytest.fixture
def by_hand(shared: Deployed, tmp_path: Path) -> Iterator[ByHand]:
    """Workers started as the pages say, without a grace; or so but for what they import."""
    started: list[subprocess.Popen[bytes]] = []
    own = Deployed(Pool(shared.pool.url, PREFORK), ProcessWorker(LocalPaths(tmp_path)))
    own.worker.log.parent.mkdir(parents=True)
    environment = runtime.environment(LocalPaths(tmp_path), own.pool.url)

    def start(pool: str = own.pool.name, module: str = LUKEWARM) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, "--pool", pool]
        with own.worker.log.open("wb") as log:
            started.append(
                subprocess.Popen(command, env=environment, cwd=PROJECT_ROOT, stdout=log, stderr=log)
            )
        return started[-1]

    yield own, start
    for each in started:
        for child in (
            psutil.Process(each.pid).children(recursive=True) if each.poll() is None else ()
        ):
            child.kill()
        each.kill()
        each.wait()


def test_a_worker_without_a_grace_ends_at_once_and_its_runs_are_told_to(
    by_hand: ByHand, tmp_path: Path
) -> None:
    own, start = by_hand
    # Told while its warm process is being made.
    mistyped = f"{own.pool.name}-mistyped"
    early = start(mistyped, "deployments.prefork")
    said = f"Work pool '{mistyped}' not found"
    assert wait_until(lambda: said in own.worker.log.read_text(), PATIENCE_SECONDS)
    early.terminate()
    assert early.wait(SECONDS_TO_END) == 0
    assert own.pool.api.work_pool(mistyped) is None

    worker = start()
    run = own.start("look", {"path": str(tmp_path / "held"), "hold_seconds": 300})
    process = psutil.Process(seen(tmp_path / "held")["pid"])
    worker.terminate()
    assert worker.wait(SECONDS_TO_END) == 0
    assert own.end_of(run)[0] == "CRASHED"
    assert not is_alive(process)
