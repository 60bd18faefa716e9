"""A store, a folder of telemetry, and the receiver of the webhooks' tests."""

from pathlib import Path

import pytest

from flows.agent_analytics import raw
from tests.webhooks.conftest import inbox_url, receiver

__all__ = ["inbox_url", "receiver"]


@pytest.fixture
def store(tmp_path: Path) -> raw.Store:
    return raw.Store(tmp_path / "store.duckdb")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder
