"""Writes this domain's raw tables: one transaction per run, so that readers see a run whole or not
at all, and a killed load leaves nothing behind. The history of runs is kept."""

from flows.quality_compass.raw.loading import (
    ensure_schema,
    known_runs,
    load_run,
    record_disagreements,
)

__all__ = ["ensure_schema", "known_runs", "load_run", "record_disagreements"]
