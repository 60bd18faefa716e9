"""Find in ``prefect.yaml`` and in the automations what Prefect ignores, or refuses too late.

Prefect drops unknown keys, puts the secrets that job variables refer to into deployments in clear
text, and notices a misspelt entrypoint, parameter, event or job variable when a run fails or does
not begin. Needs no server: ``make lint`` runs this.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.client.schemas.schedules import CronSchedule
from prefect.events import AutomationCore
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.server.utilities.user_templates import (
    TemplateSecurityError,
    validate_user_template,
)
from prefect.utilities.schema_tools import validate
from prefect.utilities.schema_tools.validation import CircularSchemaRefError
from prefect.utilities.schema_tools.validation import ValidationError as SchemaError
from prefect.utilities.templating import apply_values
from pydantic import BaseModel, ValidationError

from deployments.apply.automations import NOTIFIERS
from deployments.apply.changes import PROJECT_TAG
from deployments.apply.files import (
    AUTOMATIONS,
    PREFECT_YAML,
    TRIGGER,
    Declared,
    automation_files,
    declared,
)
from deployments.apply.infrastructure import (
    LIMIT_PREFIX,
    LIMITS,
    TEMPLATE_FILES,
    limits,
    pool_template,
)
from flows._shared.errors import PlatformError
from flows._shared.events import CATALOGUE, RESOURCE_PREFIX
from flows._shared.yaml_keys import read_yaml

VARIABLES = {"PREFECT_WORK_POOL", "PREFECT_SCHEDULES_ACTIVE"}
STATES = (
    "Scheduled AwaitingConcurrencySlot AwaitingRetry Late Pending Running Completed Failed Crashed "
    "TimedOut Cancelling Cancelled Paused Suspended Resuming Retrying heartbeat"
)
PREFECT_EVENTS = {f"prefect.flow-run.{state}" for state in STATES.split()}
KIND = "__prefect_kind"
PLACEHOLDER = re.compile(r"\{\{\s*\$(\w+)\s*\}\}")
SENTINEL = "a value that no template holds"

Config = Mapping[str, Any]
Problems = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class Project:
    """The files to be checked."""

    prefect_file: Path = PREFECT_YAML
    automations_folder: Path = AUTOMATIONS
    limits_file: Path = LIMITS

    @cached_property
    def content(self) -> Config:
        content: Config = read_yaml(self.prefect_file)
        return content

    @cached_property
    def deployments(self) -> list[Declared]:
        return declared(self.prefect_file)

    @cached_property
    def automations(self) -> list[Config]:
        return [each for _, each in automation_files(self.automations_folder)]

    def triggers(self) -> Iterator[tuple[Declared, Config]]:
        for each in self.deployments:
            for trigger in each.config.get("triggers") or []:
                yield each, trigger


def unknown_keys(project: Project) -> Problems:
    """Keys that Prefect drops without a word."""
    known = {"prefect-version", "definitions"} | PrefectYamlModel.model_fields.keys()
    yield from _strange("the file", project.content, known - {"prefect_version"})
    for each in project.deployments:
        config = each.config
        yield from _unknown(each.name, config, DeploymentConfig)
        yield from _unknown(f"{each.name}, work_pool", config.get("work_pool"), WorkPoolConfig)
        limit = config.get("concurrency_limit")
        yield from _unknown(f"{each.name}, concurrency_limit", limit, ConcurrencyLimitSpec)
        for schedule in config.get("schedules") or []:
            yield from _unknown(f"{each.name}, schedule", schedule, RawScheduleConfig)
    for each, trigger in project.triggers():
        yield from _unknown(f"{each.name}, trigger", trigger, DeploymentEventTrigger)
    for automation in project.automations:
        name = f"automation {automation.get('name')}"
        yield from _unknown(name, automation, AutomationCore)
        trigger_keys = DeploymentEventTrigger.trigger_type.model_fields.keys()
        yield from _strange(f"{name}, trigger", automation.get("trigger"), trigger_keys)


def entrypoints(project: Project) -> Problems:
    """Entrypoints that are not flows, or are file paths."""
    for each in project.deployments:
        if ":" in str(each.config["entrypoint"]):
            yield each.name, "its entrypoint is a path: give it as a module, package.module.flow"
        else:
            try:
                _ = each.flow
            except PlatformError as error:
                yield each.name, error.seen


def parameters(project: Project) -> Problems:
    """Parameters that the flow does not take, of the deployment, a schedule or a trigger."""
    for each in project.deployments:
        config = each.config
        try:
            schema = each.body["parameter_openapi_schema"]
        except PlatformError:
            continue
        holders = [(each.name, config)]
        holders += [(f"{each.name}, schedule", own) for own in config.get("schedules") or []]
        holders += [(f"{each.name}, trigger", own) for own in config.get("triggers") or []]
        for where, holder in holders:
            values = holder.get("parameters") or {}
            for name in values.keys() - schema["properties"].keys():
                yield where, f"the flow {each.flow.name} takes no parameter {name}"
            plain = {name: value for name, value in values.items() if not _is_template(value)}
            try:
                validate(plain, schema, raise_on_error=True, ignore_required=True)
            except (SchemaError, CircularSchemaRefError) as error:
                yield where, f"the flow {each.flow.name} refuses its parameters: {error}"


def trigger_parameters(project: Project) -> Problems:
    """Templates that are not of the jinja kind: a missing key would fail the action."""
    for each, trigger in project.triggers():
        for name, value in (trigger.get("parameters") or {}).items():
            where = f"{each.name}, parameter {name} of a trigger"
            if not _is_template(value) and "{{" in json.dumps(value):
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
            yield where, _first(error)
            continue
        if not trigger.name:
            yield where, "give it a name: applying finds it by that"
        if not isinstance(trigger, DeploymentEventTrigger):
            continue
        if trigger.within > trigger.schedule_after:
            late, window = _seconds(trigger.schedule_after), _seconds(trigger.within)
            yield (
                where,
                f"its run begins after {late}, its window swallows {window}: events are lost",
            )
        if trigger.within == timedelta(0):
            yield where, "a burst would be as many runs: give it a window (within, schedule_after)"


def job_variables(project: Project) -> Problems:
    """Job variables that no template knows, that change nothing, or that would show a secret."""
    for each in project.deployments:
        given = (each.config.get("work_pool") or {}).get("job_variables") or {}
        if "prefect.blocks" in json.dumps(given):
            yield each.name, "a job variable refers to a block: it would be stored in clear text"
        for name in given:
            for kind in TEMPLATE_FILES:
                template = pool_template(kind)
                if name not in template["variables"]["properties"]:
                    yield each.name, f"pools of type {kind} have no job variable {name}"
                elif kind == "kubernetes" and not _changes_job(template, name):
                    yield each.name, f"the job variable {name} changes nothing in the job"


def schedules(project: Project) -> Problems:
    """Schedules without slug or time zone, or that are none."""
    for each in project.deployments:
        own = each.config.get("schedules") or []
        for schedule in own:
            where = f"{each.name}, schedule {schedule.get('slug', 'without a slug')}"
            if not schedule.get("slug"):
                yield where, "give it a slug: applying finds it by that"
            if not schedule.get("timezone"):
                yield where, "give it a time zone"
            try:
                if "cron" in schedule:
                    CronSchedule(cron=schedule["cron"], timezone=schedule.get("timezone"))
            except ValidationError as error:
                yield where, _first(error)
        for slug, count in Counter(schedule.get("slug") for schedule in own).items():
            if count > 1:
                yield each.name, f"{count} schedules have the slug {slug}"


def deployments(project: Project) -> Problems:
    """What this project asks of its file, and of each of its deployments."""
    for key in ("build", "push", "pull"):
        if project.content.get(key) != []:
            yield (
                "the file",
                f"say `{key}: []`: code is on the worker, and without it Prefect guesses",
            )
    for name, count in Counter(each.name for each in project.deployments).items():
        if count > 1:
            yield name, f"{count} deployments have this name"
    for each in project.deployments:
        config = each.config
        slug = str(config["entrypoint"]).split(".")[1]
        for tag in {PROJECT_TAG, slug} - set(config.get("tags") or []):
            yield each.name, f"its tags lack {tag}"
        if not each.name.startswith(f"{slug.replace('_', '-')}-"):
            yield each.name, f"its name does not begin with its domain, {slug.replace('_', '-')}-"
        if not config.get("description"):
            yield each.name, "say in a description what it does: the UI shows it"
        limit = config.get("concurrency_limit") or {}
        if isinstance(limit, Mapping) and limit.get("collision_strategy") == "CANCEL_NEW":
            yield each.name, "CANCEL_NEW loses runs while a dead one holds the slot: use ENQUEUE"
    names = {each.name: each for each in project.deployments}
    for limit in limits(project.limits_file):
        if not limit.name.startswith(LIMIT_PREFIX):
            yield f"limit {limit.name}", f"its name does not begin with {LIMIT_PREFIX}"
        for name in limit.deployments:
            own = names[name].config.get("concurrency_limit") or {} if name in names else {}
            if not isinstance(own, Mapping) or own.get("limit") != limit.limit:
                yield f"limit {limit.name}", f"prefect.yaml has no {name} with limit {limit.limit}"
    for variable in sorted(set(PLACEHOLDER.findall(project.prefect_file.read_text())) - VARIABLES):
        yield (
            "the file",
            f"nothing sets {variable}: placeholders are {', '.join(sorted(VARIABLES))}",
        )


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
            yield where, _first(error)


RULES: Sequence[Callable[[Project], Problems]] = (
    unknown_keys,
    entrypoints,
    parameters,
    trigger_parameters,
    events,
    triggers,
    job_variables,
    schedules,
    deployments,
    automations,
)


def problems(project: Project) -> list[str]:
    """Everything that is wrong, as ``<where>: <what and what to do>``."""
    return [f"{where}: {what}" for rule in RULES for where, what in rule(project)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.check", description=__doc__)
    parser.add_argument("--prefect-file", type=Path, default=PREFECT_YAML)
    parser.add_argument("--automations", type=Path, default=AUTOMATIONS, metavar="FOLDER")
    parser.add_argument("--limits", type=Path, default=LIMITS)
    options = parser.parse_args(arguments)
    try:
        found = problems(Project(options.prefect_file, options.automations, options.limits))
    except PlatformError as error:
        found = [str(error)]
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    return 1 if found else 0


def _unknown(where: str, config: object, model: type[BaseModel]) -> Problems:
    yield from _strange(where, config, model.model_fields.keys())


def _strange(where: str, config: object, known: Iterable[str]) -> Problems:
    if isinstance(config, Mapping):
        for key in sorted(config.keys() - set(known)):
            yield where, f"Prefect ignores the key {key}"


def _strange_resources(where: str, event: str, trigger: Config) -> Problems:
    wanted = (trigger.get("match") or {}).get("prefect.resource.id", [])
    prefix = f"{RESOURCE_PREFIX}.{event.partition('.')[0]}."
    for resource in [wanted] if isinstance(wanted, str) else wanted:
        if not resource.startswith(prefix):
            yield where, f"{event} is told of {prefix}..., not of {resource}"


def _is_template(value: object) -> bool:
    return isinstance(value, Mapping) and KIND in value


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


def _changes_job(template: Config, name: str) -> bool:
    defaults = {
        key: each["default"]
        for key, each in template["variables"]["properties"].items()
        if each.get("default") is not None
    }
    before = apply_values(template["job_configuration"], defaults)
    after = apply_values(template["job_configuration"], {**defaults, name: SENTINEL})
    return bool(before != after)


def _seconds(delta: timedelta) -> str:
    return f"{delta.total_seconds():.0f} s"


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


if __name__ == "__main__":
    sys.exit(main())
