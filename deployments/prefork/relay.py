"""What Prefect starts for a flow run in place of an interpreter: it asks the parent for a child.

Prefect starts, signals and waits for this process; the run is a fork of the warm parent that has
this process's environment, working directory and standard streams. Signals go on to it, and its end
becomes this process's own. When this process is killed, so is the run.

Started as ``python -I -S relay.py ENGINE [MEMORY] [SECONDS]``, each 0 where there is no such limit:
a bare interpreter, which imports as little as can be, is up in some 20 ms. Where no parent takes
its call, it becomes the run: a process of its own that executes the module ENGINE.
"""

import os
import resource
import signal
import socket
import sys
import time

SOCKET_VARIABLE = "FLOWS_PREFORK_SOCKET"
STREAMS = (0, 1, 2)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LENGTH_BYTES, INTEGER_BYTES = 8, 4
# A parent that is being replaced takes no calls for as long as its successor imports.
PATIENCE_SECONDS = 180.0
TRIES, PAUSE_SECONDS = 5, 0.5
NO_PARENT = 70


def main() -> int:
    address = os.environ.pop(SOCKET_VARIABLE)
    engine, memory, seconds = [*sys.argv[1:], "0", "0"][:3]
    if not (ended := _run_warm(address, request(memory, seconds))):
        sys.stderr.write("No warm process took this run: it is a process of its own\n")
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-m", engine])  # noqa: S606  there is no shell
    return _end_as(*ended)


def request(memory: str, seconds: str) -> bytes:
    """A length and as many bytes: what this process is, each part behind the other with a zero."""
    environment = [name + b"=" + value for name, value in os.environb.items()]
    directory = os.fsencode(os.getcwd())  # noqa: PTH109  pathlib takes long to import
    parts = [memory.encode(), seconds.encode(), directory, *environment]
    content = b"\0".join(parts)
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


def _run_warm(address: str, message: bytes) -> "tuple[int, str] | None":
    """The end of a run and why; None where no parent takes it in time."""
    gives_up_at = time.monotonic() + PATIENCE_SECONDS
    for _ in range(TRIES):
        patience = gives_up_at - time.monotonic()
        if patience <= 0:
            break
        if ended := _run_once(address, message, patience):
            return ended
        time.sleep(PAUSE_SECONDS)
    return None


def _run_once(address: str, message: bytes, patience: float) -> "tuple[int, str] | None":
    """The end of a run and why; None where the parent went away before there was one."""
    with socket.socket(socket.AF_UNIX) as parent:
        parent.settimeout(patience)
        try:
            parent.connect(address)
            streams = b"".join(each.to_bytes(INTEGER_BYTES, sys.byteorder) for each in STREAMS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)
            parent.sendall(message[parent.sendmsg([message], [rights]) :])
            answers = parent.makefile("rb")
            if not answers.readline():
                return None
        except OSError:
            return None
        parent.settimeout(None)
        _pass_signals_on(parent)
        code, _, why = answers.readline().decode().strip().partition(" ")
    return (int(code), why) if code else (NO_PARENT, "Its warm process was killed")


def _pass_signals_on(parent: socket.socket) -> None:
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: parent.sendall(b"%d\n" % number))


def _end_as(code: int, why: str) -> int:
    """End in the way that the run did."""
    if why:
        sys.stderr.write(f"{why}\n")
        sys.stderr.flush()
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
