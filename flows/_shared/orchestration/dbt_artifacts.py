"""dbt's artifacts as JSON in one go, where dbt-core 1.11 has Python encode them piece by piece.

A manifest holds every macro of dbt and its adapters and is written twice by each command. This may
go once dbt encodes it otherwise.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbt.artifacts.schemas import base
from dbt_common.utils.encoding import JSONEncoder


def write_json(path: str, data: dict[str, Any]) -> bool:
    """In place of the function of dbt: the same bytes."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data, cls=JSONEncoder), encoding="utf-8")
    return True


@contextmanager
def artifacts_in_one_go() -> Iterator[None]:
    """While it lasts, dbt encodes each artifact at once."""
    before = base.write_json
    base.write_json = write_json
    try:
        yield
    finally:
        base.write_json = before
