"""The one door to files that others put where a flow reads: no pipe, no device, no way out."""

import os
import re
from contextlib import suppress
from errno import ENXIO
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from flows._shared.errors import PermanentError

# A pipe without a writer would be waited for when it is opened.
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
WILDCARDS = re.compile(r"[*?[]")
LEADS_OUT = "a link leads from it out of {}"
NO_REGULAR_FILE = "it is no regular file, but a folder, a pipe, a socket or a device"


class InputFileRefusedError(PermanentError):
    """No regular file, or a link that leads out of the folder in which it lies."""


def open_input(path: Path | str, within: Path | str | None = None) -> BinaryIO:
    """Open a regular file for reading.

    What was asked of the file is asked of what was opened, so that nobody can put another in its
    place meanwhile.

    Args:
        within: the folder, itself a link or not, out of which no link may lead. None where a
            person named the file.

    Raises:
        InputFileRefusedError: it is no such file.
        OSError: as ``open``.
    """
    try:
        handle = os.open(path, FLAGS) if within is None else _open_within(path, within)
    except OSError as error:
        if error.errno != ENXIO:
            raise
        raise _no_regular_file(path) from None
    if not S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _no_regular_file(path)
    return os.fdopen(handle, "rb")


def leads_out(path: Path | str, within: Path | str) -> str | None:
    """What is said of a path on which a link leads out of the folder; None where none does."""
    return LEADS_OUT.format(within) if _steps(path, within) is None else None


def _steps(path: Path | str, within: Path | str) -> tuple[str, ...] | None:
    """From the folder to where the path leads, without links; None where that is elsewhere."""
    led, root = Path(os.path.realpath(path)), os.path.realpath(within)
    return led.relative_to(root).parts if led.is_relative_to(root) else None


def require_regular_file(path: Path) -> None:
    """For a file that something else opens, which would wait at a pipe without end.

    Raises:
        InputFileRefusedError: it is no regular file. One that cannot be opened is left to whoever
            opens it.
    """
    with suppress(OSError):
        open_input(path).close()


def named_part(pattern: Path | str) -> Path:
    """What of it a person named: the folder before the first wildcard, or all without one."""
    path = Path(pattern).absolute()
    while not path.exists() and WILDCARDS.search(str(path)):
        path = path.parent
    return path


def _open_within(path: Path | str, within: Path | str) -> int:
    """Folder by folder from the one that was given on, through no link but those seen here."""
    steps = _steps(path, within)
    if steps is None:
        raise InputFileRefusedError(
            f"Reading {_shown(path)}",
            LEADS_OUT.format(within),
            "Put the file itself there, or name the folder it lies in",
        )
    *folders, name = steps or (".",)
    handle = os.open(within, FLAGS | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, FLAGS | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = inner
        return os.open(name, FLAGS | os.O_NOFOLLOW, dir_fd=handle)
    finally:
        os.close(handle)


def _no_regular_file(path: Path | str) -> InputFileRefusedError:
    return InputFileRefusedError(
        f"Reading {_shown(path)}",
        NO_REGULAR_FILE,
        "Take it away, or put the content there as a file",
    )


def _shown(path: Path | str) -> str:
    """A name may hold bytes that are no text, and line breaks."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in str(path))
