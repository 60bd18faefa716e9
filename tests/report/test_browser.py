"""The site in a real browser, where there is one (Debian's `chromium`)."""

import json
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files as files_in
from pathlib import Path

import psutil
import pytest

from flows.report.lineage import Lineage, MadeColumn, MadeModel, Origin, lineage_page
from flows.report.pages import operations
from flows.report.records import DOMAINS, OperationsData
from tests.report.browser import Tab, program, tab
from tests.report.shown import NOW, files_of
from tests.report.test_site import HOSTILE, TABLES_OF, known

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium on PATH")
WIDTHS = (390, 1280, 1920)
SERIOUS = {"serious", "critical"}
AXE = (files_in("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
# What is folded away is looked at, too; drawings are hidden from readers, CONTRAST reads theirs.
FINDINGS = """
(() => {
  for (const each of document.querySelectorAll("details")) each.open = true;
  const shown = { exclude: [[".wide"], [".narrow"]] };
  return axe.run(shown, { resultTypes: ["violations"] }).then((found) => found.violations.map(
    (each) => ({ rule: each.id, impact: each.impact, where: each.nodes[0].html.slice(0, 200) })
  ));
})()
"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Texts of drawings that begin or end beside the screen.
CUT = """
[...document.querySelectorAll(".chart text")].filter((each) => {
  const { left, right, width } = each.getBoundingClientRect();
  return width && (left < 0 || right > document.documentElement.clientWidth);
}).map((each) => each.textContent)
"""
# Of every text and its background, as the browser computes them: the least contrast.
CONTRAST = """
(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((each) => {
      const part = each / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = parse(getComputedStyle(each).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  let least = 99;
  const told = "p, a, td, th, th button, h1, h2, dt, dd, li, summary, .chart text";
  for (const element of document.querySelectorAll(told)) {
    if (!element.textContent.trim() || !element.getClientRects().length) continue;
    if (element.closest(".mark-text")) continue;
    const style = getComputedStyle(element);
    const ink = parse(element.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(element))];
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least;
})()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of hostile rows, as files."""
    data = {}
    for slug in DOMAINS:
        rows = {}
        for each in TABLES_OF[slug]:
            many = range(1, 13) if "place" in each.types else range(1)
            rows[each.model] = [
                each.row(HOSTILE[0]) | ({"place": n} if "place" in each.types else {}) for n in many
            ]
        data[slug] = known(slug, rows)
    folder = tmp_path_factory.mktemp("site")
    text = HOSTILE[0]
    column = MadeColumn(text, text, text, (Origin(text, "x", False),), (text,))
    lineage = Lineage((MadeModel("rpt_x", text, (column,) * 12, ()),), (text,))
    run = {
        "id": "a-run",
        "name": "a-run",
        "deployment": "quality-compass-metrics-query",
        "state_type": "FAILED",
        "start_time": "2026-11-28T08:00:00Z",
        "state": {"message": "It failed:\n" + "\n".join([text] * 9)},
    }
    of_run = {"slug": "quality_compass", "flow_run_id": "a-run", "updated": "2026-11-28T08:00:00Z"}
    values = [{"measure": name, "value": 1_234_567} for name in operations.MEASURES]
    operated = OperationsData([run], measures=[{**of_run, "data": json.dumps(values)}])
    files = {**files_of(data, operated), "scout-columns.html": lineage_page("scout", lineage, NOW)}
    for path, content in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    profile = tmp_path_factory.mktemp("profile")
    with tab(profile) as opened:
        yield opened
    assert [said for said in map(said_to, psutil.process_iter()) if str(profile) in said] == []


def said_to(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def look(browser: Tab, page: Path, width: int, *, is_dark: bool) -> None:
    """It says nothing on the console, loads nothing, fits the screen and can be read."""
    browser.open(page.as_uri(), width, is_dark=is_dark)
    where = f"{page.name} at {width}, {'dark' if is_dark else 'light'}"
    assert browser.said == [], where
    assert [a for a in browser.asked if not a.startswith(("file://", "data:"))] == []
    assert browser.run(OVERFLOW) <= 0, where
    assert browser.run(CUT) == [], where
    assert browser.run(CONTRAST) >= 4.5, where


def test_pages_say_nothing_on_the_console_load_nothing_and_fit_the_screen(
    browser: Tab, folder: Path
) -> None:
    for number, page in enumerate(sorted(folder.glob("*.html"))):
        look(browser, page, WIDTHS[number % 2], is_dark=number % 2 == 0)


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_a_table_takes_the_room_beside_it(browser: Tab, folder: Path, width: int) -> None:
    browser.open((folder / "operations.html").as_uri(), width)
    table = "document.querySelector('#tests .table')"
    assert browser.run(f"{table}.scrollWidth - {table}.clientWidth") <= 0
    assert browser.run(OVERFLOW) <= 0
    left, right = (f"{table}.getBoundingClientRect().{side}" for side in ("left", "right"))
    assert browser.run(f"{left} >= 0 && {right} <= document.documentElement.clientWidth")


@pytest.mark.exhaustive
def test_they_do_so_at_every_width_light_and_dark(browser: Tab, folder: Path) -> None:
    for page in sorted(folder.glob("*.html")):
        for width in WIDTHS:
            for is_dark in (False, True):
                look(browser, page, width, is_dark=is_dark)


def findings(browser: Tab, page: Path, width: int, *, is_dark: bool) -> list[dict[str, str]]:
    """What axe-core calls serious or critical on a page."""
    browser.open(page.as_uri(), width, is_dark=is_dark)
    browser.run(AXE)
    found: list[dict[str, str]] = browser.run(FINDINGS)
    return [each for each in found if each["impact"] in SERIOUS]


@pytest.mark.parametrize(
    ("name", "width", "is_dark"), [("scout", 1280, False), ("operations", 390, True)]
)
def test_axe_finds_nothing_serious_on_a_page(
    browser: Tab, folder: Path, name: str, width: int, is_dark: bool
) -> None:
    assert findings(browser, folder / f"{name}.html", width, is_dark=is_dark) == []


@pytest.mark.exhaustive
def test_axe_finds_nothing_serious_on_any_page(browser: Tab, folder: Path) -> None:
    for page in sorted(folder.glob("*.html")):
        for width in WIDTHS[:2]:
            for is_dark in (False, True):
                found = findings(browser, page, width, is_dark=is_dark)
                assert found == [], (page.name, width, is_dark)


def press(browser: Tab, key: str, code: int) -> None:
    for kind in ("rawKeyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
        )


def test_the_keyboard_leads_from_the_top_to_the_content_and_on(browser: Tab, folder: Path) -> None:
    browser.open((folder / "index.html").as_uri(), 390)
    press(browser, "Tab", 9)
    assert browser.run("document.activeElement.className") == "skip"
    assert browser.run("document.activeElement.getBoundingClientRect().left") >= 0
    press(browser, "Tab", 9)
    assert browser.run("document.activeElement.getAttribute('aria-current')") == "page"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_tables_sort_by_numbers_and_filter_by_text_from_the_keyboard(
    browser: Tab, folder: Path
) -> None:
    browser.open((folder / "github_scraper.html").as_uri(), 1280)
    first = "document.querySelector('#leaders-all-time tbody tr td').textContent"
    button = "document.querySelector('#leaders-all-time th:nth-child(3) button')"
    browser.run(f"{button}.focus()")
    assert browser.run(f"document.activeElement === {button}")
    for key in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=key, key="Enter", code="Enter", text="\r")
    head = "document.querySelector('#leaders-all-time th:nth-child(3)').getAttribute('aria-sort')"
    assert browser.run(head) == "ascending"
    assert browser.run(first)
    shown = (
        "[...document.querySelectorAll('#leaders-all-time tbody tr')].filter(r => !r.hidden).length"
    )
    assert browser.run(shown) == 12
    browser.run(
        "(() => { const field = document.querySelector('#leaders-all-time input');"
        "field.value = 'nowhere in the table';"
        "field.dispatchEvent(new Event('input')); })()"
    )
    assert browser.run(shown) == 0
