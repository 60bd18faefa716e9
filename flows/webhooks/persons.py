"""Purges a person from the inbox: stored bodies name a pseudonym, deliveries stay known."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any
from urllib.parse import parse_qsl, urlencode

import psycopg

from flows._shared.inbox import FORM
from flows._shared.json_numbers import is_writable
from flows._shared.purged import Purged, is_document
from flows.webhooks.wire import texts_of

JSON_FORM_FIELD = "payload"
NUL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

# The hash of what was sent stays: by it a delivery sent again is told from another under its id.
DELIVERIES = """
select id, content_type, body, position, headers::text, attributes::text
from webhooks.deliveries
order by id
"""
REWRITE_DELIVERY = """
update webhooks.deliveries
set
    body = %b, body_bytes = coalesce(length(%b::bytea), body_bytes),
    payload = case when payload is not null then %s::jsonb end,
    headers = %s::jsonb, attributes = %s::jsonb
where id = %s
"""
CONFLICTS = """
select id, content_type, body, 0, headers::text, '{}' from webhooks.conflicts order by id
"""
REWRITE_CONFLICT = "update webhooks.conflicts set body = %b, headers = %s::jsonb where id = %s"
EVENTS = "select id, event::text from webhooks.outbox order by id"
REWRITE_EVENT = "update webhooks.outbox set event = %s::jsonb where id = %s"
ROWS_AT_A_TIME = 100
LATER = "webhooks.deliveries that are not loaded yet and stay"


def purge_person(
    connection: psycopg.Connection,
    lists: Sequence[Purged],
    consumed: int,
    *,
    is_dry: bool = False,
) -> dict[str, int]:
    """Show people by pseudonym in all that is stored; rows by place.

    A body that is neither text nor JSON is forgotten once it was loaded.

    Args:
        connection: in autocommit mode.
        lists: those who are purged, as each store knows them.
        consumed: up to which position telemetry was loaded.
        is_dry: all is counted, nothing is kept.
    """
    counts = {"webhooks.deliveries": 0, "webhooks.conflicts": 0, "webhooks.outbox": 0, LATER: 0}
    exists = connection.execute("select to_regclass('webhooks.deliveries')").fetchone()
    if exists == (None,):
        return counts
    with connection.transaction(force_rollback=is_dry):
        connection.execute("lock table webhooks.conflicts in share update exclusive mode")
        for number, kind, body, position, headers, attributes in _read(connection, DELIVERIES):
            shown = _shown(lists, kind, body)
            said = _document(lists, headers), _document(lists, attributes)
            if shown is not None and shown == body and said == (headers, attributes):
                continue
            if shown is None and body is not None and position > consumed:
                counts[LATER] += 1
                continue
            if shown is None and body is None and said == (headers, attributes):
                continue
            _rewrite(connection, number, _payload(kind, shown), shown, said)
            counts["webhooks.deliveries"] += 1
        for number, kind, body, _, headers, _ in _read(connection, CONFLICTS):
            shown = _shown(lists, kind, body) or b""
            if shown != body or _document(lists, headers) != headers:
                values = shown, _document(lists, headers), number
                connection.execute(REWRITE_CONFLICT.encode(), values)
                counts["webhooks.conflicts"] += 1
        for number, event in _read(connection, EVENTS):
            if (told := _document(lists, event)) != event:
                connection.execute(REWRITE_EVENT.encode(), (told, number))
                counts["webhooks.outbox"] += 1
    return counts


def _rewrite(
    connection: psycopg.Connection,
    number: int,
    payload: str | None,
    body: bytes | None,
    said: tuple[str, str],
) -> None:
    try:
        with connection.transaction():
            connection.execute(REWRITE_DELIVERY.encode(), (body, body, payload, *said, number))
    except psycopg.DataError:
        # JSON that PostgreSQL does not take, such as half a sign: readers have the body.
        connection.execute(REWRITE_DELIVERY.encode(), (body, body, None, *said, number))


def _read(connection: psycopg.Connection, statement: str) -> Iterator[tuple[Any, ...]]:
    with connection.cursor("purged_rows") as rows:
        rows.itersize = ROWS_AT_A_TIME
        yield from rows.execute(statement.encode())


def _shown(lists: Sequence[Purged], content_type: str, body: bytes | None) -> bytes | None:
    """The body as it is kept; None where it names a person and cannot be written anew."""
    if body is None:
        return None
    if "protobuf" in content_type:
        is_named = any(
            {each.alone(text), each.json(text)} != {text}
            for text in texts_of(body)
            for each in lists
            if each
        )
        return None if is_named else body
    # What is no UTF-8 stays as it is.
    text = body.decode(errors="surrogateescape")
    if content_type != FORM:
        shown = _told(lists, text)
        return body if shown == text else shown.encode(errors="surrogateescape")
    fields = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
    changed = [_field(lists, name, value) for name, value in fields]
    if changed == fields:
        return body
    return urlencode(changed, errors="surrogateescape").encode(errors="surrogateescape")


def _field(lists: Sequence[Purged], name: str, value: str) -> tuple[str, str]:
    """A field of a form, whose name tells whether the value names somebody."""
    ((name, value),) = json.loads(_document(lists, json.dumps({name: value}))).items()
    return name, value


def _document(lists: Sequence[Purged], text: str) -> str:
    return reduce(lambda shown, purged: purged.json(shown), lists, text)


def _told(lists: Sequence[Purged], text: str) -> str:
    return reduce(lambda shown, purged: purged.piece(shown), lists, text)


def _payload(content_type: str, body: bytes | None) -> str | None:
    """What the column holds beside a body: it as JSON, if it is that."""
    if body is None:
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    if content_type == FORM:
        text = dict(parse_qsl(text)).get(JSON_FORM_FIELD, "")
    return NUL_ESCAPE.sub(r"\1", text) if is_document(text) and is_writable(text) else None
