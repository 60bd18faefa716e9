"""Running PostgreSQL when we are root, which PostgreSQL itself refuses to be.

The server is then run as the existing user ``nobody``: no user is added to the machine. If the
clone lies below a folder that ``nobody`` may not enter (``/root`` is 0700 almost everywhere), no
folder is opened up for it; on Linux the server keeps the one capability that lets it look past
folder permissions, and nothing else of root.
"""

import ctypes
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from flows._shared.errors import PermanentError

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
# Without this bit the kernel's access(2) forgets capabilities of a user other than root, and
# PostgreSQL asks access(2) about its own program files.
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522

BecomeHelper = Callable[[], None]


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilitySet(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def is_root() -> bool:
    return os.geteuid() == 0


@cache
def helper_user() -> pwd.struct_passwd:
    """The account that stands in for root. Raises PermanentError if the machine has none."""
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise PermanentError(
            "running PostgreSQL as root",
            "PostgreSQL refuses root, and this machine has no user `nobody` to stand in",
            "Run as an ordinary user, or point DATABASE_URL at a PostgreSQL of your own",
        ) from None


def give_to_helper(path: Path) -> None:
    """Make ``path`` the helper's if we are root; otherwise it is ours already."""
    if is_root():
        os.chown(path, helper_user().pw_uid, helper_user().pw_gid)


def helper_for(readable: Sequence[Path]) -> BecomeHelper | None:
    """What a child process must call before it runs PostgreSQL; None for an ordinary user.

    Args:
        readable: files the helper must be able to read, folders it must be able to enter.

    Raises:
        PermanentError: the helper cannot reach them and may not be given the means.
    """
    if not is_root():
        return None
    for become in (
        _become_plain,
        _become_with(CAP_DAC_READ_SEARCH),
        _become_with(CAP_DAC_OVERRIDE),
    ):
        if _can_read(become, readable):
            return become
    raise PermanentError(
        "running PostgreSQL as the user `nobody` on behalf of root",
        f"`nobody` cannot read {', '.join(map(str, readable))}, because a folder above is closed "
        "to other users and this container or system takes from root the right to look past that",
        "Run as an ordinary user, or keep the clone in a folder that others may enter "
        "(such as /srv or /opt), or point DATABASE_URL at a PostgreSQL of your own",
    )


def _can_read(become: BecomeHelper, paths: Sequence[Path]) -> bool:
    script = 'for path do test -x "$path/" || test -r "$path" || exit 1; done'
    command = ["/bin/sh", "-c", script, "sh", *map(str, paths)]
    try:
        probe = subprocess.run(command, cwd="/", preexec_fn=become, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return probe.returncode == 0


def _become_plain() -> None:
    user = helper_user()
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def _become_with(capability: int) -> BecomeHelper:
    libc = ctypes.CDLL(None, use_errno=True)

    def become() -> None:
        if not sys.platform.startswith("linux"):
            raise OSError("capabilities are a thing of Linux")
        _require(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
        _become_plain()
        mask = 1 << capability
        header = _CapabilityHeader(CAPABILITY_VERSION_3, 0)
        sets = (_CapabilitySet * 2)(_CapabilitySet(mask, mask, mask), _CapabilitySet(0, 0, 0))
        _require(libc.capset(ctypes.byref(header), ctypes.byref(sets)))
        _require(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))

    return become


def _require(status: int) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), "the kernel refused a change of privileges")
