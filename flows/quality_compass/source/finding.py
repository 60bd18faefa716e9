"""Finds runs in a folder, a glob or a bucket's prefix."""

from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from operator import itemgetter
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from flows._shared.errors import PlatformError
from flows._shared.input_files import named_part
from flows._shared.listing import find_all
from flows.quality_compass.records import (
    Findings,
    Kind,
    Run,
    RunFile,
    RunNameError,
    RunNotFoundError,
    StorageError,
)
from flows.quality_compass.rules.indexes import INDEXES
from flows.quality_compass.rules.names import shown
from flows.quality_compass.rules.reading import (
    file_kind,
    is_ahead,
    is_hidden,
    is_one_document,
    is_run_id,
    stem,
)
from flows.quality_compass.source.storage import Storage, reading

MANIFEST = "run_manifest.json"
# In a message, which people read.
NAMED = 20
LOCAL = Storage()


def find_runs(address: str, storage: Storage = LOCAL, *, run_id: str | None = None) -> list[Run]:
    """The runs at an address, oldest first, for who can do without none of them.

    Raises:
        RunNameError: a run's output in a folder whose name is not a run id.
        Others: as ``look_for_runs``.
    """
    found = look_for_runs(address, storage, run_id=run_id)
    for error in found.refused:
        raise error
    return list(found.runs)


def look_for_runs(address: str, storage: Storage = LOCAL, *, run_id: str | None = None) -> Findings:
    """The runs at an address, and what looks like one and cannot be loaded.

    Args:
        address: one run's folder, a folder or prefix of runs, or a glob of either.
        storage: opens the address.
        run_id: the id of a single run whose folder is not named after it.

    Raises:
        RunNotFoundError: nothing there is a run's output.
        StorageError, StorageUnreachableError: the address cannot be read.
    """
    attempted = f"looking for runs at {address}"
    homes: dict[str, _Home] = {}
    links: dict[str, str] = {}
    closed: list[PermissionError] = []
    with reading(attempted):
        system, path = storage.at(address)
        has_pattern = any(each in path for each in "*?[") and not system.exists(path)
        folders = sorted(system.glob(path, on_error="raise")) if has_pattern else [path]
        within = str(named_part(path)) if isinstance(system, LocalFileSystem) else None
        for folder in folders:
            pass_by = partial(_pass_by, folder, closed)
            for file, _ in sorted(find_all(system, folder, pass_by), key=itemgetter(0)):
                if isinstance(system, LocalFileSystem) and Path(file).is_dir():
                    links[file] = str(Path(file).resolve())
                    continue
                relative = file[len(folder.rstrip("/")) + 1 :]
                name, home, inner = _place(folder, relative, run_id)
                url = system.unstrip_protocol(file)
                home_url = system.unstrip_protocol(home)
                homes.setdefault(home, _Home(name, home_url, within)).take(inner, url)
    refused: list[PlatformError] = [
        StorageError(attempted, f"a folder in it cannot be read: {error}", "Grant read access")
        for error in closed
        if not _is_put_aside(str(error.filename), path)
    ]
    runs = []
    notes = []
    for link, target in links.items():
        # The folder itself is found where it is, if it is here.
        is_here = any(target == home or target.startswith(f"{home}/") for home in homes)
        seen = f"{_printable(link)} is a link to the folder {_printable(target)}: not followed"
        if is_run_id(Path(link).name) and not is_here and not _is_put_aside(link, path):
            refused.append(
                RunNameError(attempted, seen, "Name the folder itself as an address, or move it")
            )
        else:
            notes.append(seen)
    for home, found in homes.items():
        if _is_put_aside(home, path):
            if found.files or is_run_id(found.name):
                notes.append(f"{found.url} is hidden or in a hidden folder: not read")
        elif found.files and is_run_id(found.name) and is_ahead(found.name, datetime.now(UTC)):
            refused.append(
                RunNameError(
                    attempted,
                    f"by its name the run in {found.url} has not begun yet",
                    "Rename the folder after the time at which the run began, or correct the clock "
                    "of the machine that is wrong; until then it would be the newest of all runs",
                )
            )
        elif found.files and is_run_id(found.name):
            runs.append(found.run())
        elif found.files:
            refused.append(
                RunNameError(
                    attempted,
                    f"the folder {found.name!r} holds a run's output and is not named "
                    f"YYYYMMDDHHMMSS ({found.url})",
                    "Rename it, or give the run's id in the parameter `run_id`",
                )
            )
        elif is_run_id(found.name):
            # It may have been begun a moment ago.
            unread = ", ".join(sorted(found.unread)[:NAMED]) or "no results yet"
            notes.append(f"{found.name}: nothing in {found.url} is read: {unread}")
    if not runs and not refused:
        raise RunNotFoundError(
            attempted,
            "there is no results/nodes, analysis/contribution or analysis/classification in it",
            "Check the address: a run's folder, a folder of runs, or a glob",
        )
    return merge([Findings(tuple(runs), tuple(refused), tuple(notes))])


def merge(found: Sequence[Findings]) -> Findings:
    """Runs of several addresses, each once. Of two folders that claim to be one run, neither is."""
    homes: dict[str, dict[str, Run]] = {}
    for run in (run for findings in found for run in findings.runs):
        homes.setdefault(run.run_id, {})[run.url] = run
    refused = {str(error): error for findings in found for error in findings.refused}
    for run_id, claims in homes.items():
        if len(claims) > 1:
            error = RunNameError(
                f"reading run {run_id}",
                f"{len(claims)} folders claim to be it: {', '.join(sorted(claims)[:NAMED])}",
                "Load one of them",
            )
            refused[str(error)] = error
    runs = [run for claims in homes.values() if len(claims) == 1 for run in claims.values()]
    return Findings(
        tuple(sorted(runs, key=lambda run: run.run_id)),
        tuple(refused[text] for text in sorted(refused)),
        tuple(sorted({shown(note) for findings in found for note in findings.notes})),
    )


class _Home:
    """A folder that may be a run's, and its files as they are come upon."""

    def __init__(self, name: str, url: str, within: str | None) -> None:
        self.name = name
        self.within = within
        self.url = _printable(url)
        self.files: dict[str, RunFile] = {}
        self.unread: set[str] = set()
        self._manifest: str | None = None
        self._indexes: dict[str, str] = {}

    def take(self, path: str, url: str) -> None:
        kind = file_kind(path)
        if path != _printable(path):
            self.unread.add(_printable(path))
        elif path == MANIFEST:
            self._manifest = url
        elif path in INDEXES:
            self._indexes[path] = url
        elif kind is None:
            self.unread.add(path)
        else:
            self.files[path] = RunFile(path, kind, url, self.within)

    def run(self) -> Run:
        chosen: dict[str, str] = {}
        # Of one node lines before a document, of one file itself before its compressed copy.
        for path in sorted(self.files, key=lambda each: (is_one_document(each), each)):
            is_node = self.files[path].kind is Kind.NODE
            chosen.setdefault(stem(path) if is_node else path.removesuffix(".gz"), path)
        files = sorted(chosen.values())
        return Run(
            self.name,
            self.url,
            tuple(self.files[path] for path in files),
            self._manifest,
            tuple(sorted({*self.unread, *self.files} - {*files})),
            tuple(sorted(self._indexes.items())),
            self.within,
        )


def _is_put_aside(home: str, address: str) -> bool:
    """Some folder on the way is hidden, and the address does not name it."""
    named = [part for part in address.split("/") if is_hidden(part)]
    return any(
        is_hidden(part) and not any(fnmatchcase(part, each) for each in named)
        for part in home.split("/")
    )


def _printable(path: str) -> str:
    """A name of bytes that are no UTF-8 is none that a database or a message takes."""
    return path.encode(errors="backslashreplace").decode()


def _pass_by(folder: str, closed: list[PermissionError], error: OSError) -> None:
    """A folder without access is no reason to leave its neighbours; anything else is."""
    if isinstance(error, PermissionError) and str(error.filename).rstrip("/") != folder.rstrip("/"):
        closed.append(error)
    else:
        raise error


def _place(folder: str, relative: str, run_id: str | None) -> tuple[str, str, str]:
    """The run a file belongs to, that run's folder, and the file's path in it."""
    own = folder.rstrip("/").rsplit("/", 1)[-1]
    if is_run_id(own) or file_kind(relative) is not None:
        return run_id or own, folder, relative
    parts = relative.split("/")
    named = [depth for depth, part in enumerate(parts[:-1]) if is_run_id(part)]
    like_a_run = [
        depth for depth in range(len(parts) - 1) if file_kind("/".join(parts[depth + 1 :]))
    ]
    depth = next(iter(named or like_a_run), 0)
    home = "/".join([folder.rstrip("/"), *parts[: depth + 1]])
    return parts[depth], home, "/".join(parts[depth + 1 :])
