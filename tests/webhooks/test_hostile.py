"""What an enemy sends gets the right 4xx, in bounded memory, and leaves nothing behind."""

import contextlib
import gzip
import json
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flows._shared.inbox import FORM
from flows._shared.json_keys import has_each_once
from flows.webhooks.bodies import BodyError, decompress, examine
from flows.webhooks.in_flight import InFlight, RefusedError
from flows.webhooks.limits import sharer
from flows.webhooks.settings import MIB
from flows.webhooks.sources import AGENT_ANALYTICS, PROTOBUF
from flows.webhooks.sources import GITHUB as SENDER
from tests.heavy import BODIES, measured
from tests.webhooks.attacks import gzip_bomb
from tests.webhooks.harness import (
    SECRET,
    Running,
    deliveries,
    github_headers,
    hub_signature,
    own_headers,
    rows,
    set_secrets,
    standard_headers,
    token_headers,
)

BODY = b'{"ref": "refs/heads/main"}'
GITHUB = "/webhook/github"
SCOUT = "/webhook/scout-transactions"
LONGEST = 25 * MIB
# What Python and its allocator keep after a burst of large bodies; far below the burst itself.
KEPT_BYTES = 200 * MIB
MOST_MEBIBYTES = 220
HEADERS: dict[str, Callable[[bytes], dict[str, str]]] = {
    GITHUB: github_headers,
    SCOUT: own_headers,
    "/webhook/scout-refresh": own_headers,
    "/v1/logs": lambda _: token_headers(),
    "/v1/commits": lambda _: token_headers(),
}


@pytest.fixture(scope="module")
def client(receiver: Running) -> httpx.Client:
    return httpx.Client(base_url=receiver.url, timeout=60)


@pytest.fixture
def nothing_stored(inbox_url: str) -> Iterator[None]:
    before = deliveries(inbox_url)
    yield
    assert deliveries(inbox_url) == before


def talk(url: str, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send raw bytes and read the answer until the receiver says no more."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as stream:
        answer = b""
        with contextlib.suppress(OSError):
            for piece in pieces:
                stream.sendall(piece)
                time.sleep(pause)
        with contextlib.suppress(OSError):
            while chunk := stream.recv(65536):
                answer += chunk
                stream.settimeout(0.1)
        return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        "sha256=" + "0" * 63,
        hub_signature(BODY)[:-1],
        hub_signature(BODY) + "0",
        hub_signature(BODY).removeprefix("sha256="),
        hub_signature(BODY).upper(),
        hub_signature(BODY, "another secret"),
        hub_signature(BODY + b" "),
        "sha1=" + "0" * 40,
        "sha256=" + "é" * 64,
        "sha256=" + "٣" * 64,
        "sha256=" + "zz" * 32,
    ],
)
def test_a_signature_that_is_not_right_gets_401(
    client: httpx.Client, nothing_stored: None, signature: str | None
) -> None:
    headers = [
        (name.encode(), value.encode())
        for name, value in github_headers(BODY).items()
        if name != "X-Hub-Signature-256"
    ]
    if signature is not None:
        headers.append((b"X-Hub-Signature-256", signature.encode()))
    answer = client.post(GITHUB, content=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": "The signature is missing or not right"}


def test_a_sha1_signature_alone_gets_401(client: httpx.Client, nothing_stored: None) -> None:
    headers = github_headers(BODY)
    del headers["X-Hub-Signature-256"]
    headers["X-Hub-Signature"] = "sha1=" + "a" * 40
    answer = client.post(GITHUB, content=BODY, headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize("change", ["old", "future", "other id", "other body", "no number", "none"])
def test_a_standard_webhook_that_is_replayed_or_changed_gets_401(
    client: httpx.Client, nothing_stored: None, change: str
) -> None:
    seconds = {"old": -301, "future": 301}.get(change, 0)
    headers = standard_headers(BODY, "msg_1", time.time() + seconds)
    changed: dict[str, dict[str, str]] = {
        "other id": {"webhook-id": "msg_2"},
        "no number": {"webhook-timestamp": "soon"},
        "none": {"webhook-signature": "v1a,x v2,y"},
    }
    body = BODY + b" " if change == "other body" else BODY
    answer = client.post(SCOUT, content=body, headers=headers | changed.get(change, {}))
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"X-GitHub-Event": ""}, 400),
        ({"X-GitHub-Event": "a b"}, 400),
        ({"X-GitHub-Event": "x" * 65}, 400),
        ({"X-GitHub-Delivery": ""}, 400),
        ({"X-GitHub-Delivery": "72d3162e"}, 400),
        ({"X-GitHub-Delivery": str(uuid.uuid4()) + "\u00e9"}, 400),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Type": FORM}, 400),
    ],
)
def test_headers_that_do_not_fit_get_their_4xx(
    client: httpx.Client, nothing_stored: None, changes: dict[str, str], status: int
) -> None:
    headers = {
        name.encode(): value.encode() for name, value in (github_headers(BODY) | changes).items()
    }
    assert client.post(GITHUB, content=BODY, headers=headers).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b'"text"',
        b'{"a": 1} x',
        b"{'a': 1}",
        b'{"a": NaN}',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"\x00",
        b'{"a": "\x00"}',
        b'{"a": "\xff"}',
        b"[" * 101 + b"]" * 101,
        b"[" * 1_000_000,
        b'{"a":' * 500_000 + b"1" + b"}" * 500_000,
        b'["]",' * 101 + b"1" + b',"["]' * 101,
        b'{"}":' * 300 + b"1" + b',"{":0}' * 300,
        b"[" + b"9" * 1_000_000 + b"]",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_json_gets_400_that_quotes_nothing(
    client: httpx.Client, nothing_stored: None, body: bytes
) -> None:
    answer = client.post(GITHUB, content=body, headers=github_headers(body))
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        (GITHUB, b'{"ref": "a", "ref" : "b"}', "/ref"),
        (GITHUB, b'{"a": [{"b": {"c": 1, "\\u0063": 2}}]}', "/a/0/b/c"),
        (GITHUB, b'{"a": "\\":", "b": {"a~\\n": 1, "a~\\n": 1}}', "/b/a~0\\n"),
        ("/webhook/scout-refresh", b'{"layer": "gold", "layer": "all"}', "/layer"),
        (SCOUT, b'{"amount": 1, "amount": 2}', "/amount"),
        (SCOUT, b'{"data": [{"amount": 1}], "data": [{"amount": 2}]}', "/data"),
        ("/v1/logs", b'{"resourceLogs": [], "resourceLogs": []}', "/resourceLogs"),
        ("/v1/commits", b'{"commits": [], "commits": []}', "/commits"),
    ],
)  # fmt: skip
def test_a_body_with_a_key_twice_gets_400_that_says_where(
    client: httpx.Client, nothing_stored: None, path: str, body: bytes, place: str
) -> None:
    answer = client.post(path, content=body, headers=HEADERS[path](body))
    assert answer.status_code == 400
    told = answer.json()
    assert f"has {place} twice" in told.get("error", told.get("message"))


def spelled(text: str, escaped: int) -> str:
    """JSON of a text, every ``escaped``-th letter of it by its number."""
    letters = (
        f"\\u{ord(letter):04x}" if number % escaped == 0 else json.dumps(letter)[1:-1]
        for number, letter in enumerate(text, start=1)
    )
    return f'"{"".join(letters)}"'


LETTERS = st.builds(
    spelled, st.text(st.sampled_from('ab"\\/\n[]{}:, é'), max_size=4), st.integers(1, 5)
)
SPACES = st.sampled_from(["", "", " ", "\n\t"])
SPELLED_VALUES: st.SearchStrategy[str] = st.recursive(
    LETTERS | st.sampled_from(["1", "-2.5e3", "null", "123456789012345678901"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]")
        | st.lists(st.tuples(LETTERS, SPACES, inner), max_size=4).map(
            lambda each: f"{{{','.join(f'{key}{space}:{of}' for key, space, of in each)}}}"
        )
    ),
)


@given(value=SPELLED_VALUES)
@example(value=r'{"a": "\u0022\u0022", "b": 1, "b": 2}')
def test_a_body_is_refused_for_a_key_exactly_where_one_is_there_twice(value: str) -> None:
    text = f'{{"of": {value}}}'.encode()
    (endpoint,) = SENDER.endpoints
    if has_each_once(text):
        assert examine(endpoint, {}, "application/json", text).payload is not None
    else:
        with pytest.raises(BodyError, match="twice"):
            examine(endpoint, {}, "application/json", text)


def test_a_row_with_a_key_twice_is_left_to_its_reader_and_so_are_those_beside_it(
    client: httpx.Client, inbox_url: str
) -> None:
    body = b'{"data": [{"amount": 1, "amount": 2}, {"amount": 3}]}'
    answer = client.post(SCOUT, content=body, headers=own_headers(body))
    assert answer.status_code == 202
    ((kept, payload),) = rows(
        inbox_url, "select body, payload from webhooks.deliveries order by id desc limit 1"
    )
    assert (bytes(kept), payload) == (body, None)


def test_keys_that_only_a_nul_tells_apart_are_both_kept(
    client: httpx.Client, inbox_url: str
) -> None:
    body = '{"a\\u0000": 1, "a\ufffd": 2}'.encode()
    assert client.post(GITHUB, content=body, headers=github_headers(body)).status_code == 202
    ((kept, payload),) = rows(
        inbox_url, "select body, payload from webhooks.deliveries order by id desc limit 1"
    )
    assert (bytes(kept), payload) == (body, None)


def test_an_escaped_nul_is_stored_byte_exact_and_its_json_without_it(
    client: httpx.Client, inbox_url: str
) -> None:
    body = b'{"a\\u0000": "x\\\\u0000 \\u0000y", "repository": {"full_name": "o/\\u0000"}}'
    headers = github_headers(body)
    assert client.post(GITHUB, content=body, headers=headers).status_code == 202
    query = "select body, payload from webhooks.deliveries where delivery_id = %s"
    ((kept, payload),) = rows(inbox_url, query, headers["X-GitHub-Delivery"])
    assert kept == body
    assert payload == {
        "a\ufffd": "x\\u0000 \ufffdy",
        "repository": {"full_name": "o/\ufffd"},
    }


def test_a_body_a_byte_too_long_gets_413_whether_it_says_so_or_not(
    client: httpx.Client, receiver: Running, nothing_stored: None
) -> None:
    process = psutil.Process(receiver.process.pid)
    before = process.memory_info().rss
    body = b'["' + b"x" * (LONGEST - 3) + b'"]'
    assert len(body) == LONGEST + 1
    headers = github_headers(body)

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), MIB):
            yield body[start : start + MIB]

    def post(number: int) -> int:
        content = body if number % 2 else chunks()
        return client.post(GITHUB, content=content, headers=headers).status_code

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(post, range(6))) == [413] * 6
    assert process.memory_info().rss - before < KEPT_BYTES


def test_a_body_of_the_longest_length_is_taken(client: httpx.Client, inbox_url: str) -> None:
    body = b'["' + b"x" * (LONGEST - 4) + b'"]'
    headers = github_headers(body)
    assert client.post(GITHUB, content=body, headers=headers).status_code == 202
    query = "select length(body) from webhooks.deliveries where delivery_id = %s"
    assert rows(inbox_url, query, headers["X-GitHub-Delivery"]) == [(LONGEST,)]


def test_a_gzip_bomb_gets_413_in_bounded_memory(
    client: httpx.Client, receiver: Running, nothing_stored: None
) -> None:
    before = psutil.Process(receiver.process.pid).memory_info().rss
    bomb = gzip_bomb(300)
    headers = token_headers(**{"Content-Encoding": "gzip"})
    for _ in range(3):
        assert client.post("/v1/metrics", content=bomb, headers=headers).status_code == 413
    assert psutil.Process(receiver.process.pid).memory_info().rss - before < KEPT_BYTES
    whole = gzip.compress(b'{"resourceMetrics": []}')
    for wrong in (whole[:-1], whole + b"x", b"no gzip"):
        assert client.post("/v1/metrics", content=wrong, headers=headers).status_code == 400


def test_slow_senders_are_cut_off_with_408(receiver: Running, nothing_stored: None) -> None:
    head = f"POST {GITHUB} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    for name, value in github_headers(BODY).items():
        head += f"{name}: {value}\r\n".encode() if name != "Content-Type" else b""
    slow_body = head + b"Content-Length: 1000\r\n\r\n"
    elsewhere = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        slow = [
            pool.submit(talk, receiver.url, *[bytes([each]) for each in head[:8]], pause=0.7),
            pool.submit(talk, receiver.url, slow_body, *[b" "] * 8, pause=0.7),
            pool.submit(talk, receiver.url),
            pool.submit(talk, receiver.url, elsewhere, *[b" "] * 8, pause=0.7),
        ]
        statuses = [status_of(each.result()) for each in slow]
    assert statuses == [408, 408, 0, 404]
    assert time.monotonic() - began < 25


def test_floods_of_headers_get_431_and_broken_requests_400(
    receiver: Running, nothing_stored: None
) -> None:
    start = f"POST {GITHUB} HTTP/1.1\r\nHost: x\r\n".encode()
    many = start + b"".join(b"a%d: b\r\n" % number for number in range(101)) + b"\r\n"
    long = start + b"a: " + b"b" * 40_000 + b"\r\n\r\n"
    assert status_of(talk(receiver.url, many)) == 431
    assert status_of(talk(receiver.url, long)) == 431
    assert status_of(talk(receiver.url, start + b"a: ", *[b"b" * 20_000] * 50)) == 431
    assert status_of(talk(receiver.url, b"GET /" + b"a" * 40_000)) == 431
    for broken in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        start + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        start + b"Content-Length: -1\r\n\r\n",
        start + b"X-A: \x00\r\n\r\n",
        start + b" folded: a\r\n\r\n",
        start + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST * HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        assert status_of(talk(receiver.url, broken)) in (400, 404)


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"0\r\n", b"a: " + b"b" * 1000 + b"\r\n"),
        (b"1\r\n{\r\n0\r\n", b"x-hub-signature-256: " + b"b" * 1000 + b"\r\n"),
        (b"1;" + b"a" * 1000, b"b" * 1000),
        (b"", b"1;" + b"a" * 1000 + b"\r\n{\r\n"),
    ],
    ids=["trailers", "trailers after content", "one endless extension", "extensions"],
)
def test_what_comes_with_chunks_is_bounded(
    receiver: Running, nothing_stored: None, begin: bytes, more: bytes
) -> None:
    head = f"POST {GITHUB} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".encode()
    for name, value in github_headers(BODY).items():
        head += f"{name}: {value}\r\n".encode()
    before = psutil.Process(receiver.process.pid).memory_info().rss
    answer = talk(receiver.url, head + b"\r\n" + begin, *[more * 100] * 300)
    assert status_of(answer) in (0, 400, 431)
    assert psutil.Process(receiver.process.pid).memory_info().rss - before < 8 * MIB


def test_a_byte_a_chunk_is_refused_before_it_is_much_work(
    receiver: Running, nothing_stored: None
) -> None:
    head = f"POST {GITHUB} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".encode()
    for name, value in github_headers(BODY).items():
        head += f"{name}: {value}\r\n".encode()
    assert status_of(talk(receiver.url, head + b"\r\n" + b"1\r\n{\r\n" * 2_500)) == 431


def test_a_body_in_small_chunks_is_whole(client: httpx.Client, inbox_url: str) -> None:
    body = json.dumps({"ref": "x" * 50_000}).encode()
    pieces = (body[at : at + 50] for at in range(0, len(body), 50))
    headers = github_headers(body)
    assert client.post(GITHUB, content=pieces, headers=headers).status_code == 202


def test_a_trailer_is_no_header(receiver: Running, nothing_stored: None) -> None:
    head = f"POST {GITHUB} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".encode()
    signed = github_headers(BODY)
    signature = signed.pop("X-Hub-Signature-256")
    for name, value in signed.items():
        head += f"{name}: {value}\r\n".encode()
    body = b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n"
    trailer = f"X-Hub-Signature-256: {signature}\r\n\r\n".encode()
    assert status_of(talk(receiver.url, head + b"\r\n" + body + trailer)) == 401


@pytest.mark.parametrize("length", ["0" * 5000 + "7", "9" * 5000, "0" * 20 + "9" * 30])
def test_a_length_of_thousands_of_digits_is_told_as_what_it_is(
    receiver: Running, nothing_stored: None, length: str
) -> None:
    head = f"POST {SCOUT} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n".encode()
    for name, value in token_headers().items():
        head += f"{name}: {value}\r\n".encode()
    assert 400 <= status_of(talk(receiver.url, head + b"\r\n{}")) < 500


def test_a_client_that_offers_http_2_is_heard(receiver: Running) -> None:
    for offer in (
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n",
        "upgrade: websocket\r\nconnection: upgrade\r\n",
    ):
        body = json.dumps({"ref": "refs/heads/main"}).encode()
        head = f"POST {GITHUB} HTTP/1.1\r\nHost: x\r\n{offer}Content-Length: {len(body)}\r\n"
        for name, value in github_headers(body).items():
            head += f"{name}: {value}\r\n"
        sent = head.encode() + b"\r\n" + body
        assert status_of(talk(receiver.url, sent)) == 202
        for cut in range(1, 8):
            at = sent.lower().index(b"\r\nupgrade:") + cut
            assert status_of(talk(receiver.url, sent[:at], sent[at:], pause=0.02)) == 202


def test_text_of_a_body_is_no_offer_wherever_it_is_cut(
    receiver: Running, nothing_stored: None
) -> None:
    body = b'{"ref":\nupgrade: h2c\r\n\r\n}'
    head = f"POST {GITHUB} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    for name, value in github_headers(body).items():
        head += f"{name}: {value}\r\n"
    sent = head.encode() + b"\r\n" + body
    for cut in range(len(head), len(head) + 14):
        answer = talk(receiver.url, sent[:cut], sent[cut:], pause=0.02)
        assert b"not valid JSON" in answer, "the signature was that of other bytes"


def test_an_offer_behind_another_request_blames_no_signature(
    receiver: Running, nothing_stored: None
) -> None:
    first = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"POST {GITHUB} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    for name, value in github_headers(BODY).items():
        head += f"{name}: {value}\r\n"
    answer = talk(receiver.url, f"{first}{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
    assert set(re.findall(rb"HTTP/1.1 (\d+) ", answer)) <= {b"200"}


@pytest.mark.parametrize(
    ("head", "statuses"),
    [
        ("POST {} HTTP/1.1\r\n", (400,)),
        ("POST {} HTTP/1.1\r\nHost: x\r\nHost: y\r\n", (400,)),
        ("POST {} HTTP/1.1\r\nHost: x, y\r\n", (400,)),
        ("POST {} HTTP/1.1\r\nHost: [::1]:8090 \r\n", (202,)),
        ("POST {} HTTP/1.0\r\n", (202,)),
        ("POST http://elsewhere.example{} HTTP/1.1\r\nHost: x\r\n", (202,)),
        ("POST {} HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=00\r\n", (400,)),
        ("POST {} HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: ping\r\n", (400,)),
        ("POST {} HTTP/1.1\nHost: x\n", (400,)),
        ("POST /webhook/./github HTTP/1.1\r\nHost: x\r\n", (404,)),
        ("POST /webhook//github HTTP/1.1\r\nHost: x\r\n", (404,)),
        ("POST {}%00 HTTP/1.1\r\nHost: x\r\n", (404,)),
        ("CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: x\r\n", (400,)),
        ("POST {} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n", (100, 202)),
    ],
)
def test_the_forms_of_a_request_are_taken_or_refused_as_the_protocol_says(
    receiver: Running, head: str, statuses: tuple[int, ...]
) -> None:
    text = head.format(GITHUB)
    end = "\r\n" if "\r\n" in text else "\n"
    for name, value in github_headers(BODY).items():
        text += f"{name}: {value}{end}"
    answer = talk(receiver.url, f"{text}Content-Length: {len(BODY)}{end}{end}".encode() + BODY)
    assert tuple(map(int, re.findall(rb"HTTP/1.1 (\d+) ", answer))) == statuses


def test_an_answer_comes_in_one_piece(receiver: Running) -> None:
    host, _, port = urlsplit(receiver.url).netloc.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        for _ in range(50):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(4096).endswith(b"alive\n")


def test_a_client_that_sends_no_more_gets_its_answer(receiver: Running) -> None:
    host, _, port = urlsplit(receiver.url).netloc.partition(":")
    refused = f"POST {GITHUB} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n"
    for request in ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", refused) * 20:
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(request.encode())
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(4096).startswith(b"HTTP/1.1 ")


def test_requests_that_do_not_wait_for_answers_are_bounded(receiver: Running) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert talk(receiver.url, one * 10).count(b"alive") == 10
    assert talk(receiver.url, one * 5_000).count(b"alive") <= 20
    assert httpx.get(f"{receiver.url}/healthz").status_code == 200


def test_who_shares_a_quota() -> None:
    assert sharer("192.0.2.1") == sharer("::ffff:192.0.2.1") == "192.0.2.1"
    assert sharer("2001:db8::1") == sharer("2001:db8::ffff:1%eth0") == "2001:db8::/64"
    assert sharer("2001:db8:0:1::1") != sharer("2001:db8::1")
    assert sharer("") == ""
    assert sharer("testclient") == "testclient"


def test_json_of_more_values_than_memory_holds_gets_413(
    client: httpx.Client, receiver: Running, nothing_stored: None
) -> None:
    before = psutil.Process(receiver.process.pid).memory_info().rss
    for many in (b"[" + b"[]," * 8_000_000 + b"[]]", b"[" + b"1," * 12_000_000 + b"1]"):
        answer = client.post(GITHUB, content=many, headers=github_headers(many))
        assert (answer.status_code, "values" in answer.text) == (413, True)
    rows_ = b"[" + b'{"a":1,"a":1},' * 390_000 + b"{}]"
    for path, many in ((GITHUB, rows_), (SCOUT, b'{"a": 1, "rows": ' + rows_ + b', "a": 1}')):
        answer = client.post(path, content=many, headers=HEADERS[path](many))
        assert (answer.status_code, "twice" in answer.text) == (400, True)
    headers = token_headers(**{"Content-Type": PROTOBUF, "Content-Encoding": "gzip"})
    for small in ("protobuf_scopes", "protobuf_records"):
        many = gzip.compress(BODIES[small]() * 4)
        answer = client.post("/v1/logs", content=many, headers=headers)
        assert (answer.status_code, b"smaller batches" in answer.content) == (413, True)
    assert psutil.Process(receiver.process.pid).memory_info().rss - before < KEPT_BYTES


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/logs", "batch", "all of it"),
        ("/v1/logs", "unfit_records", "Put aside of the first 20,000, at least: 19998 with"),
        ("/v1/logs", "more_unfit_records", "413 The body has more than 1,200,000 values"),
        ("/v1/logs", "records_twice", "Put aside of the first 20,000, at least: 19998 with"),
        ("/v1/logs", "keys", "413 The body has more than 50,000 keys: send smaller batches"),
        ("/v1/logs", "protobuf_records", "Put aside of the first 20,000, at least: 20000 with"),
        (GITHUB, "keys_once_twice", "413 The body has more than 50,000 keys"),
        (GITHUB, "keys_in_keys", "413 The body has more than 50,000 keys"),
        (GITHUB, "texts", "400 An object of the JSON has /a twice"),
    ],
)
def test_examining_a_body_takes_bounded_memory(path: str, body: str, said: str) -> None:
    told, mebibytes = measured(path, body)
    assert told.startswith(said)
    assert mebibytes < MOST_MEBIBYTES


def test_what_is_told_to_be_put_aside_is_of_what_was_looked_at() -> None:
    endpoint = next(each for each in AGENT_ANALYTICS.endpoints if each.path == "/v1/logs")
    record = b'{"timeUnixNano":"x"},'
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s{}]}]}]}' % (record * 30_000)
    told = examine(endpoint, {}, "application/json", body).partial
    assert told
    assert told.rejected == 20_000
    assert "of the first 20,000, at least" in told.message


def test_a_gzip_of_many_members_costs_no_time(client: httpx.Client, nothing_stored: None) -> None:
    headers = token_headers(**{"Content-Encoding": "gzip"})
    many = gzip.compress(b"") * 100_000
    began = time.monotonic()
    answer = client.post("/v1/metrics", content=many, headers=headers)
    assert answer.status_code == 400
    assert "members" in answer.text
    assert time.monotonic() - began < 3
    halves = gzip.compress(b'{"resource') + gzip.compress(b'Metrics": []}')
    assert decompress(halves, 100) == b'{"resourceMetrics": []}'
    assert decompress(gzip.compress(b"a" * 300_000) * 3, MIB) == b"a" * 900_000


def test_large_bodies_of_one_address_keep_nobody_else_out() -> None:
    held = InFlight(limit=100 * MIB)
    for _ in range(2):
        held.add("192.0.2.1", 25 * MIB, 0)
    with pytest.raises(RefusedError) as too_much:
        held.add("192.0.2.1", 1, 0)
    assert too_much.value.status == 429
    held.add("192.0.2.2", 25 * MIB, 0)
    with pytest.raises(RefusedError) as full:
        held.add("192.0.2.3", 2 * MIB, 0)
    assert full.value.status == 503
    held.add("192.0.2.3", MIB, 0)
    with pytest.raises(RefusedError):
        held.add("192.0.2.3", 1, MIB)
    held.release("192.0.2.1", 50 * MIB)
    held.add("192.0.2.3", 25 * MIB, MIB)
    assert held.by_address == {"192.0.2.2": 25 * MIB, "192.0.2.3": 26 * MIB}


def test_a_client_that_asks_for_too_much_gets_429_and_others_do_not(
    client: httpx.Client,
) -> None:
    def post(address: str) -> httpx.Response:
        headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
        return client.post("/webhook/limited", content=b"{}", headers=headers)

    from_one = [post("192.0.2.1") for _ in range(5)]
    assert [answer.status_code for answer in from_one[:3]] == [202] * 3
    assert from_one[4].status_code == 429
    assert int(from_one[4].headers["retry-after"]) in (1, 2)
    assert post("192.0.2.2").status_code == 202


def test_an_address_outside_the_allow_list_gets_403_however_it_forges_its_way(
    client: httpx.Client, nothing_stored: None
) -> None:
    headers = own_headers(b"{}")
    for forged in ("203.0.113.9", "127.0.0.1, 203.0.113.9", "127.0.0.1, 203.0.113.9, 127.0.0.2"):
        forwarded = headers | {"X-Forwarded-For": forged}
        assert client.post("/webhook/shop", content=b"{}", headers=forwarded).status_code == 403


def test_unknown_paths_and_methods_are_refused(client: httpx.Client, nothing_stored: None) -> None:
    assert client.post("/webhook/none", content=b"{}").status_code == 404
    assert client.get(GITHUB).status_code == 405
    assert client.request("TRACE", "/").status_code == 404
    slash = client.post(f"{GITHUB}/", content=BODY, headers={"Host": "elsewhere.example"})
    assert (slash.status_code, slash.headers.get("location")) == (404, None)


def test_a_secret_that_is_rotated_out_is_refused_within_seconds(
    client: httpx.Client, receiver: Running
) -> None:
    def status(secret: str) -> int:
        headers = own_headers(BODY, secret)
        path = "/webhook/quality-compass-run-finished"
        return client.post(path, content=BODY, headers=headers).status_code

    def wait_for(secret: str, expected: int) -> None:
        deadline = time.monotonic() + 30
        while status(secret) != expected and time.monotonic() < deadline:
            time.sleep(0.2)
        assert status(secret) == expected

    new = "the newest secret"
    assert (status(SECRET), status(new)) == (202, 401)
    set_secrets("session", "quality_compass", [new, SECRET])
    wait_for(new, 202)
    assert status(SECRET) == 202
    set_secrets("session", "quality_compass", [new])
    wait_for(SECRET, 401)
    assert status(new) == 202
    set_secrets("session", "quality_compass", [SECRET])
    wait_for(SECRET, 202)


PATHS = st.sampled_from(
    [
        GITHUB,
        SCOUT,
        "/webhook/scout-refresh",
        "/webhook/quality-compass-run-finished",
        "/webhook/shop",
        "/v1/metrics",
        "/v1/logs",
        "/v1/otel",
        "/v1/commits",
        "/healthz",
        "/%00",
        "//",
    ]
)
JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())
OTLP_LIKE = st.dictionaries(
    st.sampled_from(["resourceMetrics", "resourceLogs", "layer"]),
    st.none() | st.lists(st.integers(), max_size=2) | st.text(max_size=5),
).map(lambda value: json.dumps(value).encode())
VALUES = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=40).map(
    lambda text: text.replace("\r", "").replace("\n", "").encode("latin-1")
)


@given(
    method=st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS", "HEAD"]),
    path=PATHS,
    body=st.binary(max_size=200) | JSON_LIKE | OTLP_LIKE,
    media_type=st.sampled_from(
        ["application/json", "application/x-protobuf", FORM, "text/plain", "application/json;a"]
    ),
    encoding=st.sampled_from(["", "", "gzip", "identity", "deflate"]),
    is_signed=st.booleans(),
    others=st.dictionaries(
        st.sampled_from(
            ["X-GitHub-Event", "X-GitHub-Delivery", "Idempotency-Key", "X-Request-ID", "webhook-id",
             "webhook-signature", "webhook-timestamp", "X-Forwarded-For", "X-Batch-Id", "Expect"]
        ),
        VALUES,
        max_size=4,
    ),
)  # fmt: skip
@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_nothing_that_is_sent_makes_the_receiver_fail(
    client: httpx.Client,
    receiver: Running,
    method: str,
    path: str,
    body: bytes,
    media_type: str,
    encoding: str,
    is_signed: bool,
    others: dict[str, bytes],
) -> None:
    sent = gzip.compress(body) if encoding == "gzip" else body
    headers: dict[bytes, bytes] = {b"Content-Type": media_type.encode()}
    if encoding:
        headers[b"Content-Encoding"] = encoding.encode()
    if is_signed:
        headers |= {
            name.encode(): value.encode()
            for name, value in (github_headers(sent) | token_headers()).items()
            if name != "Content-Type"
        }
        headers[b"X-Signature-256"] = hub_signature(sent).encode()
    try:
        headers |= {name.encode(): value for name, value in others.items()}
        answer = client.request(method, path, content=sent, headers=headers)
    except (httpx.LocalProtocolError, httpx.RemoteProtocolError):
        # The client, or the parser, refuses such a header before there is a request.
        return
    assert answer.status_code < 500
    assert receiver.process.poll() is None
