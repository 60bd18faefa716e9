"""Repositories as the server knows them: bare git repositories, read with git itself."""

import re
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

PERSON = re.compile(r"^(.*?) ?<([^>]*)> ?(?:(-?\d+) ([+-]\d{4}))?")


@dataclass(frozen=True)
class Actor:
    name: str
    email: str
    seconds: int | None
    offset: str

    def iso(self) -> str | None:
        """With the offset that the author's machine had, as GraphQL tells it."""
        if self.seconds is None:
            return None
        sign = -1 if self.offset[0] == "-" else 1
        delta = timedelta(hours=int(self.offset[1:3]), minutes=int(self.offset[3:]))
        return datetime.fromtimestamp(self.seconds, timezone(sign * delta)).isoformat()

    def utc(self) -> str | None:
        """As REST tells it."""
        if self.seconds is None:
            return None
        return f"{datetime.fromtimestamp(self.seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True)
class CommitObject:
    oid: str
    parents: tuple[str, ...]
    author: Actor
    committer: Actor
    message: str


@dataclass(frozen=True)
class User:
    login: str
    database_id: int
    kind: str = "User"


@dataclass
class Repository:
    """One repository. ``database_id`` never changes; ``owner`` and ``name`` may.

    Args:
        path: of the bare git repository, which a test may write into at any time.
    """

    path: Path
    database_id: int
    owner: str = "octo"
    name: str = "tool"
    disk_kilobytes: int = 1_000
    stars: int = 0
    forks: int = 0
    licence: str | None = None
    description: str | None = None
    topics: list[str] = field(default_factory=list)
    languages: dict[str, int] = field(default_factory=dict)
    is_archived: bool = False
    is_fork: bool = False
    is_private: bool = False
    accounts: dict[str, User] = field(default_factory=dict)
    old_names: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    broken_stats: set[str] = field(default_factory=set)
    _objects: dict[str, CommitObject] = field(default_factory=dict)
    _stats: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    _orders: dict[str, list[str]] = field(default_factory=dict)

    @property
    def node_id(self) -> str:
        return f"R_{self.database_id:08d}"

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    def rename(self, owner: str, name: str) -> None:
        self.old_names.add(self.full_name)
        self.owner, self.name = owner, name

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return subprocess.run(
            ["git", "-C", str(self.path), *arguments], input=stdin, capture_output=True, check=True
        ).stdout

    def try_git(self, *arguments: str) -> str | None:
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments], capture_output=True, check=False
        )
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def head(self) -> tuple[str, str] | None:
        """Name and commit of the default branch, read as cheaply as this is asked."""
        target = (self.path / "HEAD").read_text().strip()
        ref = target.removeprefix("ref: ")
        name = ref.removeprefix("refs/heads/")
        if (loose := self.path / ref).exists():
            return name, loose.read_text().strip()
        packed = self.path / "packed-refs"
        for line in packed.read_text().splitlines() if packed.exists() else ():
            if line.endswith(f" {ref}"):
                return name, line.split()[0]
        return None

    def history(self, oid: str) -> list[str]:
        """All commits that ``oid`` reaches, in the order of ``git log``."""
        if oid not in self._orders:
            listed = self.git("rev-list", oid).decode().split()
            self._orders[oid] = listed
            self._load(listed)
        return self._orders[oid]

    def commit(self, oid: str) -> CommitObject | None:
        if oid in self.forgotten:
            return None
        if oid not in self._objects:
            if self.try_git("cat-file", "-e", f"{oid}^{{commit}}") is None:
                return None
            self._load([oid])
        return self._objects[oid]

    def stats(self, oid: str) -> tuple[int, int, int]:
        """Lines added and deleted against the first parent, and files."""
        if oid not in self._stats:
            self._load_stats([oid, "--no-walk"])
        return self._stats[oid]

    def _load(self, oids: list[str]) -> None:
        missing = [oid for oid in oids if oid not in self._objects]
        content = self.git("cat-file", "--batch", stdin="\n".join(missing).encode() + b"\n")
        at = 0
        for oid in missing:
            end = content.index(b"\n", at)
            size = int(content[at:end].split()[2])
            self._objects[oid] = parse_commit(oid, content[end + 1 : end + 1 + size])
            at = end + 1 + size + 1
        if len(missing) > 1:
            self._load_stats([missing[0]])

    def _load_stats(self, arguments: list[str]) -> None:
        text = self.git(
            "-c", "core.quotePath=true", "log", "--numstat", "-M", "--diff-merges=first-parent",
            "--format=commit %H", *arguments,
        ).decode()  # fmt: skip
        oid = ""
        for line in text.splitlines():
            if line.startswith("commit "):
                oid = line.split()[1]
                self._stats[oid] = (0, 0, 0)
            elif match := re.match(r"(\d+|-)\t(\d+|-)\t", line):
                added, deleted, files = self._stats[oid]
                lines = (0, 0) if match[1] == "-" else (int(match[1]), int(match[2]))
                self._stats[oid] = (added + lines[0], deleted + lines[1], files + 1)


def parse_commit(oid: str, content: bytes) -> CommitObject:
    head, _, message = content.partition(b"\n\n")
    headers: dict[str, list[bytes]] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        headers.setdefault(key.decode(), []).append(value)
    encoding = headers.get("encoding", [b"utf-8"])[0].decode()

    def text(value: bytes) -> str:
        return value.decode(encoding, "replace")

    def actor(value: bytes) -> Actor:
        match = PERSON.match(text(value))
        if match is None:
            return Actor("", "", None, "")
        seconds = int(match[3]) if match[3] else None
        return Actor(match[1].strip(), match[2], seconds, match[4] or "")

    return CommitObject(
        oid=oid,
        parents=tuple(each.decode() for each in headers.get("parent", [])),
        author=actor(headers["author"][0]),
        committer=actor(headers["committer"][0]),
        message=text(message).rstrip("\n"),
    )
