"""Writes this domain's raw tables: the DuckDB file, telemetry, and all other rows."""

from flows.agent_analytics.raw.otlp import load_lines
from flows.agent_analytics.raw.purge import (
    find_person,
    forget_former_rows,
    loaded_up_to,
    purge_person,
    remember_person,
)
from flows.agent_analytics.raw.rows import (
    consumed,
    ensure_schema,
    landed,
    last_ids,
    load_commits,
    load_copilot,
    read_before,
    record_consumed,
    record_read,
    reject,
)
from flows.agent_analytics.raw.store import (
    Store,
    is_damage,
    is_full,
    is_out_of_memory,
    told_when_full,
)

__all__ = [
    "Store",
    "consumed",
    "ensure_schema",
    "find_person",
    "forget_former_rows",
    "is_damage",
    "is_full",
    "is_out_of_memory",
    "landed",
    "last_ids",
    "load_commits",
    "load_copilot",
    "load_lines",
    "loaded_up_to",
    "purge_person",
    "read_before",
    "record_consumed",
    "record_read",
    "reject",
    "remember_person",
    "told_when_full",
]
