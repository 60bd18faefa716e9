"""Dashboards are what the generator writes, what Grafana reads, and what the databases answer.

The panels are asked of built samples, too, where the tests of each domain's marts have built them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
import yaml
from google.cloud import bigquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models

from deployments.grafana.generator import BOARDS, files
from deployments.grafana.records import Adapter
from deployments.local.domains import WEBHOOKS
from flows._shared.environment import set_environment
from flows._shared.orchestration.bigquery import bigquery_access
from flows.ledgermind.settings import LedgermindBigQuerySettings
from flows.report.records import DOMAINS
from tests.deployments.grafana.panels import (
    BIGQUERY,
    DASHBOARDS,
    DUCKDB,
    FOLDER,
    POSTGRES,
    asked,
    assert_panels_answer,
)
from tests.report.made_rows import PROJECTS, Contract, contracts

SCHEMA = Path(__file__).parents[3] / "flows" / "webhooks" / "schema.sql"
BIGQUERY_TYPES = {
    "text": "string",
    "bigint": "int64",
    "integer": "int64",
    "double precision": "float64",
    "boolean": "bool",
    "float": "float64",
    "date": "date",
}


@pytest.fixture(scope="module")
def postgres_url(postgres: Any) -> Iterator[str]:
    """A row in each report model of PostgreSQL, and the inbox as its schema makes it."""
    made = postgres.create_database("grafana_panels")
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute("create schema analytics")
        connection.execute("create schema gold")
        for slug in ("github_scraper", "ledgermind", "scout", "quality_compass"):
            for contract in contracts(slug):
                fill(contract, connection)
        connection.execute(SCHEMA.read_bytes())
        connection.execute(
            "insert into webhooks.deliveries (source, delivery_id, kind, received_at, content_type,"
            " headers, attributes, body_bytes, body_sha256) "
            "values ('github', '1', 'push', now(), 'application/json', '{}', '{}', 1, '')"
        )
    yield made
    postgres.drop_database("grafana_panels")


def fill(contract: Contract, connection: Any) -> None:
    """A table by its contract, with one row."""
    connection.execute(contract.ddl.encode())
    row = contract.row()
    marks = ", ".join(["%s"] * len(row))
    connection.execute(
        f"insert into {contract.relation} values ({marks})".encode(), list(row.values())
    )


def test_the_committed_files_are_what_the_generator_writes() -> None:
    """Otherwise: `python -m deployments.grafana`."""
    assert {path.name: path.read_text() for path in DASHBOARDS.glob("*.json")} == dict(files())


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.name)
def test_grafana_reads_every_file_as_it_was_written(path: Path) -> None:
    """By the model that Grafana's SDK generates from Grafana's own schema: nothing is dropped."""
    register_default_plugins()
    written = json.loads(path.read_text())
    read = json.loads(json.dumps(models.Dashboard.from_json(written), cls=JSONEncoder))
    for panel, was in zip(read["panels"], written["panels"], strict=True):
        # Reading gives each kind of panel its own options' defaults.
        if "custom" not in was["fieldConfig"]["defaults"]:
            panel["fieldConfig"]["defaults"].pop("custom", None)
    assert read == written
    assert written["uid"].startswith("analytics-")
    assert len(written["uid"]) <= 40
    titles = Counter(panel["title"] for panel in written["panels"])
    assert set(titles.values()) == {1}
    for panel in written["panels"]:
        assert panel["description"].strip(), panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


def test_there_is_a_dashboard_for_every_domain_and_for_operations() -> None:
    expected = {slug.replace("_", "-") for slug in DOMAINS} | {"operations"}
    assert expected <= {board.uid for board in BOARDS}


def test_panels_read_report_models_and_the_inbox_only() -> None:
    """On BigQuery, where these are not built, the marts."""
    for each in asked():
        if each.adapter == BIGQUERY:
            continue
        read = re.findall(r"(?:from|join) `?(\w+)\.(\w+)", each.sql)
        assert read, each
        assert all(name.startswith("rpt_") or schema == "webhooks" for schema, name in read), each


def test_every_panel_of_postgresql_answers(postgres_url: str) -> None:
    for uid in {each.uid for each in asked() if each.adapter == POSTGRES}:
        with psycopg.connect(postgres_url) as connection:

            def query(sql: str, connection: psycopg.Connection = connection) -> list[Any]:
                return connection.execute(sql.encode()).fetchall()

            assert_panels_answer(uid, query, may_be_empty=True)


def test_the_example_query_of_the_inbox_answers(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(WEBHOOKS.query.encode()).fetchall() == [("github", "push", 1)]


def test_every_panel_of_duckdb_answers() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema report")
        for contract in contracts("agent_analytics"):
            connection.execute(contract.ddl)
            row = contract.row()
            marks = ", ".join("?" for _ in row)
            connection.execute(f"insert into {contract.relation} values ({marks})", [*row.values()])
        for uid in {each.uid for each in asked() if each.adapter == DUCKDB}:
            assert_panels_answer(uid, lambda sql: connection.execute(sql).fetchall())


@pytest.mark.parametrize("slug", ["github_scraper", "ledgermind"])
def test_every_panel_of_bigquery_answers(slug: str, bigquery_emulator: str) -> None:
    """On empty marts by their contracts; filled ones are asked where tests have built them."""
    uid = f"analytics-{slug.replace('_', '-')}-bigquery"
    with set_environment({"BIGQUERY_EMULATOR_HOST": bigquery_emulator}):
        client = bigquery_access(LedgermindBigQuerySettings(project="grafana-panels")).client()
    client.create_dataset(slug, exists_ok=True)
    of_it = [each.sql for each in asked() if each.uid == uid]
    for mart in set(re.findall(rf"`{slug}\.(\w+)`", " ".join(of_it))):
        path = PROJECTS / slug / "models" / "marts" / f"{mart}.yml"
        (model,) = yaml.safe_load(path.read_text())["models"]
        fields = [
            bigquery.SchemaField(each["name"], BIGQUERY_TYPES.get(each["data_type"], "timestamp"))
            for each in model["columns"]
        ]
        table = bigquery.Table(f"grafana-panels.{slug}.{mart}", fields)
        client.create_table(table, exists_ok=True)
    assert_panels_answer(
        uid, lambda sql: [tuple(row) for row in client.query(sql).result()], may_be_empty=True
    )


def test_every_data_source_that_a_panel_names_is_provisioned_without_a_secret() -> None:
    provisioned = {}
    for path in (FOLDER / "provisioning" / "datasources").glob("*.yaml"):
        for source in yaml.safe_load(path.read_text())["datasources"]:
            provisioned[source["uid"]] = source
    assert {(each.uid, each.adapter) for each in asked()} <= {
        (uid, source["type"]) for uid, source in provisioned.items()
    }
    for uid, source in provisioned.items():
        assert source["editable"] is False
        secrets = source.get("secureJsonData", {})
        assert all(re.fullmatch(r"\$\{?\w+\}?", str(value)) for value in secrets.values()), uid
        if source["type"] == Adapter.POSTGRES:
            assert source["jsonData"]["sslmode"].startswith("$")
