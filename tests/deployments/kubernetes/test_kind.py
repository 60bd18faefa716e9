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
# as far as it goes without a cluster.
FAKE = """#!/bin/sh
echo "{name} $*" >> {folder}/calls
"""
KUBECTL = """
case "$*" in
  *"get namespace"*) test -e {folder}/namespace ;;
  *"create namespace"*) touch {folder}/namespace ;;
  *"get secret"*"--output"*) printf 'c2VjcmV0' ;;
  *"get secret"*) shift 6; test -e {folder}/secret-$1 ;;
  *"create secret"*)
    shift 4; {kubectl} "$@" --dry-run=client --output=name && touch {folder}/secret-$4 ;;
  *"{failing}"*) exit 1 ;;
esac
"""


@pytest.fixture(scope="module")
def manifests() -> list[Mapping[str, Any]]:
    return list(render(OVERLAYS / "kind", tool("kubectl")))


def run(folder: Path, failing: str = "nothing fails") -> "subprocess.CompletedProcess[str]":
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("docker", "kind", "kubectl"):
        text = FAKE.format(name=name, folder=folder)
        if name == "kubectl":
            text += KUBECTL.format(folder=folder, kubectl=tool("kubectl"), failing=failing)
        (programs / name).write_text(text)
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
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    made = calls(tmp_path)
    names = {f"{each['kind']}/{each['metadata']['name']}".lower() for each in manifests}
    waited = re.findall(r"(?:rollout status|condition=complete) (\S+)", "\n".join(made))
    of_pools = {"deployment/analytics-flows-worker", "deployment/analytics-flows-warm"}
    assert {"job/set-up", *of_pools} <= set(waited) <= names
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

    again = run(tmp_path)
    assert again.returncode == 0, again.stderr
    assert not any("create secret" in each for each in calls(tmp_path)[len(made) :])


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
