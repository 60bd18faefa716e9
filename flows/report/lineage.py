"""Which column is made of which, as a page of each project: dbt-colibri reads what dbt compiled."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.report.records import DOMAINS, Page, Site
from flows.report.render import page_html

HOWS = {"pass-through": "as it is", "rename": "renamed", "transformation": "computed"}
# Colibri keeps the columns that rows are chosen by beside those that values are made of.
CHOOSING = ("__colibri_filter__", "__colibri_join__")
BY_NAME = "\nunion all by name\n"
Parents = Mapping[str, Mapping[str, Sequence[Mapping[str, str]]]]


@dataclass(frozen=True)
class Origin:
    """A column that another one is made of; ``model`` is the name of a model, source or seed."""

    model: str
    column: str
    is_here: bool

    @property
    def name(self) -> str:
        return f"{self.model}.{self.column}"


@dataclass(frozen=True)
class MadeColumn:
    """``made_from`` are its direct origins, ``ends`` the last ones behind them."""

    name: str
    kind: str
    how: str
    made_from: tuple[Origin, ...]
    ends: tuple[str, ...]


@dataclass(frozen=True)
class MadeModel:
    """``chosen_by`` are the columns that its rows are joined and filtered by."""

    name: str
    description: str
    columns: tuple[MadeColumn, ...]
    chosen_by: tuple[Origin, ...]


@dataclass(frozen=True)
class Lineage:
    """Of one project; ``untraced`` are the models whose SQL could not be followed."""

    models: tuple[MadeModel, ...]
    untraced: tuple[str, ...]


def read_lineage(manifest: Path, catalog: Path) -> Lineage:
    """The lineage of every column of every model, from what dbt's `docs generate` wrote."""
    # It brings a parser of SQL, which no other run needs.
    from dbt_colibri.lineage_extractor.extractor import DbtColumnLineageExtractor

    extractor = DbtColumnLineageExtractor(str(manifest), str(catalog))
    nodes: Mapping[str, Any] = extractor.manifest["nodes"]
    for facts in nodes.values():
        # Columns are followed through unions by their place; what is united by name at the end of
        # a model are keys of rows to take away.
        facts["compiled_code"] = (facts.get("compiled_code") or "").partition(BY_NAME)[0]
    found = extractor.extract_project_lineage()
    models = {
        node: facts
        for node, facts in nodes.items()
        if facts["resource_type"] in ("model", "snapshot")
        and facts["package_name"] == extractor.manifest["metadata"]["project_name"]
    }
    parents: Parents = found["lineage"]["parents"]
    catalogued = extractor.catalog["nodes"]
    made = [
        _model(node, facts, catalogued.get(node, {}).get("columns", {}), parents, models)
        for node, facts in models.items()
    ]
    # A part of SQL that the parser does not follow, a lateral join, leaves a model without origins.
    lost = [model.name for model in made if not any(each.made_from for each in model.columns)]
    return Lineage(
        tuple(sorted(made, key=lambda model: (not model.name.startswith("rpt_"), model.name))),
        tuple(sorted({*lost, *(_name(each["node_id"]) for each in found["errors"])})),
    )


def _model(
    node: str,
    facts: Mapping[str, Any],
    columns: Mapping[str, Any],
    parents: Parents,
    models: Mapping[str, Any],
) -> MadeModel:
    own = parents.get(node, {})
    chosen = [each for key in CHOOSING for each in own.get(key, ())]
    return MadeModel(
        facts["name"],
        " ".join(str(facts["description"]).split()),
        tuple(
            MadeColumn(
                name,
                str(column["type"]).lower(),
                _how(own.get(name.lower(), ())),
                _origins(own.get(name.lower(), ()), models),
                tuple(sorted(set(_ends(node, name.lower(), parents, set())))),
            )
            for name, column in columns.items()
        ),
        _origins(chosen, models),
    )


def _how(origins: Sequence[Mapping[str, str]]) -> str:
    """Of several origins the one that changes most; a column of none is made in the model."""
    kinds = [each["lineage_type"] for each in origins]
    return next((HOWS[kind] for kind in reversed(HOWS) if kind in kinds), "made here")


def _origins(origins: Sequence[Mapping[str, str]], models: Mapping[str, Any]) -> tuple[Origin, ...]:
    made = {
        Origin(_name(each["dbt_node"]), each["column"], each["dbt_node"] in models)
        for each in origins
    }
    return tuple(sorted(made, key=lambda origin: origin.name))


def _ends(node: str, column: str, parents: Parents, seen: set[tuple[str, str]]) -> Iterator[str]:
    """The columns behind a column that have no origin themselves: of sources, or made here."""
    for each in parents.get(node, {}).get(column, ()):
        origin = (each["dbt_node"], each["column"])
        if origin in seen:
            continue
        seen.add(origin)
        if parents.get(origin[0], {}).get(origin[1]):
            yield from _ends(*origin, parents, seen)
        else:
            yield f"{_name(origin[0])}.{origin[1]}"


def _name(node: str) -> str:
    """``model.scout.gold`` is gold, ``source.scout.raw.payloads`` is raw.payloads."""
    kind, _, rest = node.partition(".")
    return (
        rest.partition(".")[2] or rest if kind in ("model", "snapshot", "source", "seed") else node
    )


def lineage_page(slug: str, lineage: Lineage, now: datetime) -> bytes:
    """The page of a project: a part for each model, its columns with what each is made of."""
    title = f"{DOMAINS[slug]}: columns"
    page = Page(f"{slug}-columns", title, f"Which column of {DOMAINS[slug]} is made of which?", "")
    others = (("index", "Report"), *DOMAINS.items(), ("operations", "Operations"))
    site = Site(tuple(Page(name, text, "", "") for name, text in others), now)
    return page_html(
        "lineage.html", site, page, home="../latest/", docs=f"{slug}.html", lineage=lineage
    )
