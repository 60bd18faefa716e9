"""What the domain of a run says, for the run's own summary. It costs the display, never the run."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from flows._shared.answers import Answer
from flows._shared.orchestration.credentials import postgres_url, reading_block
from flows._shared.orchestration.flow_run import current_flow_run


def told_answer(slug: str, block: str) -> Answer | None:
    """What the report models of a domain say now; None outside a flow run, or if it cannot be said.

    Args:
        block: SqlAlchemyConnector block of the role that loads; where one of readers is beside it,
            that one is used.
    """
    if current_flow_run() is None:
        return None
    return _of(answer_from_database(slug, block, return_state=True))


def told_agents_answer(path: Path) -> Answer | None:
    """The same of the agents, in their published DuckDB file."""
    if current_flow_run() is None:
        return None
    return _of(answer_from_file(path, return_state=True))


@task(name="answer", cache_policy=NO_CACHE)
def answer_from_database(slug: str, block: str) -> Answer:
    # What draws is imported when there is something to draw: every run of a domain passes here.
    from flows.report.answers import answer_of
    from flows.report.making import or_why_not, read_from

    data = or_why_not(slug, lambda: read_from(slug, postgres_url(reading_block(block))))
    return answer_of(data, datetime.now(UTC).date())


@task(name="answer", cache_policy=NO_CACHE)
def answer_from_file(path: Path) -> Answer:
    from flows.report.answers import answer_of
    from flows.report.making import AGENTS, or_why_not, read_agents

    data = or_why_not(AGENTS, lambda: read_agents(path))
    return answer_of(data, datetime.now(UTC).date())


def _of(state: State[Answer]) -> Answer | None:
    result = state.result(raise_on_failure=False)
    return result if isinstance(result, Answer) else None
