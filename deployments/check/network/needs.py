"""Which connections each workload opens, and takes, from what it runs."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from blocks import CATALOGUE, PORTS, BlockNeed, Kind
from deployments.apply.automations import NOTIFIERS
from deployments.check.network.manifests import Cluster, Workload
from deployments.check.network.named import named_peers
from deployments.check.network.policies import Peer, Target, may_send
from deployments.check.project import Project
from flows._shared.errors import PermanentError

# One address of each kind of network stands for all: policies know addresses, not names.
PUBLIC = "203.0.113.7"
PRIVATE = "10.20.0.5"
PRIVATE_NETWORKS = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
MONITORING = "monitoring"
WARM_WORKER = "deployments.prefork"
GOOGLE_IDENTITY = "iam.gke.io/gcp-service-account"
Need = tuple[Target, ...]


def _outside(name: str, *ports: int, networks: Sequence[str] = (PUBLIC, PRIVATE)) -> Need:
    return tuple(Target(Peer(name, address=at), port) for at in networks for port in ports)


DNS: Need = tuple(
    Target(peer, 53, protocol)
    for peer in (
        Peer("kube-dns", {"k8s-app": "kube-dns"}, namespace="kube-system"),
        Peer("Cloud DNS", address="169.254.169.254"),
        Peer("NodeLocal DNSCache", address="169.254.20.10"),
    )
    for protocol in ("UDP", "TCP")
)
METADATA: Need = (
    Target(Peer("metadata server", address="169.254.169.254"), 80),
    Target(Peer("metadata server of GKE", address="169.254.169.252"), 988),
)
KUBERNETES = _outside("API server", 443, 6443)
POSTGRES = _outside("PostgreSQL or its pooler", *PORTS[Kind.POSTGRES])
OWN_DATABASE = _outside("database", 5432, networks=(PRIVATE,))
GOOGLE = tuple(
    each
    for name in ("BigQuery", "Cloud Storage", "Google Drive")
    for each in _outside(name, 443, networks=(PUBLIC,))
)
GITHUB = _outside("GitHub API", 443)
GIT = _outside("git over HTTPS", 443) + _outside("git over SSH", 22)
BUCKETS = _outside("buckets", 443)
CHAT = _outside("chat", *PORTS[Kind.WEBHOOK])
MAIL = _outside("mail server", *PORTS[Kind.EMAIL])
MODELS = _outside("embeddings API", 443)
PLUGINS = _outside("catalogue of plugins", 443)

OF_KIND: Mapping[Kind, Need] = {
    Kind.POSTGRES: POSTGRES,
    Kind.GCP: GOOGLE,
    Kind.BIGQUERY: GOOGLE,
    Kind.WEBHOOK: CHAT,
    Kind.EMAIL: MAIL,
}
# A secret says nothing of where it is shown; one that only judges what comes in is shown nowhere.
OF_SECRET: Mapping[str, Need] = {
    "github-scraper-token": GITHUB + GIT,
    "github-scraper-app": GITHUB + GIT,
    "scout-embeddings": MODELS,
    "quality-compass-storage": BUCKETS,
    "agent-analytics-copilot-token": GITHUB,
    "agent-analytics-storage": BUCKETS,
    "webhooks-github-secrets": (),
    "webhooks-scout-secrets": (),
    "webhooks-quality-compass-secrets": (),
    "webhooks-agent-analytics-secrets": (),
    "webhooks-github-token": GITHUB,
}
# What is in no block of the catalogue: the report's bucket, the networks that senders publish, the
# repository of this project. Who is purged is purged by the blocks of domains, and in the report.
WITHOUT_BLOCK: Mapping[str, Need] = {
    "people": BUCKETS,
    "quality_compass": GIT,
    "report": BUCKETS,
    "webhooks": GITHUB,
}


def needs(cluster: Cluster, project: Project, workload: Workload) -> Need:
    """Everything that the pods of a workload connect to.

    Raises:
        PermanentError: the files do not fit each other, so that it cannot be told.
    """
    found = [*DNS, *_api(cluster, workload)]
    if "PREFECT_SERVER_DATABASE_CONNECTION_URL" in workload.variables:
        found += databases(cluster) or _own_database(cluster, workload)
        found += [target for block in _notifiers(project) for target in of_block(block)]
    if workload.spec.get("automountServiceAccountToken") is True:
        found += KUBERNETES
    for slug in _slugs(project, workload):
        found += of_slug(slug)
        if any(each.kind is Kind.POSTGRES for each in CATALOGUE.get(slug, ())):
            found += databases(cluster)
    if "POSTGRES_URL" in workload.variables:
        found += databases(cluster)
    if "deployments.reader" in workload.words:
        found += BUCKETS
    if GOOGLE_IDENTITY in cluster.identity(workload):
        found += METADATA
    if "GF_INSTALL_PLUGINS" in workload.variables:
        found += PLUGINS
    for kind in sorted(_sources(cluster, workload)):
        found += of_source(cluster, kind)
    return tuple(found)


def senders(cluster: Cluster, workload: Workload) -> Iterator[tuple[Peer, int]]:
    """Who connects to a workload from outside the namespace, and to which port."""
    options = [word.partition("=") for word in workload.words if word.startswith("--")]
    ports = {name: int(number) for name, _, number in options if name.endswith("-port") and number}
    ports |= {name: int(number) for name, _, number in options if name == "--port" and number}
    if "flows.webhooks" in workload.words:
        for name in ports.keys() & {"--port", "--grpc-port"}:
            yield Peer("a sender", address=PUBLIC), ports[name]
            yield Peer("a load balancer", {}, namespace="ingress"), ports[name]
    if "--metrics-port" in ports:
        yield Peer("Prometheus", {}, namespace=MONITORING), ports["--metrics-port"]
    if "deployments.reader" in workload.words:
        yield Peer("a dashboard", {}, namespace=MONITORING), ports["--port"]


def _own_database(cluster: Cluster, workload: Workload) -> Need:
    """At one private address at least: only who wrote the policies knows which it is."""
    for peer in named_peers(cluster.policies):
        if peer.address and any(ip_address(peer.address) in each for each in PRIVATE_NETWORKS):
            at_it = Target(Peer("database", address=peer.address), 5432)
            if may_send(cluster.policies, workload.peer, at_it):
                return (at_it,)
    return OWN_DATABASE


def databases(cluster: Cluster) -> Need:
    """The PostgreSQL of the cluster, where it has one."""
    return tuple(
        Target(each.peer, port)
        for each in cluster.workloads
        for port in each.ports.values()
        if port == 5432
    )


def readers(cluster: Cluster) -> Need:
    """Who serves agent analytics in the cluster, where it has one."""
    return tuple(
        Target(each.peer, port)
        for each in cluster.workloads
        if "deployments.reader" in each.words
        for port in each.ports.values()
    )


# Of dashboards, by the type of their data source.
OF_SOURCE: Mapping[str, Callable[[Cluster], Need]] = {
    "grafana-bigquery-datasource": lambda _: GOOGLE + METADATA,
    "grafana-postgresql-datasource": lambda cluster: POSTGRES + databases(cluster),
    "motherduck-duckdb-datasource": readers,
}


def of_source(cluster: Cluster, kind: str) -> Need:
    """What a dashboard connects to whose data source is of that type.

    Raises:
        PermanentError: nobody said where data sources of that type ask.
    """
    if kind not in OF_SOURCE:
        raise PermanentError(
            f"deriving what dashboards on {kind} connect to",
            "nothing says where they ask",
            "Add it to OF_SOURCE of deployments/check/network/needs.py",
        )
    return OF_SOURCE[kind](cluster)


def of_slug(slug: str) -> Need:
    """What the flows of a domain connect to.

    Raises:
        PermanentError: neither the catalogue nor this file knows it.
    """
    if slug not in CATALOGUE and slug not in WITHOUT_BLOCK:
        raise PermanentError(
            f"deriving what flows of {slug} connect to",
            "it has no blocks",
            "Say so in WITHOUT_BLOCK of deployments/check/network/needs.py",
        )
    of_blocks = [target for block in CATALOGUE.get(slug, ()) for target in of_block(block)]
    return (*of_blocks, *WITHOUT_BLOCK.get(slug, ()))


def of_block(block: BlockNeed) -> Need:
    """What spending a block connects to.

    Raises:
        PermanentError: it is a secret of which nobody said where it is shown.
    """
    found = OF_SECRET.get(block.name) if block.kind is Kind.SECRET else OF_KIND.get(block.kind)
    if found is None:
        raise PermanentError(
            f"deriving what the block {block.name} connects to",
            "nothing says where it is shown",
            "Add it to deployments/check/network/needs.py",
        )
    return found


def _api(cluster: Cluster, workload: Workload) -> Iterator[Target]:
    """The Prefect server: of a pod that names it, and of runs, to which the worker hands it on."""
    holders = [workload] if workload.name != "run" else cluster.workloads
    urls = {each.variables.get("PREFECT_API_URL") for each in holders} - {None}
    for url in sorted(str(each) for each in urls):
        address = urlsplit(url)
        found = list(cluster.behind(str(address.hostname).partition(".")[0], address.port or 80))
        if not found:
            raise PermanentError(
                f"following PREFECT_API_URL of {workload.name}",
                f"no Service leads from {url} to a port of a pod",
                "Correct the address, the Service or the port",
            )
        yield from (Target(each.peer, port) for each, port in found)
    if workload.name == "run" and not urls:
        raise PermanentError(
            "deriving the Prefect server of runs", "no pod names one", "Set PREFECT_API_URL"
        )


def _slugs(project: Project, workload: Workload) -> set[str]:
    is_warm = WARM_WORKER in workload.words
    if is_warm or workload.name == "run":
        return {
            each.domain
            for each in project.deployments
            if each.domain and (each.is_warm or not is_warm)
        }
    return {word.split(".")[1] for word in workload.words if word.startswith("flows.")}


def _sources(cluster: Cluster, workload: Workload) -> set[str]:
    """The types of data sources that the dashboards mounted into a workload ask."""
    boards = [
        json.loads(text) for name, text in cluster.mounted(workload) if name.endswith(".json")
    ]
    return {panel["datasource"]["type"] for board in boards for panel in board["panels"]}


def _notifiers(project: Project) -> list[BlockNeed]:
    named = {str(block) for _, action in project.actions() for block in action.get("blocks", [])}
    return [each for each in CATALOGUE["alerts"] if each.name in named & NOTIFIERS.keys()]
