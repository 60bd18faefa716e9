"""What this machine allows an account that is held to the modes of files, as root is not."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def without_root() -> Iterator[None]:
    own = os.geteuid()
    os.seteuid(own or NOBODY)
    try:
        yield
    finally:
        os.seteuid(own)


@contextmanager
def open_to_all() -> Iterator[Path]:
    """A new folder that every account can pass through, which that of a test is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
