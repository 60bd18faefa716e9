"""Rules of the file and of each of its deployments."""

import json
import re
from collections import Counter
from collections.abc import Mapping

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
from prefect.utilities.schema_tools import validate
from prefect.utilities.schema_tools.validation import CircularSchemaRefError
from prefect.utilities.schema_tools.validation import ValidationError as SchemaError
from prefect.utilities.templating import apply_values
from pydantic import ValidationError

from deployments.apply.changes import PROJECT_TAG
from deployments.apply.files import POOL, WARM_POOL
from deployments.apply.infrastructure import (
    LIMIT_PREFIX,
    POOL_VARIABLE,
    TEMPLATE_FILES,
    WARM_POOL_VARIABLE,
    limits,
    pool_template,
)
from deployments.check.of_events import is_template
from deployments.check.project import Config, Problems, Project, first_of, strange, unknown
from flows._shared.errors import PlatformError

VARIABLES = {POOL_VARIABLE, WARM_POOL_VARIABLE, "PREFECT_SCHEDULES_ACTIVE"}
PLACEHOLDER = re.compile(r"\{\{\s*\$(\w+)\s*\}\}")
SENTINEL = "a value that no template holds"


def unknown_keys(project: Project) -> Problems:
    """Keys that Prefect drops without a word."""
    known = {"prefect-version", "definitions"} | PrefectYamlModel.model_fields.keys()
    yield from strange("the file", project.content, known - {"prefect_version"})
    for each in project.deployments:
        config = each.config
        yield from unknown(each.name, config, DeploymentConfig)
        yield from unknown(f"{each.name}, work_pool", config.get("work_pool"), WorkPoolConfig)
        limit = config.get("concurrency_limit")
        yield from unknown(f"{each.name}, concurrency_limit", limit, ConcurrencyLimitSpec)
        for schedule in config.get("schedules") or []:
            yield from unknown(f"{each.name}, schedule", schedule, RawScheduleConfig)
    for each, trigger in project.triggers():
        yield from unknown(f"{each.name}, trigger", trigger, DeploymentEventTrigger)
    for automation in project.automations:
        name = f"automation {automation.get('name')}"
        yield from unknown(name, automation, AutomationCore)
        trigger_keys = DeploymentEventTrigger.trigger_type.model_fields.keys()
        yield from strange(f"{name}, trigger", automation.get("trigger"), trigger_keys)


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
            plain = {name: value for name, value in values.items() if not is_template(value)}
            # Nothing is refused of nothing, and whether the schema is one takes long to find out.
            if not plain:
                continue
            try:
                validate(plain, schema, raise_on_error=True, ignore_required=True)
            except (SchemaError, CircularSchemaRefError) as error:
                yield where, f"the flow {each.flow.name} refuses its parameters: {error}"


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


def pools(project: Project) -> Problems:
    """Deployments of no pool or another than the two, and runs that a warm process cannot have."""
    for each in project.deployments:
        if each.pool not in (POOL, WARM_POOL):
            yield each.name, f"its pool is {each.pool}: name {WARM_POOL} or {POOL}"
        given = (each.config.get("work_pool") or {}).get("job_variables") or {}
        if each.is_warm and "state_volume" in given:
            yield (
                each.name,
                f"a warm process has no claim of one deployment's: name {POOL}, a pod each",
            )
        if each.is_warm and "memory_limit" not in given:
            yield each.name, "a fork without memory_limit may take all that others have: set it"


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
                yield where, first_of(error)
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


def _changes_job(template: Config, name: str) -> bool:
    defaults = {
        key: each["default"]
        for key, each in template["variables"]["properties"].items()
        if each.get("default") is not None
    }
    before = apply_values(template["job_configuration"], defaults)
    after = apply_values(template["job_configuration"], {**defaults, name: SENTINEL})
    return bool(before != after)
