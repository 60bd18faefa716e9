"""Takes connections for a server that knows no share of an address, and passes their bytes on.

The server behind listens on a socket in a folder of its own. The name of each connection to it says
whose it is.
"""

import asyncio
import socket
import tempfile
import time
from asyncio import TimerHandle, Transport
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network
from itertools import count
from pathlib import Path
from typing import cast

from flows.webhooks.limits import RateLimit, is_within, sharer

CLOSE_SECONDS = 5.0
BACKLOG = 2048
# Frames of HTTP/2 that carry little, of one address: pings, settings, resets, empty ones. A call
# needs six or so; each is work for the server behind, which answers some whoever asks. One that
# begins a call is as much work as many others.
FRAMES_PER_SECOND = 5_000.0
FRAMES_AT_ONCE = 10_000
FRAMES_OF_HEADERS = 5
# Who sends more is not heard for so long: also a connection that is ended is work.
SHUT_OUT_SECONDS = 1.0
PREFACE_BYTES = 24
HEAD_BYTES = 9
DATA, HEADERS = 0, 1
LITTLE_BYTES = 1024
Client = tuple[str, int]


class Relay:
    """Listens, and connects what it takes with the server behind.

    Args:
        connections: most of them at a time; more are ended.
        address_connections: most of one address, but for those of trusted proxies.
        unread_seconds: how long who does not read its answers stays connected.
    """

    def __init__(
        self,
        connections: int,
        address_connections: int,
        trusted_proxies: Sequence[IPv4Network | IPv6Network],
        unread_seconds: float,
    ) -> None:
        self._connections = connections
        self._address_connections = address_connections
        self._trusted_proxies = trusted_proxies
        self.unread_seconds = unread_seconds
        self._by_address: Counter[str] = Counter()
        self._frames = RateLimit(FRAMES_PER_SECOND, FRAMES_AT_ONCE)
        self._clients: dict[str, Client] = {}
        self._names = count()
        self._server: asyncio.Server | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="receiver-")
        self.behind = str(Path(self._folder.name, "server"))

    async def start(self, host: str, port: int) -> None:
        """Listen; ``OSError`` where the address cannot be taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Front(self), host, port, backlog=BACKLOG)

    def close(self) -> None:
        """Take no more; what is connected ends with the server behind."""
        if self._server:
            self._server.close()

    def remove(self) -> None:
        """Called when the server behind has ended."""
        self._folder.cleanup()

    def client_of(self, name: str) -> Client | None:
        """Address and port of the client that a connection to the server behind is of."""
        return self._clients.get(name)

    def takes(self, client: Client) -> bool:
        """Count a connection; False where it is one too many."""
        address = self._counted_as(client)
        if address is not None:
            self._by_address[address] += 1
        is_over = address is not None and (
            self._by_address[address] > self._address_connections
            or self._frames.left(address, time.monotonic()) < 0
        )
        return not is_over and len(self._clients) < self._connections

    def bears(self, client: Client, frames: "_Frames", data: bytes) -> bool:
        """Count the frames that carry little; False where they are too many."""
        address = self._counted_as(client)
        if address is None:
            return True
        now = time.monotonic()
        # No more are looked at than it may send: a packet may hold thousands.
        found = frames.little(data, self._frames.left(address, now))
        if not self._frames.take(address, now, found):
            return True
        self._frames.shut_out(address, now, SHUT_OUT_SECONDS)
        return False

    def forget(self, client: Client, name: str | None) -> None:
        if name is not None:
            self._clients.pop(name, None)
        address = self._counted_as(client)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _counted_as(self, client: Client) -> str | None:
        is_trusted = is_within(client[0], self._trusted_proxies)
        return None if is_trusted else sharer(client[0])

    def name(self, client: Client) -> str:
        name = str(Path(self._folder.name, str(next(self._names))))
        self._clients[name] = client
        return name


class _Side(asyncio.Protocol):
    """One end of a connection: what comes in goes out at the other, as fast as that takes it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._unread: TimerHandle | None = None
        self.transport: Transport | None = None
        self.other: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other and self.other.transport:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other and self.other.transport:
            self.other.transport.pause_reading()
        loop = asyncio.get_running_loop()
        self._unread = loop.call_later(self._relay.unread_seconds, self.abort)

    def resume_writing(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None
        if self.other and self.other.transport:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._unread:
            self._unread.cancel()
        self.transport = None
        if self.other:
            self.other.close()

    def close(self) -> None:
        """End it once what was to be sent is sent, and soon in any case."""
        if self.transport:
            self.transport.close()
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.abort)

    def abort(self) -> None:
        if self.transport:
            self.transport.abort()


class _Frames:
    """The frames of HTTP/2 in what a client sends, wherever it is cut."""

    def __init__(self) -> None:
        self._left = PREFACE_BYTES
        self._head = b""

    def little(self, data: bytes, most: float) -> int:
        """How many begin in these bytes that carry little, up to one too many."""
        found = at = 0
        while at < len(data) and found <= most:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            head = self._head + data[at : at + HEAD_BYTES - len(self._head)]
            at += len(head) - len(self._head)
            self._head = head if len(head) < HEAD_BYTES else b""
            if not self._head:
                self._left = int.from_bytes(head[:3])
                if head[3] == HEADERS:
                    found += FRAMES_OF_HEADERS
                else:
                    found += head[3] != DATA or self._left < LITTLE_BYTES
        return found


class _Front(_Side):
    """The end of a client."""

    def __init__(self, relay: Relay) -> None:
        super().__init__(relay)
        self._client: Client = ("", 0)
        self._name: str | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._early = b""
        self._frames = _Frames()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport
        # None of one that is gone already.
        self._client = (transport.get_extra_info("peername") or ("", 0))[:2]
        if not self._relay.takes(self._client):
            self.transport.abort()
            return
        self._name = self._relay.name(self._client)
        self._connecting = asyncio.create_task(self._connect(self._name))

    def data_received(self, data: bytes) -> None:
        if not self._relay.bears(self._client, self._frames, data):
            self.abort()
            return
        if self.other is None and self.transport:
            # Not earlier: some loops begin to read after a connection was made, whatever was said.
            self.transport.pause_reading()
            self._early += data
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._relay.forget(self._client, self._name)

    async def _connect(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        to_server = socket.socket(socket.AF_UNIX)
        try:
            to_server.setblocking(False)
            to_server.bind(name)
            await loop.sock_connect(to_server, self._relay.behind)
            back = _Side(self._relay)
            back.other = self
            await loop.create_unix_connection(lambda: back, sock=to_server)
        except OSError:
            to_server.close()
            self.abort()
            return
        finally:
            # The name of a connection lasts as long as it; the file is of no further use.
            with suppress(FileNotFoundError):
                Path(name).unlink()
        self.other = back
        if self.transport is None:
            back.close()
            return
        super().data_received(self._early)
        self._early = b""
        self.transport.resume_reading()
