"""Loading into the DuckDB file, and reading what was published, without Prefect."""

from flows.agent_analytics.sync.files import damaged, load_telemetry
from flows.agent_analytics.sync.loading import (
    copilot_files,
    load_commits,
    load_copilot,
    load_deliveries,
    loaded,
    write_sample,
)
from flows.agent_analytics.sync.warnings import warnings_of

__all__ = [
    "copilot_files",
    "damaged",
    "load_commits",
    "load_copilot",
    "load_deliveries",
    "load_telemetry",
    "loaded",
    "warnings_of",
    "write_sample",
]
