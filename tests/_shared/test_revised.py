"""Models that are changed stay models that were checked."""

import pytest
from pydantic import ValidationError

from flows._shared.orchestration.dbt import DbtOptions
from flows._shared.revised import revised
from flows.scout.flow import layer_options
from flows.scout.records import LayerRefusedError

INJECTED = ("silver+ --empty", "--full-refresh", "silver -s gold", "silver\t--empty", "-s", " ", "")


def test_a_changed_field_is_checked_and_the_others_stay() -> None:
    options = DbtOptions(select=("silver+",), threads=2)
    assert revised(options, threads=3) == DbtOptions(select=("silver+",), threads=3)
    with pytest.raises(ValidationError):
        revised(options, threads=0)
    with pytest.raises(ValidationError):
        revised(options, unknown=1)


@pytest.mark.parametrize("selector", INJECTED)
@pytest.mark.parametrize("field", ["select", "exclude"])
def test_a_selector_is_no_option_of_dbt(field: str, selector: str) -> None:
    with pytest.raises(ValidationError, match="is not a dbt selector"):
        DbtOptions.model_validate({field: (selector,)})


@pytest.mark.parametrize(
    "selector",
    ["silver", "2+silver+1", "@silver", "path:models/a.sql", "tag:daily,config.x:y", "a b+", "x.*"],
)
def test_what_dbt_selects_by_is_a_selector(selector: str) -> None:
    assert DbtOptions(select=(selector,)).select == (selector,)


@pytest.mark.parametrize("layer", INJECTED)
def test_a_layer_of_a_person_is_no_option_of_dbt(layer: str) -> None:
    with pytest.raises(LayerRefusedError, match="Name bronze, silver, gold"):
        layer_options(layer, DbtOptions())
