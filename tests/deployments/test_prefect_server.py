"""What is changed of the Prefect server, on a database of its own kind.

The server takes a second to import, in each of the processes that look for tests: tests import it.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from jsonschema import SchemaError  # type: ignore[import-untyped]
from prefect.utilities.schema_tools.validation import _VALIDATOR

LAST = sa.text("select coalesce(max(number), 0) from counted")
NEXT = sa.text("insert into counted values (:number)")


@pytest.fixture
def in_turn() -> Iterator[None]:
    from prefect.server.database.configurations import AioSqliteConfiguration

    from deployments.local.prefect_server import as_writers

    database: Any = AioSqliteConfiguration
    before = database.begin_transaction
    database.begin_transaction = as_writers(before)
    yield
    database.begin_transaction = before


async def counted_by_two(file: Path, *, within: bool) -> list[int]:
    """What two count that read, wait for each other's reading and then write."""
    from prefect.server.database.configurations import AioSqliteConfiguration

    database = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{file}")
    engine = await database.engine()

    async def count() -> None:
        async with await database.session(engine) as session, database.begin_transaction(session):
            last: int = (await session.execute(LAST)).scalar_one()
            await asyncio.sleep(0.1)
            if within:
                inner = await database.session(engine)
                async with inner, database.begin_transaction(inner):
                    assert (await inner.execute(LAST)).scalar_one() == last
            await session.execute(NEXT, {"number": last + 1})

    async with engine.begin() as connection:
        await connection.execute(sa.text("create table counted (number integer)"))
    try:
        await asyncio.gather(count(), count())
        async with engine.begin() as connection:
            found = await connection.scalars(sa.text("select number from counted order by 1"))
            return list(found)
    finally:
        await engine.dispose()


def test_two_that_read_and_then_write_wait_for_each_other(tmp_path: Path, in_turn: None) -> None:
    assert asyncio.run(counted_by_two(tmp_path / "server.db", within=False)) == [1, 2]


def test_a_transaction_within_another_waits_for_nobody(tmp_path: Path, in_turn: None) -> None:
    assert asyncio.run(counted_by_two(tmp_path / "server.db", within=True)) == [1, 2]


def test_prefects_own_transactions_do_not_wait(tmp_path: Path) -> None:
    """When this fails, `as_writers` may go."""
    with pytest.raises(sa.exc.OperationalError, match="database is locked"):
        asyncio.run(counted_by_two(tmp_path / "server.db", within=False))


def test_the_application_is_found_once_and_another_made_each_time() -> None:
    from deployments.local.prefect_server import found_once

    asked: list[dict[str, Any]] = []

    def create(**options: Any) -> object:
        asked.append(options)
        return object()

    app = found_once(create)
    assert app() is app()
    assert app(final=True) is not app(final=True)
    assert asked == [{}, {"final": True}, {"final": True}]


def test_a_form_that_is_right_is_checked_once_and_a_wrong_one_each_time() -> None:
    from deployments.local.prefect_server import checked_once

    seen: list[Any] = []

    def check(schema: Any, **options: Any) -> None:
        seen.append(schema)
        _VALIDATOR.check_schema(schema, **options)

    once = checked_once(check)
    for schema in ({"type": "object"}, {"type": "object"}, {"type": "array"}):
        once(schema)
    assert seen == [{"type": "object"}, {"type": "array"}]
    for _ in range(2):
        with pytest.raises(SchemaError):
            once({"type": "nothing"})
