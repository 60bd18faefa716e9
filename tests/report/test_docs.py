"""dbt's documentation in one page: whole, offline, and nothing in it ends the page's script."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from flows.report.docs import NoDocsPageError, docs_page, docs_path, lineage_path, nothing_yet
from flows.report.publish import publish
from flows.report.records import DOMAINS
from tests.report.shown import NOW, files_of

INDEX = (files("dbt.task.docs") / "index.html").read_bytes().decode(errors="replace")
HOSTILE = "</script><script>alert(1)</script><!-- \u2028 &amp;"
MANIFEST = {
    "metadata": {"send_anonymous_usage_stats": True},
    "nodes": {"model.x.a": {"description": HOSTILE}},
}
CATALOG = {"nodes": {"model.x.a": {"metadata": {"comment": HOSTILE}}}}


def test_the_page_of_dbt_holds_the_project_and_asks_no_host() -> None:
    page = docs_page(INDEX, MANIFEST, CATALOG).decode()
    assert "INLINE DATA" not in page
    assert HOSTILE not in page
    assert page.count("<script") == INDEX.count("<script")
    assert page.count("</script>") == INDEX.count("</script>")
    assert "default-src 'none'" in page.partition("<script")[0]
    at = page.index("{manifest:") + len("{manifest:")
    manifest, end = json.JSONDecoder().raw_decode(page[at:])
    assert manifest["nodes"] == MANIFEST["nodes"]
    assert manifest["metadata"] == {"send_anonymous_usage_stats": False}
    catalog, _ = json.JSONDecoder().raw_decode(page[at + end :].removeprefix(",catalog:"))
    assert catalog == CATALOG


def test_a_page_of_another_dbt_is_refused() -> None:
    with pytest.raises(NoDocsPageError, match="no place for the manifest"):
        docs_page("<head></head>", MANIFEST, CATALOG)


def test_every_figure_leads_to_a_page_that_is_there(tmp_path: Path) -> None:
    site = files_of()
    publish(site, str(tmp_path), NOW, 2)
    for slug, title in DOMAINS.items():
        for path in (docs_path(slug), lineage_path(slug)):
            assert (tmp_path / path).read_bytes() == nothing_yet(title)
    (tmp_path / docs_path("scout")).write_text("written")
    publish(site, str(tmp_path), NOW, 2)
    assert (tmp_path / docs_path("scout")).read_text() == "written"
