from pathlib import Path

import pytest

from tests.github_scraper.histories import History


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "origin.git")
