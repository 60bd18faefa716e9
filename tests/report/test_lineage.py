"""The lineage of columns: read from what dbt compiled, shown as text with links that lead on."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from flows.report.lineage import Lineage, MadeColumn, MadeModel, lineage_page, read_lineage
from tests.report.shown import NOW, Shown
from tests.report.test_site import HOSTILE

PROJECT = "small"
SOURCE = "source.small.raw.payloads"
MODELS: Mapping[str, tuple[Mapping[str, str], str]] = {
    "staged": (
        {"payload_id": "bigint", "amount": "numeric", "day": "date"},
        (
            "with payloads as (select * from db.raw.payloads) "
            "select id as payload_id, amount, created_at::date as day from payloads"
        ),
    ),
    "rpt_days": (
        {"day": "date", "total": "numeric", "made_at": "timestamp"},
        (
            "with staged as (select * from db.marts.staged), "
            "kept as (select * from staged where payload_id > 0) "
            "select day, sum(amount) as total, now() as made_at from kept group by day"
        ),
    ),
    "rpt_fenced": (
        {"amount": "numeric"},
        (
            "with fenced as (select near.* from db.marts.rpt_days as days cross join lateral "
            "(select each.* from db.marts.staged as each where each.day = days.day) as near) "
            "select amount from fenced"
        ),
    ),
    "grown": (
        {"payload_id": "bigint", "amount": "numeric"},
        (
            "select payload_id, amount from db.marts.staged"
            "\nunion all by name\nselect payload_id from db.marts.staged"
        ),
    ),
    "counted": (
        {"payloads": "bigint", "day": "date"},
        ("select count(*) as payloads, day from db.marts.staged group by day"),
    ),
    "rpt_counts": ({"payloads": "bigint"}, "select payloads from db.marts.counted"),
    "broken": ({"x": "text"}, "select from where"),
}


def node(name: str, columns: Mapping[str, str], schema: str) -> dict[str, Any]:
    """As the catalog has a relation."""
    return {
        "metadata": {"database": "db", "schema": schema, "name": name, "type": "BASE TABLE"},
        "columns": {
            column: {"name": column, "type": kind.upper(), "index": at}
            for at, (column, kind) in enumerate(columns.items(), 1)
        },
    }


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> Lineage:
    folder = tmp_path_factory.mktemp("target")
    needs = {name: [f"model.{PROJECT}.staged", f"model.{PROJECT}.counted"] for name in MODELS}
    needs |= {"staged": [SOURCE], "rpt_fenced": [f"model.{PROJECT}.rpt_days", *needs["staged"]]}
    described = {
        f"model.{PROJECT}.{name}": {
            "unique_id": f"model.{PROJECT}.{name}",
            "resource_type": "model",
            "package_name": PROJECT,
            "name": name,
            "alias": name,
            "path": f"{name}.sql",
            "database": "db",
            "schema": "marts",
            "relation_name": f'"db"."marts"."{name}"',
            "description": f"What {name}\nis.",
            "config": {"materialized": "table"},
            "columns": {},
            "compiled_code": sql,
            "depends_on": {"nodes": needs[name]},
        }
        for name, (_, sql) in MODELS.items()
    }
    of_source = {
        "unique_id": SOURCE,
        "resource_type": "source",
        "name": "payloads",
        "identifier": "payloads",
        "database": "db",
        "schema": "raw",
        "relation_name": '"db"."raw"."payloads"',
        "config": {},
        "columns": {},
    }
    manifest = {
        "metadata": {"adapter_type": "postgres", "project_name": PROJECT},
        "nodes": described,
        "sources": {SOURCE: of_source},
        "parent_map": {f"model.{PROJECT}.{name}": needs[name] for name in MODELS},
        "child_map": {},
    }
    columns = {"id": "bigint", "amount": "numeric", "created_at": "timestamp"}
    catalog = {
        "nodes": {
            f"model.{PROJECT}.{name}": {
                "unique_id": f"model.{PROJECT}.{name}",
                **node(name, given, "marts"),
            }
            for name, (given, _) in MODELS.items()
        },
        "sources": {SOURCE: {"unique_id": SOURCE, **node("payloads", columns, "raw")}},
    }
    for name, document in (("manifest", manifest), ("catalog", catalog)):
        (folder / f"{name}.json").write_text(json.dumps(document))
    return read_lineage(folder / "manifest.json", folder / "catalog.json")


def test_a_column_leads_to_its_origins_and_in_the_end_to_sources(lineage: Lineage) -> None:
    models = {model.name: model for model in lineage.models}
    assert [name.startswith("rpt_") for name in models] == [True] * 3 + [False] * 4
    columns = {column.name: column for column in models["rpt_days"].columns}
    assert [origin.name for origin in columns["total"].made_from] == ["staged.amount"]
    assert columns["total"].how == "computed"
    assert columns["total"].ends == ("raw.payloads.amount",)
    assert columns["day"].ends == ("raw.payloads.created_at",)
    assert (columns["made_at"].how, columns["made_at"].made_from) == ("made here", ())
    assert [origin.name for origin in models["rpt_days"].chosen_by] == ["staged.payload_id"]
    staged = {column.name: column.how for column in models["staged"].columns}
    grown = {column.name: column.ends for column in models["grown"].columns}
    assert grown["amount"] == ("raw.payloads.amount",)
    (payloads,) = models["rpt_counts"].columns
    assert payloads.ends == ("counted.payloads",)
    assert staged == {"payload_id": "renamed", "amount": "as it is", "day": "computed"}


def test_sql_that_cannot_be_followed_is_told(lineage: Lineage) -> None:
    assert lineage.untraced == ("broken", "rpt_fenced")
    shown = Shown(lineage_page("scout", lineage, NOW).decode())
    assert "could not be followed: broken, rpt_fenced." in shown.parts[""].text


def test_every_link_of_the_page_leads_on_and_none_to_another_host(lineage: Lineage) -> None:
    page = lineage_page("scout", lineage, NOW).decode()
    shown = Shown(page)
    ids = {given["id"] for _, given in shown.tags if given.get("id")}
    targets = [str(given["href"]) for tag, given in shown.tags if tag == "a"]
    assert {each[1:] for each in targets if each.startswith("#")} <= ids | {"content"}
    assert "../latest/github_scraper.html" in targets
    assert "scout.html" in targets
    assert "//" not in page.partition("<style>")[0]
    assert "default-src 'none'" in page
    row = next(each for each in shown.parts["rpt_days"].records() if each["Column"] == "total")
    assert (row["Made from"], row["In the end from"]) == ("staged.amount", "raw.payloads.amount")


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_a_project_is_text(text: str) -> None:
    def made(word: str) -> Shown:
        column = MadeColumn(word, word, word, (), (word,))
        lineage = Lineage((MadeModel("rpt_x", word, (column,), ()),), (word,))
        return Shown(lineage_page("scout", lineage, NOW).decode())

    assert [tag for tag, _ in made(text).tags] == [tag for tag, _ in made("plain").tags]
