"""The outbox, one batch at a time, against a server that can be told to lose events."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.webhooks.inbox import prepare_inbox, store
from flows.webhooks.metrics import Metrics
from flows.webhooks.outbox import Dispatcher
from flows.webhooks.settings import ReceiverSettings
from tests.webhooks.test_inbox import delivery


class ForgetfulServer:
    """Acknowledges every event; keeps those of a batch only while ``keeps`` is set."""

    def __init__(self) -> None:
        self.keeps = True
        self.status = 204
        self.taken: list[str] = []
        self.kept: set[str] = set()
        own = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self.answer(404, None)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path.endswith("/filter"):
                    asked = set(body["filter"]["id"]["id"])
                    self.answer(200, {"events": [{"id": each} for each in asked & own.kept]})
                    return
                if own.status == 204:
                    ids = [each["id"] for each in body]
                    own.taken += ids
                    own.kept |= set(ids) if own.keeps else set()
                self.answer(own.status, None)

            def answer(self, status: int, document: Any) -> None:
                content = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[ForgetfulServer]:
    forgetful = ForgetfulServer()
    with temporary_settings({PREFECT_API_URL: forgetful.url}):
        yield forgetful
    forgetful.close()


@pytest.fixture
def inbox(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        prepare_inbox(connection)
        yield connection


def dispatcher(url: str) -> Dispatcher:
    return Dispatcher(ReceiverSettings(lease_seconds=60), lambda: url, Metrics())


def make_due(connection: psycopg.Connection[Any]) -> None:
    connection.execute("update webhooks.outbox set due_at = now()")


def states(connection: psycopg.Connection[Any]) -> list[tuple[bool, bool]]:
    query = "select sent_at is not null, stored_at is not null from webhooks.outbox order by id"
    return list(connection.execute(query).fetchall())


def test_an_event_the_server_took_and_lost_is_sent_again(
    inbox: psycopg.Connection[Any], database: str, server: ForgetfulServer
) -> None:
    store(inbox, [delivery("a"), delivery("b")])
    sender = dispatcher(database)
    server.keeps = False
    assert sender.send_due() == 2
    assert states(inbox) == [(True, False)] * 2
    assert sender.send_due() == 0
    make_due(inbox)
    server.keeps = True
    assert sender.send_due() == 2
    assert len(server.taken) == 4
    assert len(set(server.taken)) == 2
    make_due(inbox)
    assert sender.send_due() == 2
    assert states(inbox) == [(True, True)] * 2
    make_due(inbox)
    assert sender.send_due() == 0
    assert len(server.taken) == 4


def test_an_event_taken_by_a_sender_that_died_is_due_after_its_lease(
    inbox: psycopg.Connection[Any], database: str, server: ForgetfulServer
) -> None:
    store(inbox, [delivery("a")])
    died, alive = dispatcher(database), dispatcher(database)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(died, "_confirm_or_send", lambda *_: None)
        assert died.send_due() == 1
    assert alive.send_due() == 0
    row = inbox.execute("select due_at from webhooks.outbox").fetchone()
    assert row is not None
    assert timedelta(seconds=50) < row[0] - datetime.now(UTC) < timedelta(seconds=61)
    make_due(inbox)
    assert alive.send_due() == 1
    assert len(server.taken) == 1


def test_senders_side_by_side_never_take_the_same_event(
    inbox: psycopg.Connection[Any], database: str, server: ForgetfulServer
) -> None:
    store(inbox, [delivery(str(number)) for number in range(250)])
    with psycopg.connect(database) as other:
        other.execute("select 1 from webhooks.outbox order by due_at, id limit 100 for update")
        sender = dispatcher(database)
        counts = [sender.send_due() for _ in range(3)]
    assert counts == [100, 50, 0]
    assert sender.send_due() == 100
    assert len(server.taken) == len(set(server.taken)) == 250


def test_a_server_that_refuses_is_asked_again_later_and_says_why(
    inbox: psycopg.Connection[Any], database: str, server: ForgetfulServer
) -> None:
    store(inbox, [delivery("a")])
    server.status = 422
    sender = dispatcher(database)
    assert sender.send_due() == 1
    assert inbox.execute("select last_error from webhooks.outbox").fetchone() == (
        "EventsNotTakenError",
    )
    server.status = 204
    make_due(inbox)
    assert sender.send_due() == 1
    assert states(inbox) == [(True, False)]
