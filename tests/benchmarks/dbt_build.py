"""What a dbt build costs inside a flow run, against plain ``dbt build`` on the same project.

    python -m tests.benchmarks.dbt_build [--runs 5] [--project generated|github_scraper]

Both are whole processes, run in turn, with everything dbt keeps between builds kept for both, on
one embedded PostgreSQL and one Prefect server started beforehand. Prints medians of wall time, of
CPU time (steadier on a machine that others use too) and of peak memory, and their ratios. A third
kind, ``import``, is the cost of a flow run that builds nothing.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.server import own_client_environment
from tests.dbt_projects.warehouse import install_packages
from tests.measuring import Cost, measure, parts

MODELS = 20
TESTS_PER_MODEL = 3
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
import os, sys
from pathlib import Path
from prefect import flow
from flows._shared.orchestration.dbt import DbtOptions, build_dbt

@flow(name="benchmark")
def refresh():
    if sys.argv[1] == "build":
        given = {n: v for n, v in os.environ.items() if n.startswith("DBT_")}
        everything = DbtOptions(build_unchanged=True)
        build_dbt(sys.argv[2], given, everything, projects_dir=Path(sys.argv[3]))

refresh()
"""


def generate_project(folder: Path) -> None:
    """20 models in a few layers, 60 tests of their keys and values."""
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
    for number in range(MODELS):
        source = (
            f"{{{{ ref('model_{number - 4:02}') }}}}"
            if number >= 4
            else "(select n as id, n % 7 as kind from generate_series(1, 20000) as n) as numbers"
        )
        kind = "table" if number % 2 else "view"
        (models / f"model_{number:02}.sql").write_text(
            f"{{{{ config(materialized='{kind}') }}}}\nselect id, kind from {source}\n"
        )
        described.append(
            {
                "name": f"model_{number:02}",
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
    flow = folder / "in_a_flow.py"
    flow.write_text(IN_A_FLOW)
    commands = {
        "dbt": plain_dbt(projects, project, folder),
        "flow": [sys.executable, str(flow), "build", project, str(projects)],
        "import": [sys.executable, str(flow), "nothing"],
    }
    costs: dict[str, list[Cost]] = {kind: [] for kind in commands}
    for run in range(runs + 1):
        for kind, command in commands.items():
            cost = measure(command, environment, folder / f"{kind}.log")
            # The first of each kind reads the whole project.
            if run:
                costs[kind].append(cost)
    _print(project, costs, runs)


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
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dbt-benchmark-") as temporary:
        folder = Path(temporary)
        paths = LocalPaths(folder / "state")
        with parts(folder) as (postgres, _, url):
            for project in [chosen.project] if chosen.project else ["generated", "github_scraper"]:
                given = environment_of(paths, url, postgres.create_database(project))
                (folder / project).mkdir()
                compare(prepared(project, folder, given), project, given, folder / project,
                        chosen.runs)  # fmt: skip


def prepared(project: str, folder: Path, environment: Mapping[str, str]) -> Path:
    """The folder the project is in, once it and its database are ready to be built."""
    if project == "generated":
        generate_project(folder / "projects" / project)
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
