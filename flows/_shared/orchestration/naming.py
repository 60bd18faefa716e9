"""Names of runs: domain, layer, and the window that a run reads.

@flow(name="scout", flow_run_name=RunName("scout {layer}, to {now}"))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from string import Formatter
from typing import Any

from prefect.context import FlowRunContext

LONGEST = 120


class _Words(Formatter):
    """Parameters as people write them: none given is any, several are joined."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None or value == "":
            return "any"
        if isinstance(value, datetime):
            moment = value.astimezone(UTC) if value.tzinfo else value
            return f"{moment:%Y-%m-%d %H:%M} UTC"
        if isinstance(value, Sequence) and not isinstance(value, str):
            return "+".join(str(each) for each in value)
        return str(super().format_field(value, format_spec))


@dataclass(frozen=True)
class RunName:
    """A template of a flow's parameters; ``{now}`` is the time at which the run was named."""

    template: str

    def __call__(self) -> str:
        context = FlowRunContext.get()
        return self.of((context.parameters or {}) if context else {}, datetime.now(UTC))

    def of(self, parameters: Mapping[str, Any], now: datetime) -> str:
        """The name of a run with these parameters; of a long one the beginning and the end."""
        name = " ".join(_Words().vformat(self.template, (), {**parameters, "now": now}).split())
        if len(name) <= LONGEST:
            return name
        end = f" … {_Words().format_field(now, '')}"
        return name[: LONGEST - len(end)] + end
