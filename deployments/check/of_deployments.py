"""Rules of the file and of each of its deployments."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from prefect.cli.deploy._models import PrefectYamlModel
from prefect.events import EventTrigger
from prefect.utilities.schema_tools import validate
from prefect.utilities.templating import apply_values

from deployments.apply.changes import PROJECT_TAG
from deployments.apply.faults import RIGHT, dotted, seen, wrong
from deployments.apply.files import POOL, WARM_POOL, Declared
from deployments.apply.infrastructure import (
    LIMIT_PREFIX,
    POOL_VARIABLE,
    TEMPLATE_FILES,
    WARM_POOL_VARIABLE,
    limits,
    pool_template,
)
from deployments.check.of_events import is_template
from deployments.check.project import Config, Problems, Project, strange
from flows._shared.counted import counted
from flows._shared.errors import PlatformError

VARIABLES = {POOL_VARIABLE, WARM_POOL_VARIABLE, "PREFECT_SCHEDULES_ACTIVE"}
PLACEHOLDER = re.compile(r"\{\{\s*\$(\w+)\s*\}\}")
SENTINEL = "a value that no template holds"
DEFAULT_QUEUE = "default"
AMOUNT = re.compile(r"([\d.]+)(m|Mi|Gi|)")
# Of a subdomain, as RFC 1123 has it.
LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
NAME, LONGEST_NAME = re.compile(rf"{LABEL}(\.{LABEL})*"), 253
TIMES = {"m": 0.001, "": 1, "Mi": 1, "Gi": 1024}


def values(project: Project) -> Problems:
    """Values of which Prefect, a run or applying can make nothing, and keys that Prefect drops."""
    yield from project.faults


def top_keys(project: Project) -> Problems:
    """Keys of the whole file that Prefect drops without a word."""
    known = {"prefect-version", "definitions"} | PrefectYamlModel.model_fields.keys()
    yield from strange("the file", project.content, known - {"prefect_version"})
    for automation in project.automations:
        trigger = automation.get("trigger") or {}
        if trigger.get("type", "event") == "event":
            keys = EventTrigger.model_fields.keys()
            yield from strange(f"automation {automation.get('name')}, trigger", trigger, keys)


def entrypoints(project: Project) -> Problems:
    """Entrypoints that are not flows, or are file paths."""
    for each in project.deployments:
        if ":" in each.config["entrypoint"]:
            yield each.name, "its entrypoint is a path: give it as a module, package.module.flow"
        else:
            try:
                _ = each.flow
            except PlatformError as error:
                entrypoint, right = seen(each.config["entrypoint"]), RIGHT["entrypoint"]
                yield each.name, f"entrypoint is {entrypoint}: {error.seen}; give {right}"


def parameters(project: Project) -> Problems:
    """Parameters that the flow does not take, of the deployment, a schedule or a trigger."""
    holders = [(each, each.name, each.config) for each in project.deployments]
    holders += [
        (each, f"{each.name}, schedule {own.get('slug')}", own) for each, own in project.schedules()
    ]
    holders += [
        (each, f"{each.name}, trigger {own.get('name')}", own) for each, own in project.triggers()
    ]
    for each, where, holder in holders:
        given = holder.get("parameters") or {}
        # Nothing is refused of nothing, and making the schema takes long.
        if not given:
            continue
        try:
            schema, flow = each.parameter_schema, each.flow.name
        except PlatformError:
            continue
        for name in given.keys() - schema["properties"].keys():
            yield where, f"the flow {flow} takes no parameter {name}"
        plain = {name: value for name, value in given.items() if not is_template(value)}
        for _, told in _refused(plain, schema):
            yield where, f"the flow {flow} refuses its parameters: {told}"


def job_variables(project: Project) -> Problems:
    """Job variables that no template knows, that change nothing, or that would show a secret."""
    for each in project.deployments:
        given = _job_variables(each)
        if "prefect.blocks" in json.dumps(given):
            yield each.name, "a job variable refers to a block: it would be stored in clear text"
        refused: dict[str, str] = {}
        for kind in TEMPLATE_FILES:
            template = pool_template(kind)
            known = {}
            for name, value in given.items():
                if name not in template["variables"]["properties"]:
                    yield each.name, f"pools of type {kind} have no job variable {name}"
                    continue
                known[name] = value
                if kind == "kubernetes" and not _changes_job(template, name):
                    yield each.name, f"the job variable {name} changes nothing in the job"
            refused = dict(_refused(known, template["variables"])) | refused
        for told in refused.values():
            yield each.name, f"job variable {told}"
        yield from ((each.name, told) for told in _strange_claims(given.get("state_volume")))
        for what in ("cpu", "memory", "ephemeral_storage"):
            request, limit = (given.get(f"{what}_{end}") for end in ("request", "limit"))
            if (_amount(request) or 0) > (_amount(limit) or float("inf")):
                yield each.name, f"{what}_request is {request}, more than {what}_limit, {limit}"


def pools(project: Project) -> Problems:
    """Deployments of no pool or another than the two, and runs that a warm process cannot have."""
    for each in project.deployments:
        pool = each.config.get("work_pool", {})
        if pool is None:
            continue
        if each.pool not in (POOL, WARM_POOL):
            yield each.name, f"its pool is {each.pool}: name {WARM_POOL} or {POOL}"
        if (queue := pool.get("work_queue_name") or DEFAULT_QUEUE) != DEFAULT_QUEUE:
            yield (
                each.name,
                f"work_queue_name is {queue}: no pool here has that queue, leave it out",
            )
        given = _job_variables(each)
        if each.is_warm and "state_volume" in given:
            yield (
                each.name,
                f"a warm process has no claim of one deployment's: name {POOL}, a pod each",
            )
        if each.is_warm and "memory_limit" not in given:
            yield each.name, "a fork without memory_limit may take all that others have: set it"


def names(project: Project) -> Problems:
    """Deployments that have one name, and schedules of one deployment that have one slug."""
    for name, count in Counter(each.name for each in project.deployments).items():
        if count > 1:
            yield name, f"{count} deployments have this name"
    slugs = Counter((each.name, own.get("slug")) for each, own in project.schedules())
    for (name, slug), count in slugs.items():
        if slug and count > 1:
            yield name, f"{count} schedules have the slug {slug}"


def deployments(project: Project) -> Problems:
    """What this project asks of its file, and of each of its deployments."""
    for key in ("build", "push", "pull"):
        if project.content and project.content.get(key) != []:
            yield (
                "the file",
                f"say `{key}: []`: code is on the worker, and without it Prefect guesses",
            )
    for each in project.deployments:
        config = each.config
        slug = each.domain
        tags = config.get("tags", [])
        if slug and tags is not None:
            for tag in sorted({PROJECT_TAG, slug} - set(tags)):
                yield each.name, f"its tags lack {tag}"
        if slug and not each.name.startswith(f"{slug.replace('_', '-')}-"):
            yield (
                each.name,
                f"its name does not begin with its domain, {slug.replace('_', '-')}-",
            )
        if config.get("description", "") == "":
            yield each.name, "say in a description what it does: the UI shows it"
        limit = config.get("concurrency_limit") or {}
        if isinstance(limit, Mapping) and limit.get("collision_strategy") == "CANCEL_NEW":
            yield each.name, "CANCEL_NEW loses runs while a dead one holds the slot: use ENQUEUE"
    placeholders = PLACEHOLDER.findall(json.dumps(project.content, default=str, skipkeys=True))
    for variable in sorted(set(placeholders) - VARIABLES):
        yield (
            "the file",
            f"nothing sets {variable}: placeholders are {', '.join(sorted(VARIABLES))}",
        )


def limits_of_deployments(project: Project) -> Problems:
    """Limits that are not known as this project's, or that deployments say otherwise."""
    names = {each.name: each for each in project.deployments}
    try:
        wanted = limits(project.limits_file)
    except PlatformError as error:
        yield project.limits_file.name, error.seen
        return
    for name, count in Counter(limit.name for limit in wanted).items():
        if count > 1:
            yield f"limit {name}", f"{counted(count, 'limit')} have this name"
    for limit in wanted:
        if not limit.name.startswith(LIMIT_PREFIX):
            yield f"limit {limit.name}", f"its name does not begin with {LIMIT_PREFIX}"
        for name in limit.deployments:
            own = names[name].config.get("concurrency_limit") or {} if name in names else {}
            number = own.get("limit") if isinstance(own, Mapping) else own
            if number != limit.limit and project.lists_deployments:
                yield f"limit {limit.name}", f"prefect.yaml has no {name} with limit {limit.limit}"


def _job_variables(each: Declared) -> dict[str, Any]:
    pool = each.config.get("work_pool") or {}
    return dict(pool.get("job_variables") or {})


def _strange_claims(volume: object) -> Iterator[str]:
    claim = volume.get("persistentVolumeClaim") if isinstance(volume, Mapping) else None
    if isinstance(claim, Mapping):
        name = claim.get("claimName")
        if not isinstance(name, str) or len(name) > LONGEST_NAME or not NAME.fullmatch(name):
            told = wrong(name, "it is no name that Kubernetes takes", "claimName")
            yield f"job variable state_volume.persistentVolumeClaim.claimName {told}"


def _refused(given: Config, schema: Config) -> list[tuple[str, str]]:
    """What the values of a schema are not: the path of each, and the sentence."""
    known = {name: value for name, value in given.items() if name in schema["properties"]}
    try:
        errors = validate(known, dict(schema), ignore_required=True)
    except ValueError as error:
        return [("", str(error))]
    return [_told(error) for error in errors]


def _told(error: Any) -> tuple[str, str]:
    path = list(error.absolute_path)
    problem = error.message
    if error.validator == "anyOf":
        kinds = [each.get("type") or each.get("enum") for each in error.validator_value]
        problem = f"none of {', '.join(str(each) for each in kinds if each)}"
    told = wrong(error.instance, problem, path[-1] if path else None)
    return dotted(path), f"{dotted(path)} {told}"


def _amount(quantity: object) -> float | None:
    found = AMOUNT.fullmatch(quantity) if isinstance(quantity, str) else None
    return float(found[1]) * TIMES[found[2]] if found else None


def _changes_job(template: Config, name: str) -> bool:
    defaults = {
        key: each["default"]
        for key, each in template["variables"]["properties"].items()
        if each.get("default") is not None
    }
    before = apply_values(template["job_configuration"], defaults)
    after = apply_values(template["job_configuration"], {**defaults, name: SENTINEL})
    return bool(before != after)
