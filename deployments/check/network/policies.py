"""Who may talk to whom, by the rules of the NetworkPolicy API, for manifests as they are rendered.

A pod that no policy selects for a direction may do everything in it. One that is selected may do
what any of its policies allows, and nothing else.
"""

from collections.abc import Mapping, Sequence
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
    ports: Mapping[str, int] = field(default_factory=dict, hash=False)
    namespace_labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Target:
    peer: Peer
    port: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.peer.name}:{self.port}/{self.protocol}"


def may_send(policies: Sequence[Manifest], pod: Peer, target: Target) -> bool:
    """Whether the policies let a connection out of the pod, and into the target.

    Policies are those of one namespace: for what is elsewhere, only the other side counts.
    """
    leaves = not _is_ours(pod) or _allows(policies, "Egress", pod, target.peer, target)
    return leaves and (
        not _is_ours(target.peer) or _allows(policies, "Ingress", target.peer, pod, target)
    )


def _is_ours(peer: Peer) -> bool:
    return peer.address is None and peer.namespace is None


def _allows(
    policies: Sequence[Manifest], direction: str, pod: Peer, other: Peer, target: Target
) -> bool:
    selecting = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"].get("policyTypes", ["Ingress"])
        and selects(policy["spec"]["podSelector"], pod.labels)
    ]
    side = "to" if direction == "Egress" else "from"
    return not selecting or any(
        _matches_port(rule, target) and _matches_peer(rule.get(side), other)
        for spec in selecting
        for rule in spec.get(direction.lower()) or ()
    )


def _matches_port(rule: Manifest, target: Target) -> bool:
    ports = rule.get("ports")
    return not ports or any(_is_port(each, target) for each in ports)


def _is_port(allowed: Manifest, target: Target) -> bool:
    if allowed.get("protocol", "TCP") != target.protocol:
        return False
    first = allowed.get("port")
    if isinstance(first, str):
        return target.peer.ports.get(first) == target.port
    return first is None or first <= target.port <= allowed.get("endPort", first)


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
    names = {"kubernetes.io/metadata.name": other.namespace or "", **other.namespace_labels}
    in_namespace = other.namespace is None if wanted is None else selects(wanted, names)
    return in_namespace and selects(peer.get("podSelector") or {}, other.labels)


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether labels are what a selector asks for; an empty one takes in all."""
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
