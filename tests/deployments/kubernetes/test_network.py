"""What the deployments and blocks need is let through; everything else is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from blocks import BlockNeed, Kind
from deployments.check import Project, main
from deployments.check.network import OVERLAYS, Cluster, cluster_of, overlay_problems
from deployments.check.network.needs import of_block, of_slug, of_source
from flows._shared.errors import PermanentError
from tests.deployments.kubernetes.tools import tool


@pytest.fixture(scope="module")
def project() -> Project:
    return Project()


@pytest.fixture(scope="module")
def clusters() -> dict[str, Cluster]:
    names = ("kind", "production")
    return {name: cluster_of(OVERLAYS / name, tool("kubectl")) for name in names}


def found(cluster: Cluster, project: Project) -> list[str]:
    return [f"{where}: {what}" for where, what in overlay_problems(cluster, project)]


@pytest.mark.parametrize("overlay", ["kind", "production"])
def test_every_pod_reaches_what_it_needs_and_nothing_else(
    clusters: dict[str, Cluster], project: Project, overlay: str
) -> None:
    assert found(clusters[overlay], project) == []


def peer(selector: str) -> str:
    return f'"matchLabels": {{"app.kubernetes.io/{selector}"}}'


@pytest.mark.parametrize(
    ("overlay", "name", "good", "broken", "problems"),
    [
        # DNS, as it was cut off on Google's clusters.
        (
            "production",
            "resolve-names",
            '{"ipBlock": {"cidr": "169.254.169.254/32"}}, ',
            "",
            ("run: it must reach Cloud DNS:53/UDP", "worker: it must reach Cloud DNS:53/TCP"),
        ),
        (
            "kind",
            "resolve-names",
            '{"port": 53, "protocol": "UDP"}, ',
            "",
            ("webhooks: it must reach kube-dns:53/UDP", "run: it must reach NodeLocal DNSCache:53"),
        ),
        # Alerts, as they never left the cluster.
        (
            "production",
            "prefect-server",
            '"ports": [{"port": 443}, {"port": 465}, {"port": 587}]',
            '"ports": [{"port": 465}]',
            (
                "prefect-server: it must reach chat:443/TCP",
                "prefect-server: it must reach mail server:587/TCP",
            ),
        ),
        (
            "production",
            "prefect-server",
            '"PREFECT_UI_URL"',
            '"PREFECT_URL"',
            ("prefect-server: links of alerts would be empty",),
        ),
        # Two files, each right alone.
        (
            "kind",
            "analytics-flows-worker",
            "http://prefect-server:4200/api",
            "http://prefect:4200/api",
            ("worker: following PREFECT_API_URL of worker: no Service leads",),
        ),
        (
            "kind",
            "prefect-server",
            '"targetPort": "http"',
            '"targetPort": "https"',
            ("run: following PREFECT_API_URL", "webhooks: following PREFECT_API_URL"),
        ),
        (
            "production",
            "prefect-server-database",
            "5432",
            "5433",
            ("prefect-server: it must reach database:5432/TCP",),
        ),
        (
            "kind",
            "postgres",
            peer('managed-by": "prefect'),
            peer('managed-by": "other'),
            ("run: it must reach postgres:5432/TCP",),
        ),
        (
            "production",
            "runs-metadata-server",
            "988",
            "989",
            ("run: it must reach metadata server of GKE:988/TCP",),
        ),
        (
            "production",
            "runs",
            '{"port": 22}, ',
            "",
            (
                "run: it must reach git over SSH:22/TCP",
                "warm: it must reach git over SSH:22/TCP",
            ),
        ),
        (
            "kind",
            "analytics-flows-warm",
            'managed-by": "prefect',
            'managed-by": "other',
            (
                "warm: it must reach prefect-server:4200/TCP",
                "warm: it must reach postgres:5432/TCP",
                "warm: it must reach BigQuery:443/TCP",
            ),
        ),
        (
            "production",
            "analytics-flows-warm",
            '"serviceAccountName": "analytics-flows-run"',
            '"serviceAccountName": "analytics-flows-webhooks"',
            ("warm: it may reach metadata server:80/TCP",),
        ),
        (
            "kind",
            "webhooks",
            '{"port": 4317}',
            '{"port": 4318}',
            ("webhooks: a sender must reach its port 4317",),
        ),
        # Grafana is applied beside an overlay.
        (
            "production",
            "agent-analytics-reader",
            peer('component": "grafana'),
            peer('component": "other'),
            ("grafana: it must reach agent-analytics-reader:8080/TCP",),
        ),
        (
            "kind",
            "postgres",
            '"set-up", "grafana"]',
            '"set-up"]',
            ("grafana: it must reach postgres:5432/TCP",),
        ),
        (
            "production",
            "grafana",
            '{"port": 443}, {"port": 5432}',
            '{"port": 5432}',
            (
                "grafana: it must reach BigQuery:443/TCP",
                "grafana: it must reach catalogue of plugins:443/TCP",
            ),
        ),
        (
            "kind",
            "grafana",
            '"namespace": "analytics-flows"',
            '"namespace": "monitoring"',
            ("namespaces: objects are in analytics-flows, monitoring",),
        ),
        # More than is needed.
        (
            "production",
            "grafana",
            '"policyTypes": [',
            '"ingress": [{"ports": [{"port": 3000}]}], "policyTypes": [',
            ("grafana: an address outside may reach its port 3000",),
        ),
        (
            "kind",
            "deny-all",
            '"podSelector": {}',
            '"podSelector": {"matchLabels": {"nothing": "here"}}',
            ("worker: an address outside may reach its port 8080",),
        ),
        (
            "kind",
            "runs",
            '"except": ["169.254.0.0/16"]',
            '"except": []',
            ("run: it may reach a link-local address:443/TCP",),
        ),
        (
            "kind",
            "runs",
            '{"port": 22}',
            '{"port": 22, "endPort": 80}',
            ("run: it may reach an address outside:80/TCP",),
        ),
        (
            "production",
            "runs-metadata-server",
            f'"podSelector": {{{peer("managed-by" + chr(34) + ": " + chr(34) + "prefect")}}}',
            '"podSelector": {}',
            ("webhooks: it may reach metadata server:80/TCP",),
        ),
        (
            "kind",
            "prefect-server",
            '"ingress": [',
            '"ingress": [{"ports": [{"port": "http"}]}, ',
            ("prefect-server: an address outside may reach its port 4200",),
        ),
    ],
)
def test_what_is_cut_off_or_open_is_told(
    clusters: dict[str, Cluster],
    project: Project,
    overlay: str,
    name: str,
    good: str,
    broken: str,
    problems: tuple[str, ...],
) -> None:
    texts = [json.dumps(each, sort_keys=True) for each in clusters[overlay].manifests]
    named = f'"name": "{name}"'
    assert any(named in text and good in text for text in texts)
    mutated = [text.replace(good, broken) if named in text else text for text in texts]
    seen = found(Cluster(overlay, [json.loads(text) for text in mutated]), project)
    for problem in problems:
        assert any(each.startswith(f"{overlay}, {problem}") for each in seen), seen


@pytest.mark.parametrize(
    ("name", "direction", "rule", "problem"),
    [
        (
            "runs",
            "egress",
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 8443}]},
            "run: it may reach an address outside:8443/TCP",
        ),
        (
            "runs",
            "egress",
            {
                "to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}],
                "ports": [{"port": 7000, "endPort": 7009}],
            },
            "run: it may reach a private address:7009/TCP",
        ),
        (
            "runs",
            "egress",
            {"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], "ports": [{"port": 3128}]},
            "run: it may reach 198.51.100.0:3128/TCP",
        ),
        (
            "webhooks",
            "egress",
            {"to": [{"ipBlock": {"cidr": "169.254.169.0/24"}}]},
            "webhooks: it may reach 169.254.169.255:80/TCP",
        ),
        (
            "worker",
            "egress",
            {"to": [{"ipBlock": {"cidr": "::/0"}}], "ports": [{"port": 80}]},
            "worker: it may reach :::80/TCP",
        ),
        (
            "runs",
            "egress",
            {
                "to": [{"namespaceSelector": {"matchLabels": {"team": "logs"}}}],
                "ports": [{"port": 3100}],
            },
            "run: it may reach pods of other namespaces with team=logs:3100/TCP",
        ),
        (
            "prefect-server",
            "ingress",
            {
                "from": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "logs"}}}
                ]
            },
            "prefect-server: pods of the namespace logs may reach its port 4200",
        ),
        (
            "prefect-server",
            "ingress",
            {"from": [{"ipBlock": {"cidr": "198.51.100.7/32"}}], "ports": [{"port": 4200}]},
            "prefect-server: 198.51.100.7 may reach its port 4200",
        ),
    ],
)
def test_whatever_else_a_policy_names_is_tried(
    clusters: dict[str, Cluster],
    project: Project,
    name: str,
    direction: str,
    rule: dict[str, Any],
    problem: str,
) -> None:
    seen = found(with_rule(clusters["production"], name, direction, rule), project)
    assert any(each.startswith(f"production, {problem}") for each in seen), seen


def with_rule(cluster: Cluster, name: str, direction: str, rule: dict[str, Any]) -> Cluster:
    manifests = json.loads(json.dumps(cluster.manifests))
    policy = next(
        each
        for each in manifests
        if (each["kind"], each["metadata"]["name"]) == ("NetworkPolicy", name)
    )
    policy["spec"][direction].append(rule)
    return Cluster(cluster.name, manifests)


def test_the_resolver_of_another_platform_is_named_by_its_address(
    clusters: dict[str, Cluster], project: Project
) -> None:
    ports = [{"port": 53, "protocol": each} for each in ("UDP", "TCP")]

    def seen(network: str) -> list[str]:
        rule = {"to": [{"ipBlock": {"cidr": network}}], "ports": ports}
        return found(with_rule(clusters["kind"], "resolve-names", "egress", rule), project)

    assert [seen("168.63.129.16/32"), seen("169.254.169.253/32"), seen("10.0.0.10/32")] == [[]] * 3
    assert "run: it may reach 168.63.129.0:53/UDP" in str(seen("168.63.129.0/24"))


def test_the_address_of_the_servers_own_database_may_be_the_only_one_that_is_open(
    clusters: dict[str, Cluster], project: Project
) -> None:
    manifests = json.loads(json.dumps(clusters["production"].manifests))
    (policy,) = [
        each for each in manifests if each["metadata"]["name"] == "prefect-server-database"
    ]
    rule = {"to": [{"ipBlock": {"cidr": "10.77.0.3/32"}}], "ports": [{"port": 5432}]}
    policy["spec"]["egress"] = [rule]
    assert found(Cluster("production", manifests), project) == []
    rule["to"] = [{"ipBlock": {"cidr": "34.1.2.3/32"}}]
    seen = str(found(Cluster("production", manifests), project))
    assert "prefect-server: it must reach database:5432/TCP" in seen
    assert "prefect-server: it may reach 34.1.2.3:5432/TCP" in seen


def test_what_a_policy_says_it_is_needed_for_is_left_to_whoever_wrote_it(
    clusters: dict[str, Cluster], project: Project
) -> None:
    policy: dict[str, Any] = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "mail", "annotations": {"analytics-flows/needed-for": "our relay"}},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "prefect-server"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.9.0.25/32"}}], "ports": [{"port": 2525}]}],
        },
    }

    def seen() -> list[str]:
        return found(Cluster("kind", [*clusters["kind"].manifests, policy]), project)

    assert seen() == []
    policy["metadata"]["annotations"]["analytics-flows/needed-for"] = ""
    assert "prefect-server: it may reach 10.9.0.25:2525/TCP" in str(seen())


def test_the_check_ends_1_on_files_that_cut_off_dns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tool("kubectl").parent), prepend=":")
    folder = Path(shutil.copytree(OVERLAYS.parent, tmp_path / "kubernetes"))
    shutil.rmtree(folder / "overlays" / "production")
    policies = folder / "base" / "network-policies.yaml"
    policies.write_text(policies.read_text().replace("port: 53\n", "port: 54\n"))
    assert main(["--overlays", str(folder / "overlays")]) == 1
    assert "it must reach kube-dns:53/UDP" in capsys.readouterr().err


def test_what_a_new_block_domain_or_data_source_connects_to_has_to_be_said() -> None:
    with pytest.raises(PermanentError, match="nothing says where it is shown"):
        of_block(BlockNeed("scout-new-token", Kind.SECRET, "SCOUT_NEW_TOKEN", "new"))
    with pytest.raises(PermanentError, match="it has no blocks"):
        of_slug("weather")
    with pytest.raises(PermanentError, match="nothing says where they ask"):
        of_source(Cluster("kind", []), "grafana-loki-datasource")
