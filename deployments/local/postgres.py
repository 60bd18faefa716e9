"""A real PostgreSQL 18, with pgvector, from the programs inside a Python package.

It listens on 127.0.0.1 only, over TCP, with a password (scram), so that its URLs look like those
of production. It has no Unix socket: the path of one may not be longer than about 100 bytes.
"""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from deployments.local.postgres_settings import settings
from deployments.local.privilege import (
    BecomeHelper,
    give_to_maker,
    give_to_server,
    is_root,
    maker_for,
    open_if_needed,
    server_for,
)
from deployments.local.processes import (
    ANEW,
    accepts,
    died,
    free_ports,
    is_alive,
    locked,
    opened_log,
    tail,
    wait_until,
    write_private,
)
from deployments.local.programs import MAJOR_VERSION, plain_environment, program, program_files
from flows._shared.environment import of_libpq
from flows._shared.errors import PermanentError

USER = "analytics"
FIRST_PORT = 54320
# Long, because a cluster that was killed in the middle of a load first replays its journal.
START_SECONDS = 300.0
STOP_SECONDS = 30.0

# The password is random and lies in a file beside the cluster: more rounds would protect nothing,
# and each connection would pay for them.
PASSWORD_ROUNDS = 1
# What an address says, libpq does not take from a shell that is set up for another server.
IN_CLEAR = {"sslmode": "disable", "gssencmode": "disable", "channel_binding": "disable"}
REGARDLESS = IN_CLEAR | {
    "hostaddr": "127.0.0.1",
    "options": " ",
    "require_auth": "scram-sha-256",
    "target_session_attrs": "any",
    "connect_timeout": "10",
}


@dataclass(frozen=True)
class _Postmaster:
    process: psutil.Process
    port: int
    is_ready: bool


class EmbeddedPostgres:
    """One cluster in one folder; several objects, in several processes, may share it.

    Args:
        directory: holds ``cluster/`` (the data), ``password`` (0600), ``port``, ``log``, ``lock``.
        first_port: ports are tried upwards from here; the one used last is tried before.
        is_durable: False turns fsync off: a power cut may lose the data. For tests.
    """

    def __init__(
        self, directory: Path, *, first_port: int = FIRST_PORT, is_durable: bool = True
    ) -> None:
        self.directory = directory.resolve()
        self.cluster = self.directory / "cluster"
        self.log = self.directory / "log"
        self._first_port = first_port
        self._is_durable = is_durable
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> "EmbeddedPostgres":
        """Start the cluster, or do nothing if it runs; creates it the first time.

        What a killed predecessor left (its lock file, its worker processes) is cleared away.

        Raises:
            PermanentError: it cannot run here, or runs and lets us not in; the message says why
                and what to do.
            TransientError: another process is starting it and does not finish.
        """
        self._make_directory()
        with locked(self.directory / "lock"):
            if not self.answers():
                self._clear_predecessor()
                self._create_cluster()
                give_to_server(self.cluster)
                self._launch(server_for([*program_files(), self.directory]))
        return self

    def stop(self) -> None:
        """Stop the cluster; open connections are closed. Does nothing if it does not run."""
        if not self.directory.exists():
            return
        with locked(self.directory / "lock"):
            postmaster = self._postmaster()
            if postmaster:
                with suppress(psutil.NoSuchProcess):
                    postmaster.process.send_signal(signal.SIGINT)
                wait_until(lambda: not is_alive(postmaster.process), STOP_SECONDS)
            self._clear_predecessor()
        if self._child:
            self._child.wait()
            self._child = None

    def is_running(self) -> bool:
        return self._is_ready()

    @property
    def running_port(self) -> int | None:
        """The port it listens on, None if it does not run."""
        postmaster = self._postmaster()
        return postmaster.port if postmaster else None

    @property
    def port(self) -> int:
        """The port it listens on. Raises PermanentError if it does not run."""
        port = self.running_port
        if port is None:
            raise PermanentError(
                f"reaching the embedded PostgreSQL in {self.directory}",
                "it does not run",
                "Start it with `flows up`",
            )
        return port

    @property
    def pid(self) -> int | None:
        """The process id of the postmaster, None if it does not run."""
        postmaster = self._postmaster()
        return postmaster.process.pid if postmaster else None

    @property
    def left_pid(self) -> int | None:
        """The process id of a postmaster that was not stopped, alive or not."""
        with suppress(OSError, ValueError, IndexError):
            return int((self.cluster / "postmaster.pid").read_text().splitlines()[0])
        return None

    @property
    def password(self) -> str:
        return (self.directory / "password").read_text().strip()

    def url(self, database: str = "postgres") -> str:
        """A libpq URL of one database, password included: not for printing."""
        return self._url_at(self.port, database)

    def address(self, database: str) -> str:
        """As `url`, for programs of ours, whatever the environment says of other servers."""
        return f"{self.url(database)}?{urlencode(IN_CLEAR)}"

    def has_database(self, name: str) -> bool:
        with self._connected(self.port) as connection:
            return _is_there(connection, name)

    def create_database(self, name: str) -> str:
        """Create a database unless it exists; returns its URL."""
        with self._connected(self.port) as connection:
            if not _is_there(connection, name):
                # Of files that may be lost, their copies need not be logged.
                strategy = sql.SQL("wal_log" if self._is_durable else "file_copy")
                statement = sql.SQL("create database {} strategy {}")
                connection.execute(statement.format(sql.Identifier(name), strategy))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, closing the connections to it."""
        statement = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        with self._connected(self.port) as connection:
            connection.execute(statement)

    def _make_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        # The helper user of root must be able to pass through, not to list.
        self.directory.chmod(0o711 if is_root() else 0o700)
        if not os.access(self.directory / "password", os.R_OK | os.F_OK):
            if (self.cluster / "PG_VERSION").exists() or (self.directory / "password").exists():
                raise PermanentError(
                    f"opening the embedded PostgreSQL in {self.directory}",
                    "its password file is missing or belongs to another user",
                    "Run as the user who created it, or remove it with `flows clean`",
                )
            write_private(self.directory / "password", secrets.token_hex(24))

    def _create_cluster(self) -> None:
        version_file = self.cluster / "PG_VERSION"
        if version_file.exists():
            self._require_version(version_file.read_text().strip())
            return
        making = self.directory / "cluster.new"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        open_if_needed(making)
        fresh = making / "cluster"
        fresh.mkdir(mode=0o700)
        passwords = making / "password"
        write_private(passwords, self.password)
        for each in (fresh, passwords):
            give_to_maker(each)
        command = [
            str(program("initdb")),
            f"--pgdata={fresh}",
            f"--username={USER}",
            f"--pwfile={passwords}",
            "--auth=scram-sha-256",
            f"--set=scram_iterations={PASSWORD_ROUNDS}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if self._is_durable else ["--no-sync"]),
        ]
        made = subprocess.run(
            command,
            cwd="/",
            env=plain_environment(),
            preexec_fn=maker_for([*program_files(), making]),
            capture_output=True,
            text=True,
        )
        if made.returncode == 0:
            give_to_server(fresh)
            shutil.rmtree(self.cluster, ignore_errors=True)
            fresh.rename(self.cluster)
        shutil.rmtree(making, ignore_errors=True)
        if made.returncode != 0:
            raise PermanentError(
                f"creating the embedded PostgreSQL in {self.directory}",
                made.stderr.strip(),
                "Check free disk space and the rights on that folder, then try again",
            )

    def _require_version(self, found: str) -> None:
        if found != MAJOR_VERSION:
            raise PermanentError(
                f"opening the embedded PostgreSQL in {self.directory}",
                f"it was made by PostgreSQL {found}, this is {MAJOR_VERSION}",
                "Its content can be loaded anew: remove it with `flows clean` and run again",
            )

    def _launch(self, become: BecomeHelper | None) -> None:
        for port in free_ports(self._first_port, self._last_port()):
            if self._launch_at(port, become):
                write_private(self.directory / "port", str(port))
                return
        raise PermanentError(
            "starting the embedded PostgreSQL",
            f"every port from {self._first_port} up is in use",
            "Stop what listens there, or point DATABASE_URL at a PostgreSQL of your own",
        )

    def _launch_at(self, port: int, become: BecomeHelper | None) -> bool:
        options = settings(is_durable=self._is_durable) | {"port": str(port)}
        command = [str(program("postgres")), "-D", str(self.cluster)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with opened_log(self.log) as output:
            child = subprocess.Popen(
                command,
                cwd="/",
                env=plain_environment(),
                preexec_fn=become,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: child.poll() is not None or self._is_ready(), START_SECONDS, pause=0.02)
        if child.poll() is None:
            self._child = child
            return True
        if "could not bind" in tail(self.log):
            return False
        raise died(
            "the embedded PostgreSQL",
            self.log,
            "If the log tells of damage, its content can be loaded anew after `flows clean`",
        )

    def _last_port(self) -> int:
        try:
            return int((self.directory / "port").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def _is_ready(self) -> bool:
        postmaster = self._postmaster()
        return postmaster is not None and postmaster.is_ready

    def answers(self) -> bool:
        """Unlike the lock file, tells apart a server that was killed a moment ago.

        Raises:
            PermanentError: it runs and does not let us in.
        """
        postmaster = self._postmaster()
        if postmaster is None or not postmaster.is_ready:
            return False
        try:
            self._connected(postmaster.port).close()
        except psycopg.Error as error:
            is_here = is_alive(postmaster.process) and accepts(postmaster.port)
            hangs = isinstance(error, psycopg.errors.ConnectionTimeout)
            if not is_here or hangs or "the database system is" in str(error):
                return False
            if "too many clients" in str(error):
                return True
            raise PermanentError(
                f"connecting to the embedded PostgreSQL in {self.directory}, which runs",
                str(error).strip(),
                _remedy(str(error)),
            ) from None
        return True

    def _connected(self, port: int) -> psycopg.Connection:
        return psycopg.connect(make_conninfo(self._url_at(port), **REGARDLESS), autocommit=True)

    def _url_at(self, port: int, database: str = "postgres") -> str:
        return f"postgresql://{USER}:{quote(self.password)}@127.0.0.1:{port}/{database}"

    def _postmaster(self) -> _Postmaster | None:
        """What postmaster.pid tells, if its process is alive and works in this very cluster."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            if not self._works_here(process):
                return None
            is_ready = len(lines) > 7 and lines[7].strip() == "ready"
            return _Postmaster(process, int(lines[3]), is_ready)
        except (OSError, ValueError, IndexError, psutil.Error):
            return None

    def _works_here(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):
            return is_alive(process) and Path(process.cwd()) == self.cluster
        return False

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter(["name"]):
            if process.info["name"] == "postgres" and self._works_here(process):
                yield process

    def _clear_predecessor(self) -> None:
        """End what still works in the cluster without answering, then drop its lock file.

        PostgreSQL would refuse to start when another program has got the pid in the lock file.
        """
        left_over = list(self._processes())
        for process in left_over:
            with suppress(psutil.Error):
                process.kill()
        wait_until(lambda: not any(is_alive(process) for process in left_over), 10.0)
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)


def _is_there(connection: psycopg.Connection, database: str) -> bool:
    found = connection.execute("select 1 from pg_database where datname = %s", [database])
    return found.fetchone() is not None


def _remedy(seen: str) -> str:
    if "authentication failed" in seen:
        return (
            "Put back the file `password` there as it was; without it `flows clean` removes the "
            "data, which can be loaded anew"
        )
    shell = ", ".join(sorted(of_libpq(os.environ)))
    return f"Unset {shell}, then try again" if shell else ANEW
