"""Running PostgreSQL when we are root, which PostgreSQL itself refuses to be.

The server is then run as a user that has no account: no other program of the machine is this user,
and may read or end what is the server's. Its files are made by ``nobody``, for initdb wants an
account, in a folder that is closed to other programs of ``nobody``.

If the clone lies below a folder that these users may not enter (``/root`` is 0700 almost
everywhere), no folder is opened up for them; on Linux they keep the one capability that lets them
look past folder permissions, and nothing else of root.
"""

import ctypes
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from flows._shared.errors import PermanentError

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITIES = (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE)
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
# Without this bit the kernel's access(2) forgets capabilities of a user other than root, and
# PostgreSQL asks access(2) about its own program files.
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522

# Given to no account: systemd and Debian leave them out.
WITHOUT_ACCOUNTS = range(65_520, 65_534)

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


@dataclass(frozen=True)
class Helper:
    """A user who stands in for root."""

    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Make a file, or a folder with all in it, this user's; the folder itself at the end."""
        for folder, _, files in os.walk(path, topdown=False):
            for name in files:
                os.chown(Path(folder) / name, self.uid, self.gid, follow_symlinks=False)
            os.chown(folder, self.uid, self.gid)
        os.chown(path, self.uid, self.gid)


@cache
def server_user() -> Helper:
    """Who the server is when we are root: `nobody` where a container knows few ids.

    Raises:
        PermanentError: accounts have all ids that are for this.
    """
    if not all(_is_known(uid) for uid in WITHOUT_ACCOUNTS):
        return maker_user()
    for uid in WITHOUT_ACCOUNTS:
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return Helper(uid, uid)
    raise PermanentError(
        "running PostgreSQL as root",
        f"PostgreSQL refuses root, and accounts have each id from {WITHOUT_ACCOUNTS.start}"
        f" to {WITHOUT_ACCOUNTS.stop - 1}",
        "Run as an ordinary user, or point DATABASE_URL at a PostgreSQL of your own",
    )


def _is_known(user: int) -> bool:
    """Whether this namespace of users has a user of this id, and a group."""
    return all(
        any(
            int(first) <= user < int(first) + int(many)
            for first, _, many in map(str.split, table.read_text().splitlines())
        )
        for table in (Path("/proc/self/uid_map"), Path("/proc/self/gid_map"))
        if table.exists()
    )


def maker_user() -> Helper:
    """Who makes a cluster when we are root. Raises PermanentError if the machine has none."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise PermanentError(
            "creating a PostgreSQL cluster as root",
            "PostgreSQL refuses root, and this machine has no user `nobody` to stand in",
            "Run as an ordinary user, or point DATABASE_URL at a PostgreSQL of your own",
        ) from None
    return Helper(nobody.pw_uid, nobody.pw_gid)


def give_to_server(path: Path) -> None:
    """Make a path, and all in it, the server's if we are root; otherwise it is ours already."""
    if is_root() and path.stat().st_uid != server_user().uid:
        server_user().own(path)


def give_to_maker(path: Path) -> None:
    if is_root():
        maker_user().own(path)


def open_if_needed(folder: Path) -> None:
    """Let the maker into a folder that is closed, if it cannot enter by a capability."""
    if not is_root():
        return
    looking_past = [_become_with(each, maker_user()) for each in CAPABILITIES]
    if not any(_can_read(become, [folder]) for become in looking_past):
        folder.chmod(0o711)


def server_for(readable: Sequence[Path]) -> BecomeHelper | None:
    """What a child process must call before it runs the server; None for an ordinary user.

    Args:
        readable: files the helper must be able to read, folders it must be able to enter.

    Raises:
        PermanentError: the helper cannot reach them and may not be given the means.
    """
    return _becoming(server_user(), readable) if is_root() else None


def maker_for(readable: Sequence[Path]) -> BecomeHelper | None:
    """As `server_for`, for the program that makes a cluster."""
    return _becoming(maker_user(), readable) if is_root() else None


def _becoming(user: Helper, readable: Sequence[Path]) -> BecomeHelper:
    plain: BecomeHelper = partial(_become_plain, user)
    for become in (plain, *(_become_with(each, user) for each in CAPABILITIES)):
        if _can_read(become, readable):
            return become
    raise PermanentError(
        "running PostgreSQL as another user on behalf of root",
        f"that user cannot read {', '.join(map(str, readable))}, because a folder above is closed "
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


def _become_plain(user: Helper) -> None:
    os.setgroups([])
    os.setgid(user.gid)
    os.setuid(user.uid)


def _become_with(capability: int, user: Helper) -> BecomeHelper:
    libc = ctypes.CDLL(None, use_errno=True)

    def become() -> None:
        if not sys.platform.startswith("linux"):
            raise OSError("capabilities are a thing of Linux")
        _require(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
        _become_plain(user)
        mask = 1 << capability
        header = _CapabilityHeader(CAPABILITY_VERSION_3, 0)
        sets = (_CapabilitySet * 2)(_CapabilitySet(mask, mask, mask), _CapabilitySet(0, 0, 0))
        _require(libc.capset(ctypes.byref(header), ctypes.byref(sets)))
        _require(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))

    return become


def _require(status: int) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), "the kernel refused a change of privileges")
