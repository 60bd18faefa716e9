from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows._shared.json_numbers import MOST_WRITTEN, has_long_number, is_writable
from tests.databases import database_of


@pytest.fixture(scope="module")
def connection(postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    name = database_of(Path(__file__))
    with psycopg.connect(postgres.create_database(name)) as opened:
        yield opened
    postgres.drop_database(name)


@pytest.mark.parametrize(
    ("value", "times", "is_long"),
    [
        ("1e-999", 70_000, False),
        ("-1.25E-16381", 4_100, True),
        ("0e-16383", 4_100, True),
        ("1e131071", 520, True),
        ("1e+000099", 700_000, False),
        ("1e-999", 60_000, False),
        ("1.5e-07", 500_000, False),
        ('"1e-9999, \\"1e9999\\\\"', 70_000, False),
        ('"' + "9" * 2_000 + '"', 2_000, False),
        ("0." + "0" * 1_000, 2_000, True),
    ],
)
def test_what_jsonb_writes_is_known_before_it_has_it(
    connection: psycopg.Connection, value: str, times: int, is_long: bool
) -> None:
    text = f'{{"values": [{",".join([value] * times)}]}}'
    ((written,),) = connection.execute("select length(cast(%s::jsonb as text))", [text]).fetchall()
    assert is_writable(text) is (written <= MOST_WRITTEN)
    assert has_long_number(text) is is_long
