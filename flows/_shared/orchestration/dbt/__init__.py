"""One way to build dbt from a flow.

    outcome = build_dbt("github_scraper", dbt_postgres_env("github-scraper-postgres"), options)

dbt runs in this process through prefect-dbt's runner, once at a time. Its nodes show up in the flow
run as task runs while it runs and as the table artifact ``<slug>-dbt-nodes`` afterwards.

    DbtProjectError     the project, its profile or its selection is wrong: nothing was built
    DbtUnreachableError the warehouse did not answer: another try may help
    DbtBuildError       nodes failed; carries the outcome
    DbtFreshnessError   sources are stale; carries the outcome
"""

from flows._shared.orchestration.dbt.build import (
    ReportsProgress,
    build_dbt,
    preload_dbt,
    run_dbt_freshness,
)
from flows._shared.orchestration.dbt.invocation import rare_garbage_collection
from flows._shared.orchestration.dbt.options import DbtOptions
from flows._shared.orchestration.dbt.outcome import (
    DbtBuildError,
    DbtFreshnessError,
    DbtOutcome,
    DbtProjectError,
    DbtUnreachableError,
    built_where,
)
from flows._shared.orchestration.dbt.preparation import PARSED_VARIABLE

__all__ = [
    "PARSED_VARIABLE",
    "DbtBuildError",
    "DbtFreshnessError",
    "DbtOptions",
    "DbtOutcome",
    "DbtProjectError",
    "DbtUnreachableError",
    "ReportsProgress",
    "build_dbt",
    "built_where",
    "preload_dbt",
    "rare_garbage_collection",
    "run_dbt_freshness",
]
