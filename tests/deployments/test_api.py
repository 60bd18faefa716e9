import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deployments.local.api import PrefectApi
from flows._shared.errors import PermanentError


class _BusyServer(ThreadingHTTPServer):
    """Answers 503 so many times, then 200; keeps the bodies it was sent."""

    def __init__(self, busy: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.busy = busy
        self.bodies: list[dict[str, object]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api"


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, _BusyServer)
        length = int(self.headers["Content-Length"])
        server.bodies.append(json.loads(self.rfile.read(length)))
        content = b'{"id": "a-run"}'
        self.send_response(503 if len(server.bodies) <= server.busy else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def busy_twice() -> Iterator[_BusyServer]:
    server = _BusyServer(busy=2)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_busy_server_is_asked_again_for_the_same_run(busy_twice: _BusyServer) -> None:
    with PrefectApi(busy_twice.url, {}) as api:
        assert api.start_run("a-deployment", {}) == {"id": "a-run"}
    assert len(busy_twice.bodies) == 3
    assert len({str(body["idempotency_key"]) for body in busy_twice.bodies}) == 1


def test_a_server_that_stays_busy_is_an_error(
    busy_twice: _BusyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.local.api.PAUSES_SECONDS", (0.0,))
    with PrefectApi(busy_twice.url, {}) as api, pytest.raises(PermanentError, match="503"):
        api.start_run("a-deployment", {})
