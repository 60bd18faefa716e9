"""Programs that judge image and manifests, in an environment of their own.

Their dependencies conflict with the project's. They are installed once, into ``.local/tools``;
where the package registry cannot be reached, the tests that need them are skipped.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployments.local.paths import PROJECT_ROOT
from deployments.local.processes import locked

PROGRAMS = Path(__file__).with_name("tools.lock")
POLICY = Path(__file__).with_name("policy.lock")
SECONDS = 240
# Its own command imports what it knows of twenty other kinds of file first.
POLICY_CHECK = """
import json, sys
from checkov.kubernetes.runner import Runner
from checkov.runner_filter import RunnerFilter
of_kubernetes = RunnerFilter(framework=["kubernetes"])
report = Runner().run(root_folder=sys.argv[1], runner_filter=of_kubernetes).get_dict()
json.dump(report, sys.stdout, default=str)
"""


def tool(name: str, lock: Path = PROGRAMS) -> Path:
    """The program of that name, installed if need be; skips the test where it cannot be."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = PROJECT_ROOT / ".local" / "tools" / digest
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent / "tools.lock"):
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder, lock)
            (folder / ".complete").touch()
    return folder / "bin" / name


def policy_check(folder: Path) -> dict[str, Any]:
    """What the policy check finds in the manifests of a folder."""
    command = [str(tool("python", POLICY)), "-c", POLICY_CHECK, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def _install(folder: Path, lock: Path) -> None:
    python = str(folder / "bin" / "python")
    options = ["--quiet", "--no-deps", "--requirement", str(lock)]
    if uv := shutil.which("uv"):
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--python", python, *options],
        ]
    else:
        options += ["--no-compile", "--disable-pip-version-check", "--retries", "1"]
        steps = [
            [sys.executable, "-m", "venv", str(folder)],
            [python, "-m", "pip", "install", *options],
        ]
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{lock.name} could not be installed in {SECONDS} s")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            pytest.skip(f"{lock.name} could not be installed: {last}")
