"""Reads from outside: telemetry files, the inbox, commits, Copilot's reports."""

from flows.agent_analytics.source.commits import git_commits, mart_commits
from flows.agent_analytics.source.copilot import Copilot, copilot_client
from flows.agent_analytics.source.inbox import InboxBatch, read_inbox
from flows.agent_analytics.source.lines import good_lines, line_files, sifted_lines
from flows.agent_analytics.source.ordinary import is_ordinary
from flows.agent_analytics.source.parts import (
    FilePart,
    fits_nothing,
    missing,
    split,
    telemetry_files,
    unread_pieces,
)
from flows.agent_analytics.source.rows import EXCERPT, read_commit_rows, read_copilot_rows
from flows.agent_analytics.source.written import LineFile

__all__ = [
    "EXCERPT",
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
    "sifted_lines",
    "split",
    "telemetry_files",
    "unread_pieces",
]
