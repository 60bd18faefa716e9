"""The image as its Dockerfile describes it, on this machine instead of in a container."""

import re
import shlex
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

from deployments.image.parse import install
from deployments.local.paths import PROJECT_ROOT
from tests.deployments.kubernetes.node import Image

DOCKERFILE = PROJECT_ROOT / "deployments" / "Dockerfile"


def instructions(stage: str = "runtime") -> list[tuple[str, str]]:
    """The instructions of a stage, continued lines joined, comments left out."""
    text = "\n".join(
        line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")
    )
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    found = [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]
    start = next(at for at, each in enumerate(found) if each[1].endswith(f" AS {stage}"))
    after = [at for at, each in enumerate(found) if each[0] == "FROM" and at > start]
    return found[start : after[0] if after else None]


def environment() -> dict[str, str]:
    given = [rest for word, rest in instructions() if word == "ENV"]
    return dict(pair.split("=", 1) for rest in given for pair in shlex.split(rest))


def here(projects: Path | None = None, parsed: Path | None = None) -> Image:
    """The image with the project and the virtual environment of this clone in their places.

    Args:
        projects: where dbt projects are with their packages; None for those of this clone.
        parsed: where parsed dbt projects are, if anywhere.
    """
    venv = Path(sys.executable).parents[1]
    paths = {"/app": str(PROJECT_ROOT), "/opt/venv": str(venv)}
    values = environment()
    if projects:
        values["ANALYTICS_FLOWS_DBT_PROJECTS_DIR"] = "/app/dbt_projects"
        paths["/app/dbt_projects"] = str(projects)
    if parsed:
        paths["/app/parsed"] = str(parsed)
    assert re.fullmatch(r"/opt/venv/bin:.*", values["PATH"])
    return Image(values, PROJECT_ROOT, paths)


def projects_in(folder: Path, slugs: Collection[str]) -> Path:
    """dbt projects with their packages installed, as the image's build leaves them."""
    ignored = shutil.ignore_patterns("target", "dbt_packages", "logs")
    for slug in ("_shared", *slugs):
        shutil.copytree(PROJECT_ROOT / "dbt_projects" / slug, folder / slug, ignore=ignored)
    for slug in slugs:
        install(folder / slug)
    return folder
