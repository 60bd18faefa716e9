"""What this machine refuses a command is told with whose folder stands in the way."""

import errno
from pathlib import Path

from deployments.cli.refused import refusal


def test_at_a_link_that_leads_nowhere_it_is_the_folder_behind_it(tmp_path: Path) -> None:
    away, loop = tmp_path / "away", tmp_path / "loop"
    away.symlink_to(tmp_path / "there" / "gone" / "state")
    (tmp_path / "there").mkdir()
    loop.symlink_to(loop)
    expected = {away: "there", away / "run": "there", loop / "run": ""}
    for path, stands_there in expected.items():
        told = refusal("flows up", PermissionError(errno.EACCES, "Permission denied", str(path)))
        folder = tmp_path / stands_there
        assert f"{folder} belongs to {folder.owner()}" in str(told)


def test_what_names_no_file_is_no_refusal_of_one() -> None:
    of_a_descriptor = PermissionError(errno.EACCES, "Permission denied", 3)
    assert refusal("flows up", of_a_descriptor) is None
