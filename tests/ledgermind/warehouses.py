"""LedgerMind's operational database, its copy on BigQuery, and the marts built on both."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psycopg
import yaml
from google.cloud import bigquery

from flows._shared.bigquery_export import (
    CopyDataset,
    ExportCounts,
    export_table,
    open_snapshot,
)
from flows._shared.environment import set_environment
from flows._shared.orchestration.bigquery import bigquery_access, bigquery_environment
from flows.ledgermind.raw.exported import exported_tables
from flows.ledgermind.settings import LedgermindBigQuerySettings
from tests.dbt_projects.warehouse import (
    PROJECTS,
    Row,
    dbt_as_in_flows,
    in_order,
    postgres_environment,
)
from tests.parsed import begin_parsed

PROJECT = PROJECTS / "ledgermind"
NOT_FACTS = ("built_at", "changed_at")
# What dbt writes down for itself.
NOT_MARTS = ("dbt_test_results", "dbt_places", "int_source_days", "mart_test_failures_daily")


@dataclass(frozen=True)
class Warehouses:
    """One operational database with marts beside it, and one pair of datasets on the emulator."""

    url: str
    endpoint: str
    settings: LedgermindBigQuerySettings
    state: Path

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode())

    def query(self, statement: str) -> list[Row]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement.encode()).fetchall()

    def client(self) -> bigquery.Client:
        with set_environment({"BIGQUERY_EMULATOR_HOST": self.endpoint}):
            return bigquery_access(self.settings).client()

    def export(self, rows_per_load: int = 50_000) -> dict[str, ExportCounts]:
        """As the flow ledgermind-export does, without Prefect."""
        dataset = CopyDataset(self.client(), self.settings.raw_dataset, "US")
        with open_snapshot(self.url) as connection:
            return {
                table.name: export_table(connection, dataset, table, rows_per_load=rows_per_load)
                for table in exported_tables(connection, self.settings.excluded_columns)
            }

    def build(self, target: str, *options: str) -> dict[str, str]:
        """`dbt build`; the status of each node by its name. Fails the test if a node failed."""
        return self._dbt("build", target, *options)

    def build_untested(self, target: str, *options: str) -> dict[str, str]:
        """`dbt run` of what is compared: no tests, and nothing of the report, which reads it."""
        unread = () if target == "bigquery" else ("--exclude", "path:models/report")
        return self._dbt("run", target, *options, *unread)

    def test(self, target: str, *options: str) -> dict[str, str]:
        """`dbt test`; the status of each test by its name. Fails if one failed."""
        return self._dbt("test", target, *options)

    def _dbt(self, command: str, target: str, *options: str) -> dict[str, str]:
        variables = postgres_environment(self.url)
        if target == "bigquery":
            with set_environment({"BIGQUERY_EMULATOR_HOST": self.endpoint}):
                variables = bigquery_environment(self.settings)
        given = options[options.index("--vars") + 1] if "--vars" in options else None
        # Models that variables configure are parsed with them, and again without.
        state = self.state / (f"{target}-with-variables" if given else target)
        arguments = [command, "--target", target, *options]
        arguments += ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        arguments += ["--target-path", str(state), "--log-path", str(state / "logs"), "--quiet"]
        arguments += ["--no-write-json", "--log-level-file", "none"]
        with set_environment({**variables, "DO_NOT_TRACK": "1"}):
            begin_parsed("ledgermind", state, target, yaml.safe_load(given) if given else None)
            outcome = dbt_as_in_flows(arguments)
        if outcome.exception:
            raise outcome.exception
        statuses = {each.node.name: str(each.status) for each in outcome.result.results}
        bad = {n: s for n, s in statuses.items() if s not in ("success", "pass", "warn", "no-op")}
        assert not bad, bad
        return statuses

    def tables(self) -> dict[str, list[str]]:
        """Name of every intermediate model and mart on PostgreSQL, with its columns of facts.

        What the report reads is on PostgreSQL alone.
        """
        found: dict[str, list[str]] = {}
        for table, column in self.query(
            "select table_name, column_name from information_schema.columns "
            "join information_schema.tables using (table_schema, table_name) "
            "where table_schema = 'analytics' and table_name !~ '^(stg|rpt)_|^built_nodes$' "
            "order by table_name, ordinal_position"
        ):
            if table not in NOT_MARTS and column not in NOT_FACTS:
                found.setdefault(table, []).append(column)
        return found

    def bigquery_rows(self, table: str, columns: Collection[str]) -> list[Row]:
        query = f"select {', '.join(columns)} from {self.settings.dataset}.{table}"
        return in_order([tuple(row.values()) for row in self.client().query(query).result()])

    def postgres_contents(self) -> dict[str, list[Row]]:
        """The facts of every table."""
        with psycopg.connect(self.url) as connection:
            return {
                table: in_order(
                    connection.execute(
                        f"select {', '.join(columns)} from analytics.{table}".encode()
                    ).fetchall()
                )
                for table, columns in self.tables().items()
            }

    def bigquery_contents(self) -> dict[str, list[Row]]:
        return {name: self.bigquery_rows(name, columns) for name, columns in self.tables().items()}
