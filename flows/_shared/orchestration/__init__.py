"""Where the kernel meets Prefect: the one package outside ``*/flow.py`` that imports it."""

from flows._shared.orchestration.credentials import dbt_postgres_env, postgres_url, secret_value
from flows._shared.orchestration.dbt import (
    DbtBuildError,
    DbtFreshnessError,
    DbtOptions,
    DbtOutcome,
    DbtProjectError,
    DbtUnreachableError,
    build_dbt,
    preload_dbt,
    run_dbt_freshness,
)
from flows._shared.orchestration.dbt_nodes import NodeResult
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import (
    Progress,
    RunSummary,
    publish_load,
    publish_summary,
)

__all__ = [
    "DbtBuildError",
    "DbtFreshnessError",
    "DbtOptions",
    "DbtOutcome",
    "DbtProjectError",
    "DbtUnreachableError",
    "NodeResult",
    "Progress",
    "RunSummary",
    "build_dbt",
    "dbt_postgres_env",
    "postgres_url",
    "preload_dbt",
    "publish_load",
    "publish_summary",
    "retry_transient",
    "run_dbt_freshness",
    "secret_value",
]
