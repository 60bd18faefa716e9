"""The production checklist as a flow; ``python -m flows.quality_compass checklist`` prints it."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import psycopg
from prefect import flow, get_run_logger

from flows._shared.counted import counted
from flows._shared.errors import PermanentError, PlatformError
from flows._shared.orchestration.credentials import building_block, dbt_postgres_env
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.dbt import DbtOptions, build_dbt, run_dbt_freshness
from flows._shared.orchestration.flow_run import current_flow_run
from flows._shared.orchestration.naming import RunName
from flows.quality_compass.settings import QualityCompassSettings

SLUG = "quality_compass"
SSL_MODES = ("require", "verify-ca", "verify-full")
PRODUCTION = DbtOptions(target="prod")
SEEN_KEPT = 1000

Environment = Mapping[str, str]


class Item(NamedTuple):
    """One line of the checklist."""

    item: str
    is_passed: bool
    seen: str
    seconds: float


class ChecklistError(PermanentError):
    """Items of the production checklist failed; carries all of them."""

    def __init__(self, attempted: str, seen: str, remedy: str, items: Sequence[Item] = ()) -> None:
        super().__init__(attempted, seen, remedy)
        self.items = tuple(items)


@flow(
    name="quality-compass-checklist",
    flow_run_name=RunName("quality-compass marts, checklist at {now}"),
)
def check_production(
    settings: QualityCompassSettings = QualityCompassSettings(),
) -> tuple[Item, ...]:
    """Go through the production checklist, every item whatever the others gave, and report each.

    Leaves the table artifact `quality-compass-checklist`; fails when an item does.

    Args:
        settings: Where the marts are.
    """
    environment = dbt_postgres_env(building_block(settings))
    actions: Mapping[str, Callable[[], str]] = {
        "SSL is required and used": partial(require_ssl, building_block(settings), environment),
        "seeds load on prod": partial(load_seeds, environment),
        "full refresh builds and every test passes on prod": partial(build_all, environment),
        "sources are fresh": partial(judge_freshness, environment),
        "documentation is generated on prod": partial(write_documentation, environment),
    }
    items = tuple(_check(item, action) for item, action in actions.items())
    api = current_flow_run()
    if api is not None:
        rows = [
            {
                "item": each.item,
                "result": "pass" if each.is_passed else "fail",
                "seen": each.seen,
                "seconds": round(each.seconds, 1),
            }
            for each in items
        ]
        api.create_table("quality-compass-checklist", rows, "Production checklist")
    if failed := [each for each in items if not each.is_passed]:
        listed = "\n".join(f"- {each.item}: {each.seen}" for each in failed)
        raise ChecklistError(
            "going through the production checklist",
            f"{len(failed)} of {counted(len(items), 'item')} failed:\n{listed}",
            "Mend these before deploying",
            items,
        )
    return items


def require_ssl(database_block: str, environment: Environment) -> str:
    """What the connection uses. Raises PermanentError unless it is encrypted and has to be."""
    attempted = "checking that SSL is required"
    mode = environment["DBT_POSTGRES_SSLMODE"]
    if mode not in SSL_MODES:
        raise PermanentError(
            attempted, f"sslmode is {mode}", "Register the block with ?sslmode=require in its URL"
        )
    with connect(database_block) as connection:
        row = connection.execute(
            "select version from pg_stat_ssl where pid = pg_backend_pid() and ssl"
        ).fetchone()
    if row is None:
        raise PermanentError(attempted, "the connection is not encrypted", "Turn SSL on")
    return f"sslmode {mode}, {row[0]}"


def load_seeds(environment: Environment) -> str:
    outcome = build_dbt(SLUG, environment, PRODUCTION, command="seed")
    return f"{counted(len(outcome.nodes), 'seed')} loaded"


def build_all(environment: Environment) -> str:
    outcome = build_dbt(SLUG, environment, DbtOptions(target="prod", full_refresh=True))
    return (
        f"{counted(outcome.models_built, 'model')} built, "
        f"{counted(outcome.tests_passed, 'test')} passed, {counted(outcome.warnings, 'warning')}"
    )


def judge_freshness(environment: Environment) -> str:
    outcome = run_dbt_freshness(SLUG, environment, PRODUCTION)
    return (
        f"{counted(len(outcome.nodes), 'source')} looked at, {counted(outcome.warnings, 'warning')}"
    )


def write_documentation(environment: Environment) -> str:
    build_dbt(SLUG, environment, PRODUCTION, command="docs generate")
    return "generated"


def _check(item: str, action: Callable[[], str]) -> Item:
    began = time.monotonic()
    try:
        seen, is_passed = action(), True
    except (PlatformError, psycopg.Error) as error:
        seen, is_passed = str(error), False
    get_run_logger().info("%s: %s (%s)", "pass" if is_passed else "FAIL", item, seen)
    return Item(item, is_passed, seen[:SEEN_KEPT], time.monotonic() - began)
