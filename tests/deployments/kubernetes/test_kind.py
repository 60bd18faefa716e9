"""The way from nothing to a completed run on a laptop, as far as it goes without a cluster."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from blocks.registration import Registration
from deployments.apply.files import declared
from deployments.check.network import OVERLAYS, render
from deployments.kubernetes import set_up
from deployments.local.paths import PROJECT_ROOT
from deployments.local.postgres import EmbeddedPostgres
from deployments.roles import DATABASES
from flows.scout.flow import refresh
from tests.deployments.kubernetes.tools import tool

SCRIPT = PROJECT_ROOT / "deployments" / "kubernetes" / "kind.sh"
# What a program was called with goes to a log; secrets are remembered, and made by the real kubectl
# as far as it goes without a cluster. A pod has the image that its node had when it was made: the
# first that was built, or the second.
FAKE = """#!/bin/sh
echo "{name} $*" >> {folder}/calls
"""
DOCKER = "echo built >> {folder}/image"
KIND = """
case "$*" in *"load docker-image"*) cp {folder}/image {folder}/node ;; esac
"""
KUBECTL = """
made() {{ for each; do cp {folder}/node {folder}/pods/${{each##*/}}; done; }}
case "$*" in
  *"get namespace"*) test -e {folder}/namespace ;;
  *"create namespace"*) touch {folder}/namespace ;;
  *"get secret"*"--output"*) printf 'c2VjcmV0' ;;
  *"get secret"*) shift 6; test -e {folder}/secret-$1 ;;
  *"create secret"*)
    shift 4; {kubectl} "$@" --dry-run=client --output=name && touch {folder}/secret-$4 ;;
  *"{failing}"*) exit 1 ;;
  *"get deployments"*) for each in {folder}/pods/*; do
      test ! -e "$each" || echo deployment.apps/${{each##*/}}; done ;;
  *" apply "*) for each in {deployments}; do test -e {folder}/pods/$each || made $each; done ;;
  *"rollout restart"*) shift 6; made "$@" ;;
esac
"""


@pytest.fixture(scope="module")
def manifests() -> list[Mapping[str, Any]]:
    return list(render(OVERLAYS / "kind", tool("kubectl")))


def run(
    folder: Path, failing: str = "nothing fails", deployments: str = ""
) -> "subprocess.CompletedProcess[str]":
    programs = folder / "bin"
    for each in (programs, folder / "pods"):
        each.mkdir(exist_ok=True)
    given = {"kubectl": tool("kubectl"), "failing": failing, "deployments": deployments}
    for name, does in (("docker", DOCKER), ("kind", KIND), ("kubectl", KUBECTL)):
        (programs / name).write_text((FAKE + does).format(name=name, folder=folder, **given))
        (programs / name).chmod(0o755)
    return subprocess.run(
        [str(SCRIPT)],
        env={**os.environ, "PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_the_script_ends_with_a_run_and_names_what_is_there(
    tmp_path: Path, manifests: list[Mapping[str, Any]]
) -> None:
    workloads = [each for each in manifests if each["kind"] == "Deployment"]
    deployments = {str(each["metadata"]["name"]) for each in workloads}
    done = run(tmp_path, deployments=" ".join(deployments))
    assert done.returncode == 0, done.stderr
    made = calls(tmp_path)
    names = {f"{each['kind']}/{each['metadata']['name']}".lower() for each in manifests}
    waited = re.findall(r"(?:rollout status|condition=complete) (\S+)", "\n".join(made))
    assert {"job/set-up", *(f"deployment/{each}" for each in deployments)} <= set(waited) <= names
    (applied,) = [each for each in made if " apply " in each]
    folder = PROJECT_ROOT / applied.split("--kustomize ")[1]
    assert folder.resolve() == OVERLAYS / "kind"
    secrets = {each.split()[8] for each in made if "create secret" in each}
    assert secrets == {"postgres", "prefect-database", "prefect-auth"}
    order = [
        "create cluster",
        "load docker-image",
        "create secret",
        " apply ",
        "job/set-up",
        "exec",
    ]
    places = [max(n for n, each in enumerate(made) if step in each) for step in order]
    assert places == sorted(places)
    asked = [each.split(" -- ")[1].split() for each in made if "deployment run" in each]
    warm = {f"{refresh.name}/{each.name}": each.is_warm for each in declared()}
    assert [warm[words[3]] for words in asked] == [True, False], "one run in each pool"
    assert all("--watch" in words for words in asked)

    again = run(tmp_path, deployments=" ".join(deployments))
    assert again.returncode == 0, again.stderr
    made_anew = calls(tmp_path)[len(made) :]
    assert not any("create secret" in each for each in made_anew)
    pods = {each.name: each.read_text().split() for each in (tmp_path / "pods").iterdir()}
    assert pods == {each: ["built", "built"] for each in deployments}, "the code of now"
    assert not any("rollout restart" in each for each in made), "what is new is new once"
    steps = ["load docker-image", "rollout restart", "rollout status", "exec"]
    places = [next(n for n, each in enumerate(made_anew) if step in each) for step in steps]
    assert places == sorted(places)


@pytest.mark.parametrize("step", ["apply --kustomize", "job/set-up", "deployment run"])
def test_a_step_that_fails_ends_the_script(tmp_path: Path, step: str) -> None:
    done = run(tmp_path, failing=step)
    assert done.returncode == 1
    assert "== done" not in done.stdout


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT)], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert re.search(r"(docker|kind) is not on PATH", done.stderr)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    cluster = EmbeddedPostgres(tmp_path / "postgres")
    cluster.start()
    yield cluster
    cluster.stop()


def test_the_job_makes_databases_roles_and_blocks_that_fit_them(
    cluster: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[Mapping[str, str]] = []

    def register(slugs: tuple[str, ...], values: Mapping[str, str]) -> tuple[Registration, ...]:
        assert slugs == tuple(DATABASES)
        registered.append(values)
        return ()

    monkeypatch.setattr(set_up, "register", register)
    monkeypatch.setattr(set_up, "wait_healthy", lambda *_: True)
    monkeypatch.setattr(set_up, "apply_deployments", lambda arguments: len(arguments))
    for _ in range(2):
        assert set_up.main({"POSTGRES_URL": cluster.url()}) == 2
    assert registered[0] != registered[1], "nobody keeps the passwords but the blocks"
    for slug in DATABASES:
        for end in ("DATABASE_URL", "READER_DATABASE_URL"):
            with psycopg.connect(registered[1][f"{slug.upper()}_{end}"]) as connection:
                row = connection.execute("select current_database()").fetchone()
                assert row == (slug,)


def test_the_job_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert set_up.main({}) == 1
    assert "POSTGRES_URL is not set" in capsys.readouterr().err


def test_the_shell_reads_the_script() -> None:
    assert subprocess.run(["sh", "-n", str(SCRIPT)]).returncode == 0
    for line in SCRIPT.read_text().splitlines():
        assert "$@" not in line or '"$@"' in line, f"words would be split: {line}"
    assert shlex.split(SCRIPT.read_text().splitlines()[0][2:]) == ["/bin/sh"]
