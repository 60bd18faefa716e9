"""Reads from outside: finds runs in folders and buckets, and reads their files line by line."""

from flows.quality_compass.source.runs import FileReader, find_runs, merge, read_manifest
from flows.quality_compass.source.storage import Storage

__all__ = ["FileReader", "Storage", "find_runs", "merge", "read_manifest"]
