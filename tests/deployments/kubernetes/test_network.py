"""What the deployments and blocks need is let through; everything else is not."""

import subprocess
from itertools import product
from typing import Any

import pytest
import yaml

from deployments.local.paths import PROJECT_ROOT
from tests.deployments.kubernetes.jobs import rendered_job
from tests.deployments.kubernetes.network import Peer, Target, may_send, pods
from tests.deployments.kubernetes.tools import tool

OVERLAYS = PROJECT_ROOT / "deployments" / "kubernetes" / "overlays"
DNS = [
    Target(peer, 53, protocol)
    for peer, protocol in product(
        (
            Peer("kube-dns", {"k8s-app": "kube-dns"}, namespace="kube-system"),
            Peer("Cloud DNS", address="169.254.169.254"),
            Peer("NodeLocal DNSCache", address="169.254.20.10"),
        ),
        ("UDP", "TCP"),
    )
]
# One address stands for each kind of service outside; the ports are those of its clients.
OUTSIDE = Peer("outside", address="203.0.113.7")
DATABASE = Peer("database", address="10.20.0.5")
METADATA = [
    Target(Peer("metadata server", address="169.254.169.254"), 80),
    Target(Peer("metadata server of GKE", address="169.254.169.252"), 988),
]
HTTPS, SSH, SMTP, SMTPS, SUBMISSION = (Target(OUTSIDE, port) for port in (443, 22, 25, 465, 587))
POSTGRES, POOLER = (Target(DATABASE, port) for port in (5432, 6543))
KUBERNETES = Target(Peer("API server", address="10.0.0.1"), 6443)
ELSEWHERE = [
    Target(OUTSIDE, 80),
    SMTP,
    Target(Peer("another pod", {"app": "other"}), 8080),
    Target(Peer("another namespace", {}, namespace="default"), 5432),
    Target(Peer("link-local", address="169.254.1.1"), 443),
]


@pytest.fixture(scope="module", params=["kind", "production"])
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    command = [str(tool("kubectl")), "kustomize", str(OVERLAYS / request.param)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [*yaml.safe_load_all(text)]


def needs(server: Peer, in_cluster: list[Target], is_production: bool) -> dict[str, list[Target]]:
    """The connections that each kind of pod opens, from what it runs: flows spend blocks of
    PostgreSQL, GitHub, Google and webhooks; the server sends alerts; the receiver reads the
    networks that senders publish."""
    api = Target(server, 4200)
    return {
        "prefect-server": [*DNS, *in_cluster, POSTGRES, HTTPS, SMTPS, SUBMISSION],
        "worker": [*DNS, api, KUBERNETES, HTTPS],
        "run": [*DNS, *in_cluster, api, HTTPS, SSH, POSTGRES, POOLER]
        + (METADATA if is_production else []),
        "webhooks": [*DNS, *in_cluster, api, HTTPS, POSTGRES, POOLER],
    }


def test_every_pod_reaches_what_it_needs_and_nothing_else(
    manifests: list[dict[str, Any]],
) -> None:
    policies = [each for each in manifests if each["kind"] == "NetworkPolicy"]
    found = {pod.name: pod for pod in pods(manifests)}
    labels = rendered_job({})["spec"]["template"]["metadata"]["labels"]
    found["run"] = Peer("run", labels)
    in_cluster = [Target(found["postgres"], 5432)] if "postgres" in found else []
    wanted = needs(found["prefect-server"], in_cluster, "postgres" not in found)
    every = {
        *(each for targets in wanted.values() for each in targets),
        *METADATA,
        *ELSEWHERE,
        *(Target(pod, port) for pod in found.values() for port in (22, 4200, 5432, 8080)),
    }
    wrong = []
    for name, targets in wanted.items():
        for target in sorted(every, key=str):
            is_open = name != "webhooks" and target == Target(found["webhooks"], 8080)
            expected = target in targets
            seen = may_send(policies, found[name], target)
            # The receiver takes deliveries from everywhere: only who may leave is asked.
            if seen != expected and not is_open:
                wrong.append(f"{name} -> {target}: {'let through' if seen else 'cut off'}")
    assert not wrong


def test_links_of_alerts_lead_somewhere(manifests: list[dict[str, Any]]) -> None:
    (server,) = (
        each
        for each in manifests
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "prefect-server"
    )
    (container,) = server["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert str(variables["PREFECT_UI_URL"]).startswith("http")
