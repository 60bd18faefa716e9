"""Who may talk to whom, by the rules of the NetworkPolicy API, for manifests as they are rendered.

A pod that no policy selects for a direction may do everything in it. One that is selected may do
what any of its policies allows, and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Peer:
    """A pod of this namespace by its labels, one of another namespace, or an address outside."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    namespace: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class Target:
    peer: Peer
    port: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.peer.name}:{self.port}/{self.protocol}"


def may_send(policies: Sequence[Manifest], pod: Peer, target: Target) -> bool:
    """Whether the policies let a connection out of the pod, and into the target if it is one."""
    leaves = _allows(policies, "Egress", pod, target.peer, target)
    is_ours = target.peer.address is None and target.peer.namespace is None
    return leaves and (not is_ours or _allows(policies, "Ingress", target.peer, pod, target))


def _allows(
    policies: Sequence[Manifest], direction: str, pod: Peer, other: Peer, target: Target
) -> bool:
    selecting = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"].get("policyTypes", ["Ingress"])
        and _selects(policy["spec"]["podSelector"], pod.labels)
    ]
    side = "to" if direction == "Egress" else "from"
    return not selecting or any(
        _matches_port(rule, target) and _matches_peer(rule.get(side), other)
        for spec in selecting
        for rule in spec.get(direction.lower()) or ()
    )


def _matches_port(rule: Manifest, target: Target) -> bool:
    ports = rule.get("ports")
    return not ports or any(
        each.get("port") in (None, target.port) and each.get("protocol", "TCP") == target.protocol
        for each in ports
    )


def _matches_peer(peers: Sequence[Manifest] | None, other: Peer) -> bool:
    return not peers or any(_matches_one(peer, other) for peer in peers)


def _matches_one(peer: Manifest, other: Peer) -> bool:
    if block := peer.get("ipBlock"):
        if other.address is None:
            return False
        address = ip_address(other.address)
        left_out = any(address in ip_network(each) for each in block.get("except") or ())
        return address in ip_network(block["cidr"]) and not left_out
    if other.address is not None:
        return False
    wanted = peer.get("namespaceSelector")
    names = {"kubernetes.io/metadata.name": other.namespace or ""}
    in_namespace = other.namespace is None if wanted is None else _selects(wanted, names)
    return in_namespace and _selects(peer.get("podSelector") or {}, other.labels)


def _selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    equal = selector.get("matchLabels") or {}
    if any(labels.get(name) != value for name, value in equal.items()):
        return False
    return all(_holds(each, labels) for each in selector.get("matchExpressions") or ())


def _holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]


def pods(manifests: Sequence[Manifest]) -> Iterator[Peer]:
    """One peer for each workload, with the labels that its pods carry."""
    for each in manifests:
        if each["kind"] in ("Deployment", "StatefulSet"):
            labels = each["spec"]["template"]["metadata"]["labels"]
            yield Peer(str(labels["app.kubernetes.io/component"]), labels)
