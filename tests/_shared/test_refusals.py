"""What a database refuses is told in words: which rule of which table, what was seen."""

from collections.abc import Iterator

import psycopg
import pytest
from prefect.states import Failed

from flows._shared.orchestration.failed_run import reason_of
from flows._shared.refusals import refusal

TABLES = """
create table owners (id integer primary key);
create table works (
    id integer primary key, dropped text, email text unique, lines integer not null,
    owner integer references owners, note text,
    constraint works_lines_check check (lines >= 0 and lines < 100),
    constraint works_note_check check (note <> 'x'),
    constraint works_day_check check (lines <> 50 or id < 7)
);
alter table works drop column dropped;
insert into owners values (1);
insert into works values (1, 'jane@doe.example', 1, 1, '')
"""
ROW, MANY = "a row of public.works", "public.works has a row with the same"
FKEY = "(works_owner_fkey)"
OWNER = "a row of public.owners"
BREAKS = f"{ROW} breaks the rule of this table that"
WORKS = "insert into works (id, email, lines, owner, note) values "


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            f"{WORKS}(2, 'a, b', -5, 1, '(c)')",
            f"{BREAKS} (lines >= 0) AND (lines < 100) (works_lines_check)",
        ),
        (
            f"{WORKS}(2, 'a', -5, 1, 'c')",
            f"{BREAKS} (lines >= 0) AND (lines < 100) (works_lines_check): its lines is -5",
        ),
        (
            f"{WORKS}(8, 'a', 50, 1, 'c')",
            f"{BREAKS} (lines <> 50) OR (id < 7) (works_day_check): its lines is 50, its id is 8",
        ),
        (
            f"{WORKS}(2, 'a', 5, 1, 'x')",
            f"{BREAKS} note <> 'x'::text (works_note_check)",
        ),
        (
            f"{WORKS}(2, 'jane@doe.example', 5, 1, '')",
            f"{MANY} email already: j***@doe.example (works_email_key)",
        ),
        (
            f"{WORKS}(2, 'a', 5, 3, '')",
            f"{ROW} names by its owner a row of public.owners that is not there: 3 {FKEY}",
        ),
        (
            "delete from owners",
            f"{OWNER} cannot go or change, since public.works names it by its owner: 1 {FKEY}",
        ),
        (
            f"{WORKS}(2, 'a', null, 1, '')",
            "a row of public.works has no lines, which every row of this table must have",
        ),
        ("select 1 / 0", "division by zero"),
        (f"{WORKS}('y', 'a', 5, 1, '')", 'invalid input syntax for type integer: "y"'),
    ],
)
def test_a_rule_is_told_in_words(connection: psycopg.Connection, statement: str, told: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        connection.execute(statement.encode())
    assert refusal(refused.value, connection) == told


def test_of_a_connection_that_broke_off_the_table_and_the_name_of_its_rule_are_told(
    connection: psycopg.Connection,
) -> None:
    connection.execute("begin")
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        connection.execute(f"{WORKS}(2, 'a', -5, 1, 'c')".encode())
    told = "a row of public.works breaks the rule works_lines_check of this table"
    assert refusal(refused.value, connection) == told
    assert refusal(refused.value) == told


def test_the_summary_of_a_run_that_a_rule_ended_names_the_rule_and_no_value(
    connection: psycopg.Connection,
) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation) as refused:
        connection.execute(f"{WORKS}(2, 'jane@doe.example', 5, 1, '')".encode())
    why = reason_of(Failed(data=refused.value)).why
    assert why == (
        "The database refused a row: a row of public.works breaks the rule works_email_key of this"
        " table."
    )
