"""Real git repositories for tests: whole histories from the sample, single commits by hand."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from flows.github_scraper import sample

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}
AUTHOR = "Ada <ada@work.example> 1700000000 +0100"


class History:
    """A bare repository that a test writes into object by object."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.mkdir(parents=True)
            self.git("init", "--quiet", "--bare", "--initial-branch=main")

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        completed = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            input=stdin, env=ENVIRONMENT, capture_output=True, check=True,
        )  # fmt: skip
        return completed.stdout.decode("utf-8", "replace").strip()

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def tree(self, entries: Iterable[tuple[str, str, str, bytes]]) -> str:
        """(mode, type, object, path) entries."""
        lines = b"".join(
            f"{mode} {kind} {identifier}\t".encode() + path + b"\0"
            for mode, kind, identifier, path in entries
        )
        return self.git("mktree", "-z", "--missing", stdin=lines)

    def files(self, contents: dict[str, bytes]) -> str:
        return self.tree(
            ("100644", "blob", self.blob(content), path.encode())
            for path, content in contents.items()
        )

    def nested(self, entries: dict[bytes, tuple[str, str, str]]) -> str:
        """A tree of (mode, type, object) by path, with its folders, whatever they are called."""
        folders: dict[bytes, dict[bytes, tuple[str, str, str]]] = {}
        content: dict[bytes, tuple[str, str, str]] = {}
        for path, entry in entries.items():
            folder, slash, rest = path.partition(b"/")
            if slash:
                folders.setdefault(folder, {})[rest] = entry
            else:
                content[path] = entry
        for folder, inside in folders.items():
            content[folder] = ("40000", "tree", self.nested(inside))
        ordered = sorted(
            content.items(), key=lambda each: each[0] + (b"/" if each[1][1] == "tree" else b"")
        )
        raw = b"".join(
            mode.encode() + b" " + name + b"\0" + bytes.fromhex(identifier)
            for name, (mode, _, identifier) in ordered
        )
        return self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)

    def commit(
        self,
        message: bytes = b"change\n",
        *,
        parents: Iterable[str] = (),
        tree: str | None = None,
        author: bytes | str = AUTHOR,
        committer: bytes | str = AUTHOR,
        headers: bytes = b"",
    ) -> str:
        """Write a commit object as it is given, well-formed or not."""
        author = author.encode() if isinstance(author, str) else author
        committer = committer.encode() if isinstance(committer, str) else committer
        content = b"tree %s\n" % (tree or self.files({})).encode()
        content += b"".join(b"parent %s\n" % parent.encode() for parent in parents)
        content += b"author " + author + b"\ncommitter " + committer + b"\n" + headers
        content += b"\n" + message
        return self.git(
            "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=content
        )

    def point(self, commit_hash: str, branch: str = "main") -> None:
        self.git("update-ref", f"refs/heads/{branch}", commit_hash)

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")


def import_sample(path: Path, commits: int, seed: int = 0) -> History:
    history = History(path)
    with subprocess.Popen(
        ["git", "-C", str(path), "fast-import", "--quiet", "--done", "--force"],
        stdin=subprocess.PIPE, env=ENVIRONMENT,
    ) as importer:  # fmt: skip
        assert importer.stdin is not None
        for chunk in sample.history(commits, seed):
            importer.stdin.write(chunk)
    assert importer.returncode == 0
    return history
