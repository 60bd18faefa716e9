"""A closed folder in a folder is told in every domain, and its neighbours are read."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.agent_analytics.source import missing, telemetry_files
from flows.quality_compass.source import Storage, look_for_runs
from flows.scout.source import list_files
from tests.accounts import open_to_all, without_root

RUNS = ("a/20261120080000", "b/c/20261120080001")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Two that may be read and hold a file, and beside and below them two that may not."""
    with open_to_all() as folder:
        for run in RUNS:
            nodes = folder / run / "results" / "nodes"
            nodes.mkdir(parents=True)
            (nodes / "f.jsonl").touch()
        for closed in ("closed", "b/c/closed"):
            (folder / closed).mkdir(mode=0)
        yield folder
        for closed in ("closed", "b/c/closed"):
            (folder / closed).chmod(0o700)


def of_agents(folder: Path) -> tuple[int, list[str]]:
    assert missing(str(folder)) is None
    assert "Permission denied" in str(missing(str(folder / "closed")))
    files, unread = telemetry_files([str(folder)])
    return len(files), [f"{each.source}: {each.reason}" for each in unread]


def of_quality_compass(folder: Path) -> tuple[int, list[str]]:
    found = look_for_runs(str(folder), Storage())
    return len(found.runs), [str(each) for each in found.refused]


def of_scout(folder: Path) -> tuple[int, list[str]]:
    told, read = [], 0
    for file in list_files(str(folder))[0]:
        try:
            file.open().close()
            read += 1
        except PermissionError as error:
            assert file.name.endswith("closed/")
            told.append(str(error))
    return read, told


@pytest.mark.parametrize("listed", [of_agents, of_quality_compass, of_scout])
def test_a_closed_folder_is_told_and_its_neighbours_are_read(
    folder: Path, listed: Callable[[Path], tuple[int, list[str]]]
) -> None:
    with without_root():
        read, told = listed(folder)
    assert read == 2
    assert len(told) == 2
    assert all("closed" in each and "ermission" in each for each in told), told
