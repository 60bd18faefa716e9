"""What this machine refuses a command: a folder of another account, a full disk."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from flows._shared.errors import PermanentError

NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def refusal(attempted: str, error: OSError) -> PermanentError | None:
    """The error that names the file and what to do; none where the fault is one of ours."""
    is_file = isinstance(error.filename, str | bytes | os.PathLike)
    if not is_file or error.errno not in NO_ACCESS | NO_SPACE:
        return None
    path = Path(os.fsdecode(error.filename))
    remedy = "Make room: `flows clean` frees .local/" if error.errno in NO_SPACE else whose(path)
    return PermanentError(attempted, f"{path}: {error.strerror}", remedy)


def whose(path: Path) -> str:
    """Who may write what stands in the way at a path, and how somebody else can go on."""
    # Where links lead: one that leads nowhere belongs to somebody else than what is missing there.
    real = Path(os.path.realpath(path))
    there = next(
        each for each in (real, *real.parents) if os.access(each, os.F_OK, effective_ids=True)
    )
    owner = f"account {there.stat().st_uid}"
    with suppress(KeyError):
        owner = there.owner()
    return (
        f"{there} belongs to {owner}: let this account write there, do this as {owner},"
        " or in a clone of your own"
    )
