"""Stands between a program and the server it speaks to, and does harm at a chosen byte."""

import contextlib
import re
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

PIECE = 1 << 14
LENGTH = re.compile(rb"(?i)(\r\ncontent-length: *)(\d+)")


@dataclass
class Harm:
    """What happens once so many bytes went one way.

    Args:
        after: bytes that pass before it happens.
        is_answer: whether bytes of the server count, or those of the program.
        act: called then, once, with the connection on which it happens.
    """

    after: int
    is_answer: bool
    act: "Callable[[Connection], None]"


@dataclass
class Connection:
    client: socket.socket
    server: socket.socket
    seconds_between_pieces: float = 0.0

    def cut(self) -> None:
        """Reset both ways, as a router does that forgot the connection."""
        for each in (self.client, self.server):
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def end_early(self) -> None:
        """Close in good order what is not complete."""
        for each in (self.client, self.server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@dataclass
class Proxy:
    """Listens on a port of its own for as long as the process lives.

    ``rewrite`` changes the next of the server's words that it has something to change in.
    ``sent`` and ``answered`` count the bytes of the program and of the server since `begin`.
    Where it stands ``before_program``, who connects is called the server, and who is connected to
    the program.
    """

    target: tuple[str, int]
    before_program: bool = False
    port: int = 0
    sent: int = 0
    answered: int = 0
    rewrite: Callable[[bytes], bytes] | None = None
    _harm: Harm | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self, harm: Harm | None = None) -> None:
        """Count anew, with the harm that is to be done, if any."""
        with self._lock:
            self.sent = self.answered = 0
            self.rewrite = None
            self._harm = harm

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(
                target=self._serve, args=(Connection(client, server),), daemon=True
            ).start()

    def _serve(self, connection: Connection) -> None:
        ends = (connection.client, connection.server)
        with (
            contextlib.suppress(OSError, ValueError, KeyError),
            selectors.DefaultSelector() as ready,
        ):
            ready.register(connection.client, selectors.EVENT_READ, connection.server)
            ready.register(connection.server, selectors.EVENT_READ, connection.client)
            while all(self._turn(connection, *key_and_events) for key_and_events in ready.select()):
                pass
        connection.end_early()
        for each in ends:
            each.close()

    def _turn(self, connection: Connection, key: selectors.SelectorKey, _: int) -> bool:
        assert isinstance(key.fileobj, socket.socket)
        piece = key.fileobj.recv(PIECE)
        if piece:
            is_answer = (key.fileobj is connection.server) != self.before_program
            self._pass_on(connection, piece, is_answer, key.data)
        return bool(piece)

    def _pass_on(
        self, connection: Connection, piece: bytes, is_answer: bool, to: socket.socket
    ) -> None:
        with self._lock:
            before = self.answered if is_answer else self.sent
            harm = self._harm
            is_due = (
                harm is not None
                and harm.is_answer == is_answer
                and before + len(piece) > harm.after
            )
            if is_due:
                self._harm = None
            if is_answer:
                self.answered += len(piece)
            else:
                self.sent += len(piece)
        if is_due and harm is not None:
            # As a wire does it, in the middle of what was written.
            whole = max(0, harm.after - before)
            to.sendall(piece[:whole])
            piece = piece[whole:]
            harm.act(connection)
        if is_answer and self.rewrite:
            told = self.rewrite(piece)
            if told != piece:
                self.rewrite = None
            piece = told
        if connection.seconds_between_pieces:
            for start in range(0, len(piece), 512):
                to.sendall(piece[start : start + 512])
                time.sleep(connection.seconds_between_pieces)
            return
        to.sendall(piece)
