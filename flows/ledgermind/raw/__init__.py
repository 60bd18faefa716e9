"""Writes raw tables: the sample operational database, and the copy of it on BigQuery."""
