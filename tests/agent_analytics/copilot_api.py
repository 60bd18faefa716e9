"""GitHub's Copilot API on loopback, as far as it is asked: the reports of now and the old one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from flows.agent_analytics import sample

LANGUAGE = {
    "name": "go",
    "total_code_suggestions": 10,
    "total_code_acceptances": 4,
    "total_code_lines_suggested": 20,
    "total_code_lines_accepted": 5,
}


class Fake(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status = 200
        self.lie: str | None = None
        self.seen: list[tuple[str, str | None]] = []
        rows = list(sample.copilot_rows(1, 4, start=datetime(2026, 3, 2, tzinfo=UTC)))
        self.report = "\n".join([*map(json.dumps, rows), '{"day": "2026-03-02"}', ""])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, address: str) -> str:
        if self.lie is not None:
            return self.lie
        parts = urlsplit(address)
        if parts.path.startswith("/signed"):
            return self.report
        if parts.path.endswith("/copilot/metrics"):
            pages = {"1": [legacy_day("2026-03-02"), {"date": "soon"}], "2": []}
            return json.dumps(pages[parse_qs(parts.query)["page"][0]])
        return json.dumps({"download_links": [f"{self.url}/signed?token=x"]})


def legacy_day(day: str) -> dict[str, object]:
    editors = [{"models": [{"languages": [LANGUAGE, LANGUAGE]}]}]
    return {
        "date": day,
        "total_active_users": 7,
        "copilot_ide_code_completions": {"editors": editors},
    }


class Answer(BaseHTTPRequestHandler):
    server: Fake

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("authorization")))
        self.send_response(self.server.status)
        self.end_headers()
        if self.server.status != 204:
            self.wfile.write(self.server.answer(self.path).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running() -> Iterator[Fake]:
    server = Fake()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
