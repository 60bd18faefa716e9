"""Dashboards are what the generator writes, what Grafana reads, and what the databases answer.

The panels are asked of built samples, too, where the tests of each domain's marts have built them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
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
    Query,
    asked,
    assert_panels_answer,
)
from tests.report.made_rows import PROJECTS, Contract, contracts

SCHEMA = Path(__file__).parents[3] / "flows" / "webhooks" / "schema.sql"
# The day that was not over when the report's models and the marts were built.
NOT_OVER = date(2026, 11, 30)
LAST_DAYS = {
    "github_scraper": {
        "leaderboard (as_of_date)": "('2026-11-30')",
        "fct_daily_commits (commit_day)": "('2026-11-29'), ('2026-11-30')",
    },
    "ledgermind": {
        "mart_suggestions_anomalies (created_date)": "('2026-11-29')",
        "mart_suggestions_feedback_daily (created_date)": "('2026-11-29'), ('2026-11-30')",
    },
}
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
                connection.execute(contract.ddl.encode())
                for row in rows_of(contract):
                    marks = ", ".join(["%s"] * len(row))
                    statement = f"insert into {contract.relation} values ({marks})"
                    connection.execute(statement.encode(), list(row.values()))
        connection.execute(SCHEMA.read_bytes())
        for at, moment in enumerate(("now() - interval '1 hour'", "now()"), start=1):
            connection.execute(
                "insert into webhooks.deliveries (source, delivery_id, kind, received_at, "
                "content_type, headers, attributes, body_bytes, body_sha256) values "
                f"('github', '{at}', 'push', {moment}, '', '{{}}', '{{}}', 1, '')".encode()
            )
            connection.execute(
                "insert into webhooks.conflicts (source, delivery_id, kind, received_at, "
                "content_type, headers, body, body_sha256) values "
                f"('github', '{at}', 'push', {moment}, '', '{{}}', '', '')".encode()
            )
    yield made
    postgres.drop_database("grafana_panels")


def rows_of(contract: Contract) -> Iterator[dict[str, Any]]:
    """One row; of periods of time two, of which the later one is not over."""
    is_over = [name for name in contract.types if name.startswith("is_complete_")]
    yield contract.row() | dict.fromkeys(is_over, True)
    if is_over:
        days = [name for name, kind in contract.types.items() if kind == "date"]
        yield contract.row() | dict.fromkeys(days, NOT_OVER)


def assert_finished_periods_are_drawn(uid: str, query: Query) -> None:
    """Something is drawn, and nothing of the day or the hour that was not over."""
    for each in asked():
        if each.uid == uid and each.kind == "timeseries":
            rows = query(
                each.expanded(*(datetime(year, 1, 1, tzinfo=UTC) for year in (2000, 2100)))
            )
            drawn = {row[0] for row in rows}
            assert drawn, each
            this_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
            for moment in drawn:
                is_over = (
                    moment < this_hour if "webhooks." in each.sql else moment.date() < NOT_OVER
                )
                assert is_over, (each.title, moment)


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


def test_a_panel_that_shows_the_first_of_many_says_so_and_by_what() -> None:
    for path in DASHBOARDS.glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                where = (path.name, panel["title"])
                bounds = re.findall(r"limit (\d+)|\w+ <= (\d+)", target["rawSql"])
                for most in (next(filter(None, each)) for each in bounds):
                    assert re.search(rf"first {most}\b", panel["description"]), where
                    assert "order by" in target["rawSql"], where


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
            assert_finished_periods_are_drawn(uid, query)


def test_the_example_query_of_the_inbox_answers(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(WEBHOOKS.query.encode()).fetchall() == [("github", "push", 2)]


def test_every_panel_of_duckdb_answers() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema report")
        for contract in contracts("agent_analytics"):
            connection.execute(contract.ddl)
            for row in rows_of(contract):
                marks = ", ".join("?" for _ in row)
                statement = f"insert into {contract.relation} values ({marks})"
                connection.execute(statement, [*row.values()])

        def query(sql: str) -> list[Any]:
            return connection.execute(sql).fetchall()

        for uid in {each.uid for each in asked() if each.adapter == DUCKDB}:
            assert_panels_answer(uid, query)
            assert_finished_periods_are_drawn(uid, query)


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

    def query(sql: str) -> list[Any]:
        return [tuple(row) for row in client.query(sql).result()]

    assert_panels_answer(uid, query, may_be_empty=True)
    for columns, values in LAST_DAYS[slug].items():
        query(f"insert into {slug}.{columns} values {values}")
    assert_finished_periods_are_drawn(uid, query)


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
