"""Earlier files of the project, with and without a git history beside the code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from flows._shared.revisions import (
    REPOSITORY_VARIABLE,
    RepositoryUnreachableError,
    RevisionError,
    read_revision,
)
from flows._shared.state import ROOT
from flows.quality_compass.settings import QualityCompassSettings

MART = "dbt_projects/quality_compass/models/marts/dim_metrics"
ROLLBACK = """
from pathlib import Path
from flows.quality_compass import rollback
folder = rollback.prepare_project("dim_metrics", "v1", Path("side"))
print((folder / rollback.SIDE_PROJECT / "models/marts/dim_metrics.sql").read_text())
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository in which a mart was `select 1` at the tag v1, and is `select 2` now."""
    folder = tmp_path / "repository"
    mart = folder / f"{MART}.sql"
    mart.parent.mkdir(parents=True)

    def git(*arguments: str) -> None:
        settings = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", "-C", str(folder), *settings, *arguments], check=True)

    git("init", "--quiet")
    mart.write_text("select 1")
    mart.with_suffix(".yml").write_text("version: 2")
    git("add", ".")
    git("commit", "--quiet", "--message", "one")
    git("tag", "v1")
    mart.write_text("select 2")
    git("commit", "--quiet", "--all", "--message", "two")
    return folder


def test_a_rollback_reads_its_revision_where_the_image_left_git_out(
    tmp_path: Path, repository: Path
) -> None:
    image = tmp_path / "app"
    unwanted = shutil.ignore_patterns("target", "logs", "dbt_packages", "__pycache__")
    for part in ("flows", "dbt_projects"):
        shutil.copytree(ROOT / part, image / part, ignore=unwanted)
    environment = {**os.environ, "PYTHONPATH": str(image)}
    environment.pop(REPOSITORY_VARIABLE, None)

    def roll_back(**more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", ROLLBACK],
            cwd=image,
            env={**environment, **more},
            capture_output=True,
            text=True,
        )

    without = roll_back()
    assert "there is no git history here, as in an image" in without.stderr
    assert REPOSITORY_VARIABLE in without.stderr
    with_it = roll_back(**{REPOSITORY_VARIABLE: repository.as_uri()})
    assert with_it.stdout.strip() == "select 1", with_it.stderr


def test_a_repository_or_revision_that_is_not_there_is_named(
    tmp_path: Path, repository: Path
) -> None:
    path = f"{MART}.sql"
    assert read_revision("HEAD", [path], repository.as_uri()) == {path: b"select 2"}
    with pytest.raises(RevisionError, match="as of v9"):
        read_revision("v9", [path], repository.as_uri())
    with pytest.raises(RevisionError, match="not a git revision"):
        read_revision("--output=x", [path], repository.as_uri())
    for address in (
        (tmp_path / "nowhere").as_uri(),
        f"ext::touch {tmp_path}/ran",
        "--upload-pack=x",
    ):
        with pytest.raises(RevisionError, match="Correct the address"):
            read_revision("HEAD", [path], address)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(RepositoryUnreachableError, match="tried again"):
        read_revision("HEAD", [path], "https://127.0.0.1:9/a.git")


@pytest.mark.parametrize(
    ("address", "is_taken"),
    [
        ("https://github.com/owner/name", True),
        ("ssh://git@github.com/owner/name", True),
        ("ssh://[::1]:22/owner/name", True),
        ("ssh://-oProxyCommand=id/name", False),
        ("ssh://git@-oProxyCommand=id/name", False),
        ("file:///etc", False),
        ("ext::sh -c id", False),
        ("--upload-pack=id", False),
    ],
)
def test_the_form_takes_the_address_of_a_host_and_no_option(address: str, is_taken: bool) -> None:
    if is_taken:
        assert QualityCompassSettings(repository=address).repository == address
        return
    with pytest.raises(ValidationError):
        QualityCompassSettings(repository=address)
