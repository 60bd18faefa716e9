"""Agent analytics: what coding agents cost and yield.

Sources: OpenTelemetry of coding agents (files a collector or the receiver wrote), git commits,
Copilot usage reports. Warehouse: one DuckDB file with one writer; raw tables in ``raw``, marts in
``mart``; readers use the published copy.
"""
