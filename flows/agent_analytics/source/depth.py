"""How deep lines of JSON are nested. What is nested ten thousandfold ends DuckDB's process."""

from pathlib import Path

import orjson

# The reader that is asked refuses a little more; readers of protobuf end at a hundred.
DEEPEST = 1_000
# Longer ones are read line by line in any case.
ORDINARY_LINE_BYTES = 16 << 20


def is_deep(path: Path) -> bool:
    """Whether a line of the file is nested deeper than DuckDB may read, or cannot be read."""
    with path.open("rb") as file:
        while line := file.readline(ORDINARY_LINE_BYTES + 1):
            # So many brackets open in few lines, and in none that is short.
            if len(line) > 2 * DEEPEST and line.count(b"[") + line.count(b"{") > DEEPEST:
                if len(line) > ORDINARY_LINE_BYTES:
                    return True
                try:
                    orjson.loads(line)
                except orjson.JSONDecodeError:
                    return True
    return False
