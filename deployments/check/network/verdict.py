"""What the policies of an overlay let through, held against what is needed."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from deployments.check.network import needs
from deployments.check.network.manifests import GRAFANA, OVERLAYS, Cluster, Workload, render
from deployments.check.network.named import named_addresses, named_peers, named_ports
from deployments.check.network.policies import Peer, Target, may_send
from deployments.check.project import Problems, Project
from flows._shared.errors import PlatformError

STRANGERS = (
    Peer("another pod", {"app": "other"}),
    Peer("another namespace", {}, namespace="default"),
    Peer("an address outside", address=needs.PUBLIC),
    Peer("a private address", address=needs.PRIVATE),
    Peer("a link-local address", address="169.254.1.1"),
    Peer("metadata server", address="169.254.169.254"),
)
# Of telnet, mail, the web, databases, what else listens in a cluster.
STRANGE_PORTS = (
    *(22, 23, 25, 53, 80, 443, 465, 587, 988, 2379, 3306, 4200, 5432, 6379, 6443, 6543),
    *(8080, 9090, 10250),
)
# A platform's resolver that an overlay names by its address is one, whatever platform that is.
DNS_PORT = 53
Connection = tuple[str, int, str]


def network_problems(
    project: Project, overlays: Path = OVERLAYS, kubectl: Path | None = None
) -> Iterator[str]:
    """Everything that is wrong in any overlay, as ``<overlay>: <what and what to do>``."""
    for overlay in sorted(each for each in overlays.iterdir() if each.is_dir()):
        cluster = cluster_of(overlay, kubectl)
        for where, what in overlay_problems(cluster, project):
            yield f"{where}: {what}"


def cluster_of(overlay: Path, kubectl: Path | None = None) -> Cluster:
    """A cluster with everything that this project puts into it.

    Raises:
        PermanentError: it cannot be rendered.
    """
    return Cluster(overlay.name, [*render(overlay, kubectl), *render(GRAFANA, kubectl)])


def overlay_problems(cluster: Cluster, project: Project) -> Problems:
    """What is cut off and needed, and what is let through and not needed."""
    namespaces = {each["metadata"].get("namespace") for each in cluster.manifests} - {None}
    if len(namespaces) > 1:
        yield (
            f"{cluster.name}, namespaces",
            f"objects are in {', '.join(sorted(namespaces))}, and policies hold in one: use one",
        )
    for workload in cluster.workloads:
        where = f"{cluster.name}, {workload.name}"
        try:
            wanted = needs.needs(cluster, project, workload)
        except PlatformError as error:
            yield where, str(error)
            continue
        yield from _outgoing(cluster, workload, wanted, where)
        yield from _incoming(cluster, workload, where)
    yield from _links(cluster, project)


def _outgoing(cluster: Cluster, workload: Workload, wanted: needs.Need, where: str) -> Problems:
    cut = {
        str(each): each for each in wanted if not may_send(cluster.policies, workload.peer, each)
    }
    for name in sorted(cut):
        yield where, f"it must reach {name}, and no policy lets it: allow it in network policies"
    known = {_connection(each) for each in wanted}
    resolvers = named_addresses(cluster.policies)
    open_: dict[Connection, str] = {}
    for each in _others(cluster):
        connection = _connection(each)
        if (
            connection not in known | open_.keys()
            and may_send(cluster.unexplained, workload.peer, each)
            and not _takes_all(cluster, each)
            and not (each.port == DNS_PORT and each.peer.address in resolvers)
        ):
            open_[connection] = str(each)
    for name in sorted(open_.values()):
        yield where, f"it may reach {name}, and nothing it runs does: take that out of its policies"


def _incoming(cluster: Cluster, workload: Workload, where: str) -> Problems:
    wanted = list(needs.senders(cluster, workload))
    for peer, port in wanted:
        if not may_send(cluster.policies, peer, Target(workload.peer, port)):
            yield where, f"{peer.name} must reach its port {port}, and no policy lets it"
    known = {(peer.namespace, peer.address, port) for peer, port in wanted}
    to_all = {port for peer, port in wanted if peer.address}
    monitoring = Peer("monitoring", {}, namespace=needs.MONITORING)
    outside = [each for each in _peers(cluster) if each.address or each.namespace]
    for peer in (monitoring, *outside):
        for port in sorted({*_ports(cluster), *workload.ports.values()}):
            key = (peer.namespace, peer.address, port)
            if port in to_all or key in known:
                continue
            if may_send(cluster.unexplained, peer, Target(workload.peer, port)):
                known.add(key)
                yield where, f"{peer.name} may reach its port {port}: take that out of its policies"


def _links(cluster: Cluster, project: Project) -> Problems:
    """Alerts link to the UI: the server must know where people open it."""
    bodies = [str(action.get("body", "")) for _, action in project.actions()]
    if not any("ui_url" in each for each in bodies):
        return
    for workload in cluster.workloads:
        variables = workload.variables
        if "PREFECT_SERVER_DATABASE_CONNECTION_URL" in variables and not str(
            variables.get("PREFECT_UI_URL") or ""
        ).startswith(("http://", "https://")):
            yield (
                f"{cluster.name}, {workload.name}",
                "links of alerts would be empty: set PREFECT_UI_URL to where people open the UI",
            )


def _others(cluster: Cluster) -> Iterator[Target]:
    yield from needs.METADATA
    ports = sorted(_ports(cluster))
    for peer in _peers(cluster):
        for port in ports:
            yield Target(peer, port)
            yield Target(peer, port, "UDP")
    for workload in cluster.workloads:
        for port in sorted({*ports, *workload.ports.values()}):
            yield Target(workload.peer, port)


def _ports(cluster: Cluster) -> set[int]:
    return {*STRANGE_PORTS, *named_ports(cluster.unexplained)}


def _peers(cluster: Cluster) -> list[Peer]:
    """Strangers, and whoever policies name for whom none of them stands."""
    return list(dict.fromkeys([*STRANGERS, *named_peers(cluster.unexplained)]))


def _takes_all(cluster: Cluster, target: Target) -> bool:
    """Whether everyone may send there, such as to the receiver: who leaves is another matter."""
    return any(
        peer.address and target == Target(workload.peer, port)
        for workload in cluster.workloads
        for peer, port in needs.senders(cluster, workload)
    )


def _connection(target: Target) -> Connection:
    """What a policy can tell apart: for an address, which kind of network it is in."""
    peer = target.peer
    if peer.address is None:
        return peer.namespace or f"/{peer.name}", target.port, target.protocol
    address = ip_address(peer.address)
    if address.is_link_local:
        return str(address), target.port, target.protocol
    is_private = any(address in each for each in needs.PRIVATE_NETWORKS)
    return "private" if is_private else "public", target.port, target.protocol
