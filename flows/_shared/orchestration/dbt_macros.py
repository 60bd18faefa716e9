"""The macros that a node of dbt sees, gathered by whole packages.

dbt does so for each node and each macro that its adapter runs, macro by macro, and looks all of
them up by name again: an eighth of the Python time of its commands. This may go once dbt makes a
macro when it is called.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dbt.clients.jinja import MacroGenerator, MacroStack
from dbt.context.macros import FlatNamespace, MacroNamespaceBuilder
from dbt.contracts.graph.nodes import Macro
from dbt.exceptions import PackageNotFoundForMacroError
from dbt.include.global_project import PROJECT_NAME as DBT


class Macros(dict[str, Any]):
    """What dbt's `MacroNamespace` answers: macros and packages by the names that a node may use."""

    def __init__(self, packages: dict[str, FlatNamespace], of_dbt: FlatNamespace) -> None:
        super().__init__(of_dbt)
        self[DBT] = of_dbt
        self.update(packages)
        self._packages = packages
        self._of_dbt = of_dbt

    def get_from_package(self, package_name: str | None, name: str) -> MacroGenerator | None:
        """A macro by its name, None where there is none.

        Raises:
            PackageNotFoundForMacroError: no package of that name has macros.
        """
        if package_name is None:
            return self.get(name)
        if package_name == DBT:
            return self._of_dbt.get(name)
        if package_name not in self._packages:
            raise PackageNotFoundForMacroError(package_name)
        return self._packages[package_name].get(name)


class _Macro(MacroGenerator):  # type: ignore[misc]
    def __init__(self, macro: Macro, context: dict[str, Any], node: Any, stack: MacroStack) -> None:
        # As dbt's three classes do, one after the other, some 600 times for a node.
        self.macro = macro
        self.context = context
        self.node = node
        self.stack = stack


@contextmanager
def macros_gathered_by_package() -> Iterator[None]:
    """While it lasts, contexts of nodes take macros from `Macros`."""
    build = MacroNamespaceBuilder.build_namespace
    MacroNamespaceBuilder.build_namespace = _macros
    try:
        yield
    finally:
        MacroNamespaceBuilder.build_namespace = build


def _macros(
    self: MacroNamespaceBuilder,
    macros_by_package: dict[str, dict[str, Macro]],
    ctx: dict[str, Any],
) -> Macros:
    node, stack = self.node, self.thread_ctx
    packages = {
        package: {name: _Macro(macro, ctx, node, stack) for name, macro in macros.items()}
        for package, macros in macros_by_package.items()
    }
    of_dbt: FlatNamespace = {}
    for package in reversed(self.internal_package_names_order):
        of_dbt.update(packages.pop(package, {}))
    macros = Macros(packages, of_dbt)
    # The project's macros win over those of its packages, and a package's own over both.
    macros.update(packages.get(self.root_package, {}))
    macros.update(packages.get(self.search_package, {}))
    return macros
