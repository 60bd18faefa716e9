"""Rules of triggers and automations."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta

from jinja2 import TemplateError
from prefect.events import AutomationCore
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.server.utilities.user_templates import (
    TemplateSecurityError,
    validate_user_template,
)
from pydantic import ValidationError

from deployments.apply.automations import NOTIFIERS
from deployments.apply.files import TRIGGER, Declared
from deployments.check.project import Config, Problems, Project, first_of, seconds
from flows._shared.errors import PlatformError
from flows._shared.events import CATALOGUE, RESOURCE_PREFIX
from flows._shared.orchestration.waiting_runs import ON_DELIVERY, SOON, is_topic

STATES = (
    "Scheduled AwaitingConcurrencySlot AwaitingRetry Late Pending Running Completed Failed Crashed "
    "TimedOut Cancelling Cancelled Paused Suspended Resuming Retrying heartbeat"
)
PREFECT_EVENTS = {f"prefect.flow-run.{state}" for state in STATES.split()}
KIND = "__prefect_kind"
PENDING = ".delivery.pending"


def trigger_parameters(project: Project) -> Problems:
    """Templates that are not of the jinja kind: a missing key would fail the action."""
    for each, trigger in project.triggers():
        for name, value in (trigger.get("parameters") or {}).items():
            where = f"{each.name}, parameter {name} of a trigger"
            if not is_template(value) and "{{" in json.dumps(value):
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
    triggers = [(f"{each.name}, trigger", trigger) for each, trigger in project.triggers()]
    triggers += [
        (f"automation {each.get('name')}", each.get("trigger") or {})
        for each in project.automations
    ]
    for where, trigger in triggers:
        names = [*trigger.get("expect", []), *trigger.get("after", [])]
        if not names:
            yield where, "it waits for every event there is: say which it expects"
        for name in names:
            if name not in CATALOGUE and name not in PREFECT_EVENTS:
                yield where, f"nothing sends an event {name}: see flows/_shared/events.py"
            elif name in CATALOGUE:
                yield from _strange_resources(where, name, trigger)
        related = trigger.get("match_related") or {}
        role, named = related.get("prefect.resource.role"), related.get("prefect.resource.name")
        for name in [named] if isinstance(named, str) else named or []:
            if role in known and name not in known[role]:
                yield where, f"there is no {role} {name}"


def triggers(project: Project) -> Problems:
    """Triggers that would lose what they swallow, or run a deployment more often than needed."""
    for each, config in project.triggers():
        name = config.get("name", "without a name")
        where = f"{each.name}, trigger {name}"
        try:
            trigger = TRIGGER.validate_python(dict(config))
        except ValidationError as error:
            yield where, first_of(error)
            continue
        if not trigger.name:
            yield where, "give it a name: applying finds it by that"
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
        if ON_DELIVERY in each.config.get("tags", []) and not any(
            str(name).endswith(PENDING)
            for trigger in each.config.get("triggers") or []
            for name in trigger.get("expect", [])
        ):
            yield each.name, f"it has the tag {ON_DELIVERY} and no trigger on a <slug>{PENDING}"


def automations(project: Project) -> Problems:
    """Automations that Prefect would not take, or that name a block nobody registers."""
    names = Counter(str(each.get("name")) for each in project.automations)
    names.update(str(trigger.get("name")) for _, trigger in project.triggers())
    for name, count in names.items():
        if count > 1:
            yield f"automation {name}", f"{count} automations and triggers have this name"
    for each in project.automations:
        where = f"automation {each.get('name')}"
        actions = []
        for action in each.get("actions", []):
            for block in set(action.get("blocks", [])) - NOTIFIERS.keys():
                yield (
                    where,
                    f"the block {block} is not among those of `alerts` in blocks/__init__.py",
                )
            stand_in = {"block_document_id": "0" * 32} if "blocks" in action else {}
            actions.append({k: v for k, v in action.items() if k != "blocks"} | stand_in)
            for key in ("subject", "body"):
                yield from _template_problems(f"{where}, {key}", str(action.get(key, "")))
        try:
            AutomationCore.model_validate({**each, "actions": actions})
        except ValidationError as error:
            yield where, first_of(error)


def _is_of_deliveries(trigger: DeploymentEventTrigger) -> bool:
    return any(name.endswith(PENDING) for name in trigger.expect)


def _delivery_problems(
    where: str, each: Declared, config: Config, trigger: DeploymentEventTrigger
) -> Problems:
    tags = each.config.get("tags") or []
    slug = min(trigger.expect).partition(".")[0]
    if (
        not any(is_topic(tag) and tag.startswith(f"{slug}.") for tag in tags)
        or ON_DELIVERY not in tags
    ):
        tags_wanted = f"{ON_DELIVERY} and {slug}.<kind of delivery>"
        yield where, f"the receiver does not know of it: give the deployment the tags {tags_wanted}"
    related = config.get("match_related") or {}
    if related.get("prefect.resource.name") != each.name:
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
    for resource in [wanted] if isinstance(wanted, str) else wanted:
        if not resource.startswith(prefix):
            yield where, f"{event} is told of {prefix}..., not of {resource}"


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


def is_template(value: object) -> bool:
    return isinstance(value, Mapping) and KIND in value
