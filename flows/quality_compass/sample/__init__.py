"""Makes the output of an insight-graph run: same shapes, same arithmetic, invented facilities.

The figures come from `rules`, so that `verify` finds nothing to object to in an unharmed sample.
Two runs with one seed tell one story: they agree about the months they share.
"""

from flows.quality_compass.sample.runs import METRICS, run_files, write_run

__all__ = ["METRICS", "run_files", "write_run"]
