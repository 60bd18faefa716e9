"""Pages as files: HTML by templates that escape everything, charts as SVG, data as CSV."""

import base64
import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flows.report import charts, words
from flows.report.docs import docs_path, lineage_path
from flows.report.records import Chart, Figure, Page, Row, Site

TEMPLATES = Path(__file__).parent / "templates"
WIDE, NARROW = 780, 340
Files = Mapping[str, bytes]


def render(site: Site) -> dict[str, bytes]:
    """Every file of the site by its path."""
    files: dict[str, bytes] = {}
    for page in site.pages:
        name = "front.html" if page.slug == "index" else "page.html"
        drawings = {figure.key: drawing(figure) for figure in page.figures}
        files[f"{page.slug}.html"] = page_html(name, site, page, drawings=drawings)
        for figure in page.figures:
            files[csv_path(page, figure)] = as_csv(figure).encode()
    return files


def page_html(template: str, site: Site, page: Page, home: str = "", **shown: object) -> bytes:
    """A page with the frame of all pages.

    Args:
        home: where the pages of the site are, seen from this one: empty, or a path with `/`.
    """
    style, script = (
        (TEMPLATES / name).read_text(encoding="utf-8") for name in ("site.css", "site.js")
    )
    frame = {
        "site": site,
        "page": page,
        "home": home,
        # Both are this project's own files.
        "style": Markup(style),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return _environment().get_template(template).render(**frame, **shown).encode()


def csv_path(page: Page, figure: Figure) -> str:
    return f"data/{page.slug}-{figure.key}.csv"


def as_csv(figure: Figure) -> str:
    """All columns of the figure's rows, for any program; no cell is a formula."""
    rows: Sequence[Row] = figure.rows
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = names or [column.key for column in figure.columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([words.cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def drawing(figure: Figure) -> Markup:
    """The chart twice, for wide and for narrow screens; what it shows is told beside it."""
    if figure.chart is None:
        return Markup()
    return Markup().join(_drawn(figure.chart, figure.key))


def _drawn(chart: Chart, key: str) -> Iterator[Markup]:
    for kind, width in (("wide", WIDE), ("narrow", NARROW)):
        # Vega escapes the texts that it draws.
        svg = Markup(charts.svg(chart, width, f"{key}-{kind}"))  # noqa: S704
        yield Markup('<div class="{}" aria-hidden="true">{}</div>').format(kind, svg)


def redirect(target: str) -> bytes:
    """A page that leads to another one of the same site."""
    return _environment().get_template("redirect.html").render(target=target).encode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: words.visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "text": words.text,
        "written": words.written,
        "sort_key": words.sort_key,
        "rest": words.rest,
    }
    environment.globals |= {
        "csv_path": csv_path,
        "docs_path": docs_path,
        "lineage_path": lineage_path,
    }
    return environment
