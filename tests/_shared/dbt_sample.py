"""A small dbt project on DuckDB that has one of everything a build can meet."""

from pathlib import Path

PROFILES = """
sample:
  target: dev
  outputs:
    dev: {type: duckdb, path: "{{ env_var('SAMPLE_PATH') }}", threads: 2, keep_open: false}
    other: {type: duckdb, path: "{{ env_var('SAMPLE_PATH') }}.other", threads: 1, keep_open: false}
"""
MODELS = {
    "orders": "select 1 as order_id, 10 as amount union all select 2, 30",
    "cheap": "{{ config(materialized='ephemeral') }}\n"
    "select * from {{ ref('orders') }} where amount < 20",
    "totals": "{{ config(materialized='table') }}\n"
    "select sum(amount) as amount from {{ ref('orders') }}",
    "cheap_totals": "select count(*) as orders from {{ ref('cheap') }}",
    "refused": "select order_id, -amount as amount from {{ ref('orders') }}",
    "below_refused": "select * from {{ ref('refused') }}",
}
PROPERTIES = """
models:
  - name: orders
    columns:
      - name: order_id
        data_tests: [unique, not_null]
      - name: amount
        data_tests:
          - accepted_values: {arguments: {values: [10]}, config: {severity: warn}}
unit_tests:
  - name: sums_amounts
    model: totals
    given: [{input: ref('orders'), rows: [{amount: 1}, {amount: 2}]}]
    expect: {rows: [{amount: 3}]}
"""
FAILING_TEST = "select * from {{ ref('refused') }} where amount < 0"


def write_sample(projects: Path, *, with_failure: bool = False) -> Path:
    """Write the project ``sample`` below ``projects`` and return its folder."""
    folder = projects / "sample"
    (folder / "models").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "dbt_project.yml").write_text("name: sample\nversion: 1.0.0\nprofile: sample\n")
    (folder / "profiles.yml").write_text(PROFILES)
    for name, query in MODELS.items():
        (folder / "models" / f"{name}.sql").write_text(query)
    (folder / "models" / "models.yml").write_text(PROPERTIES)
    if with_failure:
        # Only a test that names `refused` alone keeps below_refused from being built.
        (folder / "tests" / "amounts_are_positive.sql").write_text(FAILING_TEST)
    return folder
