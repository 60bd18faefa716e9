"""The objects that an overlay sends to a cluster, rendered by kubectl."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from deployments.apply.infrastructure import pool_template
from deployments.check.network.policies import Manifest, Peer, selects
from deployments.local.paths import PROJECT_ROOT
from flows._shared.errors import PermanentError

OVERLAYS = PROJECT_ROOT / "deployments" / "kubernetes" / "overlays"
# What is applied beside an overlay, into its namespace: the policies of both hold for both.
GRAFANA = PROJECT_ROOT / "deployments" / "grafana"
RENDER_SECONDS = 60
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
# Of a policy: what it lets through that nothing here shows to be needed, and why.
NEEDED_FOR = "analytics-flows/needed-for"
COMPONENT = "app.kubernetes.io/component"
# As prefect-kubernetes labels what it makes: the base job template cannot say otherwise.
RUN_LABELS = {"app.kubernetes.io/managed-by": "prefect"}


def render(overlay: Path, kubectl: Path | None = None) -> list[Manifest]:
    """What ``kubectl apply --kustomize`` would send.

    Raises:
        PermanentError: there is no kubectl, or the overlay cannot be rendered.
    """
    attempted = f"rendering {overlay}"
    program = kubectl or shutil.which("kubectl")
    if program is None:
        raise PermanentError(attempted, "there is no kubectl on PATH", "Install kubectl")
    command = [str(program), "kustomize", str(overlay)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=RENDER_SECONDS, check=False
    )
    if done.returncode:
        raise PermanentError(attempted, done.stderr.strip(), "Correct the kustomization")
    return [each for each in yaml.safe_load_all(done.stdout) if each]


@dataclass(frozen=True)
class Workload:
    """What makes pods.

    Args:
        spec: of its pods.
    """

    peer: Peer
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.peer.name

    @property
    def containers(self) -> Sequence[Mapping[str, Any]]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def words(self) -> list[str]:
        """Commands and arguments of its containers."""
        lists = [each.get(key) or () for each in self.containers for key in ("command", "args")]
        return [str(word) for words in lists for word in words]

    @property
    def variables(self) -> dict[str, str | None]:
        """Environment variables; None for those that come from elsewhere."""
        return {
            each["name"]: each.get("value")
            for container in self.containers
            for each in container.get("env") or ()
        }

    @property
    def ports(self) -> Mapping[str, int]:
        return self.peer.ports


@dataclass(frozen=True)
class Cluster:
    """The objects of an overlay, and of what is applied beside it."""

    name: str
    manifests: Sequence[Manifest]

    def of_kind(self, *kinds: str) -> list[Manifest]:
        return [each for each in self.manifests if each["kind"] in kinds]

    @property
    def policies(self) -> list[Manifest]:
        return self.of_kind("NetworkPolicy")

    @property
    def unexplained(self) -> list[Manifest]:
        """Policies whose rules must be for what this project runs."""
        return [
            each
            for each in self.policies
            if not (each["metadata"].get("annotations") or {}).get(NEEDED_FOR)
        ]

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        """Those of the manifests, and the pods of runs, which the worker makes."""
        return (*map(_workload, self.of_kind(*WORKLOADS)), _runs())

    def behind(self, service: str, port: int) -> Iterator[tuple[Workload, int]]:
        """The pods that a port of a Service leads to, and the port there."""
        for each in self.of_kind("Service"):
            if each["metadata"]["name"] != service:
                continue
            for own in each["spec"].get("ports") or ():
                if own["port"] != port:
                    continue
                wanted = own.get("targetPort", port)
                for workload in self.workloads:
                    number = workload.ports.get(str(wanted), wanted)
                    is_there = number in workload.ports.values()
                    if is_there and selects(_by_labels(each), workload.peer.labels):
                        yield workload, int(number)

    def mounted(self, workload: Workload) -> Iterator[tuple[str, str]]:
        """The files of config maps that a workload's pods mount, each with its text."""
        volumes = [each.get("configMap") or {} for each in workload.spec.get("volumes") or ()]
        names = {each.get("name") for each in volumes} - {None}
        for each in self.of_kind("ConfigMap"):
            if each["metadata"]["name"] in names:
                yield from (each.get("data") or {}).items()

    def identity(self, workload: Workload) -> Mapping[str, str]:
        """The annotations of the account that a workload's pods have."""
        for each in self.of_kind("ServiceAccount"):
            if each["metadata"]["name"] == workload.spec.get("serviceAccountName"):
                return dict(each["metadata"].get("annotations") or {})
        return {}


def _by_labels(service: Manifest) -> Manifest:
    return {"matchLabels": service["spec"].get("selector") or {}}


def _workload(manifest: Manifest) -> Workload:
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec["template"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    name = str(labels.get(COMPONENT, manifest["metadata"]["name"]))
    return Workload(Peer(name, labels, ports=_ports(template["spec"])), template["spec"])


def _ports(spec: Mapping[str, Any]) -> dict[str, int]:
    ports = [each for container in spec["containers"] for each in container.get("ports") or ()]
    return {str(each.get("name", each["containerPort"])): each["containerPort"] for each in ports}


def _runs() -> Workload:
    template = pool_template("kubernetes")
    text = json.dumps(template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"])
    for name, each in template["variables"]["properties"].items():
        if isinstance(each.get("default"), str):
            text = text.replace(f"{{{{ {name} }}}}", each["default"])
    spec = json.loads(text)
    # What the worker fills in.
    spec["containers"] = [
        {key: value for key, value in each.items() if not isinstance(value, str)}
        for each in spec["containers"]
    ]
    spec["volumes"] = [each for each in spec["volumes"] if not isinstance(each, str)]
    return Workload(Peer("run", RUN_LABELS), spec)
