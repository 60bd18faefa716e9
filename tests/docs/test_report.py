"""The page about the report says where each answer is and shows every page."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from flows.report.records import DOMAINS, OperationsData
from tests.report.pictures import PAGES, PICTURES, WIDTH
from tests.report.shown import Shown, files_of
from tests.report.test_site import TABLES_OF, known

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "report.md"
ROW = re.compile(r"^\| ([^|]+\?) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
RUN = {
    "name": "a-run",
    "deployment": "scout-gold-6h",
    "state_type": "FAILED",
    "state_name": "Failed",
    "start_time": "2026-11-28T11:00:00Z",
    "total_run_time": 60.0,
    "state": {"message": "the warehouse is full"},
}
WAITING = {
    "name": "another-run",
    "deployment": "scout-gold-6h",
    "state_name": "Late",
    "expected_start_time": "2026-11-28T10:00:00Z",
}
MEASURED = {"slug": "scout", "updated": "2026-11-28T11:00:00Z", "data": "[]"}
NODES = {
    "slug": "scout",
    "key": "scout-dbt-nodes",
    "created": "2026-11-28T11:00:00Z",
    "data": json.dumps(
        [{"name": "a", "type": "test", "status": "fail", "rows": 3, "seconds": 1.0, "message": "3"}]
    ),
}
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def site() -> dict[str, Shown]:
    """The pages by their title, of one row of each model and three runs."""
    data = {slug: known(slug, {t.model: [t.row()] for t in TABLES_OF[slug]}) for slug in DOMAINS}
    operated = OperationsData(runs=[RUN], waiting=[WAITING], measures=[MEASURED], nodes=[NODES])
    files = files_of(data, operated)
    titles = {**DOMAINS, "operations": "Operations"}
    return {title: Shown(files[f"{slug}.html"].decode()) for slug, title in titles.items()}


def test_each_question_has_its_answer_where_the_page_says(site: dict[str, Shown]) -> None:
    asked = ROW.findall(PAGE.read_text())
    assert sorted(title for _, title, _ in asked) == sorted(site)
    for question, title, place in asked:
        shown = site[title]
        assert place.startswith("headline"), question
        assert shown.headline
        assert "not been built" not in shown.headline
        places = re.findall(r"\*([^*]+)\*", place)
        assert places, question
        answers = {part.texts[0]: part.texts[1] for part in shown.parts.values() if part.texts}
        for named in places:
            assert answers.get(named), (question, named)


@pytest.mark.parametrize("page", [ROOT / "README.md", PAGE], ids=lambda page: page.name)
def test_every_page_of_the_report_is_shown(page: Path) -> None:
    shown = re.findall(r"[(\"]([\w/]*pictures/\w+\.png)[)\"]", page.read_text())
    assert {(page.parent / each).resolve() for each in shown} == {
        PICTURES / f"{name}.png" for name in PAGES
    }


def test_pictures_are_as_wide_as_a_screen_and_small() -> None:
    assert {path.stem for path in PICTURES.iterdir()} == set(PAGES)
    for path in PICTURES.iterdir():
        with Image.open(path) as picture:
            assert picture.width == WIDTH
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < MEGABYTE
