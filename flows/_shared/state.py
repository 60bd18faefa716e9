"""Where an installation keeps what it may lose: git mirrors, dbt targets, caches."""

import os
from pathlib import Path

STATE_VARIABLE = "ANALYTICS_FLOWS_STATE_DIR"
ROOT = Path(__file__).resolve().parents[2]


def state_dir() -> Path:
    """The folder named by ``ANALYTICS_FLOWS_STATE_DIR``, else ``.local/cache`` of the clone."""
    return Path(os.environ.get(STATE_VARIABLE) or ROOT / ".local" / "cache").absolute()
