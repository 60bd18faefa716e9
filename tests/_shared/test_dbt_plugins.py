import pkgutil

import pytest
from dbt.plugins.manager import PluginManager

from flows._shared.orchestration.dbt_plugins import plugins_looked_for_once


def test_plugins_are_those_that_dbt_itself_would_find_and_looked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found_by_dbt = PluginManager.get_prefixed_modules()
    with plugins_looked_for_once():
        assert PluginManager.get_prefixed_modules() == found_by_dbt
        monkeypatch.setattr(pkgutil, "iter_modules", lambda: pytest.fail("looked for again"))
        assert PluginManager.get_prefixed_modules() == found_by_dbt
    assert "dbt_common" in found_by_dbt
    monkeypatch.undo()
    assert PluginManager.get_prefixed_modules() == found_by_dbt
