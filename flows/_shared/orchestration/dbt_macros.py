"""The macros that a node of dbt sees, each made as the node asks for it.

dbt makes all of them, some 600, for each node and each macro that its adapter runs, and looks all
of them up by name again. This may go once dbt makes a macro when it is called. So with what else
of a node's context is dear to make (dbt 1.11: half of the context's time) and asked for by few.
"""

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dbt.clients.jinja import MacroGenerator
from dbt.context.macros import MacroNamespaceBuilder
from dbt.context.manifest import ManifestContext
from dbt.contracts.graph.nodes import Macro
from dbt.exceptions import PackageNotFoundForMacroError
from dbt.include.global_project import PROJECT_NAME as DBT
from dbt_common.clients.jinja import MacroFuzzTemplate, NativeSandboxTemplate

# The same whenever they are asked for: of the command, or of what the node is.
MADE_WHEN_ASKED_FOR = frozenset({"modules", "flags", "exceptions", "invocation_args_dict"})


class Lazy(dict[str, Any]):
    """What is set, and what is made of a source as it is asked for by its name."""

    def __init__(self, source: Mapping[str, Any], make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.source = source
        self._make = make

    def __missing__(self, name: str) -> Any:
        made = self[name] = self._make(self.source[name])
        return made

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self.source

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __bool__(self) -> bool:
        return super().__len__() > 0 or bool(self.source)

    # Who looks at all of it has all of it made.
    def __iter__(self) -> Iterator[str]:
        for name in self.source:
            self[name]
        return super().__iter__()

    def __len__(self) -> int:
        iter(self)
        return super().__len__()

    def keys(self) -> Any:
        iter(self)
        return super().keys()

    def values(self) -> Any:
        iter(self)
        return super().values()

    def items(self) -> Any:
        iter(self)
        return super().items()

    def prefer_source(self) -> None:
        """What the source has, too, is made of it, whatever was set."""
        for name in [*super().keys()]:
            if name in self.source:
                self[name] = self._make(self.source[name])


class Macros(ChainMap[str, Any]):
    """What dbt's `MacroNamespace` answers: macros and packages by the names that a node may use."""

    def __init__(self, packages: dict[str, Lazy], of_dbt: Lazy, root: str, search: str) -> None:
        # A package's own macros win over the project's, and those over all others.
        nearest = [packages[name] for name in (search, root) if name in packages]
        self._packages = {**packages, DBT: of_dbt}
        super().__init__(*nearest, self._packages, of_dbt)

    def get_from_package(self, package_name: str | None, name: str) -> MacroGenerator | None:
        """A macro by its name, None where there is none.

        Raises:
            PackageNotFoundForMacroError: no package of that name has macros.
        """
        if package_name is None:
            return self.get(name)
        if package_name not in self._packages:
            raise PackageNotFoundForMacroError(package_name)
        return self._packages[package_name].get(name)


@contextmanager
def macros_made_when_asked_for() -> Iterator[None]:
    """While it lasts, contexts of nodes take macros from `Macros`."""
    begin, finish = ManifestContext._build_namespace, ManifestContext.to_dict
    build = MacroNamespaceBuilder.build_namespace
    ManifestContext._build_namespace, ManifestContext.to_dict = _begin, _finish
    MacroNamespaceBuilder.build_namespace = _macros
    # Of arguments of tests, for each of which Jinja would copy the whole context.
    NativeSandboxTemplate.new_context = MacroFuzzTemplate.new_context
    try:
        yield
    finally:
        ManifestContext._build_namespace, ManifestContext.to_dict = begin, finish
        MacroNamespaceBuilder.build_namespace = build
        del NativeSandboxTemplate.new_context


def _begin(self: ManifestContext) -> Macros:
    # Nothing refers to dbt's own dict yet.
    context = self._ctx = Lazy({}, lambda macro: macro)
    by_package = self.manifest.get_macros_by_package()
    macros: Macros = self._get_namespace_builder().build_namespace(by_package, context)
    context.source = macros
    return macros


def _finish(self: ManifestContext) -> dict[str, Any]:
    context = self._ctx
    if not isinstance(context, Lazy):
        # Of a test that is parsed, which sees the macros that it depends on.
        made: dict[str, Any] = super(ManifestContext, self).to_dict()
        made.update(self.namespace.local_namespace)
        made.update(self.namespace.project_namespace)
        return made
    members: dict[str, Any] = self._context_members_
    late = {name: members[name] for name in MADE_WHEN_ASKED_FOR & members.keys()}
    builtins = Lazy(late, lambda member: member.__get__(self))
    for name, member in members.items():
        if name not in late:
            builtins[name] = member.__get__(self) if hasattr(member, "__get__") else member
    context["context"], context["builtins"] = context, builtins
    context.update(dict.items(builtins))
    context.prefer_source()
    context.source = ChainMap(context.source, builtins)  # type: ignore[arg-type]
    return context


def _macros(
    self: MacroNamespaceBuilder,
    macros_by_package: dict[str, dict[str, Macro]],
    ctx: dict[str, Any],
) -> Macros:
    def make(macro: Macro) -> MacroGenerator:
        return MacroGenerator(macro, ctx, self.node, self.thread_ctx)

    internal = self.internal_package_names_order
    of_dbt: dict[str, Macro] = {}
    for package in reversed(internal):
        of_dbt.update(macros_by_package.get(package, {}))
    packages = {
        package: Lazy(macros, make)
        for package, macros in macros_by_package.items()
        if package not in internal
    }
    return Macros(packages, Lazy(of_dbt, make), self.root_package, self.search_package)
