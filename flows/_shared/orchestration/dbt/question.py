"""All that a project says to a plan besides its warehouse, without dbt, which says it first.

It can be written down, and is true for as long as no file, variable or setting changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flows._shared.orchestration.dbt.plan import LastSuccess, Plan, PlannedNode, plan_build
from flows._shared.orchestration.dbt_memory import Aged, Memory, Source
from flows._shared.orchestration.dbt_nodes import is_mart


@dataclass(frozen=True)
class Shown:
    """What an outcome shows of a node besides its result."""

    unique_id: str
    name: str
    resource_type: str
    relation: str | None = None
    is_mart: bool = False
    materialized: str | None = None
    description: str = ""


@dataclass(frozen=True)
class Warehouse:
    """Where a build is and remembers, as far as it may be written down.

    ``place`` are arguments of the database's own driver; ``password_variable`` names the one of
    the environment that has the password.
    """

    kind: str
    memory: str
    place: Mapping[str, str | int] = field(default_factory=dict)
    password_variable: str | None = None


@dataclass(frozen=True)
class Question:
    """What a build of a project is asked to do.

    Attributes:
        code: a hash of all code and all variables, and of the environment that SQL reads.
        zones: in which the day is part of every key.
        selected: unique ids of the nodes that a plan decides about.
        relations: schema and name of each node that has one.
        idle: selected nodes that a build only names, such as exposures.
        environment: names of the variables that the answer to anything here rests on.
        aged: sources of the project whose age is judged.
        is_lasting: nothing but what is in here, and the warehouse, decides what a build does.
    """

    code: str
    zones: tuple[str, ...]
    nodes: tuple[PlannedNode, ...]
    selected: frozenset[str]
    sources: tuple[Source, ...]
    relations: Mapping[str, tuple[str, str]]
    shown: Mapping[str, Shown]
    idle: tuple[str, ...]
    environment: tuple[str, ...]
    warehouse: Warehouse
    aged: tuple[Aged, ...]
    is_lasting: bool

    def plan(
        self,
        memory: Memory,
        there: Mapping[tuple[str, str], str],
        *,
        build: str,
        at: datetime,
        leaves_out: bool,
    ) -> Plan:
        """Answer it by what is in the warehouse."""
        days = [f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d}" for zone in ("UTC", *self.zones)]
        return plan_build(
            self.nodes,
            selected=self.selected,
            build=build,
            surroundings=repr([self.code, memory.beside(), days]),
            versions=memory.versions(self.sources, there),
            successes=memory.successes(),
            there={name: there[own] for name, own in self.relations.items() if own in there},
            leaves_out=leaves_out,
        )


@dataclass
class Planning:
    """What is asked of a plan, and after the start of the build the plan itself.

    ``results`` is the artifact of a build without dbt, but for its moment; ``newest`` is when the
    newest rows of each source came, in seconds of the epoch; ``row_counts`` has how many rows are
    in what is counted after the build, by unique id.
    """

    leaves_out: bool
    plan: Plan = field(default_factory=Plan)
    question: Question | None = None
    results: Mapping[str, Any] = field(default_factory=dict)
    newest: Mapping[str, int | None] = field(default_factory=dict)
    row_counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def left_out(self) -> list[tuple[Shown, LastSuccess]]:
        shown = self.question.shown if self.question else {}
        return [(shown[name], last) for name, last in self.plan.left_out.items()]


def shown(node: Any) -> Shown:
    """Of a node of dbt's."""
    return Shown(
        unique_id=node.unique_id,
        name=node.name,
        resource_type=str(node.resource_type),
        relation=getattr(node, "relation_name", None),
        is_mart=is_mart(node),
        materialized=getattr(getattr(node, "config", None), "materialized", None),
        description=" ".join(str(getattr(node, "description", "")).split()),
    )
