"""Senders of webhooks, who remember what was promised to them and send anew what was not."""

import gzip
import http.client
import json
import os
import queue
import random
import signal
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Union

import psutil

from deployments.local.processes import wait_until
from flows.agent_analytics import sample as agents_sample
from tests.faults.calling import UNANSWERED, Call, Exporter, calls
from tests.faults.receiving import OVER_GRPC, PUT_ASIDE, SECRET, STANDARD_SECRET
from tests.webhooks.harness import (
    github_headers,
    hub_signature,
    standard_headers,
    token_headers,
)

SENDERS = 6
PUSHES, ROWS, EXPORTS, CONFLICTS, PAIRS, FORGED = 24, 8, 8, 3, 5, 2
LONG_BODY_BYTES = 300_000
# Longer than the receiver takes to say that a body or the database is late.
PATIENCE_SECONDS = 12.0
START_SECONDS = 30.0
DRAINED_SECONDS = 20.0
CONFLICT, UNAVAILABLE = 409, 503
NAMESPACE = uuid.UUID("6f1c1f4e-6a5e-4c57-9f11-3f5b3a0c9e55")

Sent = Union["Posting", Call]
Headers = Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class Posting:
    """One request.

    Args:
        headers: made when it is sent, since some tell the time.
        after: the number of one that has to be promised before.
        is_forged: whether its signature is wrong: it is never stored.
    """

    number: int
    path: str
    body: bytes
    headers: Headers
    after: int | None = None
    is_forged: bool = False


def postings(stage: str, seed: int = 3) -> Sequence[Posting]:
    """What is sent while a stage runs: among it pairs at once, and other bodies under one id."""
    chance = random.Random(seed)
    made: list[Posting] = []

    def add(path: str, body: bytes, headers: Headers, **more: int | bool | None) -> int:
        made.append(Posting(len(made), path, body, headers, **more))  # type: ignore[arg-type]
        return len(made) - 1

    def push(name: str, length: int) -> int:
        body = json.dumps({"ref": name, "text": chance.randbytes(length // 2).hex()}).encode()
        return add("/webhook/github", body, _as_github(stage, name, body))

    pushes = []
    for name in range(PUSHES):
        number = push(f"push-{name}", chance.randint(500, 8_000))
        pushes.append(number)
        if name < PAIRS:
            add(made[number].path, made[number].body, made[number].headers)
    push("long", LONG_BODY_BYTES)
    for number in range(ROWS):
        body = json.dumps([{"transaction_id": f"{stage}-{number}", "total": number}]).encode()
        add("/webhook/scout-transactions", body, _as_standard(f"{stage}-{number}", body))
    for line in islice(agents_sample.telemetry(1, 1, seed + len(stage)), EXPORTS):
        packed = gzip.compress(line.encode(), mtime=0)
        add("/v1/otel", packed, _as_exporter)
    for number in range(FORGED):
        body = json.dumps({"ref": f"forged-{number}"}).encode()
        add("/webhook/github", body, _as_forger(stage, f"forged-{number}", body), is_forged=True)
    for name in range(CONFLICTS):
        other = json.dumps({"ref": f"other-{name}"}).encode()
        headers = _as_github(stage, f"push-{name}", other)
        add("/webhook/github", other, headers, after=pushes[name])
    return made


def _as_github(stage: str, name: str, body: bytes) -> Headers:
    identity = str(uuid.uuid5(NAMESPACE, f"{stage} {name}"))
    headers = github_headers(body) | {
        "X-GitHub-Delivery": identity,
        "X-Hub-Signature-256": hub_signature(body, SECRET),
    }
    return lambda: headers


def _as_forger(stage: str, name: str, body: bytes) -> Headers:
    headers = dict(_as_github(stage, name, body)())
    headers["X-Hub-Signature-256"] = hub_signature(body, "some other secret")
    return lambda: headers


def _as_standard(identity: str, body: bytes) -> Headers:
    return lambda: standard_headers(body, identity, secret=STANDARD_SECRET)


def _as_exporter() -> Mapping[str, str]:
    return token_headers(SECRET) | {"Content-Encoding": "gzip"}


class Poster:
    """A connection of its own."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)

    def send(self, each: Posting) -> int:
        """The status of the answer."""
        try:
            self._connection.request("POST", each.path, each.body, dict(each.headers()))
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return UNANSWERED
        return answer.status

    def close(self) -> None:
        self._connection.close()


@dataclass
class Senders:
    """Those who send to one receiver.

    Args:
        spool: where it puts deliveries aside.
        answers: how often which status came; `UNANSWERED` where a connection broke.
        wrong: what no fault but a limit of memory excuses.
    """

    spool: Path
    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _promised: set[tuple[str, int]] = field(default_factory=set)
    _receiver: tuple[str, int] = ("", 0)
    _port: int = 0

    def forget(self) -> None:
        """Nothing was promised: all of it is sent again."""
        self._promised.clear()
        self.answers.clear()
        self.wrong.clear()

    @property
    def is_disturbed(self) -> bool:
        """Whether there was another answer than a receiver gives that nothing disturbs."""
        return bool(self.answers[UNANSWERED] or self.answers[UNAVAILABLE])

    @contextmanager
    def sending(
        self, stage: str, pids: Sequence[int], times: int, receiver: tuple[str, int], port: int
    ) -> Iterator[None]:
        """Send beside what is done within; then end the receiver.

        Args:
            pids: its processes, of which one listens.
            times: how often each delivery is sent at once.
            receiver, port: where it listens, and where the senders connect to.
        """
        self.answers.clear()
        self._receiver, self._port = receiver, port
        thread = threading.Thread(target=self._send_all, args=(stage, pids, times))
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def _send_all(self, stage: str, pids: Sequence[int], times: int) -> None:
        try:
            if wait_until(lambda: self._listens() or not _living(pids), START_SECONDS, pause=0.02):
                given = calls(stage) if stage in OVER_GRPC else postings(stage)
                self._send([each for each in given if each.after is None], stage, times)
                self._send([each for each in given if each.after is not None], stage, times)
                if stage not in PUT_ASIDE:
                    wait_until(
                        lambda: not self.put_aside() or not _living(pids),
                        DRAINED_SECONDS,
                        pause=0.05,
                    )
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    def put_aside(self) -> list[Path]:
        return list(self.spool.glob("*.jsonl"))

    def _listens(self) -> bool:
        with suppress(OSError):
            socket.create_connection(self._receiver, timeout=1).close()
            return True
        return False

    def _send(self, given: Iterable[Sent], stage: str, times: int) -> None:
        waiting: queue.SimpleQueue[Sent] = queue.SimpleQueue()
        for each in given:
            is_due = each.after is None or (stage, each.after) in self._promised
            if is_due and (stage, each.number) not in self._promised:
                for _ in range(times):
                    waiting.put(each)
        threads = [
            threading.Thread(target=self._send_each, args=(waiting, stage)) for _ in range(SENDERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send_each(self, waiting: "queue.SimpleQueue[Sent]", stage: str) -> None:
        connection: Any = (Exporter if stage in OVER_GRPC else Poster)(self._port)
        with suppress(queue.Empty):
            while True:
                each = waiting.get_nowait()
                self._hear(each, stage, connection.send(each))
        connection.close()

    def _hear(self, each: Sent, stage: str, status: int) -> None:
        self.answers[status] += 1
        is_promised = 200 <= status < 300
        if each.is_forged and is_promised:
            self.wrong.append(f"a forged delivery was answered {status}")
        if status >= 500 and status != UNAVAILABLE:
            self.wrong.append(f"{each.path} was answered {status}")
        if is_promised or (status == CONFLICT and each.after is not None):
            self._promised.add((stage, each.number))


def _living(pids: Iterable[int]) -> bool:
    """Whether any of these is more than a process that nobody has waited for."""
    for pid in pids:
        with suppress(psutil.Error):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return True
    return False
