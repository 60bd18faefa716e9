"""The reference: settings, events, blocks and marts, as the code has them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import flows
from blocks import CATALOGUE as BLOCKS
from deployments.local.paths import PROJECT_ROOT
from flows._shared.events import CATALOGUE as EVENTS
from flows._shared.yaml_keys import read_yaml

PROJECTS = PROJECT_ROOT / "dbt_projects"
SHARED_SETTINGS = {
    "BigQuery": "flows._shared.bigquery_settings",
    "dbt": "flows._shared.orchestration.dbt.options",
}
# What a project keeps to itself.
OWN_FOLDERS = frozenset({"staging", "intermediate", "bronze"})
NAMES_OF_MODULES = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])")
BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "length ≥", "pattern": "like"}


def reference() -> dict[str, str]:
    """The pages by the names of their files."""
    return {
        "settings.md": settings(),
        "events.md": events(),
        "blocks.md": blocks(),
        **{f"marts-{slug}.md": marts(slug) for slug in projects()},
    }


def settings() -> str:
    """A table for each form or file of settings."""
    lines = [
        "# Settings",
        "",
        "What an operator may turn: parameters of runs, which the UI shows as",
    ]
    lines += ["forms, and the file of the webhook receiver."]
    for title, module in settings_modules().items():
        lines += ["", f"## {title}"]
        for model in models_of(module):
            lines += ["", f"### {model.__name__}", "", *_told(model), *fields(model)]
    return _page(lines)


def settings_modules() -> dict[str, str]:
    slugs = [each.name for each in iter_modules(flows.__path__) if each.name != "_shared"]
    return {slug: f"flows.{slug}.settings" for slug in slugs} | SHARED_SETTINGS


def models_of(module: str) -> list[type[BaseModel]]:
    return [
        each
        for name, each in vars(import_module(module)).items()
        if isinstance(each, type)
        and issubclass(each, BaseModel)
        and each.__module__ == module
        and not name.startswith("_")
    ]


def events() -> str:
    """What is told, what the payload holds, and which deployments it starts."""
    started: dict[str, list[str]] = {}
    for deployment in read_yaml(PROJECT_ROOT / "prefect.yaml")["deployments"]:
        for trigger in deployment.get("triggers") or []:
            for event in trigger.get("expect") or []:
                started.setdefault(event, []).append(f"`{deployment['name']}`")
    lines = ["# Events", "", "| Event | Told when | Resource | Payload | Starts |"]
    lines += ["|---|---|---|---|---|"]
    lines += [
        f"| `{each.name}` | {cell(each.description)} | `{each.resource}` | "
        f"[{each.payload.__name__}](#{each.payload.__name__.lower()}) | "
        f"{', '.join(started.get(each.name, []))} |"
        for each in EVENTS.values()
    ]
    for payload in dict.fromkeys(each.payload for each in EVENTS.values()):
        lines += ["", f"## {payload.__name__}", "", *_told(payload), *fields(payload)]
    return _page(lines)


def blocks() -> str:
    """The credentials of each domain, and the variable each comes from."""
    lines = ["# Blocks", "", "`flows blocks register` writes them from the environment."]
    for domain, needs in BLOCKS.items():
        lines += ["", f"## {domain}", "", "| Block | Type | From | Needed | For |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| `{need.name}` | `{need.kind.block_type}` | "
            f"{', else '.join(f'`{each}`' for each in (need.variable, need.fallback) if each)} | "
            f"{'yes' if need.is_required else 'no'} | {cell(need.purpose)} |"
            for need in needs
        ]
    return _page(lines)


def projects() -> list[str]:
    return sorted(path.parent.name for path in PROJECTS.glob("[a-z]*/dbt_project.yml"))


def marts(slug: str) -> str:
    """The relations of a project that others may read, with their columns."""
    lines = [
        f"# Marts of {slug}",
        "",
        "As its YAML tells them; the database has the same as comments.",
    ]
    for model in sorted(models_in(PROJECTS / slug / "models"), key=lambda each: str(each["name"])):
        lines += ["", f"## {model['name']}", "", cell(model.get("description") or "")]
        columns = model.get("columns") or []
        if columns:
            lines += ["", "| Column | Type | Meaning |", "|---|---|---|"]
        lines += [
            f"| `{each['name']}` | {cell(_type(each.get('data_type') or ''))} | "
            f"{cell(each.get('description') or '')} |"
            for each in columns
        ]
    return _page(lines)


def _type(written: str) -> str:
    """As it is on PostgreSQL, where it differs from one warehouse to the other."""
    target = {"type": "postgres"}
    return SandboxedEnvironment().from_string(written).render(target=target)


def models_in(folder: Path) -> Iterator[Mapping[str, Any]]:
    """The models of a project that it does not keep to itself, as its YAML tells them."""
    for path in sorted(folder.rglob("*.yml")):
        if not OWN_FOLDERS & set(path.relative_to(folder).parts):
            for model in (read_yaml(path) or {}).get("models") or []:
                if not str(model["name"]).startswith(("stg_", "int_")):
                    yield model


def fields(model: type[BaseModel]) -> list[str]:
    return [
        "",
        "| Field | Type | Default | Meaning |",
        "|---|---|---|---|",
        *(
            f"| `{name}` | {_kind(field)} | {_default(field)} | {cell(field.description or '')} |"
            for name, field in model.model_fields.items()
        ),
    ]


def cell(text: str) -> str:
    """One line of a table; what is code in it stays so."""
    parts = " ".join(text.split()).split("`")
    return "`".join(
        part if number % 2 else part.replace("<", "&lt;").replace("|", "\\|")
        for number, part in enumerate(parts)
    )


def _told(model: type[BaseModel]) -> list[str]:
    own = vars(model).get("__doc__")
    return [cell(cleandoc(own).split("\n\n")[0])] if own else []


def _kind(field: FieldInfo) -> str:
    annotation = field.annotation
    named = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    kind = NAMES_OF_MODULES.sub("", named).replace("NoneType", "None")
    bounds = [
        f"{words} {getattr(each, bound)}"
        for each in field.metadata
        for bound, words in BOUNDS.items()
        if getattr(each, bound, None) is not None
    ]
    return ", ".join(_code(each) for each in (kind, *bounds))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return f"of {type(value).__name__}"
    return _code(repr(value))


def _code(text: str) -> str:
    return f"`{' '.join(text.split())}`"


def _page(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
