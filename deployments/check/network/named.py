"""What policies themselves name, which is tried beside what is usual."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network

from deployments.check.network.policies import Manifest, Peer

NAME = "kubernetes.io/metadata.name"
# Stands for every namespace whose name a policy does not say.
ELSEWHERE = "elsewhere"


def named_ports(policies: Sequence[Manifest]) -> set[int]:
    """Both ends of every range of ports."""
    return {
        each[key]
        for rule, _ in _rules(policies)
        for each in rule.get("ports") or ()
        for key in ("port", "endPort")
        if isinstance(each.get(key), int)
    }


def named_peers(policies: Sequence[Manifest]) -> Iterator[Peer]:
    """Whom rules let in or reach outside the namespace; of a network its first and last address."""
    for rule, side in _rules(policies):
        for peer in rule.get(side) or ():
            if block := peer.get("ipBlock"):
                network = ip_network(block["cidr"])
                for address in dict.fromkeys((str(network[0]), str(network[-1]))):
                    yield Peer(address, address=address)
            elif (namespaces := peer.get("namespaceSelector")) is not None:
                yield _elsewhere(namespaces, peer.get("podSelector") or {})


def named_addresses(policies: Sequence[Manifest]) -> set[str]:
    """Those that are named one by one, not as a network."""
    networks = (
        ip_network(peer["ipBlock"]["cidr"])
        for rule, side in _rules(policies)
        for peer in rule.get(side) or ()
        if "ipBlock" in peer
    )
    return {str(each[0]) for each in networks if each.num_addresses == 1}


def _rules(policies: Sequence[Manifest]) -> Iterator[tuple[Manifest, str]]:
    for policy in policies:
        for direction, side in (("ingress", "from"), ("egress", "to")):
            yield from ((rule, side) for rule in policy["spec"].get(direction) or ())


def _elsewhere(namespaces: Manifest, pods: Manifest) -> Peer:
    of_namespace, labels = _satisfying(namespaces), _satisfying(pods)
    name = of_namespace.pop(NAME, None)
    where = f"the namespace {name}" if name else "other namespaces"
    told = f"pods of {where}{_with({**of_namespace, **labels})}"
    return Peer(told, labels, name or ELSEWHERE, namespace_labels=of_namespace)


def _satisfying(selector: Manifest) -> dict[str, str]:
    """Labels that a selector takes in."""
    found = dict(selector.get("matchLabels") or {})
    for each in selector.get("matchExpressions") or ():
        if each["operator"] in ("In", "Exists"):
            found[each["key"]] = (each.get("values") or ["any"])[0]
    return found


def _with(labels: Mapping[str, str]) -> str:
    pairs = " and ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return f" with {pairs}" if pairs else ""
