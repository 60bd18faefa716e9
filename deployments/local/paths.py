"""Where the local runtime keeps things: everything under ``.local/``, nothing outside the clone."""

from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class LocalPaths:
    """The folders of one local runtime.

    Args:
        state: the folder that holds them all; removing it forgets the runtime.
    """

    state: Path = PROJECT_ROOT / ".local"

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
