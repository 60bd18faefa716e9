"""Each domain's flow on a Prefect server with a worker, one of which is killed under its run.

What is gone is started again as `flows up` does it, and the deployment is run anew once the run
that was disturbed has ended.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psutil

from deployments.local.api import PrefectApi
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.processes import is_alive, is_free, wait_until
from deployments.local.server import PrefectServer, own_client_environment, own_environment
from deployments.local.worker import (
    PREFORK,
    PROCESS,
    ProcessWorker,
    ensure_work_pool,
    mark_lost_runs,
)
from flows._shared.orchestration.flow_run import kebab
from flows._shared.state import STATE_VARIABLE
from tests.faults.bench import Bench
from tests.faults.injection import Fault, Kind
from tests.faults.inputs import FACILITIES
from tests.faults.stages import EVENTS, MARTS_ONLY, SEED
from tests.faults.tables import Tables, differences
from tests.ports import own_ports

FIRST_SERVER_PORT = 28_400
RUN = "run"
LOAD, BUILD = "load", "build"
# The phase that a build's progress is told under.
DBT = "dbt"
FINISHED = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
PATIENCE_SECONDS = 240.0
# Longer than a living worker takes to tell of a process that ended.
LOST_SECONDS = 20.0
POLL_SECONDS = 0.02
QUERY_SECONDS = "5"
ONE_AT_A_TIME = {"collision_strategy": "ENQUEUE", "grace_period_seconds": 600}
POOLS: Mapping[Kind, str] = {
    Kind.SERVER: PREFORK,
    Kind.WARM: PREFORK,
    Kind.WITH_RUNS: PREFORK,
    Kind.WORKER: PREFORK,
    Kind.OF_PROCESSES: PROCESS,
}
# A run in a pool of processes takes as long again: one domain stands for all.
IN_PROCESSES = "scout"
# Of a stage: a run may be quicker than those that were measured.
LATEST = 0.7
DATABASES: Mapping[str, str] = {
    "github_scraper": "GITHUB_SCRAPER_DATABASE_URL",
    "ledgermind": "LEDGERMIND_DATABASE_URL",
    "scout": "SCOUT_DATABASE_URL",
    "quality_compass": "QUALITY_COMPASS_DATABASE_URL",
    "agent_analytics": "WEBHOOKS_DATABASE_URL",
}


def parameters(domain: str, inputs: Path, folder: Path) -> dict[str, Any]:
    """Of the domain's run: what the stages of the bench read, too."""
    dbt = {"dbt": MARTS_ONLY.model_dump(mode="json", exclude_unset=True)}
    match domain:
        case "github_scraper":
            repositories = [str(each) for each in sorted(inputs.glob("*.git"))]
            # One after the other, as keys are made of their numbers.
            return {"repositories": repositories, "settings": {"concurrency": 1}, **dbt}
        case "ledgermind":
            return {"settings": {"sample_events": EVENTS, "sample_seed": SEED}, **dbt}
        case "scout":
            return {"settings": {"folder": str(inputs), "inbox_block": "scout-postgres"}, **dbt}
        case "quality_compass":
            return {"settings": {"sample_facilities": FACILITIES}, **dbt}
        case "agent_analytics":
            kinds = ("telemetry", "commits", "copilot")
            return {
                "inputs": {kind: [str(inputs / kind)] for kind in kinds},
                "settings": {"database_path": str(folder / "store.duckdb")},
                **dbt,
            }
    raise AssertionError(f"{domain} has no flow")


@dataclass
class FlowRuns:
    """A Prefect server, workers, and a deployment of each domain in each pool.

    Args:
        seconds: what a stage takes in a run that nothing disturbs, by domain and stage.
        left: what such a run leaves.
    """

    bench: Bench
    kinds: Sequence[Kind]
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    left: dict[str, Tables] = field(default_factory=dict)
    _deployments: dict[tuple[str, str], str] = field(default_factory=dict)
    _workers: dict[str, ProcessWorker] = field(default_factory=dict)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._paths = LocalPaths(self.bench.work / "prefect")
            self._server = PrefectServer(self._paths, first_port=next(own_ports(FIRST_SERVER_PORT)))
            stack.callback(self._server.stop)
            url = self._server.start()
            self._environment = {
                **own_environment(os.environ),
                **own_client_environment(self._paths, url),
                "PREFECT_WORKER_QUERY_SECONDS": QUERY_SECONDS,
                STATE_VARIABLE: str(self._paths.cache),
                "PYTHONPATH": str(PROJECT_ROOT),
            }
            self._api = PrefectApi(url, self._environment)
            for pool in sorted({POOLS[kind] for kind in self.kinds}):
                ensure_work_pool(self._api, pool, pool)
                paths = LocalPaths(self.bench.work / "workers" / pool)
                self._workers[pool] = ProcessWorker(paths)
                stack.callback(self._workers[pool].stop)
            self._up()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def prepare(self, domain: str) -> None:
        """Run the domain's flow undisturbed, twice, for the first has dbt parse its project.

        Raises:
            RuntimeError: a run failed, or the two left different tables.
        """
        self.bench.empty(domain)
        self.bench.keep(domain, RUN)
        self._register(domain)
        pools = sorted({POOLS[kind] for kind in self.kinds if can_be(domain, kind)})
        for pool in pools:
            self._deploy(domain, pool)
        first = self._undisturbed(domain, pools[0])
        self._restore(domain)
        self.left[domain] = self._undisturbed(domain, pools[0])
        if unlike := differences(first, self.left[domain]):
            raise RuntimeError(f"two runs of {domain} differ: {unlike}")

    def draw(self, chance: random.Random) -> list[Fault]:
        faults = [
            Fault(domain, stage, kind, chance.uniform(0.02, LATEST))
            for kind in POOLS
            for domain, stage in self.seconds
            if can_be(domain, kind)
        ]
        return [each for each in faults if each.kind in self.kinds]

    def survived(self, fault: Fault) -> tuple[bool, list[str]]:
        """Whether the fault happened while its stage ran, and what is wrong after the next run."""
        self._restore(fault.domain)
        pool = POOLS[fault.kind]
        run = self._start(fault.domain, pool)
        is_hit = self._comes_to(run, fault)
        if is_hit:
            self._kill(fault.kind)
        self._up()
        disturbed = self._end_of(run, pool)
        (self.bench.work / "disturbed.log").write_text(f"{disturbed}\n")
        run = self._start(fault.domain, pool)
        state, message = self._end_of(run)
        if state != "COMPLETED":
            said = self._api.error_lines(run) if state in FINISHED else []
            return is_hit, [f"the next run ended {state}: {message}", *said]
        left = self.bench.left(fault.domain, RUN, "")
        return is_hit, differences(left, self.left[fault.domain])

    def _register(self, domain: str) -> None:
        url = self.bench.url(domain, is_direct=True)
        variable = DATABASES[domain]
        slug = "webhooks" if variable.startswith("WEBHOOKS") else domain
        subprocess.run(
            [sys.executable, "-m", "blocks", "register", slug],
            cwd=PROJECT_ROOT,
            env={**self._environment, variable: url},
            check=True,
            capture_output=True,
        )

    def _deploy(self, domain: str, pool: str) -> None:
        """As the deployments of the project are: one run at a time, the next waits."""
        flow = self._api.call("POST", "flows/", {"name": kebab(domain)})
        body = {
            "name": pool,
            "flow_id": flow["id"],
            "work_pool_name": pool,
            "entrypoint": f"flows.{domain}.flow.refresh",
            "pull_steps": [],
            "parameters": parameters(domain, self.bench.inputs(domain), self.bench.folder(domain)),
            "concurrency_limit": 1,
            "concurrency_options": ONE_AT_A_TIME,
        }
        self._deployments[domain, pool] = self._api.call("POST", "deployments/", body)["id"]

    def _restore(self, domain: str) -> None:
        """All as before the first run, but for what dbt keeps of its project."""
        self.bench.restore(domain, RUN)
        for each in self._paths.cache.iterdir():
            if each.name != DBT:
                shutil.rmtree(each) if each.is_dir() else each.unlink()

    def _undisturbed(self, domain: str, pool: str) -> Tables:
        run = self._start(domain, pool)
        self._wait_for(domain, run, LOAD)
        began = time.monotonic()
        self._wait_for(domain, run, BUILD)
        built = time.monotonic()
        state, message = self._end_of(run)
        if state != "COMPLETED":
            said = "\n".join(self._api.error_lines(run))
            raise RuntimeError(f"{domain} ended {state}: {message}\n{said}")
        self.seconds |= {
            (domain, LOAD): built - began,
            (domain, BUILD): time.monotonic() - built,
        }
        return self.bench.left(domain, RUN, "")

    def _start(self, domain: str, pool: str) -> str:
        return str(self._api.start_run(self._deployments[domain, pool], {})["id"])

    def _stage(self, domain: str, run: str) -> str:
        """What the run is at; the type of its state before it runs, and once it is over."""
        state = str(self._api.flow_run(run)["state_type"])
        if state != "RUNNING":
            return state
        phases = {row["phase"] for row in self._api.table(run, f"{kebab(domain)}-progress")}
        return BUILD if DBT in phases else LOAD

    def _wait_for(self, domain: str, run: str, stage: str) -> None:
        awaited = {stage, *FINISHED}
        if not wait_until(
            lambda: self._stage(domain, run) in awaited, PATIENCE_SECONDS, POLL_SECONDS
        ):
            raise RuntimeError(f"{domain} did not come to {stage}: {self._stage(domain, run)}")

    def _comes_to(self, run: str, fault: Fault) -> bool:
        """Wait for the fault's moment; whether the run is at its stage then."""
        self._wait_for(fault.domain, run, fault.stage)
        time.sleep(self.seconds[fault.domain, fault.stage] * fault.point)
        return self._stage(fault.domain, run) == fault.stage

    def _kill(self, kind: Kind) -> None:
        killed = self._processes(kind)
        for each in killed:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        assert wait_until(lambda: not any(map(is_alive, killed)), 20)
        # Threads of a process that is dead may hold its files for a moment longer.
        port = urlsplit(self._api.url).port or 0
        assert kind is not Kind.SERVER or wait_until(lambda: is_free(port), 20)

    def _processes(self, kind: Kind) -> list[psutil.Process]:
        """Those that this kind of fault kills."""
        if kind is Kind.SERVER:
            return [psutil.Process(self._server.pid)]
        worker = psutil.Process(self._workers[POOLS[kind]].pid)
        if kind is Kind.WORKER:
            return [worker]
        if kind is Kind.WARM:
            under = worker.children()
            return [each for each in under if "deployments.prefork.parent" in each.cmdline()]
        return [worker, *worker.children(recursive=True)]

    def _up(self) -> None:
        assert self._server.start() == self._api.url, "another program took the server's port"
        for pool, worker in self._workers.items():
            worker.start({**self._environment, "PREFECT_WORK_POOL": pool}, self._api)

    def _end_of(self, run: str, lost_in: str = "") -> tuple[str, str]:
        """The state in which a run ends, and its message.

        Args:
            lost_in: the pool whose runs are marked crashed once no process works on them, as `flows
                up` does it with a new worker, and the automation `a run is silent` in a cluster.
        """

        def is_over() -> bool:
            return self._api.flow_run(run)["state_type"] in FINISHED

        deadline = time.monotonic() + PATIENCE_SECONDS
        while not wait_until(is_over, LOST_SECONDS) and time.monotonic() < deadline:
            if lost_in:
                mark_lost_runs(self._api, lost_in)
        state = self._api.flow_run(run)["state"]
        return str(state["type"]), str(state["message"] or "")


def can_be(domain: str, kind: Kind) -> bool:
    """Whether a domain's runs are there to be disturbed so."""
    return domain in DATABASES and (kind is not Kind.OF_PROCESSES or domain == IN_PROCESSES)
