"""From the start of a pod's process to the first task of its run, against bare imports.

    python -m tests.benchmarks.cold_start [--runs 5]

The process is the one a pod starts (and, beside it, Prefect's own command), in the environment that
the Dockerfile sets, for a run that waits on a Prefect server on this machine; the start that the
first task reports ends the clock. In turn with it, a process that imports Prefect and dbt and does
nothing. Both find their byte code compiled, as in the image. Prints medians and their ratio.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.server import PrefectServer
from tests import bytecode
from tests.deployments.kubernetes import image
from tests.deployments.kubernetes.cluster import Prefect

BARE = "from prefect import flow, task; from dbt.cli.main import dbtRunner"
PREFECT_ONLY = "from prefect import flow, task"
COMMANDS = {
    "a pod": [sys.executable, "-m", "deployments.kubernetes.execute"],
    "prefect flow-run execute": [
        str(Path(sys.executable).parent / "prefect"),
        "flow-run",
        "execute",
    ],
}
FLOWS: dict[str, tuple[str, dict[str, Any]]] = {
    "kubernetes-probe": ("deployments.kubernetes.probe.probe", {}),
    "agent-analytics": (
        "flows.agent_analytics.flow.refresh",
        {"inputs": {"sample": {"days": 1, "developers": 1}}},
    ),
}


def seconds_of(command: list[str], environment: Mapping[str, str]) -> float:
    began = time.time()
    subprocess.run(command, env=environment, cwd=PROJECT_ROOT, check=True, capture_output=True)
    return time.time() - began


def cold_start(
    prefect: Prefect,
    deployment: str,
    command: list[str],
    environment: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> float:
    """Seconds from a process's first instruction to the start of the first task of its run."""
    run = prefect.start(deployment, parameters)
    prefect.post(f"flow_runs/{run}/set_state", {"state": {"type": "PENDING"}})
    began = time.time()
    done = subprocess.run(
        command,
        env={**environment, "PREFECT__FLOW_RUN_ID": run},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        body = {"flow_runs": {"id": {"any_": [run]}}}
        starts = [
            each["start_time"]
            for each in prefect.post("task_runs/filter", body)
            if each["start_time"]
        ]
        if starts:
            return datetime.fromisoformat(min(starts)).timestamp() - began
        time.sleep(0.2)
    raise SystemExit(f"no task of the run was recorded:\n{done.stdout}{done.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="analytics-flows-") as folder:
        paths = LocalPaths(Path(folder))
        server = PrefectServer(paths, first_port=46200)
        url = server.start()
        try:
            compare(Prefect(url), pod_environment(paths, url), runs)
        finally:
            server.stop()


def pod_environment(paths: LocalPaths, url: str) -> dict[str, str]:
    """The image's environment, its volumes in a folder of this machine."""
    described = image.here()
    volumes = {"/home/analytics": "home", "/var/lib/analytics-flows": "state", "/tmp": "tmp"}
    for name in volumes.values():
        (paths.state / name).mkdir(parents=True, exist_ok=True)
    places = dict(described.paths) | {k: str(paths.state / v) for k, v in volumes.items()}
    given = dict(described.environment)
    for name, value in given.items():
        for there, here in places.items():
            value = value.replace(there, here) if value.startswith("/") else value
        given[name] = value
    return given | bytecode.ENVIRONMENT | {"PREFECT_API_URL": url}


def compare(prefect: Prefect, environment: Mapping[str, str], runs: int) -> None:
    pool = f"bench-{uuid.uuid4().hex[:6]}"
    prefect.create_pool(pool, "none")
    deployed = {flow: prefect.deploy(pool, entry, flow, {}) for flow, (entry, _) in FLOWS.items()}
    found: dict[str, list[float]] = {}
    # The first round compiles, and is not counted.
    for number in range(runs + 1):
        for name, code in (("prefect and dbt", BARE), ("prefect", PREFECT_ONLY)):
            took = seconds_of([sys.executable, "-c", code], environment)
            found.setdefault(f"bare import of {name}", []).append(took)
        for flow, deployment in deployed.items():
            for name, command in COMMANDS.items():
                took = cold_start(prefect, deployment, command, environment, FLOWS[flow][1])
                found.setdefault(f"{flow} by {name}", []).append(took)
        if number == 0:
            found.clear()
    bare = statistics.median(found["bare import of prefect and dbt"])
    sys.stdout.write(f"{runs} runs each, load {os.getloadavg()[0]:.1f}; seconds, median (range)\n")
    for name, values in found.items():
        median = statistics.median(values)
        spread = f"({min(values):.2f} to {max(values):.2f})"
        sys.stdout.write(f"{name:<44}{median:6.2f} {spread:<18}{median / bare:5.2f} x\n")


if __name__ == "__main__":
    main()
