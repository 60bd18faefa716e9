"""Reads commits from git: a bare mirror per repository, one streaming ``git log``.

Nothing here trusts what a repository contains. git runs without the user's configuration, never
prompts, and follows only the transports listed in ``rules.FETCHABLE_SCHEMES``.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from flows._shared.errors import PlatformError
from flows.github_scraper.records import (
    Commit,
    DefaultBranchError,
    GitCommandError,
    Head,
    MirrorBrokenError,
    MirrorBusyError,
    RepositoryUnreachableError,
    SourceCorruptError,
    Walk,
)
from flows.github_scraper.source.attributes import (
    Entry,
    attribute_files,
    attributes_hash,
    path_classes,
    speaks_to_linguist,
)
from flows.github_scraper.source.command import Git, GitLimits, git_environment
from flows.github_scraper.source.failures import MEND_SOURCE
from flows.github_scraper.source.log import HEADER_FORMAT, READ_BYTES, fields, parse_log

GITHUB = "https://github.com"
SYNC_REF = "refs/sync/head"
MAX_MAILMAP_BYTES = 16 << 20
SHOWN_REFS = 5
# An object, not the pack that it lies in.
HASH = re.compile(r"(?<![-0-9a-z])[0-9a-f]{40}(?:[0-9a-f]{24})?(?![0-9a-z])")


class Mirror:
    """A bare clone of one repository's default branch, held under an exclusive lock."""

    def __init__(self, path: Path, url: str, git: Git) -> None:
        self.path = path
        self.url = url
        self._git = git

    def fetch(self) -> Head | None:
        """Bring the default branch up to date. None where the repository has no commits.

        Raises:
            DefaultBranchError: HEAD leads to no commit, though there are branches with commits.
            SourceCorruptError: the source lacks an object, or has another one in its place.
        """
        advertised = self._advertised_head()
        if advertised is None:
            self._refuse_unborn()
            return None
        ref, head_hash = advertised
        if not self.path.exists():
            self._clone(advertised)
        elif self._sync_hash() != head_hash or self._shallow_boundary():
            self._fetch_head(self.path, advertised)
        # Between the advertisement and the fetch the branch may have moved on: the mirror decides.
        head_hash = self._sync_hash() or head_hash
        entries = self._attribute_files(head_hash)
        return Head(
            ref,
            head_hash,
            self._mailmap_hash(),
            self._shallow_boundary(),
            attributes_hash=attributes_hash(entries) if entries else None,
        )

    def _fetch_head(self, path: Path, advertised: tuple[str, str]) -> None:
        """Fetch what HEAD names, and what a tag there points to. Every object that arrives is
        checked, which a copy of a local clone's files would not be."""
        deepen = ("--unshallow",) if self._shallow_boundary() else ()
        try:
            self._git.run(
                [
                    "git", "-C", str(path), "fetch", "--no-tags", "--force", "--update-shallow",
                    "--quiet", *deepen, "--", self.url, f"HEAD:{SYNC_REF}",
                ],
                watch=path,
            )  # fmt: skip
        except MirrorBrokenError as error:
            if path == self.path:
                raise
            # Into an empty folder, so that only the source can be broken.
            seen = self._with_damaged_object(error.seen)
            raise SourceCorruptError(error.attempted, seen, MEND_SOURCE) from None
        except SourceCorruptError as error:
            if self._advertised_head() != advertised:
                raise RepositoryUnreachableError(
                    f"Running git fetch for {self.url}",
                    "its default branch moved meanwhile",
                    "The next attempt begins with the new head",
                ) from None
            seen = self._with_damaged_object(error.seen)
            raise SourceCorruptError(error.attempted, seen, error.remedy) from None
        try:
            self._git.run(
                ["git", "-C", str(path), "update-ref", SYNC_REF, f"{SYNC_REF}^{{commit}}"]
            )
        except GitCommandError:
            raise DefaultBranchError(
                f"Fetching {self.url}",
                f"its HEAD ({advertised[0]}) names something that is no commit",
                "Point HEAD at a branch (git symbolic-ref HEAD refs/heads/<name>)",
            ) from None

    def _with_damaged_object(self, seen: str) -> str:
        """Where a broken stream names no object: what git finds in a folder of this machine."""
        if HASH.search(seen) or not self.url.startswith("/"):
            return seen
        said = ""
        with tempfile.TemporaryFile() as listed:
            try:
                self._git.run(["git", "-C", self.url, "fsck", "--no-dangling"], stdout=listed)
            except PlatformError as error:
                said = error.seen
            listed.seek(0)
            found = HASH.search(said + listed.read(READ_BYTES).decode("utf-8", "replace"))
        return f"its object {found[0]} is missing or damaged ({seen})" if found else seen

    def has_commit(self, commit_hash: str) -> bool:
        return self._git.succeeds("cat-file", "-e", f"{commit_hash}^{{commit}}")

    def keep(self, commit_hash: str) -> None:
        """Protect a tip that is no longer reachable from clean-up by git."""
        self._git.text("update-ref", f"refs/archive/{commit_hash}", commit_hash, inside=True)

    def tidy(self) -> None:
        """Let git repack where it finds that worthwhile: every fetch leaves a pack."""
        self._git.text("gc", "--auto", "--quiet", inside=True)

    def count_commits(self, walk: Walk, head: Head, previous: Head | None) -> int:
        listed = self._git.text("rev-list", "--count", *_range(walk, head, previous), inside=True)
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
        with tempfile.TemporaryFile() as listed:
            self._git.run(
                ["git", "-C", str(self.path), "rev-list", *_range(walk, head, previous)],
                stdout=listed,
            )
            listed.seek(0)
            entries = self._attribute_files(head.head_hash) if head.attributes_hash else []
            with (
                path_classes(self.path, self._git.environment, entries) as classify,
                self._git.stream("cat-file", "--batch", "--buffer", stdin=listed) as objects,
                self._git.stream(*command) as output,
            ):
                yield from parse_log(output, objects, boundary, classify)

    def read_orphans(self, head: Head, previous: Head) -> Iterator[str]:
        """Hashes that the last sync reached and this head does not."""
        with self._git.stream(
            "rev-list", previous.head_hash, "--not", head.head_hash, "--"
        ) as output:
            for line in output:
                yield line.decode("ascii").strip()

    def drop(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _advertised_head(self) -> tuple[str, str] | None:
        """What HEAD names and the commit there, or the object that an annotated tag there names."""
        listed = self._git.text("ls-remote", "--symref", "--", self.url, "HEAD", "HEAD^{}")
        ref, head_hash = "HEAD", None
        for line in listed.splitlines():
            value, _, name = line.partition("\t")
            if name == "HEAD" and value.startswith("ref: "):
                ref = value.removeprefix("ref: ")
            elif name == "HEAD^{}" or (name == "HEAD" and head_hash is None):
                head_hash = value
        return (ref, head_hash) if head_hash else None

    def _refuse_unborn(self) -> None:
        with tempfile.TemporaryFile() as listed:
            self._git.run(["git", "ls-remote", "--refs", "--", self.url], stdout=listed)
            listed.seek(0)
            found = [
                line.split(b"\trefs/")[-1].decode("utf-8", "replace").strip()
                for _, line in zip(range(SHOWN_REFS + 1), listed, strict=False)
            ]
        if not found:
            return
        shown = ", ".join(re.sub(r"^(heads|tags)/", "", name)[:100] for name in found[:SHOWN_REFS])
        raise DefaultBranchError(
            f"Fetching {self.url}",
            f"its HEAD names a branch without commits, beside others that have some: {shown}"
            f"{' and more' if len(found) > SHOWN_REFS else ''}",
            "Point HEAD at a branch with commits (git symbolic-ref HEAD refs/heads/<name>, or the "
            "default branch in the host's settings)",
        )

    def _clone(self, advertised: tuple[str, str]) -> None:
        """Clone beside the final place and rename, so that a killed clone leaves no half mirror."""
        for leftover in self.path.parent.glob(f"{self.path.name}.partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{self.path.name}.partial-", dir=self.path.parent))
        try:
            self._git.run(["git", "init", "--bare", "--quiet", "--template=", str(partial)])
            # The mailmap that git log applies in a bare repository is the one at HEAD.
            self._git.run(["git", "-C", str(partial), "symbolic-ref", "HEAD", SYNC_REF])
            self._fetch_head(partial, advertised)
            partial.rename(self.path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _sync_hash(self) -> str | None:
        return self._resolve(SYNC_REF)

    def read_mailmap(self, head: Head) -> str:
        """The text of the mailmap at the head; empty where there is none, or one beyond reason."""
        blob = head.mailmap_hash
        if (
            blob is None
            or int(self._git.text("cat-file", "-s", blob, inside=True)) > MAX_MAILMAP_BYTES
        ):
            return ""
        with self._git.stream("cat-file", "blob", blob) as output:
            return output.read().decode("utf-8", "replace")

    def _attribute_files(self, head_hash: str) -> list[Entry]:
        """Those at the head, if one of them speaks to linguist; else none."""
        with self._git.stream("ls-tree", "-r", "-z", "--full-tree", head_hash) as output:
            entries = attribute_files(fields(output))
            for _ in iter(lambda: output.read(READ_BYTES), b""):
                pass
        if not entries:
            return []
        with tempfile.TemporaryFile() as listed:
            listed.writelines(blob + b"\n" for blob, _ in entries)
            listed.seek(0)
            with self._git.stream("cat-file", "--batch", stdin=listed) as contents:
                return entries if speaks_to_linguist(contents, entries) else []

    def _mailmap_hash(self) -> str | None:
        return self._resolve(f"{SYNC_REF}:.mailmap")

    def _resolve(self, revision: str) -> str | None:
        if not self.path.exists():
            return None
        completed = subprocess.run(
            ["git", "-C", str(self.path), "rev-parse", "--verify", "--quiet", revision],
            env=self._git.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return completed.stdout.strip() or None

    def _shallow_boundary(self) -> tuple[str, ...]:
        shallow = self.path / "shallow"
        return tuple(sorted(shallow.read_text().split())) if shallow.exists() else ()


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
        yield Mirror(path, url, Git(path, url, limits, lock, git_environment(token, token_host)))


def _range(walk: Walk, head: Head, previous: Head | None) -> tuple[str, ...]:
    if walk is Walk.DELTA and previous is not None:
        return (head.head_hash, "--not", previous.head_hash, "--")
    return (head.head_hash, "--")


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
