"""The site of the documentation: what its reference names, and that it builds."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from blocks import CATALOGUE
from deployments.local.paths import PROJECT_ROOT
from deployments.site import build
from deployments.site.links import led_to_the_site, slug
from deployments.site.reference import reference
from flows._shared.errors import PermanentError

FLOWS = PROJECT_ROOT / "flows"
FIELD = re.compile(r"^    (\w+): .*= (?:Field\(|\w+\(|\"|\d)", re.MULTILINE)
EVENT = re.compile(r"^\w+\.(?:delivery|rows|alert|quality|anomaly)\.\w+$")
ELSEWHERE = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//')


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return reference()


def test_the_reference_names_every_setting(made: dict[str, str]) -> None:
    files = [*FLOWS.glob("*/settings.py"), FLOWS / "_shared" / "bigquery_settings.py"]
    names = {name for path in files for name in FIELD.findall(path.read_text())}
    assert len(names) > 100
    assert [name for name in sorted(names) if f"| `{name}` |" not in made["settings.md"]] == []


def test_the_reference_names_every_block_and_event(made: dict[str, str]) -> None:
    needs = [need for each in CATALOGUE.values() for need in each]
    for need in needs:
        assert f"| `{need.name}` |" in made["blocks.md"]
        assert f"`{need.variable}`" in made["blocks.md"]
    deployments = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text())["deployments"]
    heard = {
        event: each["name"]
        for each in deployments
        for trigger in each.get("triggers") or []
        for event in trigger.get("expect") or []
        if EVENT.match(event)
    }
    assert heard
    for event, name in heard.items():
        [line] = [each for each in made["events.md"].splitlines() if f"| `{event}` |" in each]
        assert f"`{name}`" in line


@pytest.mark.parametrize(
    "project", [path.parent for path in PROJECT_ROOT.glob("dbt_projects/[a-z]*/dbt_project.yml")]
)
def test_the_reference_names_every_mart(made: dict[str, str], project: Path) -> None:
    own = {"staging", "intermediate", "bronze"}
    names = [
        path.stem
        for path in (project / "models").rglob("*.sql")
        if not own & set(path.parts) and not path.stem.startswith(("int_", "stg_"))
    ]
    assert names
    page = made[f"marts-{project.name}.md"]
    assert [name for name in sorted(names) if f"\n## {name}\n" not in page] == []


def test_links_lead_to_pages_of_the_site_name_other_files_and_never_break(tmp_path: Path) -> None:
    places = {"README.md": "index.md", "docs/a/b.md": "a/b.md"}
    (tmp_path / "prefect.yaml").touch()
    text = "[b](docs/a/b.md#part), [file](prefect.yaml), [out](https://example.test)"
    assert led_to_the_site(text, "README.md", places, tmp_path) == (
        "[b](a/b.md#part), file (`prefect.yaml`), [out](https://example.test)"
    )
    assert led_to_the_site("[up](../../README.md)", "docs/a/b.md", places, tmp_path) == (
        "[up](../index.md)"
    )
    with pytest.raises(PermanentError, match=r"its link to docs/gone\.md leads nowhere"):
        led_to_the_site("[gone](docs/gone.md)", "README.md", places, tmp_path)


def test_pictures_move_with_their_pages(tmp_path: Path) -> None:
    places = {"README.md": "index.md", "docs/pictures/a.png": "pictures/a.png"}
    text = "![A front page](docs/pictures/a.png)"
    assert led_to_the_site(text, "README.md", places, tmp_path) == "![A front page](pictures/a.png)"


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(PermanentError, match="holds other files, which would be lost"):
        build(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "x"
    with pytest.raises(PermanentError, match="cannot be written to"):
        build(tmp_path / "thesis.txt" / "site")


def test_anchors_are_those_of_a_forge() -> None:
    assert slug("Roles & rights of `a_b`: who, where") == "roles--rights-of-a_b-who-where"


@pytest.mark.exhaustive
def test_the_site_is_built_asks_no_other_host_and_finds_its_pages(tmp_path: Path) -> None:
    pages = build(tmp_path)
    written = sorted(tmp_path.rglob("*.html"))
    assert len(written) == pages + 1, "and one for what is not found"
    assert [path for path in written if ELSEWHERE.search(path.read_text())] == []
    found = (tmp_path / "search" / "search_index.json").read_text()
    assert "tutorial.html" in found
    assert "reference/marts-scout.html#gold_monthly_summary" in found


@pytest.mark.exhaustive
def test_an_anchor_that_is_nowhere_stops_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package has the function under the module's name.
    module = import_module("deployments.site.build")
    monkeypatch.setattr(
        module, "reference", lambda: {"blocks.md": "# Blocks\n\n[gone](../tutorial.md#gone)\n"}
    )
    with pytest.raises(PermanentError, match="does not contain an anchor '#gone'"):
        build(tmp_path)
