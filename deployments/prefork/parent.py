"""The warm process: forks a child for each run that a relay asks for, and does nothing else.

Its one thread waits for relays, for ends of children and for the worker. Started by the worker as
``python -m deployments.prefork.parent`` with the listening socket, from which one parent after the
other takes its calls. It tells the worker on standard output, a line each:

    ready     everything is imported
    stale     a file that is in memory has changed: takes no further run
    worn      has forked as many runs, or holds as much memory, as it may: takes runs until replaced

The worker ends it by closing its standard input; it stays until its last child has ended.
"""

import argparse
import array
import os
import select
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from deployments.prefork import child
from deployments.prefork.child import Request
from deployments.prefork.relay import INTEGER_BYTES, LENGTH_BYTES, SIGNALS, STREAMS
from deployments.prefork.warmth import (
    loaded_files,
    preload,
    require_nothing_open,
    require_nothing_running,
    settled,
)

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_LOOKS_AT_FILES = 5.0
SECONDS_TO_SEND_A_REQUEST = 10.0
SECONDS_TO_END = 30.0
LARGEST_REQUEST = 4 * 2**20
MEBIBYTE = 2**20
BLOCKED = {*SIGNALS, signal.SIGCHLD}


@dataclass
class Child:
    """A run: its process, its relay, and what it may take.

    ``memory`` is what it may add to what it shares with its parent, ``limit`` both together.
    """

    pid: int
    relay: socket.socket
    memory: int
    limit: int
    ends_at: float | None
    why: str = ""


@dataclass
class Parent:
    """Serves relays until it is told to end.

    Args:
        listener: where relays call.
        worker: end of file on it means that no further run is wanted.
        runs: after which it asks to be replaced.
        memory: bytes after which it asks to be replaced.
        began: when it began to import, in nanoseconds since 1970.
    """

    listener: socket.socket
    worker: int
    runs: int
    memory: int
    began: int
    _children: dict[int, Child] = field(default_factory=dict)
    _forked: int = 0
    _is_open: bool = True
    _is_worn: bool = False

    def serve(self) -> Request | None:
        """Returns twice: in every child with what it shall be, in the parent with None."""
        self._files = settled(loaded_files(), self.began, time.time_ns())
        self._ends, wakeup = socket.socketpair()
        for end in (self._ends, wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._wakeup = wakeup
        self._selector = selectors.DefaultSelector()
        for source in (self.listener, self.worker, self._ends):
            self._selector.register(source, selectors.EVENT_READ)
        while self._is_open or self._children:
            if request := self._turn():
                return request
        return None

    def _turn(self) -> Request | None:
        pause = SECONDS_BETWEEN_LOOKS if self._children else SECONDS_BETWEEN_LOOKS_AT_FILES
        events = self._selector.select(pause)
        ready = {key.fileobj for key, _ in events}
        if self._ends in ready:
            with suppress(BlockingIOError):
                self._ends.recv(4096)
        self._reap()
        for each in [one for one in self._children.values() if one.relay in ready]:
            self._hear(each)
        self._hold_to_limits()
        if self.worker in ready and not os.read(self.worker, 4096):
            self._selector.unregister(self.worker)
            self._close()
        if self._is_open and (not events or self.listener in ready):
            self._look_at_files()
        if self._is_open and self.listener in ready:
            return self._accept()
        return None

    def _look_at_files(self) -> None:
        if loaded_files() != self._files:
            tell("stale")
            self._close()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._selector.unregister(self.listener)

    def _accept(self) -> Request | None:
        try:
            relay, _ = self.listener.accept()
        except OSError:
            # Another parent took the call, or the relay hung up.
            return None
        relay.settimeout(SECONDS_TO_SEND_A_REQUEST)
        try:
            request = receive(relay)
        except (OSError, ValueError) as error:
            say(f"a call without a request: {type(error).__name__}: {error}")
            relay.close()
            return None
        require_nothing_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
        pid = os.fork()
        if pid == 0:
            self._leave(relay)
            return request
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
        for stream in request.streams:
            os.close(stream)
        held = memory_of(os.getpid())
        limit = held + request.memory if request.memory else 0
        self._keep(Child(pid, relay, request.memory, limit, _deadline(request.seconds)), held)
        return None

    def _leave(self, relay: socket.socket) -> None:
        """In the child: let go of everything that is the parent's."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for each in (relay, self.listener, self._ends, self._wakeup):
            each.close()
        for other in self._children.values():
            other.relay.close()
        os.close(self.worker)

    def _keep(self, new: Child, held: int) -> None:
        self._children[new.pid] = new
        self._selector.register(new.relay, selectors.EVENT_READ)
        self._forked += 1
        self._answer(new, str(new.pid))
        if not self._is_worn and (self._forked >= self.runs or held > self.memory):
            self._is_worn = True
            say(f"{self._forked} runs forked, {held // MEBIBYTE} MiB held: to be replaced")
            tell("worn")

    def _hear(self, each: Child) -> None:
        """Signals for a child; end of file is the end of its relay, and of the child."""
        try:
            told = each.relay.recv(4096)
        except OSError:
            told = b""
        if not told:
            self._selector.unregister(each.relay)
            _kill(each.pid, signal.SIGKILL)
        for number in told.split():
            _kill(each.pid, signal.Signals(int(number)))

    def _hold_to_limits(self) -> None:
        now = time.monotonic()
        for each in self._children.values():
            if each.limit and not each.why and memory_of(each.pid) > each.limit:
                own = each.memory // MEBIBYTE
                each.why = f"Killed: the run took more than its memory_limit of {own} MiB"
                _kill(each.pid, signal.SIGKILL)
            elif each.ends_at and now > each.ends_at:
                last = bool(each.why)
                each.why = "Ended: the run took longer than its time_limit"
                each.ends_at = None if last else now + SECONDS_TO_END
                _kill(each.pid, signal.SIGKILL if last else signal.SIGTERM)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if each := self._children.pop(pid, None):
                # What the run left running belongs to nobody.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                with suppress(KeyError):
                    self._selector.unregister(each.relay)
                self._answer(each, f"{os.waitstatus_to_exitcode(status)} {each.why}")
                each.relay.close()

    def _answer(self, each: Child, answer: str) -> None:
        # A relay that is gone was heard, or will be.
        with suppress(OSError):
            each.relay.sendall(f"{answer}\n".encode())


def receive(relay: socket.socket) -> Request:
    """A relay's request with the three streams that come with its first byte.

    Raises:
        ValueError: it is none. OSError: it does not come in time.
    """
    size = len(STREAMS) * INTEGER_BYTES
    text, ancillary, _, _ = relay.recvmsg(65536, socket.CMSG_SPACE(size))
    streams = array.array("i")
    for _, _, data in ancillary:
        streams.frombytes(data[: len(data) - len(data) % streams.itemsize])
    try:
        length = LENGTH_BYTES + int.from_bytes(text[:LENGTH_BYTES], "big")
        if not LENGTH_BYTES < length < LARGEST_REQUEST:
            raise ValueError(f"{length} bytes are none")
        while len(text) < length:
            if not (more := relay.recv(65536)):
                raise ValueError("it ended early")
            text += more
        if select.select([relay], [], [], 0)[0]:
            raise ValueError("its relay has given up")
        first, second, third = streams
        memory, seconds, directory, *environment = text[LENGTH_BYTES:].split(b"\0")
        return Request(
            dict(_variable(each) for each in environment),
            os.fsdecode(directory),
            (first, second, third),
            int(memory),
            float(seconds),
        )
    except (OSError, ValueError):
        for stream in streams:
            os.close(stream)
        raise


def _variable(text: bytes) -> tuple[str, str]:
    name, _, value = os.fsdecode(text).partition("=")
    return name, value


def memory_of(pid: int) -> int:
    """Bytes that a process holds in memory; 0 where the system does not say.

    Without pages of files: a fork has those of its parent when it first reads them.
    """
    try:
        _, resident, of_files, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(of_files)) * os.sysconf("SC_PAGE_SIZE")


def tell(word: str) -> None:
    """Tell the worker."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


@contextmanager
def prints_in_the_log() -> Iterator[None]:
    """What is printed meanwhile is for people: the worker reads no word in it."""
    words = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(words, 1)
        os.close(words)


def say(line: str) -> None:
    """Tell people: the worker's log."""
    sys.stderr.write(f"prefork parent {os.getpid()}: {line}\n")
    sys.stderr.flush()


def _deadline(seconds: float) -> float | None:
    return time.monotonic() + seconds if seconds else None


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listener", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--memory", type=int, required=True)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--project", action="append", default=[])
    parser.add_argument("modules", nargs="*")
    options = parser.parse_args()
    began = time.time_ns()
    with prints_in_the_log():
        failed = preload(options.modules, options.project)
    for line in failed:
        say(f"not imported beforehand: {line}")
    require_nothing_open(allowed={0, 1, 2, options.listener})
    require_nothing_running()
    listener = socket.socket(fileno=options.listener)
    listener.setblocking(False)
    held = memory_of(os.getpid()) // MEBIBYTE
    say(f"ready after {(time.time_ns() - began) / 1e9:.1f} s, {held} MiB held")
    tell("ready")
    parent = Parent(listener, sys.stdin.fileno(), options.runs, options.memory, began)
    if request := parent.serve():
        child.become(request, BLOCKED, options.engine)
        child.run(options.engine)


if __name__ == "__main__":
    main()
