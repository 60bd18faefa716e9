"""The brake in front of the marts of every domain: what must stop before its readers see it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import psycopg
import pytest
import yaml

from flows._shared.orchestration.dbt import DbtBuildError, DbtOptions, build_dbt
from flows.agent_analytics import raw as agent_raw
from flows.agent_analytics import sample as agent_sample
from flows.agent_analytics.settings import PATH_VARIABLE
from flows.github_scraper import raw as github_raw
from flows.ledgermind.raw import operational
from flows.ledgermind.records import FeedbackShape
from flows.ledgermind.sample import sample as ledgermind_sample
from flows.quality_compass import raw as quality_raw
from flows.quality_compass import sample as quality_sample
from flows.scout import raw as scout_raw
from flows.scout.sample import transactions
from tests.agent_analytics.fleet import Marts
from tests.dbt_projects import runs_of_quality_compass, test_scout
from tests.dbt_projects.messy_history import history, load
from tests.dbt_projects.warehouse import PROJECTS, Row, Warehouse, postgres_environment
from tests.upgrading import options_of_the_page

RUN = "20250115060000"
LAST_SELECT = "select * from final"
# In place of a model's last select: what a wrong condition and a wrong join make of it.
DAMAGES = {
    "a filter that drops all": f"select * from ({LAST_SELECT} where false) as final",
    "a join that doubles": f"select * from ({LAST_SELECT} union all {LAST_SELECT}) as final",
}
UNIT_TESTS = ("test_type:unit",)
# By whichever of them meets it first: the brake, an index, a test.
STOPPED = "The brake stopped|is duplicated|duplicate key|: fail, "
DAY = date(2026, 10, 31)


@dataclass(frozen=True)
class Domain:
    """A domain with its sample loaded.

    Attributes:
        emptied: a statement after which its source has no rows.
        changed: the model from which all marts are made, and which a person changes.
        marts: the schema of what readers read.
    """

    slug: str
    environment: dict[str, str]
    query: Callable[[str], list[Row]]
    emptied: str
    changed: str
    marts: str = "analytics"

    def build(self, projects: Path, **options: object) -> None:
        declared = yaml.safe_load((PROJECTS / self.slug / "dbt_project.yml").read_text())["vars"]
        variables = {"as_of_date": DAY.isoformat()} if "as_of_date" in declared else {}
        build_dbt(
            self.slug,
            self.environment,
            DbtOptions(variables=variables, exclude=UNIT_TESTS, **options),
            projects_dir=projects,
        )

    def published(self) -> dict[str, list[Row]]:
        names = [
            path.stem
            for folder in ("marts", "gold", "platinum")
            for path in (PROJECTS / self.slug / "models" / folder).rglob("*.sql")
        ]
        found = self.query(
            "select table_schema, table_name from information_schema.tables "
            "where table_type = 'BASE TABLE'"
        )
        return {
            name: self.query(f"select cast(t as text) from {schema}.{name} as t order by 1")
            for schema, name in found
            if name in names
        }


def on_postgres(slug: str, url: str, emptied: str, changed: str) -> Domain:
    def query(statement: str) -> list[Row]:
        with psycopg.connect(url) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    return Domain(slug, postgres_environment(url), query, emptied, changed)


def github_scraper(url: str, folder: Path) -> Domain:
    with psycopg.connect(url) as connection:
        github_raw.ensure_schema(connection)
    load(url, history(seed=5, size=300))
    return on_postgres(
        "github_scraper", url, "truncate repositories, contributors cascade", "int_commits"
    )


def ledgermind(url: str, folder: Path) -> Domain:
    with psycopg.connect(url, autocommit=True) as connection:
        made = ledgermind_sample(2_000, seed=5, days=30)
        operational.create_operational_database(connection, made, FeedbackShape.V2)
    emptied = "truncate suggestion_events, suggestion_feedback"
    return on_postgres("ledgermind", url, emptied, "int_suggestions")


def scout(url: str, folder: Path) -> Domain:
    with psycopg.connect(url, autocommit=True) as connection:
        scout_raw.ensure_schema(connection)
    at = datetime.combine(DAY, datetime.min.time(), UTC)
    test_scout.load(url, list(transactions(400, 5, DAY)), at)
    emptied = "truncate scout.raw_transaction_ingestion cascade"
    return on_postgres("scout", url, emptied, "silver_validated_transactions")


def quality_compass(url: str, folder: Path) -> Domain:
    with psycopg.connect(url, autocommit=True) as connection:
        quality_raw.ensure_schema(connection)
    quality_sample.write_run(folder / "runs", RUN, 18, seed=4, metrics=("losIndex",))
    runs_of_quality_compass.load(Warehouse("quality_compass", url, folder), folder / "runs")
    emptied = (
        "truncate raw_runs, raw_files, raw_node_results, raw_entity_results, raw_contributions,"
    )
    emptied += "raw_classifications cascade"
    return on_postgres("quality_compass", url, emptied, "fct_signals")


def agent_analytics(url: str, folder: Path) -> Domain:
    path = folder / "agents.duckdb"
    marts = Marts(agent_raw.Store(path), folder)
    marts.load(agent_sample.telemetry(20, 6), list(agent_sample.commits(20, 6)))

    def query(statement: str) -> list[Row]:
        with duckdb.connect(str(path)) as connection:
            return connection.execute(statement).fetchall()

    emptied = "delete from raw.otel_points; delete from raw.otel_logs"
    return Domain("agent_analytics", {PATH_VARIABLE: str(path)}, query, emptied, "int_token_costs")


DOMAINS = (github_scraper, ledgermind, scout, quality_compass, agent_analytics)


@pytest.fixture(params=DOMAINS, ids=lambda domain: domain.__name__)
def domain(
    request: pytest.FixtureRequest, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Domain:
    monkeypatch.setenv("ANALYTICS_FLOWS_STATE_DIR", str(tmp_path / "state"))
    made: Domain = request.param(database, tmp_path)
    return made


@pytest.mark.exhaustive
def test_readers_keep_the_last_good_marts_of_every_domain(domain: Domain, tmp_path: Path) -> None:
    domain.build(PROJECTS)
    good = domain.published()
    assert len(good) > 1
    assert any(good.values())
    for name, instead in DAMAGES.items():
        with pytest.raises(DbtBuildError, match=STOPPED):
            domain.build(changed(domain, tmp_path / name, instead), full_refresh=True)
        assert domain.published() == good, name

    domain.query(domain.emptied)
    with pytest.raises(DbtBuildError, match=r"(?s)The brake stopped.*(no row is left|a fall of)"):
        domain.build(PROJECTS, full_refresh=True)
    assert domain.published() == good
    domain.build(PROJECTS, full_refresh=True, release_brake=True)
    assert domain.published() != good


# What a release has added to a table that grows, and a database of the one before lacks.
ADDED = {
    "github_scraper": ("analytics.fct_daily_commits", "source_updated_at"),
    "ledgermind": ("analytics.mart_suggestions_tenant_daily", "transactions"),
    "scout": ("gold.int_monthly_spend", "employee_ids"),
    "quality_compass": ("analytics.fct_signals", "severity"),
    "agent_analytics": ("mart.fct_daily_agent_usage", "total_reasoning_tokens"),
}


@pytest.mark.exhaustive
def test_marts_of_the_release_before_are_kept_until_the_page_of_upgrades_has_them_built_anew(
    domain: Domain,
) -> None:
    domain.build(PROJECTS)
    good = domain.published()
    table, column = ADDED[domain.slug]
    domain.query(f"alter table {table} drop column {column} cascade")
    name = table.partition(".")[2]
    before = domain.published()[name]
    with pytest.raises(DbtBuildError, match=name):
        domain.build(PROJECTS)
    assert domain.published()[name] == before
    options = options_of_the_page(domain.slug)
    domain.build(PROJECTS, full_refresh=options.full_refresh, select=options.select)
    # Some tables bear the moment at which they were built.
    assert {name: len(rows) for name, rows in domain.published().items()} == {
        name: len(rows) for name, rows in good.items()
    }
    assert len(domain.query(f"select {column} from {table}")) == len(good[name])


def changed(domain: Domain, projects: Path, instead: str) -> Path:
    """The projects, where one model ends in another select."""
    for slug in ("_shared", domain.slug):
        shutil.copytree(PROJECTS / slug, projects / slug, ignore=shutil.ignore_patterns("target"))
    (model,) = (projects / domain.slug / "models").rglob(f"{domain.changed}.sql")
    text = model.read_text()
    assert text.count(LAST_SELECT) == 1
    model.write_text(text.replace(LAST_SELECT, instead))
    return projects
