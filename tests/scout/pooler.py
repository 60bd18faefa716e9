"""A pooler as Supabase's port 6543 is: TLS, and another connection for every transaction.

A connection is given back when its transaction ends, and what comes next gets the one that was
given back longest ago. Whoever relies on a session (a setting, a temporary table, a prepared
statement) does not find it again.
"""

import asyncio
import datetime
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CONNECTIONS = 7
SSL_REQUEST, CANCEL_REQUEST = 80877103, 80877102
PARAMETERS = {
    "server_version": "18.0",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pooler:
    """Poolers of several users before one server.

    Args:
        urls: libpq URL of the server by user; clients are let in by their name alone.
    """

    def __init__(self, urls: Mapping[str, str], certificate: Path) -> None:
        self._urls = urls
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self._idle: dict[str, asyncio.Queue[Stream]] = {}
        self._opened: list[psycopg.Connection] = []
        self.transactions = 0
        self.port = 0

    async def start(self) -> asyncio.Server:
        for user in self._urls:
            self._idle[user] = asyncio.Queue()
            for _ in range(CONNECTIONS):
                await self._open(user)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _open(self, user: str) -> None:
        connection = psycopg.connect(self._urls[user], autocommit=True)
        self._opened.append(connection)
        ours = socket.socket(fileno=os.dup(connection.fileno()))
        self._idle[user].put_nowait(await asyncio.open_connection(sock=ours))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError), closing(writer):
            user = await self._let_in(reader, writer)
            if user:
                await self._relay(reader, writer, user)

    async def _let_in(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str | None:
        is_encrypted = False
        while True:
            length, code = struct.unpack("!ii", await reader.readexactly(8))
            rest = await reader.readexactly(length - 8)
            if code == SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(self._tls)
                is_encrypted = True
            elif code == CANCEL_REQUEST:
                return None
            elif not is_encrypted:
                writer.write(_message(b"E", b"SFATAL\0C28000\0MTLS is required\0\0"))
                await writer.drain()
                return None
            else:
                break
        words = rest.decode().split("\0")
        user = dict(zip(words[::2], words[1::2], strict=False))["user"]
        writer.write(_message(b"R", struct.pack("!i", 0)))
        for name, value in PARAMETERS.items():
            writer.write(_message(b"S", f"{name}\0{value}\0".encode()))
        writer.write(_message(b"K", struct.pack("!ii", 1, 1)) + _message(b"Z", b"I"))
        return user

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        user: str,
    ) -> None:
        idle = self._idle[user]
        back: asyncio.Task[None] | None = None
        server: Stream | None = None
        try:
            while True:
                kind, message = await _read(reader)
                if kind == b"X":
                    return
                if server is None or (back is not None and back.done()):
                    server = await idle.get()
                    back = asyncio.create_task(self._answer(server, writer, idle))
                server[1].write(message)
                await server[1].drain()
        finally:
            if back is not None and not back.done():
                # The client left in the middle of a transaction, which ends with its connection.
                back.cancel()
                if server is not None:
                    server[1].close()
                await self._open(user)

    async def _answer(
        self, server: Stream, client: asyncio.StreamWriter, idle: "asyncio.Queue[Stream]"
    ) -> None:
        while True:
            kind, message = await _read(server[0])
            if kind == b"Z" and message[-1:] == b"I":
                self.transactions += 1
                idle.put_nowait(server)
                client.write(message)
                return
            client.write(message)
            await client.drain()

    def close(self) -> None:
        for each in self._opened:
            each.close()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!i", head[1:])
    return head[:1], head + await reader.readexactly(length - 4)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


@contextmanager
def pooling(urls: Mapping[str, str], folder: Path) -> Iterator[Pooler]:
    """A pooler in a thread of its own, with a certificate that nobody has signed."""
    pooler = Pooler(urls, _certificate(folder / "pooler.pem"))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(pooler.start(), loop).result(30)
    try:
        yield pooler
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        pooler.close()


def _certificate(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pooler.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
