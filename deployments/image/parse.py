"""Parse dbt projects for the image: ``python -m deployments.image.parse PROJECTS_DIR PARSED_DIR``.

Installs the packages of every project and parses it for its default target and for each target of
its profile, into ``PARSED_DIR/<project>/<target>``. A run starts from there: see
``flows._shared.orchestration.dbt_parsed``.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from dbt.cli.main import dbtRunner

from flows._shared.orchestration.dbt import rare_garbage_collection
from flows._shared.orchestration.dbt_parsed import PARTIAL_PARSE, PLACEHOLDERS
from flows._shared.orchestration.dbt_runner import cheaper_dbt

DEFAULT = "default"


def main(arguments: Sequence[str]) -> int:
    projects, parsed = (Path(argument).resolve() for argument in arguments)
    os.environ.update(PLACEHOLDERS)
    for description in sorted(projects.glob("*/dbt_project.yml")):
        project = description.parent
        if not (project / "profiles.yml").exists():
            continue
        install(project)
        for target in [None, *_targets(project)]:
            parse(project, target, parsed / project.name / (target or DEFAULT))
            sys.stdout.write(f"parsed {project.name} for {target or 'its default target'}\n")
    return 0


def install(project: Path) -> None:
    """Install the packages of a project."""
    with TemporaryDirectory() as folder:
        _run(project, ["deps", "--log-path", folder])


def parse(project: Path, target: str | None, kept: Path) -> None:
    """Parse a project for a target, None for its default, and keep what a later parse needs."""
    with TemporaryDirectory() as folder:
        chosen = ["--target", target] if target else []
        _run(project, ["parse", *chosen, "--target-path", folder, "--log-path", folder])
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(folder, PARTIAL_PARSE), kept / PARTIAL_PARSE)


def _run(project: Path, arguments: list[str]) -> None:
    arguments += ["--project-dir", str(project), "--profiles-dir", str(project), "--quiet"]
    arguments += ["--no-send-anonymous-usage-stats", "--no-version-check"]
    with rare_garbage_collection(), cheaper_dbt():
        result = dbtRunner().invoke(arguments)
    if not result.success:
        raise SystemExit(f"dbt {' '.join(arguments)} failed: {result.exception}")


def _targets(project: Path) -> list[str]:
    profiles = yaml.safe_load((project / "profiles.yml").read_text())
    name = yaml.safe_load((project / "dbt_project.yml").read_text())["profile"]
    return list(profiles[name]["outputs"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
