"""What a parent has in memory: a run that changes it changes its own."""

import sys

met: list[str] = []

# As modules may, and dbt of a project that it cannot parse: the worker waits for a word of the
# parent there.
sys.stdout.write("imported\n")
