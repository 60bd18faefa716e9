"""What is stored of deliveries names a purged person by pseudonym, and is still known."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

import psycopg
import pytest

from flows._shared.inbox import FORM, read_deliveries
from flows._shared.purged import new_person, of_names
from flows.webhooks.inbox import Outcome, prepare_inbox, store
from flows.webhooks.persons import LATER, purge_person
from tests.databases import everything_of
from tests.webhooks.test_inbox import delivery

NAMES = ("email:jane@doe.example", "login:jane-d", "jane doe")
CLEAR = ("jane@doe", "jane doe", "jane-d", "jane%40doe")
JSON_BODY = '{"author": {"name": "Jane Doe", "email": "JANE@doe.example"}, "text": "a\\nJane Doe"}'
PUSH = {"payload": JSON_BODY}
PROTOBUF = "application/x-protobuf"
# As an attribute of a resource is sent: the field behind the address begins with a letter.
SENT = b"\x0a\x18\x0a\x16\x0a\x02id\x12\x10jane@doe.example"
ODD = {
    "half a sign": b'{"name": "Jane Doe", "x": "\\ud800"}',
    "too great a number": b'{"name": "Jane Doe", "x": 1e400, "y": 1.50}',
    "no UTF-8": b'{"name": "Jane Doe", "x": "\xff"}',
    "no JSON": b"{'name': 'Jane Doe'",
}
# The name of a field tells whose its value is, and may be somebody's, too.
FIELDS = {"user_name": "jane-d", "jane@doe.example": "1", "text": "a=b Jane Doe", "x": "jane-d"}
# Of a record of a log the body.
WITHIN = b'\x0a\x14\x0a\x12{"login":"jane-d"}'
OTHERS = ("a word that names nobody", "a part that names nobody")


@pytest.fixture
def inbox(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        prepare_inbox(connection)
        yield connection


def test_the_inbox_names_a_purged_person_nowhere(inbox: psycopg.Connection[Any]) -> None:
    deliveries = [
        delivery("json", JSON_BODY.encode()),
        delivery("form", urlencode(PUSH).encode(), content_type=FORM, payload=JSON_BODY),
        delivery("rows", b"name;note\nx;by Jane Doe <jane@doe.example>\n", payload=None),
        delivery("bytes", SENT, content_type=PROTOBUF, payload=None),
        delivery("fields", urlencode(FIELDS).encode(), content_type=FORM, payload=None),
        delivery("within", WITHIN, content_type=PROTOBUF, payload=None),
        delivery("others", b'{"name": "janet@doe.example"}', attributes={"login": "jane-d"}),
        *(delivery(name, body, payload=None) for name, body in ODD.items()),
        delivery(OTHERS[0], b'{"ref": "jane-d", "id": 17}'),
        delivery(OTHERS[1], b"\x0a\x05jane-\x12\x07jane-d2", content_type=PROTOBUF, payload=None),
        delivery("nobody", b'{"name": "janet@doe.example"}'),
        delivery("later", SENT, content_type=PROTOBUF, payload=None),
    ]
    store(inbox, deliveries)
    assert store(inbox, [delivery("nobody", JSON_BODY.encode())]) == [Outcome.CONFLICT]
    before = everything_of(inbox)
    consumed = [each.position.number for each in read_deliveries(inbox, "scout", None)][-2]
    person = new_person()
    lists = (of_names((), person), of_names(NAMES, person))
    counted = purge_person(inbox, lists, consumed, is_dry=True)
    assert everything_of(inbox) == before
    assert purge_person(inbox, lists, consumed) == counted
    assert counted["webhooks.deliveries"] == 11
    assert counted["webhooks.conflicts"] == 1
    assert counted[LATER] == 1
    assert purge_person(inbox, lists, consumed + 1)["webhooks.deliveries"] == 1
    named = (row for table in everything_of(inbox).values() for row in table)
    rows = "\n".join(row for row in named if "names nobody" not in row).lower()
    for allowed in ("janet@doe.example", "x=jane-d"):
        rows = rows.replace(allowed, "")
    assert [name for name in CLEAR if name in rows] == []
    read = {each.delivery_id: each for each in read_deliveries(inbox, "scout", None)}
    (form,) = parse_qs(read["form"].body.decode(), strict_parsing=True)["payload"]
    assert json.loads(read["json"].body) == json.loads(form)
    assert json.loads(form)["author"] == {
        "name": person,
        "email": f"{person}@purged.invalid",
    }
    assert json.loads(read["nobody"].body) == {"name": "janet@doe.example"}
    assert set(read) == {"json", "form", "rows", "others", "fields", "nobody", *OTHERS, *ODD}
    names, (user, number, text, word) = zip(*parse_qsl(read["fields"].body.decode()), strict=True)
    assert (user, number, text, word) == (person, "1", f"a=b {person}", "jane-d")
    assert names[1].startswith(f"{person}@purged.invalid")
    assert read[OTHERS[0]].body == b'{"ref": "jane-d", "id": 17}'
    for name, body in ODD.items():
        kept = read[name].body.replace(b"\\udcff", b"\xff")
        assert kept == body.replace(b"Jane Doe", person.encode())
    # What was sent is still known by the hash of what it was.
    assert store(inbox, [deliveries[0]]) == [Outcome.DUPLICATE]
    assert set(purge_person(inbox, lists, consumed + 1).values()) == {0}
