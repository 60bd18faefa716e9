"""Raw tables of the database that a block names."""

from prefect import task

from flows._shared.orchestration.database import connect
from flows._shared.orchestration.retry import retry_transient
from flows.scout import raw


@task(
    name="prepare raw tables",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def prepare(database_block: str) -> None:
    with connect(database_block) as connection:
        raw.ensure_schema(connection)
