from dbt_common.behavior_flags import Behavior

from flows._shared.orchestration.dbt_flags import flags_without_stacks


def declared_by() -> str:
    flags = Behavior([{"name": "a_flag", "default": False, "description": "A flag."}], {})
    return str(flags.a_flag._behavior_change_event.flag_source)


def test_a_flag_is_declared_by_the_module_that_dbt_itself_would_find() -> None:
    with flags_without_stacks():
        found = declared_by()
    assert found == declared_by() == __name__
