"""The tutorial, typed as it stands there, in a clean shell of a clone."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.docs.test_commands import FENCE, ROOT

ANSWERS = (
    "100 | 5100.00",
    "T-101",
    "it failed, as it should",
    "20261120080000",
    "12000",
    "create deployment my-repositories-daily",
)


# `test_commands` holds that each command exists and is taken; here they are run, for minutes.
@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
def test_every_command_of_the_tutorial_works_as_it_is_typed(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    # The environment is shared: make must not take it for one of an older lock.
    os.utime(clone / "requirements.lock", (0, 0))
    typed = "\n".join(FENCE.findall((ROOT / "docs" / "tutorial.md").read_text()))
    clean = ["env", "-i", f"HOME={tmp_path}", "PATH=/usr/bin:/bin"]
    try:
        shown = subprocess.run(
            [*clean, "sh", "-e", "-c", typed],
            cwd=clone,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    finally:
        subprocess.run([*clean, "bin/flows", "stop"], cwd=clone, capture_output=True, check=False)
    assert shown.returncode == 0, shown.stdout[-3000:] + shown.stderr[-3000:]
    assert not [each for each in ANSWERS if each not in shown.stdout], shown.stdout
