"""The macros that a node sees are those that dbt itself would give it."""

from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from dbt.clients.jinja import MacroStack, get_rendered
from dbt.context.macros import MacroNamespaceBuilder
from dbt.context.manifest import ManifestContext
from dbt.contracts.graph.nodes import Macro
from dbt.exceptions import PackageNotFoundForMacroError

from flows._shared.orchestration.dbt_macros import macros_made_when_asked_for

# One name in every place where it may stand, names that stand in one, one that is a package's, and
# one that dbt has something of its own for.
PACKAGES = {
    "dbt": ["everywhere", "of_dbt", "of_dbt_and_adapter", "shared"],
    "dbt_postgres": ["everywhere", "of_dbt_and_adapter"],
    "root": ["everywhere", "of_root", "of_root_and_shared", "of_dbt", "env_var"],
    "shared": ["everywhere", "of_shared", "of_root_and_shared"],
    "other": ["everywhere", "of_other"],
}
INTERNAL = ["dbt_postgres", "dbt"]
NODE = SimpleNamespace(depends_on=SimpleNamespace(add_macro=str))


def macro(package: str, name: str) -> Macro:
    return Macro(
        name=name,
        package_name=package,
        unique_id=f"macro.{package}.{name}",
        resource_type="macro",
        path="",
        original_file_path="",
        macro_sql=f"{{% macro {name}() %}}{package}.{name}{{% endmacro %}}",
    )


MACROS = {
    package: {name: macro(package, name) for name in names} for package, names in PACKAGES.items()
}


class Context(ManifestContext):  # type: ignore[misc]
    def __init__(self, search_package: str) -> None:
        config = SimpleNamespace(cli_vars={}, to_target_dict=dict, project_name="root")
        manifest = SimpleNamespace(get_macros_by_package=lambda: MACROS)
        super().__init__(config, manifest, search_package)

    def _get_namespace_builder(self) -> MacroNamespaceBuilder:
        return MacroNamespaceBuilder("root", self.search_package, MacroStack(), INTERNAL, NODE)


def told(found: Any, context: dict[str, Any]) -> Any:
    """A macro by its package and name, if it renders in this context; a package by its macros."""
    if isinstance(found, dict):
        return {name: told(member, context) for name, member in found.items()}
    return found and (found.macro.unique_id, found.context is context, found.node)


@pytest.mark.parametrize("search_package", PACKAGES)
def test_a_node_sees_the_macros_that_dbt_would_show_it(search_package: str) -> None:
    by_dbt = Context(search_package)
    plain = by_dbt.to_dict()
    with macros_made_when_asked_for():
        lazy_one = Context(search_package)
        lazy = lazy_one.to_dict()
    assert "env_var" in plain["builtins"]
    names = [*by_dbt.namespace]
    for name in names:
        assert name in lazy
        assert told(lazy[name], lazy) == told(plain[name], plain)
        assert told(lazy.get(name), lazy) == told(plain.get(name), plain)
    assert ("nowhere" in lazy, lazy.get("nowhere", 1)) == (False, 1)
    with pytest.raises(KeyError):
        lazy["nowhere"]
    for package, name in product([None, "dbt", "root", "shared", "other"], [*names, "nowhere"]):
        expected = told(by_dbt.namespace.get_from_package(package, name), plain)
        assert told(lazy_one.namespace.get_from_package(package, name), lazy) == expected


def test_who_looks_at_all_of_a_context_sees_what_dbt_would_show_it() -> None:
    plain = Context("root").to_dict()
    with macros_made_when_asked_for():
        lazy = Context("root").to_dict()
        assert dict(lazy).keys() == plain.keys()
        assert {*Context("root").to_dict()} == {*plain}
        assert len(Context("root").to_dict()) == len(plain)
        assert len(Context("root").to_dict().values()) == len(plain)
        of_shared = Context("root").to_dict()["shared"]
        assert told(dict(of_shared.items()), {}) == told(plain["shared"], {})


def test_what_is_dear_is_made_when_it_is_asked_for() -> None:
    plain = Context("root").to_dict()
    with macros_made_when_asked_for():
        lazy = Context("root").to_dict()
    assert not dict.__contains__(lazy, "modules")
    assert get_rendered("{{ modules.re.escape('a.b') }} {{ flags.FULL_REFRESH }}", lazy) == (
        get_rendered("{{ modules.re.escape('a.b') }} {{ flags.FULL_REFRESH }}", plain)
    )
    assert lazy["modules"] is lazy["builtins"]["modules"]
    assert {*lazy["builtins"]} == {*plain["builtins"]}


def test_a_template_calls_what_stands_for_a_name() -> None:
    texts = (
        "{{ everywhere() }} {{ of_dbt() }} {{ shared.of_root_and_shared() }}",
        "{{ env_var() }}",
    )
    plain = Context("shared").to_dict()
    with macros_made_when_asked_for():
        lazy = Context("shared").to_dict()
        for text, is_native in product(texts, (False, True)):
            made = get_rendered(text, lazy, native=is_native)
            assert made == get_rendered(text, plain, native=is_native)
    assert made == "root.env_var"


def test_a_macro_that_takes_the_place_of_another_is_seen_by_its_package() -> None:
    """As dbt's unit tests put what they are given in its place."""
    with macros_made_when_asked_for():
        one = Context("root")
        context = one.to_dict()
    context["dbt"]["of_dbt_and_adapter"] = another = object()
    assert one.namespace.get_from_package("dbt", "of_dbt_and_adapter") is another


@pytest.mark.parametrize("package", ["absent", "dbt_postgres"])
def test_a_package_without_macros_is_told(package: str) -> None:
    with (
        macros_made_when_asked_for(),
        pytest.raises(PackageNotFoundForMacroError, match=package),
    ):
        Context("root").namespace.get_from_package(package, "everywhere")


def test_dbt_is_as_it_was_afterwards() -> None:
    with macros_made_when_asked_for():
        pass
    context = Context("root")
    assert type(context.namespace).__module__ == MacroNamespaceBuilder.__module__
    assert type(context.to_dict()) is dict
