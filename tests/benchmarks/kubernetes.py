"""A run of each domain through a Kubernetes worker: time, peak memory, limit.

    python -m tests.benchmarks.kubernetes [--domain scout ...] [--times 10]

The worker is the real one, the cluster the double of tests/deployments/kubernetes, the command,
environment and limits those that the worker renders from prefect.yaml and the base job template.
Samples are small, or so many times larger; databases are embedded. Memory is the resident memory
of all processes of the pod at its highest, shared pages counted in each process: somewhat more than
a node would count.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import yaml
from prefect.context import refresh_global_settings_context
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks.registration import connection
from deployments.image.parse import main as parse
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.server import PrefectServer, own_client_environment
from tests.deployments.kubernetes import image
from tests.deployments.kubernetes.cluster import Double, Prefect, double, worker
from tests.deployments.kubernetes.domains import DomainRun, domain_runs

MEBIBYTE = 2**20
ENDED = ["Completed", "Crashed", "Failed"]
DOMAINS = [each.slug for each in domain_runs("")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domain", nargs="*", choices=DOMAINS, default=DOMAINS)
    parser.add_argument("--times", type=int, default=1)
    chosen = parser.parse_args()
    runs = [
        each for each in domain_runs(str(PROJECT_ROOT), chosen.times) if each.slug in chosen.domain
    ]
    with tempfile.TemporaryDirectory(prefix="analytics-flows-") as place:
        folder = Path(place)
        paths = LocalPaths(folder / "local")
        projects = image.projects_in(folder / "dbt_projects", chosen.domain)
        parse([str(projects), str(folder / "parsed")])
        server = PrefectServer(paths, first_port=47200)
        databases = EmbeddedPostgres(paths.postgres, first_port=57320, is_durable=False)
        url = server.start()
        databases.start()
        os.environ.update(own_client_environment(paths, url))
        # Prefect read its settings as it was imported.
        refresh_global_settings_context()
        rules = next(yaml.safe_load_all(_base("worker-role.yaml")))["rules"]
        (folder / "cluster").mkdir()
        try:
            register(databases, runs)
            with (
                double(
                    folder / "cluster", image.here(projects, folder / "parsed"), rules
                ) as cluster,
                worker(cluster, url, _pool(url, cluster), folder / "worker.log", {}),
            ):
                measure(Prefect(url), cluster, runs)
        finally:
            databases.stop()
            server.stop()


def register(databases: EmbeddedPostgres, runs: list[DomainRun]) -> None:
    """Write the blocks of the domains, each with a database of its own."""
    for each in runs:
        url = databases.create_database(each.slug)
        SqlAlchemyConnector(connection_info=connection("a database", url)).save(each.database_block)


def measure(prefect: Prefect, cluster: Double, runs: list[DomainRun]) -> None:
    line = f"{'domain':<18}{'ended':<12}{'seconds':>8}{'peak MiB':>10}{'limit MiB':>11}{'share':>7}"
    sys.stdout.write(f"load {os.getloadavg()[0]:.1f}\n{line}\n")
    for each in runs:
        began = time.monotonic()
        run = each.start(prefect, "kubernetes")
        state = prefect.wait(run, ENDED, seconds=600)[-1]
        seconds = time.monotonic() - began
        usage = cluster.usage(run)
        peak, limit = usage.peak / MEBIBYTE, usage.limit / MEBIBYTE
        figures = f"{seconds:8.1f}{peak:10.0f}{limit:11.0f}{peak / limit:7.0%}"
        sys.stdout.write(f"{each.slug:<18}{state:<12}{figures}\n")
        sys.stdout.flush()
        if state != "Completed":
            sys.stdout.write(f"{prefect.logs(run)}\n{cluster.log(run)}\n")


def _pool(url: str, cluster: Double) -> str:
    Prefect(url).create_pool("kubernetes", cluster.image)
    return "kubernetes"


def _base(name: str) -> str:
    return (PROJECT_ROOT / "deployments" / "kubernetes" / "base" / name).read_text()


if __name__ == "__main__":
    main()
