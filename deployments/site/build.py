"""Builds the site: pages copied, reference made, MkDocs run on both."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from deployments.local.paths import PROJECT_ROOT
from deployments.site.links import led_to_the_site
from deployments.site.reference import reference
from flows._shared.errors import PermanentError

CONFIGURATION = Path(__file__).with_name("mkdocs.yml")
STYLES = Path(__file__).with_name("site.css")
DOCS = PROJECT_ROOT / "docs"
OF_THE_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
# Those that are named nowhere follow, by name.
ORDER: Mapping[str, Sequence[str]] = {
    "Start": ("index.md", "tutorial.md", "add-a-domain.md", "contributing.md"),
    "Run": (
        "deployments.md",
        "kubernetes.md",
        "credentials.md",
        "security.md",
        "upgrading.md",
        "changelog.md",
    ),
    "Understand": ("architecture.md",),
    "Reference": ("reference/",),
    "Contracts": ("contracts/",),
    "Runbooks": ("runbooks/",),
    "Decisions": ("decisions/",),
}
REST = "Understand"
# What a site that was built before has.
SEARCHED = "search/search_index.json"


def build(to: Path) -> int:
    """Write the site into a folder, in the place of the one there; returns how many pages it has.

    Raises:
        PermanentError: the folder holds something else or cannot be written to, a link leads
            nowhere, MkDocs is not there, or refuses a page.
    """
    attempted = "making the site of the documentation"
    _refuse_what_is_no_site(to, attempted)
    if not DOCS.is_dir():
        raise PermanentError(attempted, f"there is no {DOCS}", "Run it in a clone")
    if importlib.util.find_spec("mkdocs") is None:
        raise PermanentError(attempted, "MkDocs is not installed", "Run `make setup`")
    with TemporaryDirectory(prefix="site-") as place:
        pages = Path(place, "pages")
        written = sorted([*_copy_pages(pages), *_write_reference(pages)])
        shutil.copy(STYLES, pages)
        configuration = Path(place, "mkdocs.yml")
        configuration.write_text(
            f"{CONFIGURATION.read_text()}docs_dir: {pages}\n" + "\n".join(_navigation(written))
        )
        # By --quiet warnings would be no reason to stop.
        command = [sys.executable, "-m", "mkdocs", "build", "--clean"]
        command += ["--config-file", str(configuration), "--site-dir", str(to)]
        done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True)
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
            seen = "\n".join(told).strip()
            raise PermanentError(attempted, seen, "Correct the pages it names")
    return len(written)


def _refuse_what_is_no_site(to: Path, attempted: str) -> None:
    """MkDocs empties its folder."""
    try:
        to.mkdir(parents=True, exist_ok=True)
        is_another = any(to.iterdir()) and not (to / SEARCHED).is_file()
    except OSError as error:
        seen = f"{to} cannot be written to: {error.strerror}"
        raise PermanentError(attempted, seen, "Name another folder") from error
    if is_another:
        raise PermanentError(
            attempted, f"{to} holds other files, which would be lost", "Name a folder of its own"
        )


def _copy_pages(pages: Path) -> list[str]:
    places = dict(OF_THE_ROOT) | {
        str(path.relative_to(PROJECT_ROOT)): str(path.relative_to(DOCS))
        for path in sorted(DOCS.rglob("*"))
        if path.is_file()
    }
    for source, place in places.items():
        target = pages / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            text = (PROJECT_ROOT / source).read_text()
            target.write_text(led_to_the_site(text, source, places, PROJECT_ROOT))
        else:
            shutil.copyfile(PROJECT_ROOT / source, target)
    return [place for place in places.values() if place.endswith(".md")]


def _write_reference(pages: Path) -> list[str]:
    made = reference()
    (pages / "reference").mkdir()
    for name, text in made.items():
        (pages / "reference" / name).write_text(text)
    return [f"reference/{name}" for name in made]


def _navigation(written: Sequence[str]) -> list[str]:
    named = {each for group in ORDER.values() for each in group}
    folders = tuple(each for each in named if each.endswith("/"))
    rest = [page for page in written if page not in named and not page.startswith(folders)]
    lines = ["nav:"]
    for title, group in ORDER.items():
        lines.append(f"  - {title}:")
        for each in [*group, *(rest if title == REST else ())]:
            found = [page for page in written if page == each or page.startswith(f"{each}")]
            lines += [f"    - {page}" for page in found]
    return [*lines, ""]
