"""Flow runs through a real KubernetesWorker and its observer, and what becomes of lost pods.

The cluster is the double of this package. Where KUBECONFIG names a real one, give
KUBERNETES_TEST_PREFECT_API_URL (a Prefect server its pods reach) and KUBERNETES_TEST_IMAGE (an
image it can pull) as well, and the same tests run there.
"""

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks.registration import connection
from deployments.local.paths import PROJECT_ROOT
from deployments.local.postgres import EmbeddedPostgres
from tests.deployments.kubernetes import image
from tests.deployments.kubernetes.cluster import Cluster, Double, Prefect, double, worker
from tests.deployments.kubernetes.domains import DomainRun, domain_runs
from tests.deployments.kubernetes.node import READ_ONLY, can_isolate
from tests.github_scraper.histories import History
from tests.parsed import parse_once

# The first test waits for a server, a worker and the pods of all of these runs.
pytestmark = pytest.mark.timeout(600)

BASE = PROJECT_ROOT / "deployments" / "kubernetes" / "base"
AUTOMATION = PROJECT_ROOT / "deployments" / "automations" / "rerun-crashed.yaml"
REAL_API_URL = os.environ.get("KUBERNETES_TEST_PREFECT_API_URL")
REAL_CLUSTER = os.environ.get("KUBECONFIG") if REAL_API_URL else None
AUTH_STRING = os.environ["PREFECT_API_AUTH_STRING"]
ENDED = ["Completed", "Crashed", "Failed"]
# An exhaustive run has all domains.
ALWAYS = ("github_scraper",)
DOMAINS = [
    each.slug
    if each.slug in ALWAYS
    else pytest.param(each.slug, marks=pytest.mark.exhaustive, id=each.slug)
    for each in domain_runs("")
]
SMALL = {
    "cpu_request": "100m",
    "memory_request": "128Mi",
    "memory_limit": "512Mi",
    "termination_grace_seconds": 20,
}
LOSES = {
    "lost twice": ({"hold_seconds": 15}, {}),
    "cancelled": ({"hold_seconds": 300}, {}),
    "out of memory": ({"mebibytes": 512, "hold_seconds": 5}, {}),
    "image": ({}, {"image": "registry.invalid/analytics-flows:none", "deadline_seconds": 2}),
}


@pytest.fixture(scope="module")
def slugs(is_exhaustive: bool) -> list[str]:
    """The domains of which there are runs."""
    return [each.slug for each in domain_runs("") if is_exhaustive or each.slug in ALWAYS]


@pytest.fixture(scope="module")
def cluster(slugs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if REAL_CLUSTER:
        path = Path(REAL_CLUSTER)
        yield Cluster(path, path, os.environ["KUBERNETES_TEST_IMAGE"])
        return
    role = next(yaml.safe_load_all((BASE / "worker-role.yaml").read_text()))
    projects = image.projects_in(tmp_path_factory.mktemp("dbt"), slugs)
    parsed = [parse_once(slug).parents[2] for slug in slugs]
    folder = tmp_path_factory.mktemp("cluster")
    with double(folder, image.here(projects, parsed[0]), role["rules"]) as started:
        started.create_secret("prefect-auth", {"auth-string": AUTH_STRING})
        yield started
        assert started.server.refused == [], "the worker asked for more than its Role allows"


@pytest.fixture(scope="module")
def prefect(request: pytest.FixtureRequest) -> Prefect:
    return Prefect(REAL_API_URL or request.getfixturevalue("prefect_server"))


@pytest.fixture(scope="module")
def pool(
    cluster: Cluster, prefect: Prefect, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A pool with a worker, set up as its Deployment in the cluster sets it up."""
    name = f"kubernetes-{uuid.uuid4().hex[:8]}"
    prefect.create_pool(name, cluster.image)
    automation = prefect.create_automation(AUTOMATION)
    container = yaml.safe_load((BASE / "worker.yaml").read_text())["spec"]["template"]["spec"][
        "containers"
    ][0]
    environment = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    log = tmp_path_factory.mktemp("worker") / "log"
    secret = {} if REAL_CLUSTER else {"PREFECT_API_AUTH_STRING": AUTH_STRING}
    with worker(cluster, prefect.url, name, log, environment | secret):
        yield name
    prefect.delete(f"automations/{automation}")
    print(log.read_text())


@pytest.fixture(scope="module")
def probe(prefect: Prefect, pool: str) -> str:
    entrypoint = "deployments.kubernetes.probe.probe"
    return prefect.deploy(pool, entrypoint, "kubernetes-probe", SMALL)


@pytest.fixture(scope="module")
def domains(
    slugs: list[str], postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> list[DomainRun]:
    """Runs of the domains, each with a database of its own. A real cluster reaches none of them."""
    history = History(tmp_path_factory.mktemp("repository") / "history")
    history.point(history.commit())
    runs = [each for each in domain_runs(str(history.path)) if each.slug in slugs]
    if REAL_CLUSTER:
        return [each for each in runs if not each.is_on_postgres]
    for each in runs:
        url = postgres.create_database(each.database_block)
        block = SqlAlchemyConnector(connection_info=connection("a database", url))
        block.save(each.database_block, overwrite=True)
    return runs


@pytest.fixture(scope="module")
def runs(
    cluster: Cluster, prefect: Prefect, pool: str, probe: str, domains: list[DomainRun]
) -> Iterator[dict[str, str]]:
    """Every kind of run, started together: the time they take is mostly waiting."""
    started = {each.slug: each.start(prefect, pool) for each in domains}
    for kind, (parameters, variables) in LOSES.items():
        started[kind] = prefect.start(probe, parameters, variables)
    lost = started["lost twice"]
    wait_for(lambda: prefect.states(lost).count("Running") == 1)
    cluster.kill(pod_of(cluster, lost))
    # In the midst of its work: before that, an engine may be told to end without a word.
    wait_for(lambda: prefect.states(lost).count("Running") == 2)
    wait_for(lambda: "holding" in prefect.logs(lost))
    cluster.evict(pod_of(cluster, lost))
    prefect.wait(started["cancelled"], ["Running"])
    prefect.cancel(started["cancelled"])
    yield started
    for run in started.values():
        prefect.delete(f"flow_runs/{run}")


def pod_of(cluster: Cluster, run: str) -> str:
    [pod] = cluster.pods(run)
    return str(pod.metadata.name)


def essential(states: list[str]) -> list[str]:
    """Without `Late`, which a busy machine adds, and the worker's own word for Pending."""
    return [state for state in states if state not in ("Late", "Submitting")]


@pytest.mark.parametrize("slug", DOMAINS)
def test_a_run_of_each_domain_goes_from_scheduled_to_completed_below_its_memory_limit(
    cluster: Cluster, prefect: Prefect, runs: dict[str, str], slug: str
) -> None:
    if slug not in runs:
        pytest.skip("pods of a real cluster do not reach this machine's PostgreSQL")
    states = essential(prefect.wait(runs[slug], ENDED))
    assert states == ["Scheduled", "Pending", "InfrastructurePending", "Running", "Completed"], (
        prefect.logs(runs[slug])
    )
    if isinstance(cluster, Double):
        usage = cluster.usage(runs[slug])
        print(f"{slug}: {usage.peak >> 20} of {usage.limit >> 20} MiB")
        assert 100 * 2**20 < usage.peak < usage.limit


def test_a_pod_can_write_to_its_volumes_only(tmp_path: Path) -> None:
    if not can_isolate():
        pytest.skip("this user may not make mount namespaces")
    (tmp_path / "volume").mkdir()
    write = f"touch {tmp_path}/volume/here; touch {tmp_path}/beside"
    command = ["unshare", "--mount", "sh", str(READ_ONLY), f"{tmp_path}/volume", "sh", "-c", write]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Read-only file system" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["volume", "here"]


def test_the_password_of_the_server_is_in_no_manifest(
    cluster: Cluster, prefect: Prefect, runs: dict[str, str]
) -> None:
    if not isinstance(cluster, Double):
        pytest.skip("the worker of a real cluster is given its password by the cluster")
    prefect.wait(runs["github_scraper"], ["Running", *ENDED])
    [job] = cluster.jobs(runs["github_scraper"])
    container = job["spec"]["template"]["spec"]["containers"][0]
    given = {each["name"]: each for each in container["env"]}
    reference = {"name": "prefect-auth", "key": "auth-string"}
    assert given["PREFECT_API_AUTH_STRING"]["valueFrom"] == {"secretKeyRef": reference}
    assert AUTH_STRING not in str(job)


def test_a_run_whose_pod_is_killed_and_then_evicted_is_completed_by_a_third(
    prefect: Prefect, runs: dict[str, str]
) -> None:
    states = essential(prefect.wait(runs["lost twice"], ["Completed"]))
    started = ["Pending", "InfrastructurePending", "Running"]
    lost = [*started, "Crashed", "AwaitingRetry"]
    assert states == ["Scheduled", *lost, *lost, *started, "Completed"]


def test_an_evicted_pod_says_so_itself_before_its_grace_is_over(
    prefect: Prefect, runs: dict[str, str]
) -> None:
    prefect.wait(runs["lost twice"], ["Completed"])
    assert "termination signal" in prefect.logs(runs["lost twice"])


def test_a_cancelled_run_ends_as_cancelled_and_is_not_started_again(
    prefect: Prefect, runs: dict[str, str]
) -> None:
    states = essential(prefect.wait(runs["cancelled"], ["Cancelled"]))
    assert states[-3:] == ["Running", "Cancelling", "Cancelled"]
    assert states.count("Running") == 1


def test_a_run_whose_image_cannot_be_pulled_crashes_at_the_deadline_and_is_tried_again(
    prefect: Prefect, runs: dict[str, str]
) -> None:
    wait_for(lambda: "AwaitingRetry" in prefect.states(runs["image"]))
    states = essential(prefect.states(runs["image"]))
    assert states[:5] == [
        "Scheduled",
        "Pending",
        "InfrastructurePending",
        "Crashed",
        "AwaitingRetry",
    ]
    assert "image" in prefect.logs(runs["image"]).lower()


def test_a_run_that_never_fits_in_memory_stays_crashed_after_its_third_start(
    prefect: Prefect, runs: dict[str, str]
) -> None:
    wait_for(lambda: prefect.states(runs["out of memory"]).count("Crashed") >= 3)
    time.sleep(3)
    states = prefect.states(runs["out of memory"])
    assert states.count("Crashed") == 3
    assert states[-1] == "Crashed"
    assert "OOMKilled" in prefect.logs(runs["out of memory"])


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.3)
