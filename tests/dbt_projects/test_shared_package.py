"""The local dbt package, in a project made for the test, on DuckDB."""

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml
from dbt.adapters.duckdb.connections import DuckDBConnectionManager

from flows._shared.orchestration.dbt_parsed import READ_IN_SQL
from tests.dbt_projects.warehouse import PROJECTS, dbt_as_in_flows

PROJECT = """
name: trial
version: 1.0.0
profile: trial
flags: {send_anonymous_usage_stats: false, require_generic_test_arguments_property: true}
models: {trial: {+materialized: table}}
"""
PROFILES = "trial: {target: dev, outputs: {dev: {type: duckdb, path: trial.duckdb, schema: main}}}"
SCHEMA_NAME = """
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ return(shared.generate_schema_name(custom_schema_name, node)) }}
{%- endmacro %}
"""
MODELS = {
    "good": "select 1 as part, 0 as amount, timestamp '2024-01-01' as moment"
    " union all select null, 5, null",
    "bad": "select 1 as part, -1 as amount, timestamp '2999-01-01' as moment"
    " union all select 1, null, null union all select 1, 7, null",
    "good_sums": "select 1 as other_part, 0 as amount union all"
    " select null, 3 union all select null, 2 union all select 9, null",
    "bad_sums": "select 1 as other_part, 0 as amount union all select 2, 5",
    "quotients": "select {{ shared.safe_divide('1', '2') }} as half,"
    " {{ shared.safe_divide('1', '0') }} as nothing",
    "days": "select * from {{ shared.date_spine(\"date '2024-02-28'\", \"date '2024-03-01'\") }}",
    "no_days": "select * from {{ shared.date_spine('null', 'null') }}",
    "elsewhere": "{{ config(schema='elsewhere') }} select 1 as one",
}
TESTS = """
  - name: {model}
    data_tests:
      - shared.unique_combination_of_columns:
          name: {model}_unique
          arguments: {{columns: [part]}}
      - shared.expression_is_true:
          name: {model}_true
          arguments: {{expression: amount >= 0}}
      - shared.row_count_at_least:
          name: {model}_rows
          arguments: {{minimum: {minimum}}}
      - shared.sums_match:
          name: {model}_sums_by_part
          arguments:
            expression: sum(amount)
            compare_model: ref('{model}_sums')
            group_by: [part]
            compare_group_by: [other_part]
      - shared.sums_match:
          name: {model}_sums_in_all
          arguments:
            expression: count(*)
            compare_model: ref('{model}_sums')
            tolerance: {slack}
    columns:
      - name: amount
        data_tests:
          - shared.not_negative: {{name: {model}_not_negative}}
          - shared.between: {{name: {model}_between, arguments: {{min: 0, max: 5}}}}
      - name: moment
        data_tests:
          - shared.not_in_future: {{name: {model}_not_in_future}}
"""


@pytest.fixture(scope="module")
def statuses(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("trial")
    (folder / "models").mkdir()
    (folder / "macros").mkdir()
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(PROFILES.replace("trial.duckdb", str(folder / "trial.db")))
    (folder / "packages.yml").write_text(f"packages: [{{local: '{PROJECTS / '_shared'}'}}]")
    (folder / "macros" / "generate_schema_name.sql").write_text(SCHEMA_NAME)
    for name, statement in MODELS.items():
        (folder / "models" / f"{name}.sql").write_text(statement)
    good = TESTS.format(model="good", minimum=2, slack=2)
    bad = TESTS.format(model="bad", minimum=4, slack=0)
    (folder / "models" / "models.yml").write_text(f"version: 2\nmodels:\n{good}{bad}")
    options = ["--project-dir", str(folder), "--profiles-dir", str(folder), "--quiet"]
    options += ["--log-path", str(folder / "logs")]
    assert dbt_as_in_flows(["deps", *options]).success
    outcome = dbt_as_in_flows(["build", *options, "--target-path", str(folder / "target")])
    if outcome.exception:
        raise outcome.exception
    # dbt keeps the file open in this process, with settings of its own.
    DuckDBConnectionManager.close_all_connections()
    return folder / "trial.db", {
        result.node.name: str(result.status) for result in outcome.result.results
    }


def test_every_generic_test_passes_good_rows_and_fails_bad_ones(
    statuses: tuple[Path, dict[str, str]],
) -> None:
    results = {name: status for name, status in statuses[1].items() if name not in MODELS}

    assert len(results) == 16
    assert {name for name, status in results.items() if status == "pass"} == {
        name for name in results if name.startswith("good_")
    }
    assert {name for name, status in results.items() if status == "fail"} == {
        name for name in results if name.startswith("bad_")
    }


def test_macros_mean_the_same_on_duckdb(statuses: tuple[Path, dict[str, str]]) -> None:
    with duckdb.connect(str(statuses[0]), read_only=True) as database:
        assert database.sql("select * from quotients").fetchall() == [(0.5, None)]
        days = database.sql("select cast(date_day as text) from days order by 1").fetchall()
        assert days == [("2024-02-28",), ("2024-02-29",), ("2024-03-01",)]
        assert database.sql("select * from no_days").fetchall() == []
        assert database.sql("select * from elsewhere.elsewhere").fetchall() == [(1,)]


DOMAINS = sorted(path.parent.name for path in PROJECTS.glob("*/profiles.yml"))
OF_CONFIGURATION = re.compile(r"\+.*|config|freshness|loaded_at_\w+|enabled")


def configurations(project: Path) -> Iterator[str]:
    """What dbt works out while it parses, and does not look at again."""
    for path in project.glob("[!d]*/**/*.sql"):
        yield from re.findall(r"\bconfig\s*\((.*?)\)\s*-?}}", path.read_text(), re.DOTALL)
    for path in [project / "dbt_project.yml", *project.glob("[!d]*/**/*.yml")]:
        yield from configured(yaml.safe_load(path.read_text()))


def configured(described: object) -> Iterator[str]:
    if isinstance(described, dict):
        for name, value in described.items():
            if OF_CONFIGURATION.fullmatch(str(name)):
                yield str(value)
            yield from configured(value)
    if isinstance(described, list):
        for each in described:
            yield from configured(each)


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_configuration_reads_a_variable_that_is_for_sql_alone(domain: str) -> None:
    """A parse of one value would stand for every other."""
    texts = [*configurations(PROJECTS / domain)]
    assert len(texts) > 10
    assert [text for text in texts for name in READ_IN_SQL if name in text] == []
