"""What PostgreSQL refuses, in words: which rule of which table, and what stands against it.

The names of rules are made by programs; who reads an error has the table and its rows.
"""

import re
from collections.abc import Sequence

import psycopg
from psycopg.pq import TransactionStatus

from flows._shared.masks import masked
from flows._shared.secrets import without_secrets

RULE = """
select
    pg_get_constraintdef(rule.oid),
    coalesce((
        select relnamespace::regnamespace || '.' || relname
        from pg_class where pg_class.oid = rule.confrelid
    ), ''),
    array(select attname::text from pg_attribute
        where attrelid = rule.conrelid and attnum > 0 and not attisdropped order by attnum),
    array(select attname::text from unnest(rule.conkey) with ordinality as keyed (number, place)
        inner join pg_attribute on attrelid = rule.conrelid and attnum = keyed.number
        order by place)
from pg_constraint as rule
where
    rule.conname = %s
    and rule.conrelid = to_regclass(format('%%I.%%I', %s::text, %s::text))
"""
# However the server's language has the rest of the line.
KEY = re.compile(r"\((?P<columns>.*?)\)=\((?P<values>.*)\)", re.DOTALL)
ROW = re.compile(r"\((?P<values>.*)\)", re.DOTALL)
CHECK = re.compile(r"CHECK \(\((.*)\)\)(?: NOT VALID)?", re.DOTALL)
# Of others nobody knows what they hold.
NUMBER_OR_TIME = re.compile(r"-?[0-9][0-9.:+ -]*|null|t|f|-?infinity")


def refusal(error: psycopg.Error, connection: psycopg.Connection | None = None) -> str:
    """Why a row was refused, without the row: of a check its numbers and times, of a key its value.

    Args:
        connection: on which it was refused, after the rollback; without it rules have their names
            alone.
    """
    diag = error.diag
    table = f"{diag.schema_name}.{diag.table_name}" if diag.table_name else ""
    if isinstance(error, psycopg.errors.NotNullViolation) and diag.column_name:
        return (
            f"a row of {table} has no {diag.column_name}, which every row of this table must have"
        )
    if not (table and diag.constraint_name and isinstance(error, psycopg.IntegrityError)):
        return str(diag.message_primary or error)
    return _of_rule(error, table, connection)


def rule_of(error: psycopg.IntegrityError) -> str:
    """Which rule of which table was broken, by their names alone."""
    diag = error.diag
    rule = f"the rule {diag.constraint_name}" if diag.constraint_name else "a rule"
    place = f", at its {diag.column_name}" if diag.column_name else ""
    return f"a row of {diag.schema_name}.{diag.table_name} breaks {rule} of this table{place}"


def _of_rule(
    error: psycopg.IntegrityError, table: str, connection: psycopg.Connection | None
) -> str:
    diag = error.diag
    name = str(diag.constraint_name)
    key = KEY.search(diag.message_detail or "")
    if isinstance(error, psycopg.errors.UniqueViolation) and key:
        return f"{table} has a row with the same {key['columns']} already: {_shown(key)} ({name})"
    found = _rule(error, connection)
    if found is None:
        return rule_of(error)
    definition, referred, columns, keyed = found
    if isinstance(error, psycopg.errors.ForeignKeyViolation) and key:
        by = ", ".join(keyed)
        # Of the other table's row the message names both tables.
        if referred.rpartition(".")[2] in str(diag.message_primary).replace(name, ""):
            return (
                f"a row of {referred} cannot go or change, since {table} names it by its {by}:"
                f" {_shown(key)} ({name})"
            )
        return (
            f"a row of {table} names by its {by} a row of {referred} that is not there:"
            f" {_shown(key)} ({name})"
        )
    check = CHECK.fullmatch(definition)
    told = (
        f"a row of {table} breaks the rule of this table that {check[1] if check else definition}"
    )
    seen = _seen(str(diag.message_detail or ""), columns, keyed)
    return f"{told} ({name})" + (f": {seen}" if seen else "")


def _rule(
    error: psycopg.Error, connection: psycopg.Connection | None
) -> tuple[str, str, list[str], list[str]] | None:
    """Its definition, whom it refers to, the columns of its table and its own."""
    ready = (TransactionStatus.IDLE, TransactionStatus.INTRANS)
    if connection is None or connection.info.transaction_status not in ready:
        return None
    diag = error.diag
    given = (diag.constraint_name, diag.schema_name, diag.table_name)
    return connection.execute(RULE, given).fetchone()


def _shown(key: re.Match[str]) -> str:
    return masked(without_secrets(key["values"]))


def _seen(detail: str, columns: Sequence[str], keyed: Sequence[str]) -> str:
    """The values of a check, where the row can be told apart into columns."""
    row = ROW.search(detail)
    values = row["values"].split(", ") if row else []
    if len(values) != len(columns):
        return ""
    held = dict(zip(columns, values, strict=True))
    return ", ".join(
        f"its {name} is {held[name]}" for name in keyed if NUMBER_OR_TIME.fullmatch(held[name])
    )
