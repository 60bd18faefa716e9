"""From the start of a pod's process to the first task of its run, against bare imports.

    python -m tests.benchmarks.cold_start [--runs 5]

The process is the one a pod starts (and, beside it, Prefect's own command), in the environment that
the Dockerfile sets, for a run that waits on a Prefect server on this machine; the start that the
first task reports ends the clock, and the process is then killed. In turn with it, a process that
imports Prefect and dbt and does nothing. Both find the byte code of packages compiled, as in the
image; that of this project is compiled by the pod, which costs it some tenths of a second. Prints
each figure as it is measured, then medians; a ratio is that to the import of the same round,
because others may use the machine.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.server import PrefectServer
from tests.deployments.kubernetes import image
from tests.deployments.kubernetes.cluster import Prefect

BARE = "from prefect import flow, task; from dbt.cli.main import dbtRunner"
PREFECT_ONLY = "from prefect import flow, task"
SECONDS = 120.0
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
STARTED = [
    ("kubernetes-probe", "a pod"),
    ("agent-analytics", "a pod"),
    ("kubernetes-probe", "prefect flow-run execute"),
]
BASE = "bare import of prefect and dbt"
IMPORTS = {BASE: BARE, "bare import of prefect": PREFECT_ONLY}


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
    with tempfile.TemporaryFile("w+") as output:
        began = time.time()
        process = subprocess.Popen(
            command,
            env={**environment, "PREFECT__FLOW_RUN_ID": run},
            cwd=PROJECT_ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            return _first_start(prefect, run) - began
        except TimeoutError:
            output.seek(0)
            raise SystemExit(f"no task of the run was recorded:\n{output.read()}") from None
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _first_start(prefect: Prefect, run: str) -> float:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        # Seldom, for the server answers on the processors that are measured.
        time.sleep(1)
        body = {"flow_runs": {"id": {"any_": [run]}}}
        starts = [
            each["start_time"]
            for each in prefect.post("task_runs/filter", body)
            if each["start_time"]
        ]
        if starts:
            return datetime.fromisoformat(min(starts)).timestamp()
    raise TimeoutError


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
    return given | {"PREFECT_API_URL": url}


def compare(prefect: Prefect, environment: Mapping[str, str], runs: int) -> None:
    pool = f"bench-{uuid.uuid4().hex[:6]}"
    prefect.create_pool(pool, "none")
    deployed = {flow: prefect.deploy(pool, entry, flow, {}) for flow, (entry, _) in FLOWS.items()}
    found: dict[str, list[float]] = {}
    # The first round fills the machine's caches, and is not counted.
    for number in range(runs + 1):
        for name, took in one_round(prefect, environment, deployed):
            sys.stdout.write(f"{number or 'warming up'}: {name} {took:.2f} s\n")
            sys.stdout.flush()
            if number:
                found.setdefault(name, []).append(took)
    sys.stdout.write(f"{runs} runs each, load {os.getloadavg()[0]:.1f}; seconds, median (range)\n")
    for name, values in found.items():
        ratios = [took / bare for took, bare in zip(values, found[BASE], strict=True)]
        spread = f"({min(values):.2f} to {max(values):.2f})"
        sys.stdout.write(f"{name:<44}{statistics.median(values):6.2f} {spread:<18}")
        sys.stdout.write(f"{statistics.median(ratios):5.2f} x\n")


def one_round(
    prefect: Prefect, environment: Mapping[str, str], deployed: Mapping[str, str]
) -> Iterator[tuple[str, float]]:
    for name, code in IMPORTS.items():
        yield name, seconds_of([sys.executable, "-c", code], environment)
    for flow, name in STARTED:
        took = cold_start(prefect, deployed[flow], COMMANDS[name], environment, FLOWS[flow][1])
        yield f"{flow} by {name}", took


if __name__ == "__main__":
    main()
