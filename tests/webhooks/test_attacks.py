"""Who has no secret keeps nobody out who has one, whatever is tried, and all of it at once."""

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

import grpc
import httpx
import psutil
import pytest

from deployments.local.paths import PROJECT_ROOT
from deployments.local.processes import wait_until
from flows.webhooks.settings import MIB, SHARE_OF_CONNECTIONS
from tests.webhooks.attacks import ENEMY, EXPORT, GITHUB, begun, connect, frame
from tests.webhooks.harness import SECRET, Running, github_headers, rows, start

# Not the enemy's, who may be shut out still for what another test did.
CROWD = "127.0.0.67"
MOST_CONNECTIONS = 200
SECONDS = 6.0
MOST_MEMORY = 256 * MIB


@pytest.fixture(scope="module")
def exposed(receiver: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A receiver beside the package's, on its inbox, that trusts no proxy."""
    running = start(
        tmp_path_factory.mktemp("exposed"),
        "session",
        connections=MOST_CONNECTIONS,
        header_seconds=3,
        body_seconds=3,
    )
    yield running
    running.stop()


def test_connections_of_one_address_keep_nobody_else_out(exposed: Running) -> None:
    for url in (exposed.url, f"http://{exposed.grpc_address}"):
        with contextlib.ExitStack() as held:
            crowd = [held.enter_context(connect(url, CROWD)) for _ in range(MOST_CONNECTIONS)]
            surplus = MOST_CONNECTIONS - MOST_CONNECTIONS // SHARE_OF_CONNECTIONS
            assert wait_until(partial(are_ended, crowd, surplus), 10, pause=0.1)
            assert httpx.get(f"{exposed.url}/healthz").status_code == 200
            with grpc.insecure_channel(exposed.grpc_address) as channel:
                assert exported(channel) == grpc.StatusCode.OK


def are_ended(crowd: Sequence[socket.socket], count: int) -> bool:
    return sum(map(is_ended, crowd)) == count


def is_ended(stream: socket.socket) -> bool:
    """gRPC greets whom it takes."""
    if not select.select([stream], [], [], 0)[0]:
        return False
    try:
        return not stream.recv(1)
    except ConnectionError:
        return True


def exported(channel: grpc.Channel) -> grpc.StatusCode:
    token = (("authorization", f"Bearer {SECRET}"),)
    try:
        channel.unary_unary(EXPORT)(b"", metadata=token, timeout=30)
    except grpc.RpcError as refused:
        return refused.code()
    return grpc.StatusCode.OK


def test_who_floods_with_frames_is_not_heard_for_a_moment(exposed: Running) -> None:
    url = f"http://{exposed.grpc_address}"

    def is_shut_out() -> bool:
        with connect(url, ENEMY) as flood, contextlib.suppress(OSError):
            flood.sendall(begun() + frame(6, body=b"12345678") * 20_000)
            while flood.recv(65536):
                pass
        with connect(url, ENEMY) as again:
            try:
                return not again.recv(1)
            except ConnectionError:
                return True

    assert wait_until(is_shut_out, 20)
    with grpc.insecure_channel(exposed.grpc_address) as channel:
        assert exported(channel) == grpc.StatusCode.OK


def test_who_reads_no_answer_is_cut_off(exposed: Running) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.socket() as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        stream.bind((ENEMY, 0))
        parts = urlsplit(exposed.url)
        stream.connect((parts.hostname or "", parts.port or 0))
        with pytest.raises(ConnectionError):
            send_without_reading(stream, one * 10, seconds=30)


def send_without_reading(stream: socket.socket, requests: bytes, seconds: float) -> None:
    stream.settimeout(0.2)
    deadline, left = time.monotonic() + seconds, requests
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            left = left[stream.send(left) :] or requests


def test_all_attacks_at_once_refuse_no_good_delivery(exposed: Running, inbox_url: str) -> None:
    process = psutil.Process(exposed.process.pid)
    lines = len(exposed.lines())
    urls = (exposed.url, f"http://{exposed.grpc_address}")
    command = [sys.executable, "-m", "tests.webhooks.attacks", *urls]
    enemy = subprocess.Popen([*command, f"--seconds={SECONDS}"], cwd=PROJECT_ROOT)
    sent, statuses, codes, memory = [], [], [], [process.memory_info().rss]
    try:
        with (
            httpx.Client(base_url=exposed.url, timeout=30) as client,
            grpc.insecure_channel(exposed.grpc_address) as channel,
        ):
            while enemy.poll() is None:
                body = b'{"ref": "refs/heads/main"}'
                headers = github_headers(body)
                answer = client.post(GITHUB, content=body, headers=headers)
                sent.append(headers["X-GitHub-Delivery"])
                statuses.append(answer.status_code)
                codes.append(exported(channel))
                memory.append(process.memory_info().rss)
    finally:
        enemy.kill()
        enemy.wait()
    assert set(statuses) == {202}
    assert set(codes) == {grpc.StatusCode.OK}
    assert len(statuses) > 10
    stored = "select delivery_id from webhooks.deliveries where delivery_id = any(%s)"
    assert sorted(rows(inbox_url, stored, sent)) == sorted((each,) for each in sent)
    assert max(memory) < MOST_MEMORY
    answered = [line.get("status", 0) for line in exposed.lines()[lines:]]
    assert not [status for status in answered if status >= 500]
