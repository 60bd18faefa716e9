"""The plugins of dbt looked for once in a process.

dbt-core 1.11 lists every module that could be imported in each command. This may go once dbt calls
its own function that does so once.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from dbt.plugins import manager


@contextmanager
def plugins_looked_for_once() -> Iterator[None]:
    """While it lasts, dbt knows the modules of its plugins from the first command on."""
    before = manager.PluginManager.__dict__["get_prefixed_modules"]
    manager.PluginManager.get_prefixed_modules = staticmethod(manager._get_dbt_modules)
    try:
        yield
    finally:
        manager.PluginManager.get_prefixed_modules = before
