"""Where the local runtime keeps things: everything under ``.local/``, nothing outside the clone."""

import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deployments.local.privilege import is_root
from flows._shared.errors import PermanentError

OWN = 0o700
# The account that runs PostgreSQL for root passes through, and lists nothing.
PASSED_THROUGH = 0o711

PROJECT_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class LocalPaths:
    """The folders of one local runtime.

    Args:
        state: the folder that holds them all; removing it forgets the runtime.
    """

    state: Path = PROJECT_ROOT / ".local"

    def make_private(self) -> None:
        """Let no other user of this machine in: databases, logs and records hold secrets.

        An installation made before is closed, too. PostgreSQL sees to its own folder.
        """
        for folder in (self.prefect, self.run, self.cache):
            folder.mkdir(mode=OWN, parents=True, exist_ok=True)
        self.state.chmod(PASSED_THROUGH if is_root() else OWN)
        for path in self.state.iterdir():
            if path != self.postgres and not path.is_symlink():
                path.chmod(OWN if path.is_dir() else 0o600)

    @property
    def sign_in(self) -> Path:
        """Holds the name and password that the local Prefect server asks for, one line."""
        return self.prefect / "sign-in"

    @property
    def server_database(self) -> Path:
        return self.prefect / "prefect.db"

    @property
    def postgres(self) -> Path:
        return self.state / "postgres"

    @property
    def prefect(self) -> Path:
        return self.state / "prefect"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def cache(self) -> Path:
        return self.state / "cache"


def own_temporary_folder() -> Path:
    """Where this account's processes put what they need for a while.

    In the folder that all accounts share, Prefect's runner makes one of a fixed name, which belongs
    to the account that was first (3.8, 2026-12): no worker of another starts.

    Raises:
        PermanentError: something of another account has its name.
    """
    folder = Path(tempfile.gettempdir(), f"analytics-flows-{os.geteuid()}")
    with suppress(FileExistsError):
        folder.mkdir(mode=OWN)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise PermanentError(
            f"using {folder} for temporary files",
            "it is not a folder of this account",
            "Remove it, or name a folder of your own: TMPDIR",
        )
    folder.chmod(OWN)
    return folder
