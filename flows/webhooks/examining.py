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
from flows.webhooks.settings import JSON, MIB, Endpoint

CPU_SECONDS = 30
# Four times what the worst body found takes; on a machine that is that slow, or beside others.
WALL_SECONDS = 60.0
# Beyond what the process has that forks it: a longest body three times, and what it is parsed to.
EXAMINED_BYTES = 512 * MIB
SPAN = 1
TOO_MUCH = "The body takes too much to be read: send smaller batches"

log = logging.getLogger("webhooks.examining")

Question = tuple[Endpoint, Mapping[str, str], str, bytes]


class NoExaminerError(Exception):
    """No process for a body can be had now."""


class Examiner:
    """The process that forks one for each body; started again where it is gone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            NoExaminerError: the system refuses.
        """
        own, its = socket.socketpair()
        with its:
            try:
                command = [sys.executable, "-m", "flows.webhooks.examining"]
                self._process = subprocess.Popen(command, stdin=its.fileno())
            except OSError as error:
                own.close()
                raise NoExaminerError(type(error).__name__) from None
        self._control = own

    def stop(self) -> None:
        """End it; a body that is looked into meanwhile ends by itself."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.wait()
            self._process = None

    async def examine(
        self, endpoint: Endpoint, silent_where: Mapping[str, str], content_type: str, body: bytes
    ) -> Content:
        """As ``bodies.examine``, which a process of its own is asked for.

        Raises:
            BodyError: what that raises; 413 where it takes too much time or memory.
            NoExaminerError: no process can be had.
        """
        question: Question = (endpoint, silent_where, content_type, body)
        answer = await self._answer(pickle.dumps(question, pickle.HIGHEST_PROTOCOL))
        if not answer:
            log.warning("a body was given up", extra={"bytes": len(body)})
            raise BodyError(413, "too much", TOO_MUCH)
        found = pickle.loads(answer)  # noqa: S301 - made by a process of ours
        if isinstance(found, Content):
            return found
        raise BodyError(*found)

    async def _answer(self, question: bytes) -> bytes:
        """Empty where the process ended without one."""
        reader, writer = await asyncio.open_unix_connection(sock=self._connected())
        try:
            async with asyncio.timeout(WALL_SECONDS):
                writer.write(question)
                await writer.drain()
                writer.write_eof()
                return await reader.read()
        except (OSError, TimeoutError):
            return b""
        finally:
            writer.close()

    def _connected(self) -> socket.socket:
        """A socket whose other end a process has that was forked for it."""
        own, its = socket.socketpair()
        with its:
            for _ in range(2):
                if self._control is None:
                    self.start()
                try:
                    assert self._control is not None
                    socket.send_fds(self._control, [bytes(SPAN)], [its.fileno()])
                    return own
                except OSError:
                    # It is gone, as where the system is out of memory.
                    self.stop()
        own.close()
        raise NoExaminerError


def serve(control: socket.socket) -> None:
    """Fork a process for each socket that comes, until the other side is gone."""
    # Who stops the receiver may tell its children, too: bodies under way are still answered.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        came, files, *_ = socket.recv_fds(control, SPAN, 1)
        if not came:
            return
        with socket.socket(fileno=files[0]) as asked:
            if os.fork() == 0:
                control.close()
                _bound()
                _answer(asked)
                os._exit(0)


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + EXAMINED_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _answer(asked: socket.socket) -> None:
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
    # What is made once is made before the first fork.
    for protocol in ("otlp-metrics", "otlp-logs", "otlp"):
        examine(Endpoint(path="/warm", kind="warm", protocol=protocol), {}, JSON, b"{}")
    with socket.socket(fileno=sys.stdin.fileno()) as control:
        serve(control)


if __name__ == "__main__":
    main()
