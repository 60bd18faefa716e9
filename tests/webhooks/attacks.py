"""What anybody may send who has no secret, again and again, from one address of its own.

python -m tests.webhooks.attacks http://127.0.0.1:8090 --seconds 10 [--only endless_trailers]
"""

import argparse
import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from flows.webhooks.settings import MIB
from tests.webhooks.harness import github_headers, hub_signature, token_headers

GITHUB = "/webhook/github"
ENEMY = "127.0.0.66"
UNKNOWN = "a secret that nobody knows"


def connect(url: str, address: str) -> socket.socket:
    parts = urlsplit(url)
    to = (parts.hostname or "", parts.port or 0)
    return socket.create_connection(to, timeout=10, source_address=(address, 0))


def head(path: str, headers: dict[str, str], *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in headers.items()), *more]
    return "\r\n".join([*lines, "", ""]).encode()


def unsigned() -> dict[str, str]:
    return github_headers(b"{}") | {"X-Hub-Signature-256": hub_signature(b"{}", UNKNOWN)}


def endless_trailers() -> Iterator[bytes]:
    yield head(GITHUB, unsigned(), "Transfer-Encoding: chunked") + b"0\r\n"
    while True:
        yield (b"a: " + b"b" * 1000 + b"\r\n") * 60


def endless_extensions() -> Iterator[bytes]:
    yield head(GITHUB, unsigned(), "Transfer-Encoding: chunked") + b"1"
    while True:
        yield b";" + b"a" * 60_000


def tiny_chunks(size: int = 1) -> Iterator[bytes]:
    yield head(GITHUB, unsigned(), "Transfer-Encoding: chunked")
    chunk = b"%x\r\n" % size + b" " * size + b"\r\n"
    while True:
        yield chunk * 6_000


def small_chunks() -> Iterator[bytes]:
    yield from tiny_chunks(6)


def a_held_body() -> Iterator[bytes]:
    yield head(GITHUB, unsigned(), f"Content-Length: {25 * MIB}")
    for _ in range(24):
        yield b" " * MIB
    while True:
        time.sleep(0.5)
        yield b" "


def a_whole_body_of_another_signature() -> Iterator[bytes]:
    yield head(GITHUB, unsigned(), f"Content-Length: {25 * MIB}") + b" " * (25 * MIB)


def empty_members() -> Iterator[bytes]:
    headers = token_headers(UNKNOWN, **{"Content-Encoding": "gzip"})
    many = gzip.compress(b"") * 100_000
    yield head("/v1/metrics", headers, f"Content-Length: {len(many)}") + many


def a_length_of_zeros() -> Iterator[bytes]:
    yield head(GITHUB, unsigned(), f"Content-Length: {'0' * 5000}2") + b"{}"


def an_offer() -> Iterator[bytes]:
    offer = ("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 3")
    yield head(GITHUB, unsigned(), *offer) + b"{ }"


def slow_headers() -> Iterator[bytes]:
    for letter in head(GITHUB, unsigned()):
        time.sleep(0.1)
        yield bytes([letter])


def requests_ahead() -> Iterator[bytes]:
    while True:
        yield b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000


ATTACKS: list[tuple[Callable[[], Iterator[bytes]], int]] = [
    (endless_trailers, 2),
    (endless_extensions, 2),
    (tiny_chunks, 1),
    (small_chunks, 1),
    (a_held_body, 6),
    (a_whole_body_of_another_signature, 1),
    (empty_members, 1),
    (a_length_of_zeros, 1),
    (an_offer, 1),
    (slow_headers, 4),
    (requests_ahead, 1),
]


def attack(url: str, pieces: Callable[[], Iterator[bytes]], is_over: threading.Event) -> None:
    """Try it again and again; what is answered or cut off does not matter here."""
    while not is_over.is_set():
        with contextlib.suppress(OSError), connect(url, ENEMY) as stream:
            for piece in pieces():
                if is_over.is_set():
                    return
                stream.sendall(piece)
            stream.recv(65536)
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only", help="name of one attack")
    options = parser.parse_args()
    is_over = threading.Event()
    enemies = [
        threading.Thread(target=attack, args=(options.url, pieces, is_over))
        for pieces, count in ATTACKS
        if options.only in (None, pieces.__name__)
        for _ in range(count)
    ]
    for each in enemies:
        each.start()
    is_over.wait(options.seconds)
    is_over.set()
    for each in enemies:
        each.join()


if __name__ == "__main__":
    main()
