"""Which module declares a behaviour flag of dbt, without reading source files.

dbt-common 1.39 asks `inspect.stack()` for each of some thirty flags in every command, and that
looks through all modules of the process for each frame that belongs to none of them: seconds where
many are imported. This may go once dbt asks the frames themselves.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dbt_common import behavior_flags


def declaring_module() -> str:
    """In place of the function of dbt: the same name."""
    frame = sys._getframe(1)
    while frame and frame.f_globals.get("__name__") == behavior_flags.__name__:
        frame = frame.f_back  # type: ignore[assignment]
    return str(frame.f_globals.get("__name__", "Unknown")) if frame else "Unknown"


@contextmanager
def flags_without_stacks() -> Iterator[None]:
    """While it lasts, dbt finds the modules of its flags so."""
    flag = behavior_flags.BehaviorFlagRendered
    before = flag.__dict__["_default_source"]
    flag._default_source = staticmethod(declaring_module)
    try:
        yield
    finally:
        flag._default_source = before
