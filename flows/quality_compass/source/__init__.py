"""Reads from outside: finds runs in folders and buckets, and reads their files line by line."""

from flows.quality_compass.source.finding import find_runs, look_for_runs, merge
from flows.quality_compass.source.runs import FileReader, read_indexes, read_manifest
from flows.quality_compass.source.storage import Storage

__all__ = [
    "FileReader",
    "Storage",
    "find_runs",
    "look_for_runs",
    "merge",
    "read_indexes",
    "read_manifest",
]
