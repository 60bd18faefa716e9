"""What `kubectl apply -k` would send to a cluster."""

import copy
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prefect.settings import Settings
from prefect.settings.legacy import _get_valid_setting_names

from deployments.local.paths import PROJECT_ROOT
from deployments.prefork.__main__ import parser
from deployments.prefork.worker import (
    MEBIBYTES,
    SECONDS_TO_END,
    SECONDS_TO_REPORT,
    bytes_of,
)
from flows.webhooks.__main__ import _parser
from tests.deployments.kubernetes.jobs import TEMPLATE, rendered_job
from tests.deployments.kubernetes.tools import policy_check, tool

VERSIONS = ("1.35", "1.36", "1.37")
OVERLAYS = PROJECT_ROOT / "deployments" / "kubernetes" / "overlays"
NAMES = sorted(path.name for path in OVERLAYS.iterdir())
CUSTOM = {"ExternalSecret"}
WORKLOADS = {"Deployment", "StatefulSet", "Job"}
# Made by hand or by External Secrets: docs/kubernetes.md says how.
SECRETS = {"prefect-auth", "prefect-database", "postgres"}

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def overlays() -> dict[str, list[Manifest]]:
    kubectl = tool("kubectl")
    found = {}
    for name in NAMES:
        command = [str(kubectl), "kustomize", str(OVERLAYS / name)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[name] = list(yaml.safe_load_all(text))
    return found


@pytest.fixture(scope="module")
def job() -> Manifest:
    return rendered_job({})


def deployments() -> Iterator[Mapping[str, Any]]:
    text = (PROJECT_ROOT / "prefect.yaml").read_text()
    yield from yaml.safe_load(text)["deployments"]


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] in kinds]


def pod(workload: Manifest) -> Manifest:
    return dict(workload["spec"]["template"]["spec"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", NAMES)
def test_every_manifest_fits_the_schema_strictly(
    overlays: dict[str, list[Manifest]], overlay: str, version: str
) -> None:
    for manifest in overlays[overlay]:
        if manifest["kind"] not in CUSTOM:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.fixture(scope="module")
def jobs() -> list[Manifest]:
    """The different jobs of all deployments."""
    variables = {
        json.dumps(declared["work_pool"]["job_variables"], sort_keys=True)
        for declared in deployments()
    }
    return [rendered_job(json.loads(each)) for each in sorted(variables)]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_job_of_every_deployment_fits_the_schema(jobs: list[Manifest], version: str) -> None:
    for job in copy.deepcopy(jobs):
        # The worker demands these two where no version of Kubernetes knows them.
        for foreign in ("parallelism", "completions"):
            del job["spec"]["template"]["spec"][foreign]
        kubernetes_validate.validate(job, version, strict=True)


def test_a_typing_error_in_a_manifest_is_seen(job: Manifest) -> None:
    job = json.loads(json.dumps(job))
    job["spec"]["template"]["spec"]["containers"][0]["securityContext"]["runAsRoot"] = False
    with pytest.raises(kubernetes_validate.ValidationError, match="runAsRoot"):
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)


def test_every_job_variable_changes_the_job(job: Manifest) -> None:
    properties = json.loads(TEMPLATE.read_text())["variables"]["properties"]
    # They tell the worker how to talk to the cluster and how long to wait for it.
    of_the_worker = {
        "cluster_config",
        "job_watch_timeout_seconds",
        "pod_watch_timeout_seconds",
        "stream_output",
    }
    others: dict[str, Any] = {
        "array": [{"key": "dedicated", "operator": "Exists"}],
        "integer": 3,
        "object": {"name": "other"},
        "string": "other",
    }
    for name, schema in properties.items():
        if name not in of_the_worker:
            kind = schema.get("type") or schema["anyOf"][0]["type"]
            assert rendered_job({name: others[kind]}) != job, name


def restricted(spec: Manifest) -> Iterator[str]:
    """What the restricted Pod Security Standard holds against a pod."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"}
    allowed |= {"persistentVolumeClaim", "projected", "secret", "name"}
    for volume in spec.get("volumes", ()):
        if not set(volume) <= allowed:
            yield f"volume {volume['name']}"
    for container in [*spec["containers"], *spec.get("initContainers", ())]:
        context = spec.get("securityContext", {}) | container.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
            yield "runs as root"
        if context.get("allowPrivilegeEscalation") is not False:
            yield "privilege escalation"
        if context.get("capabilities", {}).get("drop") != ["ALL"] or context["capabilities"].get(
            "add"
        ):
            yield "capabilities"
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield "seccomp"
        if any(port.get("hostPort") for port in container.get("ports", ())):
            yield "host port"
        if context.get("privileged"):
            yield "privileged"


def test_the_job_meets_the_restricted_standard_and_more(job: Manifest) -> None:
    assert list(restricted(pod(job))) == []
    assert_hardened(pod(job))
    assert pod(job)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("overlay", NAMES)
def test_every_workload_meets_the_restricted_standard_and_more(
    overlays: dict[str, list[Manifest]], overlay: str
) -> None:
    for workload in of_kind(overlays[overlay], *WORKLOADS):
        assert list(restricted(pod(workload))) == [], workload["metadata"]["name"]
        assert_hardened(pod(workload))


def assert_hardened(spec: Manifest) -> None:
    mounted = {each["name"] for each in spec["volumes"]}
    for container in spec["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        for kind in ("requests", "limits"):
            assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"][kind])
        claims = {"data"}
        assert {each["name"] for each in container["volumeMounts"]} <= mounted | claims
    for volume in spec["volumes"]:
        if "emptyDir" in volume:
            assert volume["emptyDir"]["sizeLimit"], "a volume without a limit fills the node"


def test_a_pod_that_may_be_root_is_held_against_it(job: Manifest) -> None:
    spec = json.loads(json.dumps(pod(job)))
    spec["securityContext"]["runAsNonRoot"] = False
    del spec["containers"][0]["securityContext"]["capabilities"]
    spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    assert list(restricted(spec)) == ["volume host", "runs as root", "capabilities"]


@pytest.mark.parametrize("overlay", NAMES)
def test_everything_named_is_there(overlays: dict[str, list[Manifest]], overlay: str) -> None:
    manifests = overlays[overlay]
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    labels = [
        each["spec"]["template"]["metadata"]["labels"] for each in of_kind(manifests, *WORKLOADS)
    ]
    by_reference = {name for kind, name in names if kind == "ExternalSecret"} | SECRETS
    for workload in of_kind(manifests, *WORKLOADS):
        spec = pod(workload)
        if "serviceAccountName" in spec:
            assert ("ServiceAccount", spec["serviceAccountName"]) in names
        # What is optional may be absent.
        text = re.sub(r'\{[^{}]*"optional": true\}', "{}", json.dumps(spec))
        wanted = re.findall(r'"secret(?:Key)?Ref": \{[^}]*"name": "([^"]+)"', text)
        assert set(wanted) <= by_reference
        for named in re.findall(r'"configMapRef": \{"name": "([^"]+)"', text):
            assert ("ConfigMap", named) in names
    for each in of_kind(manifests, "Service", "PodDisruptionBudget"):
        selector = each["spec"]["selector"]
        chosen = selector.get("matchLabels", selector)
        assert any(chosen.items() <= given.items() for given in labels), each["metadata"]["name"]
    for each in of_kind(manifests, "HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in names
    for each in of_kind(manifests, "RoleBinding"):
        assert ("Role", each["roleRef"]["name"]) in names
        assert all((s["kind"], s["name"]) in names for s in each["subjects"])
    for each in manifests:
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == "analytics-flows"


@pytest.mark.parametrize("overlay", NAMES)
def test_what_the_job_names_is_in_the_cluster(
    overlays: dict[str, list[Manifest]], overlay: str, job: Manifest
) -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in overlays[overlay]}
    assert job["metadata"]["namespace"] == "analytics-flows"
    assert ("ServiceAccount", pod(job)["serviceAccountName"]) in names
    claims = [
        declared["work_pool"]["job_variables"].get("state_volume", {}) for declared in deployments()
    ]
    for claim in filter(None, claims):
        wanted = claim["persistentVolumeClaim"]["claimName"]
        assert ("PersistentVolumeClaim", wanted) in names


@pytest.mark.parametrize("overlay", NAMES)
def test_no_manifest_holds_a_secret(overlays: dict[str, list[Manifest]], overlay: str) -> None:
    assert of_kind(overlays[overlay], "Secret") == []
    for workload in of_kind(overlays[overlay], *WORKLOADS):
        for container in pod(workload)["containers"]:
            for entry in container.get("env", ()):
                is_secret = re.search(
                    "PASSWORD|AUTH_STRING$|CONNECTION_URL|TOKEN|LOGIN|OPTIONS", entry["name"]
                )
                assert ("valueFrom" in entry) == bool(is_secret), entry["name"]


@pytest.mark.parametrize("overlay", NAMES)
def test_the_server_has_a_password_and_is_not_on_sqlite(
    overlays: dict[str, list[Manifest]], overlay: str
) -> None:
    workload = next(
        each
        for each in of_kind(overlays[overlay], "Deployment")
        if each["metadata"]["name"] == "prefect-server"
    )
    names = {entry["name"] for entry in pod(workload)["containers"][0]["env"]}
    wanted = {"PREFECT_SERVER_API_AUTH_STRING", "PREFECT_SERVER_DATABASE_CONNECTION_URL"}
    assert wanted <= names


def test_the_receiver_is_started_as_it_understands_and_probed_where_it_answers(
    overlays: dict[str, list[Manifest]],
) -> None:
    for manifests in overlays.values():
        workload = next(
            each
            for each in of_kind(manifests, "Deployment")
            if each["metadata"]["name"] == "analytics-flows-webhooks"
        )
        container = pod(workload)["containers"][0]
        options = _parser().parse_args(container["args"][3:])
        assert container["args"][:3] == ["python", "-m", "flows.webhooks"]
        assert {"name": "http", "containerPort": options.port} in container["ports"]
        assert options.host == "0.0.0.0", "a service cannot reach loopback"
        probes = [
            container[f"{kind}Probe"]["httpGet"]["path"]
            for kind in ("startup", "liveness", "readiness")
        ]
        assert probes == ["/healthz", "/healthz", "/readyz"]


def test_every_prefect_setting_named_exists(overlays: dict[str, list[Manifest]]) -> None:
    known = _get_valid_setting_names(Settings) | set(_of_the_integration())
    known |= set(re.findall(r"\$(PREFECT_\w+)", (PROJECT_ROOT / "prefect.yaml").read_text()))
    for manifests in overlays.values():
        for workload in of_kind(manifests, *WORKLOADS):
            for container in pod(workload)["containers"]:
                named = {entry["name"] for entry in container.get("env", ())}
                assert {name for name in named if name.startswith("PREFECT_")} <= known


def _of_the_integration() -> Iterator[str]:
    # Takes seconds to import, in each of the processes that look for tests.
    from prefect_kubernetes.settings import KubernetesSettings

    for part in ("observer", "worker"):
        model = KubernetesSettings.model_fields[part].annotation
        assert model is not None
        for field in model.model_fields:
            yield f"PREFECT_INTEGRATIONS_KUBERNETES_{part}_{field}".upper()


def test_the_worker_may_touch_jobs_and_pods_of_its_namespace_only(
    overlays: dict[str, list[Manifest]],
) -> None:
    for manifests in overlays.values():
        assert of_kind(manifests, "ClusterRole", "ClusterRoleBinding") == []
        [role] = of_kind(manifests, "Role")
        assert {r for rule in role["rules"] for r in rule["resources"]} == {
            "jobs",
            "pods",
            "pods/log",
        }
        assert "*" not in json.dumps(role["rules"])


def test_traffic_is_denied_unless_allowed(overlays: dict[str, list[Manifest]]) -> None:
    for manifests in overlays.values():
        policies = {m["metadata"]["name"]: m["spec"] for m in of_kind(manifests, "NetworkPolicy")}
        assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        assert "ingress" not in policies["runs"], "nothing calls the pod of a run"
        for workload in of_kind(manifests, *WORKLOADS):
            labels = workload["spec"]["template"]["metadata"]["labels"]
            assert any(
                spec["podSelector"] and spec["podSelector"]["matchLabels"].items() <= labels.items()
                for spec in policies.values()
            ), workload["metadata"]["name"]


def test_deployments_on_a_laptop_go_to_the_pools_that_its_workers_serve(
    overlays: dict[str, list[Manifest]],
) -> None:
    workers = {
        each["metadata"]["name"]: pod(each) for each in of_kind(overlays["kind"], "Deployment")
    }
    served = {
        "PREFECT_WORK_POOL": workers["analytics-flows-worker"]["containers"][0]["args"][4],
        "PREFECT_WARM_WORK_POOL": parser()
        .parse_args(workers["analytics-flows-warm"]["containers"][0]["args"][3:])
        .pool,
    }
    (job,) = of_kind(overlays["kind"], "Job")
    named = {each["name"]: each.get("value") for each in pod(job)["containers"][0]["env"]}
    assert served.items() <= named.items()


def test_the_warm_pod_holds_as_many_runs_as_it_takes_and_waits_for_them(
    overlays: dict[str, list[Manifest]],
) -> None:
    largest = max(
        bytes_of(declared["work_pool"]["job_variables"]["memory_limit"])
        for declared in deployments()
        if "WARM" in declared["work_pool"]["name"]
    )
    for manifests in overlays.values():
        (spec,) = [
            pod(each)
            for each in of_kind(manifests, "Deployment")
            if each["metadata"]["name"] == "analytics-flows-warm"
        ]
        (container,) = spec["containers"]
        options = parser().parse_args(container["args"][3:])
        assert container["args"][:3] == ["python", "-m", "deployments.prefork"]
        needed = options.limit * largest + 2 * MEBIBYTES * 2**20
        assert bytes_of(container["resources"]["limits"]["memory"]) >= needed
        left = spec["terminationGracePeriodSeconds"] - options.grace_seconds
        assert left >= SECONDS_TO_REPORT + SECONDS_TO_END
        # What the pod of a run has, this one has.
        of_a_run = rendered_job({})["spec"]["template"]["spec"]
        (run,) = of_a_run["containers"]
        assert container["envFrom"] == run["envFrom"]
        assert {each["mountPath"] for each in container["volumeMounts"]} == {
            each["mountPath"] for each in run["volumeMounts"]
        }
        for same in ("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks"):
            assert spec[same] == of_a_run[same], same


@pytest.fixture(scope="module")
def findings(
    overlays: dict[str, list[Manifest]], job: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("rendered")
    for name, manifests in overlays.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(manifests))
    skips = {"checkov.io/skip1": "CKV_K8S_35=Prefect reads its settings from the environment"}
    skips |= {
        "checkov.io/skip2": "CKV_K8S_43=the release names the image by digest",
        "checkov.io/skip3": "CKV_K8S_15=an image named by digest is never another",
    }
    named = job["metadata"] | {"name": "a-run", "annotations": skips}
    (folder / "job.yaml").write_text(yaml.safe_dump(job | {"metadata": named}))
    return policy_check(folder)


# Its 55 packages take longer to install than everything else here to run; what it looks at first,
# the restricted standard, is looked at above.
@pytest.mark.exhaustive
def test_the_policy_check_finds_nothing_unexplained(findings: dict[str, Any]) -> None:
    failed = [
        f"{each['check_id']} {each['check_name']}: {each['resource']}"
        for each in findings["results"]["failed_checks"]
    ]
    assert failed == []
    assert findings["summary"]["passed"] > 500


def test_every_finding_passed_over_has_a_reason(overlays: dict[str, list[Manifest]]) -> None:
    skips = {
        annotation
        for manifests in overlays.values()
        for manifest in manifests
        for name, annotation in manifest["metadata"].get("annotations", {}).items()
        if name.startswith("checkov.io/skip")
    }
    assert skips
    for skip in skips:
        check, _, reason = skip.partition("=")
        assert check.startswith("CKV"), skip
        assert len(reason) > 20, skip
