"""The HTTP side of the server: routes, tokens, faults."""

import base64
import json
import os
import random
import re
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import Message
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jwt

from tests.github_scraper.github_server.clock import FastClock
from tests.github_scraper.github_server.graph import GraphView
from tests.github_scraper.github_server.limits import Limits, Meter
from tests.github_scraper.github_server.store import CommitObject, Repository

REST, GRAPHQL = "/api/v3", "/api/graphql"
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}


@dataclass(frozen=True)
class Fault:
    """One answer that is not the right one.

    Args:
        kind: see ``GithubServer._misbehave``.
        path: what the request's path or query must contain.
        content: what its body must contain.
        value: detail of the kind, such as seconds of Retry-After.
    """

    kind: str
    path: str = ""
    content: str = ""
    value: str = ""


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: bytes


@dataclass
class GithubServer:
    """A GitHub Enterprise Server on loopback.

    Args:
        clock: moved on by the clients that wait; limits are counted with it.
        tokens: whose each token is: ``user:<id>``.
        chaos: the share of answers that are one of ``CHAOS``.
    """

    clock: FastClock = field(default_factory=FastClock)
    limits: Limits = field(default_factory=Limits)
    tokens: dict[str, str] = field(default_factory=lambda: {"ghp_good": "user:1"})
    chaos: float = 0.0
    seed: int = 0
    skew: timedelta = timedelta()
    max_first: int = 1_000
    latency: float = 0.0
    repositories: list[Repository] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    cursors: Counter[str] = field(default_factory=Counter)
    hidden: set[int] = field(default_factory=set)
    on_request: Callable[[Request], None] | None = None
    app_public_key: str | None = None
    minted: int = 0

    CHAOS = ("secondary", "retry-after", "429", "502", "drop", "truncated", "cut", "graphql-limit")

    def __post_init__(self) -> None:
        self.meter = Meter(self.limits, self.clock, self.skew)
        self._chance = random.Random(self.seed)
        self._lock = threading.Lock()
        self._view = GraphView(self.find, self.by_node_id)

    @contextmanager
    def running(self) -> Iterator["GithubServer"]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._serve(self)

            def do_POST(self) -> None:
                outer._serve(self)

            def log_message(self, *arguments: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *arguments: object) -> None:
                """A client that was killed is no event."""

        server = Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def add(self, path: Path, **attributes: Any) -> Repository:
        number = 1_000 + len(self.repositories)
        self.repositories.append(Repository(path, number, **attributes))
        return self.repositories[-1]

    def address(self, repository: Repository) -> str:
        return f"{self.url}/{repository.full_name}"

    def find(self, name: str) -> Repository | None:
        """A repository by its name, or by one it had, unless another has taken that."""
        shown = [each for each in self.repositories if each.database_id not in self.hidden]
        for repository in shown:
            if repository.full_name.lower() == name.lower():
                return repository
        return next((each for each in shown if name in each.old_names), None)

    def by_node_id(self, node_id: str) -> Repository | None:
        return next(
            (
                each
                for each in self.repositories
                if each.node_id == node_id and each.database_id not in self.hidden
            ),
            None,
        )

    def by_id(self, number: int) -> Repository | None:
        return self.by_node_id(f"R_{number:08d}")

    def forget_counts(self) -> None:
        self.requests.clear()
        self.calls.clear()
        self.meter.spent.clear()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        length = int(handler.headers.get("Content-Length") or 0)
        request = Request(
            handler.command,
            parts.path,
            {name: values[-1] for name, values in parse_qs(parts.query).items()},
            handler.headers,
            handler.rfile.read(length),
        )
        if not request.path.startswith("/api/"):
            self._serve_git(handler, parts.query, request)
            return
        with self._lock:
            self.requests.append(f"{request.method} {handler.path}")
        if self.on_request is not None:
            self.on_request(request)
        if self.latency:
            time.sleep(self.latency)
        if request.path.startswith(f"{REST}/app/"):
            self._mint(handler, request)
            return
        identity = self._identity(handler)
        if identity is None:
            self._reply(handler, 401, {"message": "Bad credentials"})
            return
        bucket = "graphql" if request.path == GRAPHQL else "core"
        refused = self.meter.enter(identity, bucket)
        try:
            headers = self.meter.headers(identity, bucket)
            if refused is not None:
                body = (
                    SECONDARY if refused == "secondary" else {"message": "API rate limit exceeded"}
                )
                self._reply(handler, 403, body, headers)
            elif fault := self._fault(request):
                self._misbehave(handler, fault, identity, bucket)
            elif bucket == "graphql":
                self._graphql(handler, request, identity)
            else:
                self._rest(handler, request, identity)
        finally:
            self.meter.leave(identity)

    def _identity(self, handler: BaseHTTPRequestHandler) -> str | None:
        scheme, _, token = handler.headers.get("Authorization", "").partition(" ")
        return self.tokens.get(token) if scheme == "Bearer" else None

    def _fault(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                target = request.path + "?" + "&".join(f"{k}={v}" for k, v in request.query.items())
                if fault.path in target and fault.content.encode() in request.body:
                    self.faults.remove(fault)
                    return fault
            if self._chance.random() < self.chaos:
                return Fault(self._chance.choice(self.CHAOS))
        return None

    def _misbehave(
        self, handler: BaseHTTPRequestHandler, fault: Fault, identity: str, bucket: str
    ) -> None:
        headers = self.meter.headers(identity, bucket)
        if fault.kind == "secondary":
            self._reply(handler, 403, SECONDARY, headers)
        elif fault.kind == "retry-after":
            self._reply(handler, 403, SECONDARY, headers | {"Retry-After": fault.value or "30"})
        elif fault.kind == "429":
            self._reply(handler, 429, SECONDARY, headers)
        elif fault.kind == "502":
            self._raw(handler, 502, b"<html><h1>Bad Gateway</h1></html>", {}, "text/html")
        elif fault.kind == "html":
            self._raw(handler, 200, b"<html>Welcome to the hotel</html>", headers, "text/html")
        elif fault.kind == "drop":
            handler.close_connection = True
            handler.connection.close()
        elif fault.kind == "hang":
            time.sleep(float(fault.value))
            handler.close_connection = True
        elif fault.kind == "truncated":
            self._raw(handler, 200, b'{"data": {"node": {"obj', headers)
        elif fault.kind == "cut":
            self._raw(handler, 200, b'{"data": {"node"', headers, claimed=4_000)
        elif fault.kind == "graphql-limit":
            limited = {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}
            self._reply(handler, 200 if bucket == "graphql" else 429, limited, headers)
        elif fault.kind == "graphql-timeout":
            timed_out = {"data": None, "errors": [{"message": "Something went wrong: timeout"}]}
            self._reply(handler, 200, timed_out, headers)
        elif fault.kind == "redirect":
            self._raw(
                handler, 301, b"", headers | ({"Location": fault.value} if fault.value else {})
            )
        elif fault.kind == "past-reset":
            past = int((self.clock.now() - timedelta(hours=1)).timestamp())
            spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(past)}
            self._reply(handler, 403, {"message": "API rate limit exceeded"}, headers | spent)
        else:
            status, _, message = fault.kind.partition(" ")
            self._reply(handler, int(status), {"message": message}, headers)

    def _graphql(self, handler: BaseHTTPRequestHandler, request: Request, identity: str) -> None:
        document = json.loads(request.body)
        operation = re.match(r"\s*query (\w+)", document["query"])
        with self._lock:
            self.calls[operation[1] if operation else "?"] += 1
        variables = document.get("variables") or {}
        if operation and operation[1] == "history":
            with self._lock:
                self.cursors[f"{variables['after']} {variables['stats']}"] += 1
        if variables.get("first", 0) > self.max_first:
            self.meter.charge(identity, "graphql", 2)
            self._raw(handler, 502, b"<html>timeout</html>", {}, "text/html")
            return
        with self._lock:
            answer, points = self._view.run(document["query"], variables)
        self.meter.charge(identity, "graphql", points)
        self._reply(handler, 200, answer, self.meter.headers(identity, "graphql"))

    def _rest(self, handler: BaseHTTPRequestHandler, request: Request, identity: str) -> None:
        with self._lock:
            status, body, headers = self._rest_answer(request)
        etag = f'W/"{abs(hash((identity, request.path, json.dumps(body, sort_keys=True))))}"'
        known = request.headers.get("If-None-Match")
        if "sha" in request.headers.get("Accept", "") and status == 200:
            etag = f'"{body}"'
        is_unchanged = status == 200 and known == etag
        if not is_unchanged:
            self.meter.charge(identity, "core", 1)
        headers |= self.meter.headers(identity, "core")
        if is_unchanged:
            self._raw(handler, 304, b"", headers)
        elif "sha" in request.headers.get("Accept", "") and status == 200:
            self._raw(handler, 200, str(body).encode(), headers | {"ETag": etag}, "text/plain")
        else:
            self._reply(handler, status, body, headers | {"ETag": etag})

    def _rest_answer(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        path = request.path.removeprefix(REST)
        if path == "/user":
            token = request.headers["Authorization"].partition(" ")[2]
            return 200, {"id": int(self.tokens[token].partition(":")[2]), "login": "me"}, {}
        if match := re.fullmatch(r"/repositories/(\d+)", path):
            found = self.by_id(int(match[1]))
            return (200, rest_repository(found), {}) if found else (404, NOT_FOUND, {})
        if match := re.fullmatch(r"/orgs/([^/]+)/repos", path):
            own = [each for each in self.repositories if each.owner == match[1]]
            if not own:
                return 404, NOT_FOUND, {}
            return self._page(request, [rest_repository(each) for each in own])
        match = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", path)
        found = self.find(match[1]) if match else None
        if match is None or found is None:
            return 404, NOT_FOUND, {}
        if found.full_name.lower() != match[1].lower():
            moved = f"{self.url}{REST}/repositories/{found.database_id}{match[2] or ''}"
            query = "&".join(f"{name}={value}" for name, value in request.query.items())
            if match[2] is None:
                return 301, {"url": moved}, {"Location": moved}
            renamed = f"{self.url}{REST}/repos/{found.full_name}{match[2]}"
            return 301, {}, {"Location": f"{renamed}?{query}" if query else renamed}
        return self._in_repository(found, match[2] or "", request)

    def _in_repository(
        self, repository: Repository, rest: str, request: Request
    ) -> tuple[int, Any, dict[str, str]]:
        if not rest:
            return 200, rest_repository(repository), {}
        if match := re.fullmatch(r"/compare/([0-9a-f]+)\.\.\.([0-9a-f]+)", rest):
            return self._compare(repository, match[1], match[2], request)
        if rest == "/commits":
            found = repository.commit(request.query["sha"])
            if found is None:
                return 404, NOT_FOUND, {}
            listed = repository.history(found.oid)
            return self._page(
                request, listed, lambda oid: rest_commit(repository, repository.commit(oid))
            )
        if match := re.fullmatch(r"/commits/(.+)", rest):
            head = repository.head()
            if head is None:
                return 409, {"message": "Git Repository is empty."}, {}
            name = unquote(match[1])
            oid = head[1] if name == head[0] else name
            if "sha" in request.headers.get("Accept", ""):
                return 200, oid, {}
            found = repository.commit(oid)
            if found is None:
                return 404, NOT_FOUND, {}
            body = rest_commit(repository, found)
            added, deleted, files = repository.stats(oid)
            body["stats"] = {"additions": added, "deletions": deleted, "total": added + deleted}
            page, size = int(request.query.get("page", 1)), int(request.query.get("per_page", 300))
            body["files"] = [{"filename": f"f{n}"} for n in range(files)][(page - 1) * size :][
                :size
            ]
            link = {}
            if page * size < files:
                target = f"{self.url}{request.path}?per_page={size}&page={page + 1}"
                link = {"Link": f'<{target}>; rel="next"'}
            return 200, body, link
        if rest == "/contents/.mailmap":
            blob = repository.try_git("rev-parse", "--verify", f"{request.query['ref']}:.mailmap")
            if blob is None:
                return 404, NOT_FOUND, {}
            content = base64.encodebytes(repository.git("cat-file", "blob", blob)).decode()
            return 200, {"sha": blob, "encoding": "base64", "content": content}, {}
        return 404, NOT_FOUND, {}

    def _compare(
        self, repository: Repository, base: str, head: str, request: Request
    ) -> tuple[int, Any, dict[str, str]]:
        if repository.commit(base) is None or repository.commit(head) is None:
            return 404, NOT_FOUND, {}
        ahead = repository.git("rev-list", "--reverse", head, "--not", base).decode().split()
        behind = len(repository.git("rev-list", base, "--not", head).decode().split())
        page, size = int(request.query.get("page", 1)), int(request.query.get("per_page", 30))
        shown = ahead[(page - 1) * size :][:size]
        status = (
            "diverged"
            if ahead and behind
            else "ahead"
            if ahead
            else "behind"
            if behind
            else "identical"
        )
        return (
            200,
            {
                "status": status,
                "ahead_by": len(ahead),
                "behind_by": behind,
                "total_commits": len(ahead),
                "commits": [rest_commit(repository, repository.commit(oid)) for oid in shown],
            },
            {},
        )

    def _page(
        self, request: Request, items: list[Any], view: Callable[[Any], Any] = lambda each: each
    ) -> tuple[int, Any, dict[str, str]]:
        page, size = int(request.query.get("page", 1)), int(request.query.get("per_page", 30))
        shown = [view(each) for each in items[(page - 1) * size :][:size]]
        headers = {}
        if page * size < len(items):
            query = "&".join(
                f"{name}={value}" for name, value in request.query.items() if name != "page"
            )
            target = f"{self.url}{request.path}?{query}&page={page + 1}"
            headers["Link"] = f'<{target}>; rel="next", <{target}>; rel="last"'
        return 200, shown, headers

    def _mint(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        assertion = handler.headers["Authorization"].removeprefix("Bearer ")
        try:
            jwt.decode(
                assertion,
                self.app_public_key or "",
                algorithms=["RS256"],
                options={
                    "verify_exp": False,
                    "verify_iat": False,
                    "require": ["iat", "exp", "iss"],
                },
            )
        except jwt.PyJWTError:
            self._reply(handler, 401, {"message": "A JSON web token could not be decoded"})
            return
        number = request.path.split("/")[-2]
        with self._lock:
            self.minted += 1
            token = f"ghs_minted{self.minted}"
            self.tokens[token] = f"installation:{number}"
        expires = self.clock.now() + timedelta(hours=1)
        self._reply(handler, 201, {"token": token, "expires_at": f"{expires:%Y-%m-%dT%H:%M:%SZ}"})

    def _serve_git(self, handler: BaseHTTPRequestHandler, query: str, request: Request) -> None:
        """git's own server, for clones; a token is asked for as GitHub asks."""
        match = re.fullmatch(r"/([^/]+/[^/]+?)(?:\.git)?(/.*)", request.path)
        found = self.find(match[1]) if match else None
        if match is None or found is None:
            self._raw(handler, 404, b"Repository not found", {}, "text/plain")
            return
        if found.is_private:
            pair = handler.headers.get("Authorization", "").removeprefix("Basic ")
            token = base64.b64decode(pair).decode().partition(":")[2]
            if token not in self.tokens:
                self._raw(handler, 401, b"", {"WWW-Authenticate": 'Basic realm="GitHub"'})
                return
        done = subprocess.run(
            ["git", "http-backend"],
            input=request.body,
            capture_output=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(found.path.parent),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": f"/{found.path.name}{match[2]}",
                "QUERY_STRING": query,
                "REQUEST_METHOD": request.method,
                "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(request.body)),
                "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
            },
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        self._raw(handler, status, body, headers, headers.pop("Content-Type", "text/plain"))

    def _reply(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: Any,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._raw(handler, status, json.dumps(body).encode(), headers or {})

    def _raw(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        content: bytes,
        headers: Mapping[str, str],
        kind: str = "application/json; charset=utf-8",
        claimed: int | None = None,
    ) -> None:
        handler.send_response_only(status)
        handler.send_header("Date", format_datetime(self.clock.now() + self.skew, usegmt=True))
        handler.send_header("Content-Type", kind)
        if status not in (204, 304):
            handler.send_header("Content-Length", str(claimed or len(content)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)
        if claimed:
            handler.close_connection = True


NOT_FOUND = {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}


def rest_repository(repository: Repository) -> dict[str, Any]:
    head = repository.head()
    return {
        "id": repository.database_id,
        "node_id": repository.node_id,
        "name": repository.name,
        "full_name": repository.full_name,
        "description": repository.description,
        "archived": repository.is_archived,
        "fork": repository.is_fork,
        "private": repository.is_private,
        "size": repository.disk_kilobytes,
        "stargazers_count": repository.stars,
        "forks_count": repository.forks,
        "license": {"spdx_id": repository.licence} if repository.licence else None,
        "language": next(iter(repository.languages), None),
        "topics": repository.topics,
        "pushed_at": "2026-03-01T10:00:00Z",
        "default_branch": head[0] if head else "main",
    }


def rest_commit(repository: Repository, commit: CommitObject | None) -> dict[str, Any]:
    assert commit is not None
    user = repository.accounts.get(commit.author.email.lower())
    return {
        "sha": commit.oid,
        "commit": {
            "message": commit.message,
            "author": {
                "name": commit.author.name,
                "email": commit.author.email,
                "date": commit.author.utc(),
            },
            "committer": {
                "name": commit.committer.name,
                "email": commit.committer.email,
                "date": commit.committer.utc(),
            },
        },
        "author": user and {"login": user.login, "id": user.database_id, "type": user.kind},
        "parents": [{"sha": oid} for oid in commit.parents],
    }
