"""Background processes that outlive the command that started them.

A process is known by a record on disk: its pid and the moment it was created. Both must match, so
that a pid which the system has since given to something else is never taken for ours. The record
also tells the folder that it was written to: in a copy of that it is the original's, and no record.
"""

import fcntl
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

import psutil

from deployments.local.paths import PROJECT_ROOT
from flows._shared.errors import PermanentError, TransientError

LOCK_WAIT_SECONDS = 300.0
# The creation time is derived from the boot time, which moves when the clock is set.
CREATED_TOLERANCE_SECONDS = 2.0
PRIVATE_UMASK = 0o077
# Names the folder whose logs a program of the local runtime keeps short.
LOGS_VARIABLE = "ANALYTICS_FLOWS_KEEPS_LOGS_OF"
# What mends a part that runs and is not as it should be.
ANEW = "`flows stop`, then `flows up`"
PORT_TAKEN = "already in use"
CAUSE = re.compile(r"\w*(Error|Exception)\b.*: |\[Errno|FATAL|already in use")
PAUSE_GROWTH, LONGEST_PAUSE_SECONDS = 1.1, 0.5


@dataclass(frozen=True)
class ProcessRecord:
    """A process that was started in the background.

    ``created`` is in seconds since 1970; ``port`` is 0 for a process that listens on none;
    ``fingerprint`` tells whether it was started with the settings wanted now; ``folder`` where the
    record was written to.
    """

    pid: int
    created: float
    port: int = 0
    fingerprint: str = ""
    folder: str = ""

    @classmethod
    def read(cls, path: Path) -> "ProcessRecord | None":
        """The record at ``path``; None when there is none, it was cut short or is another's."""
        try:
            record = cls(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        is_ours = record.folder == _identity(path.parent) if record.folder else record._is_of_here()
        return record if is_ours else None

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        record = replace(self, folder=_identity(path.parent))
        write_private(path, json.dumps(asdict(record)))

    def process(self) -> psutil.Process | None:
        """The living process behind this record, or None."""
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.created) <= CREATED_TOLERANCE_SECONDS
            return process if is_same and is_alive(process) else None
        except psutil.Error:
            return None

    def _is_of_here(self) -> bool:
        """Of a record as earlier versions wrote them: whether this clone started the process."""
        process = self.process()
        try:
            return process is None or Path(process.cwd()) == PROJECT_ROOT
        except psutil.Error:
            return False


def _identity(folder: Path) -> str:
    """A copy of a folder has another; one that was moved keeps it, and its processes."""
    found = folder.stat()
    return f"{found.st_dev}:{found.st_ino}"


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs; a zombie nobody has reaped counts as dead."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    Path(name).replace(path)


def opened_private(path: str, flags: int) -> int:
    """Opens a file for its owner alone to read, or to hold as a lock, also one that was there."""
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


@contextmanager
def opened_log(log: Path) -> Iterator[IO[bytes]]:
    """A new log, to which a program appends wherever it ends by then: it may be cut meanwhile."""
    with open(log, "wb", opener=opened_private):
        pass
    with open(log, "ab", opener=opened_private) as output:
        yield output


def fingerprint_of(environment: Mapping[str, str], names: Sequence[str]) -> str:
    """Tells whether the variables of these names are as they were, and not what they were."""
    values = {name: environment.get(name, "") for name in names}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@contextmanager
def locked(path: Path, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[None]:
    """Hold ``path`` against other processes; the system frees it if the holder is killed.

    Raises:
        TransientError: another process held it for longer than ``wait_seconds``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    with open(path, "a", opener=opened_private) as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TransientError(
                        f"taking the lock {path}",
                        f"another command held it for {wait_seconds:.0f} seconds",
                        "Wait for the other `make` command to end, or stop it, and try again",
                    ) from None
                time.sleep(0.1)
        yield


def is_free(port: int) -> bool:
    """Whether 127.0.0.1:port can be listened on and no one on this machine answers there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return not accepts(port)


def accepts(port: int) -> bool:
    """Whether a program on this machine takes calls at 127.0.0.1:port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        caller.settimeout(0.5)
        return caller.connect_ex(("127.0.0.1", port)) == 0


def free_ports(first: int, preferred: int = 0, span: int = 200) -> Iterator[int]:
    """Free ports of 127.0.0.1: the preferred one first, then upwards from ``first``."""
    candidates = [preferred] if preferred else []
    candidates += [port for port in range(first, first + span) if port != preferred]
    return (port for port in candidates if is_free(port))


def start_detached(
    command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path
) -> "subprocess.Popen[bytes]":
    """Start a process in its own session, its output in ``log``, that outlives this one.

    What it writes is for this user alone.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with opened_log(log) as output:
        return subprocess.Popen(
            command,
            umask=PRIVATE_UMASK,
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def listens(process: psutil.Process, port: int) -> bool:
    """Whether this process, and not another program, is the one that answers on the port."""
    try:
        family = [process, *process.children(recursive=True)]
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for member in family
            for connection in member.net_connections(kind="tcp")
        )
    except psutil.Error:
        return False


def record_of(pid: int, port: int = 0, fingerprint: str = "") -> ProcessRecord:
    """The record of a process that was just started."""
    return ProcessRecord(pid, psutil.Process(pid).create_time(), port, fingerprint)


def end(process: psutil.Process, patience_seconds: float = 15.0) -> None:
    """Ask a process to end, then kill it and all it started."""
    with suppress(psutil.Error):
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_alive(process), patience_seconds)
        for member in family:
            with suppress(psutil.Error):
                if is_alive(member):
                    member.kill()
        wait_until(lambda: not any(is_alive(member) for member in family), 5.0)


class BackgroundProcess:
    """A program kept running between commands, known by a record, a lock and a log.

    Args:
        folder: where the three are kept.
        name: of the three files, such as ``server``.
        title: what error messages call it, such as ``the Prefect server``.
    """

    def __init__(self, folder: Path, name: str, title: str) -> None:
        self.log = folder / f"{name}.log"
        self._record = folder / f"{name}.json"
        self._lock = folder / f"{name}.lock"
        self._title = title
        self._child: subprocess.Popen[bytes] | None = None

    def running(self) -> ProcessRecord | None:
        """The record of the living process, None if it does not run."""
        record = ProcessRecord.read(self._record)
        return record if record and record.process() else None

    @property
    def pid(self) -> int | None:
        record = self.running()
        return record.pid if record else None

    @property
    def last_port(self) -> int:
        """The port of the process that runs or ran last, 0 if none ever did."""
        record = ProcessRecord.read(self._record)
        return record.port if record else 0

    def stop(self) -> None:
        """Stop it and all it started. Does nothing if it does not run."""
        with self.locked():
            self.end()

    def locked(self) -> AbstractContextManager[None]:
        """Hold it against other commands that would start or stop it."""
        return locked(self._lock)

    def launch(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        *,
        port: int = 0,
        fingerprint: str = "",
    ) -> ProcessRecord:
        """Start it and write its record. For use under ``locked``."""
        own = {**environment, LOGS_VARIABLE: str(self.log.parent.parent)}
        self._child = start_detached(command, own, self.log, cwd)
        record = record_of(self._child.pid, port, fingerprint)
        record.write(self._record)
        return record

    def launch_at(
        self,
        ports: Iterable[int],
        launch: Callable[[int], ProcessRecord],
        is_up: Callable[[ProcessRecord], bool],
        remedy: str,
    ) -> ProcessRecord:
        """Start it at the first of these ports that it gets. For use under ``locked``.

        Raises:
            PermanentError: it ended while starting; the message carries the end of its log.
            TransientError: it lives and does not answer in time, or gets none of the ports.
        """
        for port in ports:
            record = launch(port)
            if is_up(record):
                return record
            # Seconds pass before it takes the port it found free: another may be quicker.
            if PORT_TAKEN not in self.log.read_text(errors="replace"):
                raise died(self._title, self.log, remedy)
        raise TransientError(
            f"starting {self._title}", "each of its ports is taken", "Stop what listens there"
        )

    def end(self) -> None:
        """Stop it. For use under ``locked``."""
        record = ProcessRecord.read(self._record)
        if record and (process := record.process()):
            end(process)
        if self._child:
            self._child.wait()
            self._child = None

    def wait(
        self,
        record: ProcessRecord,
        answers: Callable[[], bool],
        seconds: float,
        remedy: str = "`flows stop`, then try again",
    ) -> bool:
        """Wait until this very process answers; False once it is gone.

        An answer alone proves nothing: the program of another clone may have the port.

        Raises:
            TransientError: it lives and does not answer in time.
        """
        deadline = time.monotonic() + seconds
        while process := record.process():
            # First whether anyone is there: who it is tells only a look at every process.
            if accepts(record.port) and listens(process, record.port) and answers():
                return True
            if time.monotonic() > deadline:
                raise TransientError(
                    f"waiting for {self._title} on port {record.port}",
                    f"no answer in {seconds:.0f} s; its log says:\n{tail(self.log)}\n",
                    remedy,
                )
            time.sleep(0.2)
        return False


def wait_until(is_done: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Poll until ``is_done()`` or the time is over; tells which it was.

    What takes long is asked about less and less often, down to twice in a second.
    """
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = max(pause, min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS))
    return True


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log file, for an error message."""
    return "\n".join(_lines(log)[-lines:])


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ["(no log)"]


def died(what: str, log: Path, remedy: str) -> PermanentError:
    """The error for a background process that ended while it was expected to come up; its cause may
    stand far from the end of the log."""
    shown = tail(log)
    causes = [line for line in _lines(log) if CAUSE.search(line)]
    if causes and causes[-1] not in shown:
        shown = f"{causes[-1]}\n...\n{shown}"
    return PermanentError(f"starting {what}", f"it ended; its log says:\n{shown}\n", remedy)
