"""GitHub's side of a hook on loopback: its record of deliveries, and attempts asked for anew."""

import json
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.webhooks.harness import github_headers

TOKEN = "ghp_reconciler"
PATHS = re.compile(r"/(repos/octo/hello|orgs/octo)/hooks/7/deliveries(?:/(\d+)/attempts)?")


@dataclass
class FakeGitHub:
    """Deliveries are kept newest first; a page holds ``page`` of them, whatever is asked for.

    Args:
        receiver: where attempts are posted to.
        refusals: statuses to answer with before anything else works.
        lie: what it answers and names as the next page, in place of its record.
    """

    receiver: str
    page: int = 3
    refusals: list[int] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    asked_again: list[str] = field(default_factory=list)
    lie: tuple[bytes, str] | None = None

    def record(self, guid: str, age: timedelta, status: str = "OK") -> None:
        attempt = {
            "id": len(self.attempts) + 1,
            "guid": guid,
            "delivered_at": (datetime.now(UTC) - age).isoformat().replace("+00:00", "Z"),
            "redelivery": any(each["guid"] == guid for each in self.attempts),
            "duration": 0.1,
            "status": status,
            "status_code": 202 if status == "OK" else 503,
            "event": "push",
            "action": None,
            "installation_id": None,
            "repository_id": 1,
        }
        self.attempts.append(attempt)
        self.attempts.sort(key=lambda each: str(each["delivered_at"]), reverse=True)

    def deliver(self, guid: str) -> int:
        body = json.dumps({"guid": guid}).encode()
        headers = github_headers(body) | {"X-GitHub-Delivery": guid}
        return httpx.post(
            f"{self.receiver}/webhook/github", content=body, headers=headers
        ).status_code

    def __enter__(self) -> "FakeGitHub":
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def answer(self, status: int, document: Any, **headers: str) -> None:
                content = json.dumps(document).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def is_refused(self) -> bool:
                if fake.lie:
                    content, following = fake.lie
                    self.send_response(200)
                    self.send_header("Link", f'<{following}>; rel="next"')
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                    return True
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    self.answer(401, {"message": "Bad credentials"})
                elif fake.refusals:
                    self.answer(fake.refusals.pop(0), {}, Retry_After="0")
                elif not PATHS.fullmatch(urlsplit(self.path).path):
                    self.answer(404, {"message": "Not Found"})
                else:
                    return False
                return True

            def do_GET(self) -> None:
                if self.is_refused():
                    return
                parts = urlsplit(self.path)
                begin = int(parse_qs(parts.query).get("cursor", ["0"])[0])
                end = begin + fake.page
                link = f'<{fake.url}{parts.path}?per_page=100&cursor={end}>; rel="next"'
                more = {"Link": link} if end < len(fake.attempts) else {}
                self.answer(200, fake.attempts[begin:end], **more)

            def do_POST(self) -> None:
                if self.is_refused():
                    return
                found = PATHS.fullmatch(self.path)
                assert found is not None
                (attempt,) = [each for each in fake.attempts if each["id"] == int(found[2])]
                fake.asked_again.append(attempt["guid"])
                fake.record(attempt["guid"], timedelta(0))
                fake.deliver(attempt["guid"])
                self.answer(202, {})

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
