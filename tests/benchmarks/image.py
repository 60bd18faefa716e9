"""The steps of the image outside Docker: how long they take and how large their result is.

    python -m tests.benchmarks.image

Runs the scripts that the Dockerfile runs, on a copy of the sources, in a temporary folder; the base
image and Debian's git come on top. Needs the package registry.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deployments.local.paths import PROJECT_ROOT

MEGABYTE = 10**6
COPIED = ("flows", "blocks", "deployments", "dbt_projects")


def main() -> None:
    ignored = shutil.ignore_patterns("__pycache__", "target", "dbt_packages", "logs")
    with tempfile.TemporaryDirectory(prefix="analytics-flows-") as place:
        venv, app = Path(place, "venv"), Path(place, "app")
        for folder in COPIED:
            shutil.copytree(PROJECT_ROOT / folder, app / folder, ignore=ignored)
        sys.stdout.write(f"load {os.getloadavg()[0]:.1f}\n")
        for script, arguments in (
            ("install.sh", [venv]),
            ("parse.sh", [venv, app]),
            ("compile.sh", [venv, app]),
        ):
            began = time.monotonic()
            command = ["sh", str(app / "deployments" / "image" / script), *map(str, arguments)]
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            sizes = f"venv {size(venv):.0f} MB, app {size(app):.1f} MB"
            sys.stdout.write(f"{script:<12}{time.monotonic() - began:7.1f} s   {sizes}\n")
        largest = sorted((venv / "lib").glob("python*/site-packages/*"), key=size)[-8:]
        for path in reversed(largest):
            sys.stdout.write(f"  {path.name:<32}{size(path):7.1f} MB\n")


def size(path: Path) -> float:
    """Megabytes of all files below; a link counts nothing."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(each.stat().st_size for each in files if each.is_file()) / MEGABYTE


if __name__ == "__main__":
    main()
