"""Runs git on one mirror: bounded in time and bytes, in an environment of our own."""

import base64
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flows._shared.errors import PlatformError
from flows._shared.outgoing import check_proxies, header_token
from flows.github_scraper.records import (
    MirrorBrokenError,
    RepositoryTooLargeError,
    RepositoryUnreachableError,
)
from flows.github_scraper.rules import FETCHABLE_SCHEMES
from flows.github_scraper.source.failures import failure

KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
)


@dataclass(frozen=True)
class GitLimits:
    """Seconds and bytes that one repository may cost."""

    timeout_seconds: float
    max_mirror_bytes: int
    lock_timeout_seconds: float


class Git:
    """git for the mirror at ``path`` of the repository at ``url``.

    ``lock`` is passed on to each process, so that one that outlives its run keeps the mirror
    closed.
    """

    def __init__(
        self,
        path: Path,
        url: str,
        limits: GitLimits,
        lock: IO[str],
        environment: Mapping[str, str],
    ) -> None:
        self.path = path
        self.url = url
        self.limits = limits
        self.environment = environment
        self._lock = lock

    def succeeds(self, *arguments: str) -> bool:
        completed = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            env=self.environment, capture_output=True, check=False,
        )  # fmt: skip
        return completed.returncode == 0

    def text(self, *arguments: str, inside: bool = False) -> str:
        at = ["-C", str(self.path)] if inside else []
        with tempfile.TemporaryFile() as stdout:
            self.run(["git", *at, *arguments], stdout=stdout)
            stdout.seek(0)
            return stdout.read().decode("utf-8", "replace")

    def run(
        self,
        command: Sequence[str],
        watch: Path | None = None,
        stdout: IO[bytes] | int = subprocess.DEVNULL,
    ) -> None:
        """Run git to its end; stop it when it takes too long or its folder grows too large."""
        with (
            tempfile.TemporaryFile() as stderr,
            subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=stdout,
                stderr=stderr, start_new_session=True, pass_fds=(self._lock.fileno(),),
            ) as process,
        ):  # fmt: skip
            deadline = time.monotonic() + self.limits.timeout_seconds
            try:
                while process.poll() is None:
                    self._check_limits(command, watch, deadline)
                    try:
                        process.wait(timeout=0.02 if watch is None else 0.2)
                    except subprocess.TimeoutExpired:
                        continue
            except BaseException:
                _stop(process)
                raise
            stderr.seek(0)
            if process.returncode != 0:
                raise self._failure(command, process.returncode, stderr.read())
            self._check_limits(command, watch, deadline)

    def _check_limits(self, command: Sequence[str], watch: Path | None, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise RepositoryUnreachableError(
                f"Running git {_verb(command)} for {self.url}",
                f"it was still running after {self.limits.timeout_seconds:.0f} s",
                "Raise git_timeout_seconds if the repository is that large",
            )
        if watch is not None and _folder_bytes(watch) > self.limits.max_mirror_bytes:
            raise RepositoryTooLargeError(
                f"Cloning {self.url}",
                f"the mirror passed {self.limits.max_mirror_bytes / 1e6:.0f} MB",
                "Raise max_mirror_megabytes, or leave the repository out",
            )

    @contextmanager
    def stream(
        self, *arguments: str, stdin: IO[bytes] | int = subprocess.DEVNULL
    ) -> Iterator[IO[bytes]]:
        """The output of git while it runs. A non-zero exit is an error, never an early end: where
        the output makes no sense because git broke off, what git said of it is the error."""
        command = ["git", "-C", str(self.path), *arguments]
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(
                command, env=self.environment, stdin=stdin, stdout=subprocess.PIPE,
                stderr=stderr, start_new_session=True, pass_fds=(self._lock.fileno(),),
            )  # fmt: skip
            timer = threading.Timer(self.limits.timeout_seconds, _stop, (process,))
            timer.start()
            try:
                assert process.stdout is not None
                try:
                    yield process.stdout
                except MirrorBrokenError:
                    process.stdout.close()
                    if process.wait() in (0, -signal.SIGPIPE):
                        raise
                if process.wait() != 0:
                    stderr.seek(0)
                    raise self._failure(command, process.returncode, stderr.read())
            finally:
                timer.cancel()
                _stop(process)
                process.stdout.close()  # type: ignore[union-attr]

    def _failure(self, command: Sequence[str], status: int, stderr: bytes) -> PlatformError:
        return failure(_verb(command), self.url, status, stderr)


def git_environment(token: str | None, token_host: str) -> Mapping[str, str]:
    """An environment of our own: no prompts, no user configuration, only named transports.

    The token travels as configuration in the environment, not in an argument that every user of
    the machine can list, and only to the given host.

    Raises:
        ProxyAddressError: git could not read a proxy of ours, and would repeat its login.
        MalformedTokenError: no header may hold the token.
    """
    check_proxies()
    configuration = {
        "gc.autoDetach": "false",
        "maintenance.auto": "false",
        "http.lowSpeedLimit": "1000",
        "http.lowSpeedTime": "60",
        "core.quotePath": "false",
        "diff.renameLimit": "1000",
    }
    if token is not None:
        usable = header_token(token, token_host)
        basic = base64.b64encode(f"x-access-token:{usable}".encode()).decode()
        configuration[f"http.{token_host.rstrip('/')}/.extraHeader"] = (
            f"Authorization: Basic {basic}"
        )
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES
        or name.lower() in ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
    }
    environment |= {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ALLOW_PROTOCOL": ":".join(FETCHABLE_SCHEMES),
        "GIT_CONFIG_COUNT": str(len(configuration)),
    }
    for index, (key, value) in enumerate(configuration.items()):
        environment[f"GIT_CONFIG_KEY_{index}"] = key
        environment[f"GIT_CONFIG_VALUE_{index}"] = value
    return environment


def _folder_bytes(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += Path(folder, name).lstat().st_size
            except FileNotFoundError:
                continue
    return total


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End git and the helpers it started (they share its process group)."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _verb(command: Sequence[str]) -> str:
    rest = list(command[1:])
    while rest and rest[0] in ("-C", "-c"):
        rest = rest[2:]
    return rest[0]
