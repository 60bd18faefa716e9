"""The macros that a node sees are those that dbt itself would give it."""

from itertools import product
from typing import Any

import pytest
from dbt.clients.jinja import MacroStack
from dbt.context.macros import MacroNamespaceBuilder
from dbt.contracts.graph.nodes import Macro
from dbt.exceptions import PackageNotFoundForMacroError

from flows._shared.orchestration.dbt_macros import macros_gathered_by_package

# One name in every place where it may stand, names that stand in one, and one that is a package's.
PACKAGES = {
    "dbt": ["everywhere", "of_dbt", "of_dbt_and_adapter", "shared"],
    "dbt_postgres": ["everywhere", "of_dbt_and_adapter"],
    "root": ["everywhere", "of_root", "of_root_and_shared", "of_dbt"],
    "shared": ["everywhere", "of_shared", "of_root_and_shared"],
    "other": ["everywhere", "of_other"],
}
INTERNAL = ["dbt_postgres", "dbt"]


def macro(package: str, name: str) -> Macro:
    return Macro(
        name=name,
        package_name=package,
        unique_id=f"macro.{package}.{name}",
        resource_type="macro",
        path="",
        original_file_path="",
        macro_sql="",
    )


MACROS = {
    package: {name: macro(package, name) for name in names} for package, names in PACKAGES.items()
}


def namespace(search_package: str, node: Any = None) -> Any:
    builder = MacroNamespaceBuilder("root", search_package, MacroStack(), INTERNAL, node)
    return builder.build_namespace(MACROS, {"context": "of the node"})


def told(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: told(member) for name, member in found.items()}
    return found and (found.macro.unique_id, found.context, found.node)


@pytest.mark.parametrize("search_package", PACKAGES)
def test_a_node_sees_the_macros_that_dbt_would_show_it(search_package: str) -> None:
    of_dbt = namespace(search_package, "node")
    with macros_gathered_by_package():
        gathered = namespace(search_package, "node")
    flat: dict[str, Any] = {}
    flat.update(gathered)
    assert told(flat) == told(dict(of_dbt))
    for package, name in product([None, "dbt", "root", "shared", "other"], [*flat, "nowhere"]):
        expected = told(of_dbt.get_from_package(package, name))
        assert told(gathered.get_from_package(package, name)) == expected


@pytest.mark.parametrize("package", ["absent", "dbt_postgres"])
def test_a_package_without_macros_is_told(package: str) -> None:
    with macros_gathered_by_package(), pytest.raises(PackageNotFoundForMacroError, match=package):
        namespace("root").get_from_package(package, "everywhere")


def test_dbt_is_as_it_was_afterwards() -> None:
    with macros_gathered_by_package():
        pass
    assert type(namespace("root")).__module__ == MacroNamespaceBuilder.__module__
