"""What processes a dbt of flows starts: none."""

import subprocess
import sys

LOCKS = """
import flows._shared.orchestration.dbt_runner
from dbt.contracts.graph.manifest import Manifest
from multiprocessing import resource_tracker
Manifest()
print(resource_tracker._resource_tracker._pid)
"""


def test_the_locks_of_dbt_start_no_process_that_tracks_them() -> None:
    done = subprocess.run([sys.executable, "-c", LOCKS], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("None", "")
