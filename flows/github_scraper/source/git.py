"""Reads commits from git: a bare mirror per repository, one streaming ``git log``.

Nothing here trusts what a repository contains. git runs without the user's configuration, never
prompts, and follows only the transports listed in ``rules.FETCHABLE_SCHEMES``.
"""

import base64
import fcntl
import hashlib
import os
import re
import shutil
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

from flows.github_scraper.records import (
    Commit,
    DiskFullError,
    FolderNotOursError,
    GitCommandError,
    Head,
    HostUntrustedError,
    LineCounts,
    LoginRequiredError,
    MirrorBrokenError,
    MirrorBusyError,
    RepositoryNotFoundError,
    RepositoryTooLargeError,
    RepositoryUnreachableError,
    Signature,
    Walk,
)
from flows.github_scraper.rules import FETCHABLE_SCHEMES

GITHUB = "https://github.com"
SYNC_REF = "refs/sync/head"
READ_BYTES = 1 << 20
MAX_MAILMAP_BYTES = 16 << 20
HEADER_FORMAT = (
    "%H%x00%P%x00%an%x00%ae%x00%aN%x00%aE%x00%ad%x00%cn%x00%ce%x00%cN%x00%cE%x00%cd%x00%B%x00"
)
HEADER_FIELDS = 13
NUMSTAT = re.compile(rb"\n?(\d+|-)\t(\d+|-)\t(.*)", re.DOTALL)
OBJECT_ID = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64})")

# The first pattern found in git's (untranslated) messages decides.
FAILURES = (
    (
        (
            r"could not read Username|Authentication failed|terminal prompts disabled"
            r"|Permission denied \(publickey|returned error: 40[13]"
        ),
        LoginRequiredError,
        (
            "Name a Secret block with a token that may read it (token_block), or try again later: "
            "GitHub asks anonymous readers to log in when it is busy"
        ),
    ),
    (
        (
            r"SSL certificate problem|certificate verif|server (?:certificate|verification)"
            r"|no alternative certificate|certificate subject name"
        ),
        HostUntrustedError,
        (
            "Have the host mend its certificate, or trust its authority: GIT_SSL_CAINFO names a "
            "file with it"
        ),
    ),
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        HostUntrustedError,
        "Compare the key of the host with the one it publishes and put it into known_hosts",
    ),
    (
        r"No space left on device|Disk quota exceeded",
        DiskFullError,
        "Free space in the folder of the mirrors (cache_dir); the next run goes on",
    ),
    (
        r"dubious ownership",
        FolderNotOursError,
        "The folder belongs to another user: change its owner, or clone it once as this user",
    ),
    (
        (
            r"Repository not found|repository '.*' not found|does not appear to be a git repository"
            r"|does not exist|returned error: 404|not found: did you run git update-server-info"
            r"|not a git repository"
        ),
        RepositoryNotFoundError,
        "Check the spelling of the address and that the token may see the repository",
    ),
    (
        (
            r"Could not resolve host|Connection (?:refused|timed out|reset)|Failed to connect"
            r"|early EOF|RPC failed|hung up unexpectedly|returned error: (?:429|5\d\d)"
            r"|Operation too slow|unexpected disconnect|Couldn't connect|Empty reply"
            r"|Connection closed|TLS connection|SSL_ERROR|gnutls_handshake|Network is (?:un|down)"
            r"|No route to host|Operation timed out|Temporary failure in name resolution"
        ),
        RepositoryUnreachableError,
        "Check the network and the host's status page; the next run continues where this one was",
    ),
    (
        r"transport '.*' not allowed",
        RepositoryNotFoundError,
        f"Use one of {', '.join(FETCHABLE_SCHEMES)}",
    ),
    (
        (
            r"bad object|missing (?:blob|tree|commit)|unable to read (?:tree|sha1)|corrupt"
            r"|invalid sha1 pointer|loose object .* is|could not parse object|packfile .* cannot"
        ),
        MirrorBrokenError,
        "The mirror is dropped and cloned again",
    ),
)


@dataclass(frozen=True)
class GitLimits:
    """Seconds and bytes that one repository may cost."""

    timeout_seconds: float
    max_mirror_bytes: int
    lock_timeout_seconds: float


class Mirror:
    """A bare clone of one repository's default branch, held under an exclusive lock."""

    def __init__(
        self,
        path: Path,
        url: str,
        limits: GitLimits,
        token: str | None,
        lock: IO[str],
        token_host: str,
    ) -> None:
        self.path = path
        self.url = url
        self.limits = limits
        self._lock = lock
        self._environment = _git_environment(token, token_host)

    def fetch(self) -> Head | None:
        """Bring the default branch up to date. None where the repository has no commits."""
        advertised = self._advertised_head()
        if advertised is None:
            return None
        ref, head_hash = advertised
        if not self.path.exists():
            self._clone()
        if self._sync_hash() != head_hash or self._shallow_boundary():
            self._fetch_head()
        # Between the advertisement and the fetch the branch may have moved on: the mirror decides.
        head_hash = self._sync_hash() or head_hash
        return Head(ref, head_hash, self._mailmap_hash(), self._shallow_boundary())

    def _fetch_head(self) -> None:
        deepen = ("--unshallow",) if self._shallow_boundary() else ()
        self._git(
            "fetch", "--no-tags", "--force", "--update-shallow", "--quiet", *deepen, "--",
            self.url, f"HEAD:{SYNC_REF}", watch=self.path,
        )  # fmt: skip

    def has_commit(self, commit_hash: str) -> bool:
        return self._git_succeeds("cat-file", "-e", f"{commit_hash}^{{commit}}")

    def keep(self, commit_hash: str) -> None:
        """Protect a tip that is no longer reachable from clean-up by git."""
        self._git("update-ref", f"refs/archive/{commit_hash}", commit_hash, inside=True)

    def tidy(self) -> None:
        """Let git repack where it finds that worthwhile: every fetch leaves a pack."""
        self._git("gc", "--auto", "--quiet", inside=True)

    def count_commits(self, walk: Walk, head: Head, previous: Head | None) -> int:
        listed = self._git("rev-list", "--count", *_range(walk, head, previous), inside=True)
        return int(listed)

    def read_commits(self, walk: Walk, head: Head, previous: Head | None) -> Iterator[Commit]:
        """Stream the commits of a walk: those reachable from the head that the last sync lacked."""
        command = (
            "log",
            "-z",
            "--numstat",
            "-M",
            "--diff-merges=first-parent",
            "--encoding=UTF-8",
            "--date=raw",
            f"--format={HEADER_FORMAT}",
            *_range(walk, head, previous),
        )
        boundary = frozenset(head.shallow_boundary)
        with self._stream(*command) as output:
            yield from parse_log(_fields(output), boundary)

    def read_orphans(self, head: Head, previous: Head) -> Iterator[str]:
        """Hashes that the last sync reached and this head does not."""
        with self._stream("rev-list", previous.head_hash, "--not", head.head_hash, "--") as output:
            for line in output:
                yield line.decode("ascii").strip()

    def drop(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _advertised_head(self) -> tuple[str, str] | None:
        listed = self._git("ls-remote", "--symref", "--", self.url, "HEAD")
        ref, head_hash = "HEAD", None
        for line in listed.splitlines():
            value, _, name = line.partition("\t")
            if name != "HEAD":
                continue
            if value.startswith("ref: "):
                ref = value.removeprefix("ref: ")
            else:
                head_hash = value
        return (ref, head_hash) if head_hash else None

    def _clone(self) -> None:
        """Clone beside the final place and rename, so that a killed clone leaves no half mirror."""
        for leftover in self.path.parent.glob(f"{self.path.name}.partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{self.path.name}.partial-", dir=self.path.parent))
        try:
            self._git(
                "clone", "--bare", "--no-tags", "--single-branch", "--quiet", "--",
                self.url, str(partial), watch=partial,
            )  # fmt: skip
            self._run(["git", "-C", str(partial), "update-ref", SYNC_REF, "HEAD"])
            # The mailmap that git log applies in a bare repository is the one at HEAD.
            self._run(["git", "-C", str(partial), "symbolic-ref", "HEAD", SYNC_REF])
            partial.rename(self.path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _sync_hash(self) -> str | None:
        return self._resolve(SYNC_REF)

    def read_mailmap(self, head: Head) -> str:
        """The text of the mailmap at the head; empty where there is none, or one beyond reason."""
        blob = head.mailmap_hash
        if blob is None or int(self._git("cat-file", "-s", blob, inside=True)) > MAX_MAILMAP_BYTES:
            return ""
        with self._stream("cat-file", "blob", blob) as output:
            return output.read().decode("utf-8", "replace")

    def _mailmap_hash(self) -> str | None:
        return self._resolve(f"{SYNC_REF}:.mailmap")

    def _resolve(self, revision: str) -> str | None:
        if not self.path.exists():
            return None
        completed = subprocess.run(
            ["git", "-C", str(self.path), "rev-parse", "--verify", "--quiet", revision],
            env=self._environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return completed.stdout.strip() or None

    def _shallow_boundary(self) -> tuple[str, ...]:
        shallow = self.path / "shallow"
        return tuple(sorted(shallow.read_text().split())) if shallow.exists() else ()

    def _git_succeeds(self, *arguments: str) -> bool:
        completed = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            env=self._environment, capture_output=True, check=False,
        )  # fmt: skip
        return completed.returncode == 0

    def _git(self, *arguments: str, watch: Path | None = None, inside: bool = False) -> str:
        at = ["-C", str(self.path)] if inside or watch == self.path else []
        return self._run(["git", *at, *arguments], watch)

    def _run(self, command: Sequence[str], watch: Path | None = None) -> str:
        """Run git to its end; stop it when it takes too long or its folder grows too large."""
        with (
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
            subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=stdout,
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
            stdout.seek(0)
            return stdout.read().decode("utf-8", "replace")

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
    def _stream(self, *arguments: str) -> Iterator[IO[bytes]]:
        """The output of git while it runs. A non-zero exit is an error, never an early end."""
        command = ["git", "-C", str(self.path), *arguments]
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=stderr, start_new_session=True, pass_fds=(self._lock.fileno(),),
            )  # fmt: skip
            timer = threading.Timer(self.limits.timeout_seconds, _stop, (process,))
            timer.start()
            try:
                assert process.stdout is not None
                yield process.stdout
                if process.wait() != 0:
                    stderr.seek(0)
                    raise self._failure(command, process.returncode, stderr.read())
            finally:
                timer.cancel()
                _stop(process)
                process.stdout.close()  # type: ignore[union-attr]

    def _failure(self, command: Sequence[str], status: int, stderr: bytes) -> Exception:
        said = stderr.decode("utf-8", "replace").strip()
        attempted = f"Running git {_verb(command)} for {self.url}"
        if status < 0:
            return RepositoryUnreachableError(
                attempted,
                f"git was stopped by signal {-status} ({signal.Signals(-status).name})",
                "Look for the out-of-memory killer or for a time limit, then run again",
            )
        seen = f"git exited with status {status}: {said[-500:] or 'no message'}"
        for pattern, error, remedy in FAILURES:
            if re.search(pattern, said):
                return error(attempted, seen, remedy)
        remedy = "It is tried again; if it stays, run the same git command by hand to see more"
        return GitCommandError(attempted, seen, remedy)


@contextmanager
def open_mirror(
    url: str,
    cache_dir: Path,
    limits: GitLimits,
    token: str | None = None,
    token_host: str = GITHUB,
) -> Iterator[Mirror]:
    """The mirror of a repository, locked against other runs for the length of the context.

    git processes inherit the lock: one that outlives a killed run keeps the mirror closed until
    it has ended, so that left-over lock files inside the mirror are nobody's and can be removed.

    Raises:
        MirrorBusyError: another run held it for longer than the limits allow.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    path = cache_dir / _mirror_name(url)
    with path.with_suffix(".lock").open("w") as lock:
        _wait_for_lock(lock, url, limits.lock_timeout_seconds)
        for stale in path.rglob("*.lock") if path.exists() else ():
            stale.unlink(missing_ok=True)
        yield Mirror(path, url, limits, token, lock, token_host)


def parse_log(fields: Iterator[bytes], shallow_boundary: frozenset[str]) -> Iterator[Commit]:
    """Commits from the NUL-separated fields of ``git log -z --numstat`` with HEADER_FORMAT.

    A commit is its header fields, one empty field, then per changed file
    ``added TAB deleted TAB path``; a rename has an empty path and two more fields. Neither an
    object id nor a header field can look like a counts field where one is expected.
    """
    field = next(fields, None)
    while field is not None:
        if not OBJECT_ID.fullmatch(field):
            raise MirrorBrokenError(
                "Reading git log", f"{field[:80]!r} stands where a commit should", "Run again"
            )
        header = [field, *(next(fields) for _ in range(HEADER_FIELDS - 1))]
        next(fields, None)
        added = deleted = files = binary = 0
        field = next(fields, None)
        while field is not None and (match := NUMSTAT.fullmatch(field)):
            files += 1
            if match[1] == b"-":
                binary += 1
            else:
                added += int(match[1])
                deleted += int(match[2])
            if not match[3]:
                next(fields)
                next(fields)
            field = next(fields, None)
        counts = LineCounts(added, deleted, files, binary)
        yield _commit(header, counts, shallow_boundary)


def _commit(header: list[bytes], counts: LineCounts, shallow_boundary: frozenset[str]) -> Commit:
    text = [field.decode("utf-8", "replace") for field in header]
    commit_hash = text[0]
    return Commit(
        commit_hash=commit_hash,
        parent_hashes=tuple(text[1].split()),
        author=_signature(text[2:7]),
        committer=_signature(text[7:12]),
        # GitHub's API tells messages without the line break that most of them end with.
        message=text[12].rstrip(),
        is_encoding_valid=not any("\ufffd" in field for field in text),
        # Cut off from its parents, a commit shows its whole tree as added.
        line_counts=None if commit_hash in shallow_boundary else counts,
    )


def _signature(fields: list[str]) -> Signature:
    name, email, name_mapped, email_mapped, date = fields
    # git 2.39 leaves these two placeholders unexpanded where the header line is empty.
    if name_mapped == "%aN" or name_mapped == "%cN":
        name_mapped = name
    if email_mapped == "%aE" or email_mapped == "%cE":
        email_mapped = email
    seconds, _, offset = date.partition(" ")
    epoch_seconds = int(seconds) if re.fullmatch(r"-?\d+", seconds) else None
    return Signature(name, email, name_mapped, email_mapped, epoch_seconds, offset)


def _fields(output: IO[bytes]) -> Iterator[bytes]:
    rest: list[bytes] = []
    while chunk := output.read(READ_BYTES):
        first, *others = chunk.split(b"\0")
        rest.append(first)
        if others:
            yield b"".join(rest)
            yield from others[:-1]
            rest = [others[-1]]
    if tail := b"".join(rest):
        yield tail


def _range(walk: Walk, head: Head, previous: Head | None) -> tuple[str, ...]:
    if walk is Walk.DELTA and previous is not None:
        return (head.head_hash, "--not", previous.head_hash, "--")
    return (head.head_hash, "--")


def _git_environment(token: str | None, token_host: str) -> Mapping[str, str]:
    """An environment of our own: no prompts, no user configuration, only named transports.

    The token travels as configuration in the environment, not in an argument that every user of
    the machine can list, and only to the given host.
    """
    configuration = {
        "gc.autoDetach": "false",
        "maintenance.auto": "false",
        "http.lowSpeedLimit": "1000",
        "http.lowSpeedTime": "60",
        "core.quotePath": "false",
        "diff.renameLimit": "1000",
    }
    if token is not None:
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        configuration[f"http.{token_host.rstrip('/')}/.extraHeader"] = (
            f"Authorization: Basic {basic}"
        )
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR")
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


def _mirror_name(url: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9]+", "-", url.rpartition("://")[2]).strip("-")[-60:]
    return f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.git"


def _wait_for_lock(lock: IO[str], url: str, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise MirrorBusyError(
                    f"Opening the mirror of {url}",
                    f"another run has held it for {timeout_seconds:.0f} s",
                    "Wait for that run to end, or cancel it",
                ) from None
            time.sleep(0.2)


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
