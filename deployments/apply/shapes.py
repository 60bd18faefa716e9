"""What an entry of ``prefect.yaml`` or an automation may hold: Prefect's own models, and stricter.

Prefect's drop keys that they do not know, and take values that a run or the server refuses later.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from prefect._vendor.croniter.croniter import CroniterBadDateError, croniter
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.events import AutomationCore
from prefect.events.actions import ActionTypes
from prefect.events.schemas.deployment_triggers import (
    DeploymentCompoundTrigger,
    DeploymentEventTrigger,
    DeploymentMetricTrigger,
    DeploymentSequenceTrigger,
    deployment_trigger_discriminator,
)
from prefect.types import Name
from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    StrictBool,
    Tag,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)

from flows._shared.counted import counted

KINDS = ("cron", "interval", "rrule")
BLOCK = "00000000-0000-0000-0000-000000000000"
FIELDS_OF_CRON = 5
# Whether one of these has any moment takes too long to find out where it has none.
WITHIN_A_DAY = re.compile("FREQ=(HOURLY|MINUTELY|SECONDLY)", re.IGNORECASE)


def _tripped(value: object, validate: Callable[[object], Any]) -> Any:
    """What a validator of Prefect did not foresee is a fault of the value, too."""
    try:
        return validate(value)
    except ValidationError:
        raise
    except Exception as error:
        raise ValueError(f"Prefect cannot take it ({type(error).__name__}: {error})") from error


def _switch(value: object) -> object:
    is_text = isinstance(value, str) and (value.lower() in ("true", "false", "") or "{{" in value)
    if not is_text and not isinstance(value, bool):
        raise ValueError("it is neither true nor false")
    return value


def _kind(value: object) -> str | None:
    named = [kind for kind in KINDS if isinstance(value, Mapping) and kind in value]
    # No tag is a key of what it is of: tags are in the paths of errors, too.
    return f"of {named[0]}" if len(named) == 1 else None


def _as_mapping(limit: object) -> object:
    return limit if limit is None or isinstance(limit, Mapping) else {"limit": limit}


def _with_blocks(action: object) -> object:
    """An action for each of its blocks, as one: which ids they have a server knows."""
    if not isinstance(action, Mapping) or "blocks" not in action:
        return action
    blocks = action["blocks"]
    if not isinstance(blocks, list) or {str} != {type(each) for each in blocks}:
        raise ValueError("its blocks are no list of names")
    return {k: v for k, v in action.items() if k != "blocks"} | {"block_document_id": BLOCK}


Text = Annotated[str, Field(min_length=1)]
Values = dict[str, JsonValue]
Switch = Annotated[bool | str, BeforeValidator(_switch)]
Positive = Annotated[int, Field(strict=True, ge=1)]


class _Planned(BaseModel):
    slug: Text
    timezone: Text
    active: Switch = True
    parameters: Values | None = None


class _Cron(_Planned, CronSchedule):
    timezone: Text

    @field_validator("cron")
    @classmethod
    def _has_five_fields_and_comes(cls, cron: str) -> str:
        if not cron.startswith("@") and (count := len(cron.split())) != FIELDS_OF_CRON:
            told = counted(count, "field")
            raise ValueError(f"it has {told}, and the sixth would be of seconds")
        try:
            croniter(cron, datetime.now(UTC)).get_next()  # type: ignore[no-untyped-call]
        except CroniterBadDateError as error:
            raise ValueError("it names a moment that never comes") from error
        return cron


class _Interval(_Planned, IntervalSchedule):
    timezone: Text


class _RRule(_Planned, RRuleSchedule):
    timezone: Text

    @model_validator(mode="after")
    def _comes(self) -> Self:
        if not WITHIN_A_DAY.search(self.rrule) and next(iter(self.to_rrule()), None) is None:
            raise ValueError("its rrule names a moment that never comes")
        return self


class _Triggered(BaseModel):
    name: Text
    parameters: Values | None = None
    job_variables: Values | None = None


class _OnEvent(_Triggered, DeploymentEventTrigger, extra="forbid"):
    threshold: Positive = 1


class _OnMetric(_Triggered, DeploymentMetricTrigger, extra="forbid"):
    pass


class _OnSome(_Triggered, DeploymentCompoundTrigger, extra="forbid"):
    pass


class _OnSequence(_Triggered, DeploymentSequenceTrigger, extra="forbid"):
    pass


class _Limit(ConcurrencyLimitConfig, extra="forbid"):
    limit: Positive


class _WorkPool(BaseModel, extra="forbid"):
    name: Text | None = None
    work_queue_name: Text | None = None
    job_variables: Values = {}


Schedule = Annotated[
    Annotated[_Cron, Tag("of cron")]
    | Annotated[_Interval, Tag("of interval")]
    | Annotated[_RRule, Tag("of rrule")],
    Discriminator(
        _kind,
        custom_error_type="schedule",
        custom_error_message="it has not exactly one of cron, interval and rrule",
    ),
    WrapValidator(_tripped),
]
Trigger = Annotated[
    Annotated[_OnEvent, Tag("event")]
    | Annotated[_OnMetric, Tag("metric")]
    | Annotated[_OnSome, Tag("compound")]
    | Annotated[_OnSequence, Tag("sequence")],
    Discriminator(deployment_trigger_discriminator),
    WrapValidator(_tripped),
]


class _Deployment(BaseModel, extra="forbid"):
    name: Name
    entrypoint: Text
    description: str = ""
    version: Text | None = None
    tags: list[Text] = []
    parameters: Values | None = None
    enforce_parameter_schema: StrictBool = True
    paused: StrictBool = False
    concurrency_limit: Annotated[_Limit | None, BeforeValidator(_as_mapping)] = None
    work_pool: _WorkPool = _WorkPool()
    schedules: list[Schedule] | None = None
    triggers: list[Trigger] | None = None


class _Automation(AutomationCore, extra="forbid"):
    name: Text
    enabled: StrictBool = True
    owner_resource: Literal[None] = None
    actions: list[
        Annotated[
            Annotated[ActionTypes, Field(discriminator="type")],
            BeforeValidator(_with_blocks),
            WrapValidator(_tripped),
        ]
    ] = Field(min_length=1)


class _Shared(BaseModel, extra="forbid"):
    name: Text
    limit: Positive
    deployments: list[Text] = []


DEPLOYMENT: TypeAdapter[_Deployment] = TypeAdapter(_Deployment)
AUTOMATION: TypeAdapter[_Automation] = TypeAdapter(_Automation)
LIMITS_FILE: TypeAdapter[list[_Shared]] = TypeAdapter(list[_Shared])
