"""Files of this project as of a revision: from the clone, or from its git repository elsewhere.

An image holds no history. There the address of the repository is a setting, or the variable
``ANALYTICS_FLOWS_REPOSITORY``, which the build of an image sets.
"""

import base64
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flows._shared.errors import PermanentError, TransientError
from flows._shared.outgoing import check_proxies, header_token
from flows._shared.secrets import without_secrets
from flows._shared.state import ROOT

REPOSITORY_VARIABLE = "ANALYTICS_FLOWS_REPOSITORY"
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/~^-]*")
CLONE_SECONDS = 600
SHOW_SECONDS = 60
PROTOCOLS = "https:ssh:file"
# What another try may help, by git's own words in English.
PASSING = re.compile(
    r"Could not (resolve host|connect)|Couldn't connect|Failed to connect"
    r"|Connection (timed out|refused|reset)|unable to access .*"
    r": The requested URL returned error: (429|5\d\d)|early EOF|Operation timed out",
    re.IGNORECASE,
)


class RevisionError(PermanentError):
    """There is no such revision, the file is not in it, or there is no history to look in."""


class RepositoryUnreachableError(TransientError):
    """The repository does not answer."""


def read_revision(
    revision: str,
    paths: Iterable[str],
    repository: str | None = None,
    token: str | None = None,
    clone: Path = ROOT,
) -> dict[str, bytes]:
    """The content of files by path, as they were at a commit, tag or branch.

    Args:
        repository: address of git; None: that of ``ANALYTICS_FLOWS_REPOSITORY``, else the clone.
        token: for a private repository over HTTPS.

    Raises:
        RevisionError: as it says.
        RepositoryUnreachableError: as it says.
    """
    attempted = f"reading {revision} of this project"
    if not REVISION.fullmatch(revision):
        raise RevisionError(attempted, "this is not a git revision", "Give a commit or a tag")
    with _history(attempted, repository, token, clone) as folder:
        return {path: _show(folder, revision, path) for path in paths}


@contextmanager
def _history(
    attempted: str, repository: str | None, token: str | None, clone: Path
) -> Iterator[Path]:
    address = repository or os.environ.get(REPOSITORY_VARIABLE)
    if address:
        with tempfile.TemporaryDirectory(prefix="history-") as folder:
            _fetch(attempted, address, token, Path(folder))
            yield Path(folder)
    elif (clone / ".git").exists():
        yield clone
    else:
        raise RevisionError(
            attempted,
            "there is no git history here, as in an image",
            f"Set `repository` in the settings, or {REPOSITORY_VARIABLE}, to the project's address",
        )


def _fetch(attempted: str, address: str, token: str | None, folder: Path) -> None:
    """All revisions, into a bare repository."""
    check_proxies()
    command = ["git", "clone", "--quiet", "--mirror", "--", address, str(folder)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            timeout=CLONE_SECONDS,
            env=_environment(address, token),
        )
    except subprocess.TimeoutExpired:
        raise RepositoryUnreachableError(
            attempted,
            f"{without_secrets(address)} took longer than {CLONE_SECONDS} s",
            "Try again later",
        ) from None
    if done.returncode == 0:
        return
    seen = without_secrets(done.stderr.decode(errors="replace").strip())
    if PASSING.search(seen):
        raise RepositoryUnreachableError(attempted, seen, "Check the network; it is tried again")
    raise RevisionError(
        attempted, seen, "Correct the address of `repository`, or the token that may read it"
    )


def _environment(address: str, token: str | None) -> Mapping[str, str]:
    """Git asks nobody, follows nobody elsewhere, and shows the token to its own host only."""
    settings = {"http.followRedirects": "false"}
    if token and address.startswith("https://"):
        usable = header_token(token, address)
        login = base64.b64encode(f"x-access-token:{usable}".encode()).decode()
        settings[f"http.{address}.extraHeader"] = f"Authorization: Basic {login}"
    numbered: dict[str, str] = {}
    for number, (name, value) in enumerate(settings.items()):
        numbered |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return {
        **os.environ,
        **numbered,
        "GIT_CONFIG_COUNT": str(len(settings)),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": PROTOCOLS,
        "LC_ALL": "C",
    }


def _show(folder: Path, revision: str, path: str) -> bytes:
    done = subprocess.run(
        ["git", "-C", str(folder), "show", f"{revision}:{path}"],
        capture_output=True,
        check=False,
        timeout=SHOW_SECONDS,
    )
    if done.returncode:
        raise RevisionError(
            f"reading {path} as of {revision}",
            done.stderr.decode(errors="replace").strip(),
            f"Choose one of `git log --oneline -- {path}`; the clone must have its history",
        )
    return done.stdout
