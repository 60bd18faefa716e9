"""Reads from outside: files of a folder or object store, Google Drive, an embeddings endpoint."""

from flows.scout.source.files import examine, list_files, read_rows

__all__ = ["examine", "list_files", "read_rows"]
