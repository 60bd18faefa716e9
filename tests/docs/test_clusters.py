"""What the pages have people type into a cluster comes in an order in which a new one takes it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from deployments.check.network import OVERLAYS, Cluster, cluster_of
from deployments.check.network.needs import GOOGLE_IDENTITY
from tests.deployments.kubernetes.tools import tool
from tests.docs.pages import commands

NAMESPACE = "kubectl apply --filename ../../base/namespace.yaml"
ASKED = "kubectl apply --dry-run=server --kustomize ."
APPLIED = "kubectl apply --kustomize ."
GRAFANA_APPLIED = "kubectl apply --kustomize deployments/grafana"
BINDS = re.compile(
    r"gcloud iam service-accounts add-iam-policy-binding (\S+) "
    r"--role roles/iam\.workloadIdentityUser "
    r"--member 'serviceAccount:PROJECT_ID\.svc\.id\.goog\[([\w-]+)/([\w-]+)\]'"
)


@pytest.fixture(scope="module")
def production() -> Cluster:
    return cluster_of(OVERLAYS / "production", tool("kubectl"))


def typed(page: str) -> Sequence[str]:
    return [each.words for each in commands() if each.page == f"docs/{page}.md"]


def identities(cluster: Cluster) -> Mapping[tuple[str, str], Any]:
    """By namespace and name, who an account of the cluster acts as, where it acts as somebody."""
    accounts = [each["metadata"] for each in cluster.of_kind("ServiceAccount")]
    found = {
        (each["namespace"], each["name"]): (each.get("annotations") or {}).get(GOOGLE_IDENTITY)
        for each in accounts
    }
    return {key: value for key, value in found.items() if value}


def bindings(lines: Sequence[str]) -> Mapping[tuple[str, str], str]:
    found = [each.groups() for each in map(BINDS.fullmatch, lines) if each]
    return {(namespace, name): identity for identity, namespace, name in found}


def test_the_namespace_and_every_foreign_kind_are_there_before_a_cluster_judges(
    production: Cluster,
) -> None:
    page = typed("kubernetes")
    before = page[: page.index(ASKED)]
    assert NAMESPACE in before
    assert page.index(ASKED) < page.index(APPLIED)
    foreign = {
        f"{each['kind'].lower()}s.{group}"
        for each in production.manifests
        for group, _, version in [each["apiVersion"].partition("/")]
        if version and "." in group and not group.endswith(".k8s.io")
    }
    assert foreign
    for kind in foreign:
        assert any(f"condition=Established crd/{kind} " in each for each in before), kind


def test_each_account_that_acts_as_one_of_the_cloud_is_bound_and_made_first(
    production: Cluster,
) -> None:
    page = typed("kubernetes")
    before = page[: page.index(APPLIED)]
    assert bindings(before) == identities(production)
    for identity in identities(production).values():
        name = identity.partition("@")[0]
        made = f"gcloud iam service-accounts create {name} --project PROJECT_ID"
        (bound,) = [each for each in before if f"binding {identity} " in each]
        assert before.index(made) < before.index(bound)


def test_grafana_has_its_secret_before_it_starts_and_an_identity_of_its_own(
    production: Cluster,
) -> None:
    page = typed("dashboards")
    secret = "kubectl --namespace analytics-flows create secret generic grafana "
    (made,) = [n for n, each in enumerate(page) if each.startswith(secret)]
    assert made < page.index(GRAFANA_APPLIED)
    ((account, identity),) = bindings(page).items()
    assert account in {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in production.of_kind("ServiceAccount")
    }
    annotates = f"annotate serviceaccount {account[1]} {GOOGLE_IDENTITY}={identity}"
    assert any(each.endswith(annotates) for each in page)
