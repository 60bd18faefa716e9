"""dbt's documentation of a project as one page that asks no host for anything."""

import json
from collections.abc import Mapping
from typing import Any

FOLDER = "docs"
PLACES = {"manifest": '"MANIFEST.JSON INLINE DATA"', "catalog": '"CATALOG.JSON INLINE DATA"'}
# dbt's page evaluates its templates: only its own text runs, and nothing leaves the page.
POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; "
    "font-src data:; base-uri 'none'; form-action 'none'\">"
)


class NoDocsPageError(ValueError):
    """dbt's page has no place for the data: another release of dbt wrote it."""


def docs_path(slug: str) -> str:
    """Where the documentation of a project is, below the destination of the report."""
    return f"{FOLDER}/{slug}.html"


def lineage_path(slug: str) -> str:
    """Where the lineage of its columns is."""
    return f"{FOLDER}/{slug}-columns.html"


def docs_page(index: str, manifest: Mapping[str, Any], catalog: Mapping[str, Any]) -> bytes:
    """dbt's page with the project in it.

    Args:
        index: dbt's own `index.html`.
        manifest: of the run, without secrets.
        catalog: tables, columns and comments as the database has them.

    Raises:
        NoDocsPageError: the page has no place for them.
    """
    told = {**manifest, "metadata": {**manifest["metadata"], "send_anonymous_usage_stats": False}}
    page = index.replace("<head>", f"<head>{POLICY}", 1)
    for name, data in (("manifest", told), ("catalog", catalog)):
        if page.count(PLACES[name]) != 1 or POLICY not in page:
            raise NoDocsPageError(f"dbt's index.html has no place for the {name}")
        page = page.replace(PLACES[name], inline(data))
    return page.encode()


def inline(data: object) -> str:
    """JSON within a script of a page: no text in it ends the script."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def nothing_yet(title: str) -> bytes:
    """What stands there before the documentation was first written."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><main><h1>{title}</h1><p>The documentation has not been written "
        "yet: run the deployment <code>report-docs-weekly</code>.</main>"
    ).encode()
