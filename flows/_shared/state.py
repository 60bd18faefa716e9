"""Where an installation keeps what it may lose: git mirrors, dbt targets, caches."""

import os
from pathlib import Path

STATE_VARIABLE = "ANALYTICS_FLOWS_STATE_DIR"


def state_dir() -> Path:
    """The folder named by ``ANALYTICS_FLOWS_STATE_DIR``, else ``.local/cache`` below the working
    directory."""
    return Path(os.environ.get(STATE_VARIABLE) or ".local/cache").absolute()
