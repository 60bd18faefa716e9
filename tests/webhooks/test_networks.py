"""Allow-lists, read from a real HTTP server."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flows._shared.errors import PermanentError, TransientError
from flows.webhooks.networks import Networks
from flows.webhooks.settings import Source

HERE, ELSEWHERE = "127.0.0.0/8", "203.0.113.0/24"


@dataclass
class Publisher:
    """Answers every request with ``status`` and ``body``."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    answered: list[int] = field(default_factory=list)

    def publish(self, *networks: str) -> None:
        self.status, self.body = 200, json.dumps({"meta": {"hooks": networks}}).encode()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    state = Publisher()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(state.status)
            self.send_header("content-length", str(len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)
            state.answered.append(state.status)

        def log_message(self, *_: object) -> None:
            """Nothing: the tests look at what was answered."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/meta"
    yield state
    server.shutdown()
    server.server_close()


def source(publisher: Publisher, *networks: str, refresh_seconds: float = 0.02) -> Source:
    published = {
        "url": publisher.url,
        "pointer": "/meta/hooks",
        "refresh_seconds": refresh_seconds,
    }
    return Source.model_validate(
        {"name": "shop", "published_networks": published, "networks": networks}
    )


def test_published_and_given_networks_may_post_and_no_others(publisher: Publisher) -> None:
    publisher.publish(ELSEWHERE, "2001:db8::/32")
    given = source(publisher, HERE)
    networks = Networks([given])
    unread = source(publisher)
    assert not Networks([unread]).allow(unread, "203.0.113.9")
    networks.load()
    for address in ("127.0.0.1", "203.0.113.9", "2001:db8::1"):
        assert networks.allow(given, address), address
    for address in ("198.51.100.1", "2001:db9::1", "no address", ""):
        assert not networks.allow(given, address), address
    assert Networks([]).allow(Source(name="open"), "198.51.100.1")


def test_a_published_list_is_read_again_and_outlasts_a_failure(publisher: Publisher) -> None:
    publisher.publish(HERE)
    given = source(publisher)
    networks = Networks([given])
    networks.load()
    networks.start()
    try:
        publisher.publish(ELSEWHERE)
        deadline = time.monotonic() + 20
        while networks.allow(given, "127.0.0.1") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not networks.allow(given, "127.0.0.1")
        publisher.status = 500
        while publisher.answered.count(500) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert publisher.answered.count(500) >= 3
        assert networks.allow(given, "203.0.113.9")
    finally:
        networks.stop()


@pytest.mark.parametrize(
    ("status", "body", "error", "seen"),
    [
        (503, b"", TransientError, "it answered 503"),
        (404, b"{}", PermanentError, "it answered 404"),
        (200, b"<html>", PermanentError, "no list of networks at /meta/hooks"),
        (200, b'{"meta": {"hooks": []}}', PermanentError, "no list of networks"),
        (200, b'{"meta": {"hooks": ["anywhere"]}}', PermanentError, "no list of networks"),
        (200, b'{"meta": {"hooks": 7}}', PermanentError, "no list of networks"),
    ],
)
def test_what_is_no_list_stops_the_start(
    publisher: Publisher, status: int, body: bytes, error: type[Exception], seen: str
) -> None:
    publisher.status, publisher.body = status, body
    with pytest.raises(error, match=seen):
        Networks([source(publisher)]).load()


def test_an_address_that_does_not_answer_may_do_so_later(publisher: Publisher) -> None:
    gone = Publisher("http://127.0.0.1:9/meta")
    with pytest.raises(TransientError, match="Check the network"):
        Networks([source(gone)]).load()
