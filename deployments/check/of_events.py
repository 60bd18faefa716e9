"""Rules of triggers and automations."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TypeGuard

from jinja2 import TemplateError
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.server.utilities.user_templates import (
    TemplateSecurityError,
    validate_user_template,
)

from deployments.apply.automations import NOTIFIERS
from deployments.apply.files import TRIGGER, Declared
from deployments.check.project import Config, Problems, Project, seconds
from flows._shared.errors import PlatformError
from flows._shared.events import CATALOGUE, RESOURCE_PREFIX
from flows._shared.orchestration.waiting_runs import ON_DELIVERY, SOON, is_topic

STATES = (
    "Scheduled AwaitingConcurrencySlot AwaitingRetry Late Pending Running Completed Failed Crashed "
    "TimedOut Cancelling Cancelled Paused Suspended Resuming Retrying heartbeat"
)
PREFECT_EVENTS = {f"prefect.flow-run.{state}" for state in STATES.split()}
KIND = "__prefect_kind"
# The key with the text of each kind of template that Prefect knows.
TEXTS = {"jinja": "template", "json": "value", "workspace_variable": "variable_name"}
PENDING = ".delivery.pending"


def trigger_parameters(project: Project) -> Problems:
    """Templates that are not of the jinja kind: a missing key would fail the action."""
    for each, trigger in project.triggers():
        for name, value in (trigger.get("parameters") or {}).items():
            where = f"{each.name}, parameter {name} of a trigger"
            is_told = _is_whole(value) if is_template(value) else "{{" not in json.dumps(value)
            if not is_told:
                yield where, f"give the template explicitly: {{{KIND}: jinja, template: ...}}"
            for template in _templates(value):
                yield from _template_problems(where, template)


def events(project: Project) -> Problems:
    """Events that nothing sends, resources that are not theirs, deployments that are not there."""
    deployments = {each.name for each in project.deployments}
    flows = set()
    for each in project.deployments:
        try:
            flows.add(each.flow.name)
        except PlatformError:
            continue
    known = {"deployment": deployments, "flow": flows}
    triggers = [
        (f"{each.name}, trigger {trigger.get('name')}", trigger)
        for each, trigger in project.triggers()
    ]
    triggers += [
        (f"automation {each['name']}", each["trigger"])
        for each in project.automations
        if each.get("trigger") is not None
    ]
    for where, trigger in triggers:
        if trigger.get("type", "event") != "event":
            continue
        names = [*_names(trigger, "expect"), *_names(trigger, "after")]
        if not names and trigger.get("expect", []) is not None:
            yield where, "it waits for every event there is: say which it expects"
        for name in names:
            if name not in CATALOGUE and name not in PREFECT_EVENTS:
                yield where, f"nothing sends an event {name}: see flows/_shared/events.py"
            elif name in CATALOGUE:
                yield from _strange_resources(where, name, trigger)
        for related in _related(trigger):
            role = str(related.get("prefect.resource.role"))
            for name in _listed(related.get("prefect.resource.name")):
                if role in known and name not in known[role]:
                    yield where, f"there is no {role} {name}"


def triggers(project: Project) -> Problems:
    """Triggers that would lose what they swallow, or run a deployment more often than needed."""
    for each, config in project.triggers():
        where = f"{each.name}, trigger {config.get('name')}"
        try:
            trigger = TRIGGER.validate_python(dict(config))
        except ValueError:
            # What is wrong in it is told.
            continue
        if not isinstance(trigger, DeploymentEventTrigger):
            continue
        if _is_of_deliveries(trigger):
            yield from _delivery_problems(where, each, config, trigger)
            continue
        if trigger.within > trigger.schedule_after:
            late, window = seconds(trigger.schedule_after), seconds(trigger.within)
            yield (
                where,
                f"its run begins after {late}, its window swallows {window}: events are lost",
            )
        if trigger.within == timedelta(0):
            yield where, "a burst would be as many runs: give it a window (within, schedule_after)"


def woken(project: Project) -> Problems:
    """Deployments that the receiver would tell of deliveries, and no trigger would start."""
    for each in project.deployments:
        if ON_DELIVERY in (each.config.get("tags") or []) and not any(
            name.endswith(PENDING)
            for trigger in each.config.get("triggers") or []
            for name in _names(trigger or {}, "expect")
        ):
            yield each.name, f"it has the tag {ON_DELIVERY} and no trigger on a <slug>{PENDING}"


def automations(project: Project) -> Problems:
    """Automations that Prefect would not take, or that name a block nobody registers."""
    names = Counter(str(each["name"]) for each in project.automations)
    names.update(str(trigger["name"]) for _, trigger in project.triggers() if trigger.get("name"))
    for name, count in names.items():
        if count > 1:
            yield f"automation {name}", f"{count} automations and triggers have this name"
    for each, action in project.actions():
        where = f"automation {each['name']}"
        for block in sorted(set(action.get("blocks", [])) - NOTIFIERS.keys()):
            yield (
                where,
                f"the block {block} is not among those of `alerts` in blocks/__init__.py",
            )
        for key in ("subject", "body"):
            yield from _template_problems(f"{where}, {key}", str(action.get(key) or ""))


def _is_of_deliveries(trigger: DeploymentEventTrigger) -> bool:
    return any(name.endswith(PENDING) for name in trigger.expect)


def _delivery_problems(
    where: str, each: Declared, config: Config, trigger: DeploymentEventTrigger
) -> Problems:
    tags = [tag for tag in each.config.get("tags") or [] if tag]
    slug = min(trigger.expect).partition(".")[0]
    if (
        not any(is_topic(tag) and tag.startswith(f"{slug}.") for tag in tags)
        or ON_DELIVERY not in tags
    ):
        tags_wanted = f"{ON_DELIVERY} and {slug}.<kind of delivery>"
        yield where, f"the receiver does not know of it: give the deployment the tags {tags_wanted}"
    if {name for one in _related(config) for name in _listed(one.get("prefect.resource.name"))} != {
        each.name
    }:
        yield where, f"it would start on what waits for others: let match_related name {each.name}"
    if trigger.parameters:
        yield (
            where,
            "the receiver looks for runs with the deployment's parameters: give it no others",
        )
    if trigger.within:
        yield where, "what comes within its window would be lost: leave `within` at 0"
    if trigger.schedule_after > SOON:
        late, most = seconds(trigger.schedule_after), seconds(SOON)
        yield where, f"its run begins after {late}: after {most} the receiver asks for another"


def _strange_resources(where: str, event: str, trigger: Config) -> Problems:
    wanted = (trigger.get("match") or {}).get("prefect.resource.id", [])
    prefix = f"{RESOURCE_PREFIX}.{event.partition('.')[0]}."
    for resource in _listed(wanted):
        if not resource.startswith(prefix):
            yield where, f"{event} is told of {prefix}..., not of {resource}"


def _names(trigger: Config, key: str) -> list[str]:
    """Of events: those that are names."""
    return [name for name in trigger.get(key) or [] if name]


def _related(trigger: Config) -> list[Config]:
    """What other resources of an event are to be: all of one mapping, or of several."""
    related = trigger.get("match_related") or {}
    return [related] if isinstance(related, Mapping) else [each for each in related if each]


def _listed(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [*value] if isinstance(value, list) else []


def _templates(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        if value.get(KIND) == "jinja":
            yield str(value.get("template", ""))
        for each in value.values():
            yield from _templates(each)


def _template_problems(where: str, template: str) -> Problems:
    try:
        validate_user_template(template)
    except (TemplateError, TemplateSecurityError) as error:
        yield where, f"its template cannot be rendered: {error}"


def is_template(value: object) -> TypeGuard[Config]:
    return isinstance(value, Mapping) and KIND in value


def _is_whole(template: Config) -> bool:
    return isinstance(template.get(TEXTS.get(str(template[KIND]), "")), str)
