"""The templates of dbt compiled once in a process, not once in each command.

dbt forgets its compiled macros at the start of a command and keeps none of its models; a flow that
runs several commands compiles the same text each time. This may go once dbt keeps them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

from dbt_common.clients.jinja import MacroFuzzEnvironment

# A project and dbt's own macros have some 1,200 texts; a compiled one takes some 10 KB.
KEPT_TEMPLATES = 4096

_compiled: dict[tuple[type[MacroFuzzEnvironment], str], CodeType] = {}


@contextmanager
def templates_compiled_once() -> Iterator[None]:
    """While it lasts, an environment of dbt compiles a text that no other of its class has."""
    MacroFuzzEnvironment.compile = _compile
    try:
        yield
    finally:
        del MacroFuzzEnvironment.compile


def _compile(self: MacroFuzzEnvironment, source: Any, *args: Any, **kwargs: Any) -> Any:
    compile_anew = super(MacroFuzzEnvironment, self).compile
    if args or kwargs or not isinstance(source, str):
        return compile_anew(source, *args, **kwargs)
    # Environments of one class have the same syntax, filters and extensions.
    key = type(self), source
    code = _compiled.get(key)
    if code is None:
        if len(_compiled) >= KEPT_TEMPLATES:
            _compiled.clear()
        code = _compiled[key] = compile_anew(source)
    return code
