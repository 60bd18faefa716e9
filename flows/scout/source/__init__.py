"""Reads from outside: files of a folder or store, Drive, the inbox, an embeddings endpoint."""

from flows.scout.source.deliveries import read_delivery
from flows.scout.source.files import examine, list_files, read_rows

__all__ = ["examine", "list_files", "read_delivery", "read_rows"]
