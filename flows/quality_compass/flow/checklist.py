"""The production checklist, as a flow and as one command that prints it.

    python -m flows.quality_compass.flow.checklist

The command needs what the flow needs: PREFECT_API_URL and the block of the database. It ends with 1
when an item failed.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import psycopg
from prefect import flow, get_run_logger

from flows._shared.errors import PermanentError, PlatformError
from flows._shared.orchestration.credentials import building_block, dbt_postgres_env
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.dbt import DbtOptions, build_dbt, run_dbt_freshness
from flows._shared.orchestration.flow_run import begun_at, current_flow_run
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


@flow(name="quality-compass-checklist", flow_run_name=begun_at("quality-compass-checklist"))
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
            f"{len(failed)} of {len(items)} items failed:\n{listed}",
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
    return f"{len(outcome.nodes)} seeds loaded"


def build_all(environment: Environment) -> str:
    outcome = build_dbt(SLUG, environment, DbtOptions(target="prod", full_refresh=True))
    return (
        f"{outcome.models_built} models built, {outcome.tests_passed} tests passed, "
        f"{outcome.warnings} warnings"
    )


def judge_freshness(environment: Environment) -> str:
    outcome = run_dbt_freshness(SLUG, environment, PRODUCTION)
    return f"{len(outcome.nodes)} sources looked at, {outcome.warnings} warnings"


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


def main() -> int:
    try:
        items = check_production()
    except ChecklistError as error:
        items = error.items
    for each in items:
        seen = "; ".join(each.seen.splitlines())
        sys.stdout.write(f"{'pass' if each.is_passed else 'FAIL'}  {each.item}: {seen}\n")
    return 0 if all(each.is_passed for each in items) else 1


if __name__ == "__main__":
    sys.exit(main())
