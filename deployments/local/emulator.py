"""The BigQuery emulator's own command, with DuckDB told to plan each CTE of a query once.

Left to itself DuckDB writes a CTE into whatever reads it and plans the whole again: for a chain of
windows that takes seconds. The emulator (1.4.0, November 2026) has no option for it.
"""

import sys
from functools import partial

import duckdb
from bqemulator.cli import main

if __name__ == "__main__":
    duckdb.connect = partial(duckdb.connect, config={"disabled_optimizers": "cte_inlining"})
    sys.exit(main())
