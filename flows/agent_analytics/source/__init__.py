"""Reads from outside: telemetry files, the inbox, commits, Copilot's reports."""

from flows.agent_analytics.source.commits import git_commits, mart_commits
from flows.agent_analytics.source.copilot import Copilot, copilot_client
from flows.agent_analytics.source.inbox import InboxBatch, read_inbox
from flows.agent_analytics.source.lines import LineFile, good_lines, line_files
from flows.agent_analytics.source.ordinary import is_ordinary
from flows.agent_analytics.source.parts import (
    FilePart,
    fits_nothing,
    missing,
    split,
    telemetry_files,
    unread_pieces,
)
from flows.agent_analytics.source.rows import read_commit_rows, read_copilot_rows

__all__ = [
    "Copilot",
    "FilePart",
    "InboxBatch",
    "LineFile",
    "copilot_client",
    "fits_nothing",
    "git_commits",
    "good_lines",
    "is_ordinary",
    "line_files",
    "mart_commits",
    "missing",
    "read_commit_rows",
    "read_copilot_rows",
    "read_inbox",
    "split",
    "telemetry_files",
    "unread_pieces",
]
