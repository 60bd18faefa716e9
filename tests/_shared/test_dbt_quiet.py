"""What a quiet command of dbt writes, when events that no one would write are not made."""

from collections.abc import Callable
from io import StringIO

import pytest
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.logger import LoggerConfig
from dbt_common.events.types import Formatting, Note, PrintEvent

from flows._shared.orchestration.dbt_events import events_that_are_heard
from flows._shared.orchestration.dbt_nodes import HEARD

LEVELS = (EventLevel.INFO, EventLevel.WARN, EventLevel.ERROR)


def written(level: EventLevel, *callbacks: Callable[..., None]) -> tuple[list[str], list[bool]]:
    """The words of lines that a logger of this level writes, and which of the events were made."""
    out = StringIO()
    manager = EventManager()
    manager.add_logger(LoggerConfig(name=f"told_{level.value}", level=level, output_stream=out))
    for each in callbacks:
        manager.add_callback(each)
    events: list[tuple[BaseEvent, EventLevel]] = [
        (Note(msg="noted"), EventLevel.INFO),
        (Formatting("formatted"), EventLevel.INFO),
        (Note(msg="warned"), EventLevel.WARN),
        (Note(msg="failed"), EventLevel.ERROR),
        (PrintEvent(msg="printed"), EventLevel.INFO),
    ]
    for event, told in events:
        manager.fire_event(event, told)
    return [line.split()[-1] for line in out.getvalue().splitlines()], [
        "pb_msg" in vars(event) for event, _ in events
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_the_lines_are_those_that_dbt_writes(level: EventLevel) -> None:
    lines, _ = written(level)
    with events_that_are_heard(HEARD):
        assert written(level)[0] == lines
    assert {"printed", "failed"} <= set(lines)
    assert ("noted" in lines) == (level is EventLevel.INFO)


@pytest.mark.parametrize(
    ("level", "callbacks", "made"),
    [
        (EventLevel.ERROR, (), [False, False, True, True, True]),
        (EventLevel.INFO, (), [True] * 5),
        (EventLevel.ERROR, (lambda _: None,), [True] * 5),
    ],
)
def test_of_info_only_what_somebody_hears_is_made(
    level: EventLevel, callbacks: tuple[Callable[..., None], ...], made: list[bool]
) -> None:
    with events_that_are_heard(HEARD):
        assert written(level, *callbacks)[1] == made
