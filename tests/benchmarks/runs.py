"""What a whole flow run costs in a warm pool and in a pool of processes, against ``dbt build``.

    python -m tests.benchmarks.runs [--runs 5] [--project generated|github_scraper] [--json FILE]

Each round measures, in turn: a whole process of plain ``dbt build``; a flow run that builds all of
the same project, from Submitting to Completed, in each pool; one in which nothing is new, and one
without a build. Medians, and ratios to plain dbt, of wall time and of CPU: that of the worker with
all of its processes, without the server's. Then what the parts cost that wait for runs, for some
seconds.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from deployments.local.paths import LocalPaths
from deployments.local.processes import wait_until
from deployments.local.worker import PREFORK, PROCESS, ProcessWorker
from tests.benchmarks.dbt_build import environment_of, plain_dbt, prepared
from tests.measuring import measure, parts

PATIENCE_SECONDS = 300.0
IDLE_SECONDS = 20.0
FINISHED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
BUILD, UNCHANGED, NOTHING = "build", "nothing new", "no build"
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Taken:
    """Of one run: seconds on the clock, and of processors."""

    seconds: float
    cpu: float


class Runs:
    """Runs of the benchmark's flow in one pool with its own worker."""

    def __init__(self, folder: Path, url: str, kind: str, environment: Mapping[str, str]) -> None:
        from tests.deployments.pool import Pool

        self.kind = kind
        self.pool = Pool(url, kind)
        self.worker = ProcessWorker(LocalPaths(folder / kind))
        own = {"PREFECT_WORK_POOL": self.pool.name, "PREFECT_WORKER_QUERY_SECONDS": "1"}
        self.worker.start({**environment, **own}, self.pool.api)
        flow = self.pool.post("flows/", {"name": "benchmark-build"})
        body = {
            "name": self.pool.name,
            "flow_id": flow["id"],
            "work_pool_name": self.pool.name,
            "entrypoint": "tests.deployments.prefork.flows.build",
            "pull_steps": [],
        }
        self._deployment = str(self.pool.post("deployments/", body)["id"])
        if kind == PREFORK:
            assert wait_until(self._is_warm, PATIENCE_SECONDS, pause=0.5)

    def _is_warm(self) -> bool:
        return "ready after" in self.worker.log.read_text()

    def take(self, parameters: Mapping[str, Any]) -> Taken:
        before = self._cpu()
        run = str(self.pool.api.start_run(self._deployment, parameters)["id"])

        def is_over() -> bool:
            return str(self.pool.api.flow_run(run)["state"]["type"]) in (
                "COMPLETED",
                "FAILED",
                "CRASHED",
            )

        assert wait_until(is_over, PATIENCE_SECONDS, pause=0.2)
        # The end of the process belongs to what the run costs.
        assert wait_until(lambda: not self._under_way(), 60)
        states = self.pool.api.call("GET", f"flow_run_states/?flow_run_id={run}")
        at = {each["name"]: datetime.fromisoformat(each["timestamp"]) for each in states}
        assert "Completed" in at, (at, self.worker.log.read_text()[-4000:])
        return Taken((at["Completed"] - at["Submitting"]).total_seconds(), self._cpu() - before)

    def _under_way(self) -> bool:
        """Whether a relay, or an engine of its own process, is there."""
        for each in psutil.Process(self.worker.pid or 0).children():
            with suppress(psutil.Error):
                command = " ".join(each.cmdline())
                if "relay.py" in command or command.endswith("prefect.engine"):
                    return True
        return False

    def _cpu(self) -> float:
        return sum(_cpu_of(each) for each in family(self.worker.pid))


def family(pid: int | None) -> list[psutil.Process]:
    first = psutil.Process(pid or 0)
    return [first, *first.children(recursive=True)]


def _cpu_of(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system + used.children_user + used.children_system)


def compare(projects: Path, project: str, pools: list[Runs], environment: Mapping[str, str],
            folder: Path, rounds: int) -> dict[str, list[Taken]]:  # fmt: skip
    """The first round is not counted: whoever comes first reads the whole project."""
    taken: dict[str, list[Taken]] = {}
    for number in range(rounds + 1):
        cost = measure(plain_dbt(projects, project, folder), environment, folder / "dbt.log")
        found = {"dbt build": Taken(cost.seconds, cost.cpu_seconds)}
        for runs in pools:
            for what in (BUILD, UNCHANGED, NOTHING):
                given = {
                    "project": "" if what == NOTHING else project,
                    "projects": str(projects),
                    "is_whole": what == BUILD,
                }
                found[f"{runs.kind}, {what}"] = runs.take(given)
        if number:
            for name, each in found.items():
                taken.setdefault(name, []).append(each)
    return taken


def medians(taken: Mapping[str, list[Taken]]) -> dict[str, dict[str, float]]:
    def middle(each: list[Taken]) -> Taken:
        return Taken(statistics.median(one.seconds for one in each),
                     statistics.median(one.cpu for one in each))  # fmt: skip

    plain = middle(taken["dbt build"])
    return {
        name: asdict(own := middle(each))
        | {"to_dbt": own.seconds / plain.seconds, "cpu_to_dbt": own.cpu / plain.cpu}
        for name, each in taken.items()
    }


def idle(parts: Mapping[str, int | None], seconds: float) -> dict[str, dict[str, float]]:
    """Of each part with its processes: the share of a core, and memory with what is shared
    divided among those who share it."""
    began = time.monotonic()
    before = {name: sum(map(_cpu_of, family(pid))) for name, pid in parts.items()}
    time.sleep(seconds)
    passed = time.monotonic() - began
    return {
        name: {
            "cpu_percent": 100 * (sum(map(_cpu_of, family(pid))) - before[name]) / passed,
            "mebibytes": sum(each.memory_full_info().pss for each in family(pid)) / MEBIBYTE,
        }
        for name, pid in parts.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="whole flow runs against plain dbt build")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--project", choices=["generated", "github_scraper"])
    parser.add_argument("--json", type=Path, help="where to write the figures, too")
    chosen = parser.parse_args()
    figures: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.platform()}"}
    with tempfile.TemporaryDirectory(prefix="runs-benchmark-") as temporary:
        folder = Path(temporary)
        with parts(folder) as (postgres, server, url):
            paths = LocalPaths(folder / "state")
            for project in [chosen.project] if chosen.project else ["generated", "github_scraper"]:
                given = environment_of(paths, url, postgres.create_database(project))
                os.environ.update({n: v for n, v in given.items() if n.startswith("PREFECT_")})
                own = folder / project
                own.mkdir()
                pools: list[Runs] = []
                try:
                    pools += [Runs(own, url, kind, given) for kind in (PREFORK, PROCESS)]
                    projects = prepared(project, folder, given)
                    taken = compare(projects, project, pools, given, own, chosen.runs)
                    figures[project] = medians(taken)
                    show(project, figures[project], chosen.runs)
                    waiting = {f"worker, {each.kind}": each.worker.pid for each in pools}
                    figures["idle"] = idle(waiting | {"server": server.pid}, IDLE_SECONDS)
                finally:
                    for each in pools:
                        each.worker.stop()
    for name, each in figures["idle"].items():
        print(f"idle {name:16} {each['cpu_percent']:5.1f} % of a core {each['mebibytes']:6.0f} MiB")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


def show(project: str, figures: Mapping[str, Mapping[str, float]], rounds: int) -> None:
    print(f"{project}: medians of {rounds} rounds, in turn")
    for name, each in figures.items():
        print(
            f"  {name:20} {each['seconds']:6.2f} s ({each['to_dbt']:.2f} of dbt's)"
            f"  {each['cpu']:6.2f} s CPU ({each['cpu_to_dbt']:.2f})"
        )


if __name__ == "__main__":
    main()
