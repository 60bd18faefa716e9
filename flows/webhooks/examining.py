"""Looks into long bodies in processes of their own, which hold up nobody else.

What parses a body in C lets no other thread run meanwhile, nor does what frees it. A process that
has imported what is needed forks one for each body; it ends with its body, and with what it held.

    python -m flows.webhooks.examining

is that process: its standard input is a socket by which one comes for each body.
"""

import asyncio
import logging
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from flows.webhooks.bodies import BodyError, Content, examine
from flows.webhooks.logs import log_as_json
from flows.webhooks.settings import JSON, MIB, Endpoint

CPU_SECONDS = 30
# Four times what the worst body found takes; on a machine that is that slow, or beside others.
WALL_SECONDS = 60.0
# Beyond what the process has that forks it: a longest body three times, and what it is parsed to.
EXAMINED_BYTES = 512 * MIB
SPAN = 1
# What a process says first that has taken a body up.
BEGUN = b"\x01"
TOO_MUCH = "The body takes too much to be read: send smaller batches"

log = logging.getLogger("webhooks.examining")

Question = tuple[Endpoint, Mapping[str, str], str, bytes]


class NoExaminerError(Exception):
    """No process for a body can be had now."""


class Examiner:
    """The process that forks one for each body; started again where it is gone."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            NoExaminerError: the system refuses.
        """
        own, its = _pair()
        with its:
            try:
                command = [sys.executable, "-m", "flows.webhooks.examining"]
                self.process = subprocess.Popen(command, stdin=its.fileno())
            except OSError as error:
                own.close()
                raise NoExaminerError(type(error).__name__) from None
        self.control = own

    def stop(self) -> None:
        """End it, which may have stopped; a body that is looked into meanwhile ends by itself."""
        if self.control is not None:
            self.control.close()
            self.control = None
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def examine(
        self, endpoint: Endpoint, silent_where: Mapping[str, str], content_type: str, body: bytes
    ) -> Content:
        """As ``bodies.examine``, which a process of its own is asked for.

        Raises:
            BodyError: what that raises; 413 where it takes too much time or memory.
            NoExaminerError: no process can be had, or none took the body up.
        """
        question: Question = (endpoint, silent_where, content_type, body)
        answer = await self._answer(pickle.dumps(question, pickle.HIGHEST_PROTOCOL))
        try:
            found = pickle.loads(answer)  # noqa: S301 - made by a process of ours
        except (EOFError, pickle.UnpicklingError):
            log.warning("a body was given up", extra={"bytes": len(body)})
            raise BodyError(413, "too much", TOO_MUCH) from None
        if isinstance(found, Content):
            return found
        raise BodyError(*found)

    async def _answer(self, question: bytes) -> bytes:
        """Empty or cut where the process ended within it."""
        reader, writer = await asyncio.open_unix_connection(sock=self._connected())
        asked = self.process
        has_begun = False
        try:
            async with asyncio.timeout(WALL_SECONDS):
                writer.write(question)
                writer.write_eof()
                has_begun = await reader.read(len(BEGUN)) == BEGUN
                answer = await reader.read()
        except TimeoutError:
            answer = b""
            if not has_begun and asked is self.process:
                self.stop()
        except OSError:
            answer = b""
        finally:
            writer.close()
        if not has_begun:
            raise NoExaminerError
        return answer

    def _connected(self) -> socket.socket:
        """A socket whose other end a process has that was forked for it."""
        own, its = _pair()
        with its:
            for _ in range(2):
                if self.control is None:
                    self.start()
                try:
                    assert self.control is not None
                    socket.send_fds(self.control, [bytes(SPAN)], [its.fileno()])
                    return own
                except OSError:
                    # It is gone, as where the system is out of memory.
                    self.stop()
        own.close()
        raise NoExaminerError


def _pair() -> tuple[socket.socket, socket.socket]:
    try:
        return socket.socketpair()
    except OSError as error:
        raise NoExaminerError(type(error).__name__) from None


def serve(control: socket.socket) -> None:
    """Fork a process for each socket that comes, until the other side is gone.

    A socket that is closed without a word tells the other side that none could be forked.
    """
    # Who stops the receiver may tell its children, too: bodies under way are still answered.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        came, files, *_ = socket.recv_fds(control, SPAN, 1)
        if not came:
            return
        with socket.socket(fileno=files[0]) as asked:
            try:
                child = os.fork()
            except OSError:
                continue
            if child == 0:
                control.close()
                try:
                    bound()
                    _answer(asked)
                except ConnectionError:
                    # Who asked waits no longer.
                    pass
                except Exception:
                    # Told as the receiver tells it: without its text, which may quote the body.
                    log.exception("a body was not looked into")
                os._exit(0)


def bound() -> None:
    """Limit what this process may take, as far as its limits are not lower already."""
    _limit(resource.RLIMIT_CPU, CPU_SECONDS)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + EXAMINED_BYTES)


def _limit(kind: int, most: int) -> None:
    _, allowed = resource.getrlimit(kind)
    if allowed != resource.RLIM_INFINITY:
        most = min(most, allowed)
    resource.setrlimit(kind, (most, most))


def _answer(asked: socket.socket) -> None:
    asked.sendall(BEGUN)
    found: Content | tuple[int, str, str]
    try:
        with asked.makefile("rb") as stream:
            question: Question = pickle.load(stream)  # noqa: S301 - made by the receiver
        found = examine(*question)
    except BodyError as error:
        found = (error.status, error.reason, error.message)
    except MemoryError:
        found = (413, "too much", TOO_MUCH)
    asked.sendall(pickle.dumps(found, pickle.HIGHEST_PROTOCOL))


def main() -> None:
    log_as_json()
    # What is made once is made before the first fork.
    for protocol in ("otlp-metrics", "otlp-logs", "otlp"):
        examine(Endpoint(path="/warm", kind="warm", protocol=protocol), {}, JSON, b"{}")
    with socket.socket(fileno=sys.stdin.fileno()) as control:
        serve(control)


if __name__ == "__main__":
    main()
