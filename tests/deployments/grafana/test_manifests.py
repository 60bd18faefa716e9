"""What a cluster and a machine mount into Grafana is there; nothing it runs with is a secret."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deployments.grafana.panels import DASHBOARDS, FOLDER
from tests.deployments.kubernetes.test_manifests import VERSIONS, restricted

COMPOSE = FOLDER.parent / "compose" / "grafana.yml"
PASSWORD = "GF_SECURITY_ADMIN_PASSWORD"
PAGE = FOLDER.parents[1] / "docs" / "dashboards.md"


def variables() -> set[str]:
    """What the data sources ask of the environment."""
    files = (FOLDER / "provisioning" / "datasources").glob("*.yaml")
    return {name for each in files for name in re.findall(r"\$\{(\w+)\}", each.read_text())}


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / "grafana.yaml").read_text()))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_cluster_would_take_every_manifest(version: str) -> None:
    for manifest in manifests():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_pod_meets_the_restricted_standard() -> None:
    (deployment,) = (each for each in manifests() if each["kind"] == "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    assert list(restricted(spec)) == []
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"]["limits"])
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in spec["volumes"]
    }


def test_the_cluster_mounts_every_dashboard_and_its_data_sources() -> None:
    made = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    given = {each["name"]: each.get("files", []) for each in made["configMapGenerator"]}
    assert {Path(each).name for each in given["grafana-dashboards"]} == {
        path.name for path in DASHBOARDS.glob("*.json")
    }
    files = [file for each in given.values() for file in each]
    assert all((FOLDER / file).is_file() for file in [*files, *made["resources"]])
    # A config map holds a mebibyte.
    assert sum((FOLDER / file).stat().st_size for file in given["grafana-dashboards"]) < 900_000


def test_the_machine_mounts_the_same_folders() -> None:
    (service,) = yaml.safe_load(COMPOSE.read_text())["services"].values()
    sources = [each.split(":")[0] for each in service["volumes"] if each.startswith("..")]
    assert [(COMPOSE.parent / each).resolve() for each in sources] == [
        DASHBOARDS,
        FOLDER / "provisioning",
    ]
    assert all(each.startswith("127.0.0.1:") for each in service["ports"])


def test_the_machine_hands_on_every_variable_of_the_one_file_it_is_given() -> None:
    (service,) = yaml.safe_load(COMPOSE.read_text())["services"].values()
    given = service["environment"]
    # Its paths would be from the folder of the file of compose, not of who types.
    assert "env_file" not in service
    for name in variables():
        assert re.fullmatch(rf"\$\{{{name}:-(verify-full)?\}}", given[name]), name
    assert given[PASSWORD].startswith(f"${{{PASSWORD}:?")


def test_the_cluster_takes_every_variable_from_the_secret_and_no_default_password() -> None:
    (deployment,) = (each for each in manifests() if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each for each in container["env"]}
    # What stands in `env` is stronger than what the Secret says, which is the last of the others.
    assert variables().isdisjoint(env)
    assert container["envFrom"][-1] == {"secretRef": {"name": "grafana"}}
    assert env[PASSWORD]["valueFrom"] == {"secretKeyRef": {"name": "grafana", "key": PASSWORD}}


def test_every_variable_is_on_the_page() -> None:
    page = PAGE.read_text()
    for name in {PASSWORD, *variables()}:
        domain, _, part = name.partition("_READER_")
        known = f"`{domain}`" in page and f"_{part}`" in page if part else f"`{name}`" in page
        assert known, name
