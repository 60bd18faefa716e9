"""Only the events of dbt that somebody hears are made.

dbt makes a protobuf message of each event, twice, and most are debug events of each node that a
flow neither shows nor keeps: a sixth of the Python time of its commands. Where nothing calls back,
a ``--quiet`` command makes a line of each other event, too, and drops it. This may go once
dbt-common asks its listeners for a level before it makes a message.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.logger import PRINT_EVENT_NAMES

UNHEARD = frozenset({EventLevel.DEBUG, EventLevel.TEST})
ABOVE_INFO = frozenset({EventLevel.WARN, EventLevel.ERROR})


@contextmanager
def events_that_are_heard(debug: frozenset[str]) -> Iterator[None]:
    """While it lasts, dbt's loggers and callbacks hear no debug event but those of these names."""
    fire, make = EventManager.fire_event, BaseEvent.__init__
    EventManager.fire_event = _fire_if_heard(fire, debug)
    BaseEvent.__init__ = _keep_arguments
    BaseEvent.pb_msg = _made_when_asked_for(make)
    try:
        yield
    finally:
        del BaseEvent.pb_msg
        BaseEvent.__init__ = make
        EventManager.fire_event = fire


def _fire_if_heard(fire: Callable[..., None], debug: frozenset[str]) -> Callable[..., None]:
    def fire_event(
        self: EventManager,
        e: BaseEvent,
        level: EventLevel | None = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        told, name = level or e.level_tag(), type(e).__name__
        is_unheard = (told in UNHEARD and name not in debug) or _is_dropped(self, told, name)
        if force_warn_or_error_handling or not is_unheard:
            fire(self, e, level, node, force_warn_or_error_handling)

    return fire_event


def _is_dropped(manager: EventManager, level: EventLevel, name: str) -> bool:
    """Whether every listener makes a line of it and writes none; what is printed is written."""
    return (
        level == EventLevel.INFO
        and name not in PRINT_EVENT_NAMES
        and not manager.callbacks
        and all(logger.level in ABOVE_INFO for logger in manager.loggers)
    )


def _keep_arguments(self: BaseEvent, *args: Any, **kwargs: Any) -> None:
    # The class hands every attribute that is set on to its message.
    self.__dict__["arguments"] = (args, kwargs)


def _made_when_asked_for(make: Callable[..., None]) -> Any:
    def pb_msg(self: BaseEvent) -> Any:
        args, kwargs = self.__dict__["arguments"]
        make(self, *args, **kwargs)
        return self.__dict__["pb_msg"]

    message = cached_property(pb_msg)
    message.__set_name__(BaseEvent, "pb_msg")
    return message
