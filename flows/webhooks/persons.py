"""Purges a person from the inbox: stored bodies name a pseudonym, deliveries stay known."""

import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import psycopg

from flows._shared.inbox import FORM
from flows._shared.purged import Purged, of_names

JSON_FORM_FIELD = "payload"
PURGE_LOCK = 7_310_072

# The hash of what was sent stays: by it a delivery sent again is told from another under its id.
DELIVERIES = """
select id, content_type, body, position, headers::text, attributes::text
from webhooks.deliveries
order by id
"""
REWRITE_DELIVERY = """
update webhooks.deliveries
set
    body = %b, body_bytes = coalesce(length(%b::bytea), body_bytes), payload = %s::jsonb,
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
    names: Iterable[str],
    pseudonym: str,
    consumed: int,
    *,
    is_dry: bool = False,
) -> dict[str, int]:
    """Show a person by pseudonym in all that is stored; rows by place.

    A body that is neither text nor JSON is forgotten once it was loaded.

    Args:
        connection: in autocommit mode.
        names: of the person, as `flows._shared.purged` has them.
        consumed: up to which position telemetry was loaded.
        is_dry: all is counted, nothing is kept.
    """
    names = frozenset(names)
    purged = of_names(names, pseudonym)
    known_as = tuple(name.partition(":")[2].encode() or name.encode() for name in names)
    counts = {"webhooks.deliveries": 0, "webhooks.conflicts": 0, "webhooks.outbox": 0, LATER: 0}
    exists = connection.execute("select to_regclass('webhooks.deliveries')").fetchone()
    if exists == (None,):
        return counts
    with connection.transaction(force_rollback=is_dry):
        connection.execute("select pg_advisory_xact_lock(%s)", (PURGE_LOCK,))
        for number, kind, body, position, headers, attributes in _read(connection, DELIVERIES):
            shown = _shown(purged, known_as, kind, body)
            said = purged.json(headers), purged.json(attributes)
            if shown is not None and shown == body and said == (headers, attributes):
                continue
            if shown is None and body is not None and position > consumed:
                counts[LATER] += 1
                continue
            if shown is None and body is None and said == (headers, attributes):
                continue
            values = (shown, shown, _payload(kind, shown), *said, number)
            connection.execute(REWRITE_DELIVERY.encode(), values)
            counts["webhooks.deliveries"] += 1
        for number, kind, body, _, headers, _ in _read(connection, CONFLICTS):
            shown = _shown(purged, known_as, kind, body) or b""
            if shown != body or purged.json(headers) != headers:
                connection.execute(REWRITE_CONFLICT.encode(), (shown, purged.json(headers), number))
                counts["webhooks.conflicts"] += 1
        for number, event in _read(connection, EVENTS):
            if (told := purged.json(event)) != event:
                connection.execute(REWRITE_EVENT.encode(), (told, number))
                counts["webhooks.outbox"] += 1
    return counts


def _read(connection: psycopg.Connection, statement: str) -> Iterator[tuple[Any, ...]]:
    with connection.cursor("purged_rows") as rows:
        rows.itersize = ROWS_AT_A_TIME
        yield from rows.execute(statement.encode())


def _shown(
    purged: Purged, known_as: Iterable[bytes], content_type: str, body: bytes | None
) -> bytes | None:
    """The body as it is kept; None where it names the person and cannot be written anew."""
    if body is None:
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or "protobuf" in content_type:
        return None if any(name in body.lower() for name in known_as) else body
    if content_type != FORM:
        shown = purged.text(purged.json(text))
        return body if shown == text else shown.encode()
    fields = parse_qsl(text, keep_blank_values=True)
    changed = [(name, purged.text(purged.json(value))) for name, value in fields]
    return body if changed == fields else urlencode(changed).encode()


def _payload(content_type: str, body: bytes | None) -> str | None:
    """What the column holds beside a body: it as JSON, if it is that."""
    if body is None:
        return None
    try:
        if content_type == FORM:
            fields = dict(parse_qsl(body.decode()))
            return json.dumps(json.loads(fields[JSON_FORM_FIELD]))
        return json.dumps(json.loads(body)).replace("\\u0000", "")
    except (ValueError, KeyError):
        return None
