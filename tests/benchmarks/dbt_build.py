"""What a dbt build costs inside a flow run, against plain ``dbt build`` on the same project.

    python -m tests.benchmarks.dbt_build [--runs 5] [--project generated|github_scraper]
        [--nodes 80]

Both are whole processes, run in turn, with everything dbt keeps between builds kept for both, on
one embedded PostgreSQL and one Prefect server started beforehand. Prints medians of wall time, of
CPU time (steadier on a machine that others use too) and of peak memory, and their ratios. A third
kind, ``import``, is the cost of a flow run that builds nothing. Then, of the flow: what it takes
for each node, of wall and of CPU time, beyond what it takes to build nothing and what dbt takes to
execute them all; what plain dbt takes beyond executing them; the flow's calls of the server's API
that a run without a build does not make; and how long after its end the server shows each of its
nodes.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from deployments.local.api import PrefectApi
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.server import own_client_environment
from tests.dbt_projects.warehouse import install_packages
from tests.measuring import Cost, measure, parts

TESTS_PER_MODEL = 3
NODES = 80
SECONDS_UNTIL_VISIBLE = 60
PROFILES = """
generated:
  target: dev
  outputs:
    dev:
      type: postgres
      host: "{{ env_var('DBT_POSTGRES_HOST') }}"
      port: "{{ env_var('DBT_POSTGRES_PORT') | as_number }}"
      user: "{{ env_var('DBT_POSTGRES_USER') }}"
      password: "{{ env_var('DBT_ENV_SECRET_POSTGRES_PASSWORD') }}"
      dbname: "{{ env_var('DBT_POSTGRES_DATABASE') }}"
      schema: analytics
      threads: 4
"""
IN_A_FLOW = """
import json, os, sys, time
from pathlib import Path
import httpx
from prefect import flow
from prefect.runtime import flow_run
from flows._shared.orchestration.dbt import DbtOptions, build_dbt

calls, told = [], {}
for client in (httpx.Client, httpx.AsyncClient):
    def counted(self, request, *args, send=client.send, **more):
        calls.append(str(request.url))
        return send(self, request, *args, **more)
    client.send = counted

@flow(name="benchmark")
def refresh():
    told["run"] = str(flow_run.id)
    if sys.argv[1] == "build":
        given = {n: v for n, v in os.environ.items() if n.startswith("DBT_")}
        everything = DbtOptions(build_unchanged=True)
        watch_execution()
        build_dbt(sys.argv[2], given, everything, projects_dir=Path(sys.argv[3]))

def watch_execution():
    # Imports dbt, which the build would.
    from flows._shared.orchestration import dbt_runner
    from dbt.task.runnable import GraphRunnableTask
    execute = GraphRunnableTask.execute_with_hooks
    def measured(self, *args):
        before = time.process_time()
        try:
            return execute(self, *args)
        finally:
            told["execution_cpu"] = time.process_time() - before
    GraphRunnableTask.execute_with_hooks = measured

refresh()
told.update(calls=len(calls), ended=time.time())
Path(sys.argv[-1]).write_text(json.dumps(told))
"""


@dataclass(frozen=True)
class Shown:
    """Of one flow run: its calls of the API, seconds until its nodes were there to be seen, and
    those that dbt took to execute them, by the clock and of CPU."""

    calls: int
    seconds: float
    execution: float
    execution_cpu: float


def generate_project(folder: Path, nodes: int = NODES) -> None:
    """Models in layers of four, and three tests of the keys and values of each."""
    models = folder / "models"
    models.mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(
        "name: generated\nversion: 1.0.0\nprofile: generated\nmodel-paths: [models]\n"
        "vars: {built_nodes_schema: null}\n"
        "models: {generated: {+post-hook: '{{ note_built() }}'}}\n"
    )
    (folder / "macros").mkdir()
    shutil.copy(PROJECT_ROOT / "dbt_projects/_shared/macros/note_built.sql", folder / "macros")
    (folder / "profiles.yml").write_text(PROFILES)
    described = []
    for number in range(nodes // (1 + TESTS_PER_MODEL)):
        source = (
            f"{{{{ ref('model_{number - 4:03}') }}}}"
            if number >= 4
            else "(select n as id, n % 7 as kind from generate_series(1, 20000) as n) as numbers"
        )
        kind = "table" if number % 2 else "view"
        (models / f"model_{number:03}.sql").write_text(
            f"{{{{ config(materialized='{kind}') }}}}\nselect id, kind from {source}\n"
        )
        described.append(
            {
                "name": f"model_{number:03}",
                "columns": [
                    {"name": "id", "data_tests": ["unique", "not_null"]},
                    {"name": "kind", "data_tests": ["not_null"]},
                ],
            }
        )
    (models / "models.yml").write_text(json.dumps({"models": described}))


def compare(
    projects: Path, project: str, environment: Mapping[str, str], folder: Path, runs: int
) -> None:
    flow, told = folder / "in_a_flow.py", str(folder / "told.json")
    flow.write_text(IN_A_FLOW)
    commands = {
        "dbt": plain_dbt(projects, project, folder),
        "flow": [sys.executable, str(flow), "build", project, str(projects), told],
        "import": [sys.executable, str(flow), "nothing", told],
    }
    costs: dict[str, list[Cost]] = {kind: [] for kind in commands}
    seen: dict[str, list[Shown]] = {"flow": [], "import": []}
    of_dbt: list[float] = []
    for run in range(runs + 1):
        for kind, command in commands.items():
            cost = measure(command, environment, folder / f"{kind}.log")
            shown = (
                None
                if kind == "dbt"
                else _shown(folder, environment, project if kind == "flow" else None)
            )
            # The first of each kind reads the whole project.
            if run:
                costs[kind].append(cost)
                if kind == "dbt":
                    of_dbt.append(cost.seconds - _execution(folder / "plain"))
                if shown:
                    seen[kind].append(shown)
    _print(project, costs, runs)
    _print_nodes(costs, seen, statistics.median(of_dbt), _nodes(folder))


def _nodes(folder: Path) -> int:
    return len(json.loads((folder / "plain/run_results.json").read_text())["results"])


def _execution(target: Path) -> float:
    told: float = json.loads((target / "run_results.json").read_text())["elapsed_time"]
    return told


def _shown(folder: Path, environment: Mapping[str, str], built: str | None) -> Shown:
    told = json.loads((folder / "told.json").read_text())
    expected = _nodes(folder) if built else 0
    server = PrefectApi(environment["PREFECT_API_URL"], environment)
    runs = {"flow_runs": {"id": {"any_": [told["run"]]}}}
    ended = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    while server.call("POST", "task_runs/count", runs | ended) < expected:
        if time.time() - told["ended"] > SECONDS_UNTIL_VISIBLE:
            raise SystemExit("the server does not show all nodes")
        time.sleep(0.05)
    seconds = time.time() - told["ended"]
    if not built:
        return Shown(told["calls"], seconds, 0.0, 0.0)
    state = Path(environment["ANALYTICS_FLOWS_STATE_DIR"], "dbt", built, "default")
    return Shown(told["calls"], seconds, _execution(state), told["execution_cpu"])


def _print_nodes(
    costs: Mapping[str, list[Cost]],
    seen: Mapping[str, list[Shown]],
    of_dbt: float,
    nodes: int,
) -> None:
    """``of_dbt`` are seconds of plain dbt beyond its execution."""
    runs = list(zip(costs["flow"], costs["import"], seen["flow"], seen["import"], strict=True))
    beyond = statistics.median(
        flow.seconds - nothing.seconds - shown.execution for flow, nothing, shown, _ in runs
    )
    beyond_cpu = statistics.median(
        flow.cpu_seconds - nothing.cpu_seconds - shown.execution_cpu
        for flow, nothing, shown, _ in runs
    )
    calls = statistics.median(shown.calls - unbuilt.calls for _, _, shown, unbuilt in runs)
    execution = statistics.median(shown.execution for shown in seen["flow"])
    print(
        f"  {nodes} nodes: {1000 * beyond / nodes:.1f} ms each, {1000 * beyond_cpu / nodes:.1f} of "
        f"CPU, beyond dbt's execution of them ({execution:.2f} s) and the start of a flow; plain "
        f"dbt {1000 * of_dbt / nodes:.1f} ms beyond its own; {50 * calls / nodes:.1f} calls for "
        f"every 50; all of them seen "
        f"{max(shown.seconds for shown in seen['flow']):.1f} s after the end at the latest"
    )


def plain_dbt(projects: Path, project: str, folder: Path) -> list[str]:
    """``dbt build`` as from a shell, which keeps its target in ``folder``."""
    place = str(projects / project)
    dbt = [str(Path(sys.executable).with_name("dbt")), "build", "--project-dir", place]
    dbt += ["--profiles-dir", place, "--target-path", str(folder / "plain")]
    dbt += ["--log-path", str(folder / "plain"), "--no-send-anonymous-usage-stats"]
    return [*dbt, "--no-version-check"]


def _print(project: str, costs: Mapping[str, list[Cost]], runs: int) -> None:
    print(f"{project}: medians of {runs} alternated runs")
    medians = {}
    for kind, each in costs.items():
        seconds = [cost.seconds for cost in each]
        medians[kind] = Cost(
            statistics.median(seconds),
            statistics.median(cost.cpu_seconds for cost in each),
            statistics.median(cost.peak_mib for cost in each),
        )
        print(
            f"  {kind:7} {medians[kind].seconds:6.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
            f"  {medians[kind].cpu_seconds:6.2f} s CPU  {medians[kind].peak_mib:6.0f} MiB"
        )
    flow, dbt = medians["flow"], medians["dbt"]
    print(
        f"  flow to dbt: wall {flow.seconds / dbt.seconds:.2f}, "
        f"CPU {flow.cpu_seconds / dbt.cpu_seconds:.2f}, memory {flow.peak_mib / dbt.peak_mib:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="a flow's dbt build against plain dbt build")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--project", choices=["generated", "github_scraper"])
    parser.add_argument("--nodes", type=int, default=NODES, help="of the generated project")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dbt-benchmark-") as temporary:
        folder = Path(temporary)
        paths = LocalPaths(folder / "state")
        with parts(folder) as (postgres, _, url):
            for project in [chosen.project] if chosen.project else ["generated", "github_scraper"]:
                given = environment_of(paths, url, postgres.create_database(project))
                (folder / project).mkdir()
                projects = prepared(project, folder, given, chosen.nodes)
                compare(projects, project, given, folder / project, chosen.runs)


def prepared(
    project: str, folder: Path, environment: Mapping[str, str], nodes: int = NODES
) -> Path:
    """The folder the project is in, once it and its database are ready to be built."""
    if project == "generated":
        generate_project(folder / "projects" / project, nodes)
        return folder / "projects"
    install_packages(project, folder)
    with psycopg.connect(environment["GIVEN_URL"], autocommit=True) as connection:
        for name in ("functions.sql", "schema.sql"):
            if (path := PROJECT_ROOT / "flows" / project / name).exists():
                connection.execute(path.read_bytes())
    return PROJECT_ROOT / "dbt_projects"


def environment_of(paths: LocalPaths, server: str, database: str) -> dict[str, str]:
    parts = conninfo_to_dict(database)
    return dict(os.environ) | own_client_environment(paths, server) | {
        "PYTHONPATH": str(PROJECT_ROOT),
        "ANALYTICS_FLOWS_STATE_DIR": str(paths.cache),
        "GIVEN_URL": database,
        "DBT_POSTGRES_HOST": str(parts["host"]),
        "DBT_POSTGRES_PORT": str(parts["port"]),
        "DBT_POSTGRES_USER": str(parts["user"]),
        "DBT_ENV_SECRET_POSTGRES_PASSWORD": str(parts["password"]),
        "DBT_POSTGRES_DATABASE": str(parts["dbname"]),
    }  # fmt: skip


if __name__ == "__main__":
    main()
