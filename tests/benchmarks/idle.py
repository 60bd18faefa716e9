"""What the local runtime takes while nothing runs: of each part, and of all of them.

    python -m tests.benchmarks.idle [--seconds 60] [--json FILE]

That of this clone where it runs, as after ``make run``; else one that is brought up in a folder of
its own. CPU is a share of one core, memory that which processes share is divided among them. Ends
with 1 where the parts together take more than they may; the BigQuery emulator is told by itself.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.local import runtime
from deployments.local.commands import parts
from deployments.local.paths import LocalPaths
from deployments.local.worker import ProcessWorker
from tests.benchmarks.runs import idle

PERCENT, MEBIBYTES = 3.0, 900.0
APART = "BigQuery"
# After a start: deployments are applied, the warm process imports, the server looks at each once.
SECONDS_TO_SETTLE = 90.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path, help="where to write the figures, too")
    chosen = parser.parse_args()
    with running() as paths:
        figures = idle({name: pid for name, pid, _ in parts(paths) if pid}, chosen.seconds)
    together = {
        kind: sum(each[kind] for name, each in figures.items() if name != APART)
        for kind in ("cpu_percent", "mebibytes")
    }
    figures[f"together, {APART} aside"] = together
    for name, each in figures.items():
        print(f"{name:24} {each['cpu_percent']:5.2f} % of a core {each['mebibytes']:6.0f} MiB")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(together["cpu_percent"] > PERCENT or together["mebibytes"] > MEBIBYTES)


@contextmanager
def running() -> Iterator[LocalPaths]:
    """Where the runtime is that is measured."""
    if ProcessWorker(LocalPaths()).pid:
        yield LocalPaths()
        return
    with tempfile.TemporaryDirectory(prefix="idle-benchmark-") as folder:
        paths = LocalPaths(Path(folder) / "local")
        try:
            runtime.up(paths=paths)
            time.sleep(SECONDS_TO_SETTLE)
            yield paths
        finally:
            runtime.down(paths)


if __name__ == "__main__":
    sys.exit(main())
