"""Which nodes of a build cannot have changed since they were last built.

A node has a key: a hash of the project's code, its variables, the day, and what it reads: which
build each parent is of, and the version of each source. A node whose last success had the key that
it would have now is left out. Nothing here knows dbt or a warehouse.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    SOURCE = "source"
    # Has no relation: what reads it reads what it reads.
    PASSED_ON = "passed on"
    BUILT = "built"
    DATA_TEST = "test"
    UNIT_TEST = "unit test"


@dataclass(frozen=True)
class PlannedNode:
    """A node as a plan sees it.

    Attributes:
        parents: unique ids of what it reads; of a unit test the model that it tests.
        is_view: it shows the rows of its parents as they are when it is read.
        has_own_clock: its result may change while nothing that it reads does, and on one day.
    """

    unique_id: str
    kind: Kind
    parents: tuple[str, ...] = ()
    is_view: bool = False
    has_own_clock: bool = False


@dataclass(frozen=True)
class SourceVersion:
    """Texts that are others once the columns of a source are, and once its rows are."""

    shape: str
    rows: str


@dataclass(frozen=True)
class LastSuccess:
    """What the warehouse remembers of a node.

    ``build`` is the one that wrote it, ``at`` when, in words; ``shape`` is of the relation then.
    """

    key: str | None
    build: str
    at: str
    shape: str | None = None


@dataclass(frozen=True)
class Plan:
    """What one build does with the nodes that were selected for it."""

    keys: Mapping[str, str | None] = field(default_factory=dict)
    left_out: Mapping[str, LastSuccess] = field(default_factory=dict)

    @property
    def leaves_all_out(self) -> bool:
        return bool(self.keys) and self.keys.keys() == self.left_out.keys()

    def is_to_run(self, unique_id: str) -> bool:
        return unique_id in self.keys and unique_id not in self.left_out


def plan_build(
    nodes: Sequence[PlannedNode],
    *,
    selected: Collection[str],
    build: str,
    surroundings: str,
    versions: Mapping[str, SourceVersion | None],
    successes: Mapping[str, LastSuccess],
    there: Mapping[str, str],
    leaves_out: bool,
) -> Plan:
    """Decide about every selected node.

    Args:
        nodes: of the whole project, parents before what reads them, tests after models.
        build: the id of this build.
        surroundings: the code, the variables and the day, as one text.
        versions: of each source; None or missing where nothing tells whether it changed.
        successes: what is remembered, by unique id.
        there: the shapes of the relations that are in the warehouse, by unique id.
        leaves_out: False builds all, and keys are still given.
    """

    def is_as_it_was(node: PlannedNode, key: str | None) -> bool:
        last = successes.get(node.unique_id)
        return leaves_out and key is not None and last is not None and last.key == key

    # dbt runs a unit test with its model only.
    to_be_proved = {
        node.parents[0]
        for node in nodes
        if node.kind is Kind.UNIT_TEST
        and node.unique_id in selected
        and not is_as_it_was(node, _key(node, surroundings, {}))
    }
    shapes = {name: version.shape if version else None for name, version in versions.items()}
    # Which rows a node holds: of a source its version, else the build that it is of.
    contents = {name: repr(version) if version else None for name, version in versions.items()}
    keys: dict[str, str | None] = {}
    left_out: dict[str, LastSuccess] = {}
    for node in nodes:
        if node.kind is Kind.SOURCE:
            continue
        # Views on a table whose place another takes show the former one until they are built:
        # only views of sources alone stay, whatever the rows there are.
        is_of_sources = node.is_view and shapes.keys() >= set(node.parents)
        key = _key(node, surroundings, shapes if is_of_sources else contents)
        if node.kind is Kind.PASSED_ON:
            contents[node.unique_id] = key
            continue
        last = successes.get(node.unique_id)
        shape = there.get(node.unique_id)
        # A build that was killed has not told how its relations look.
        is_its_own = last is not None and shape is not None and last.shape in (None, shape)
        holds = last.build if last and is_its_own else None
        if node.unique_id in selected:
            keys[node.unique_id] = key
            if is_as_it_was(node, key) and (
                node.kind is not Kind.BUILT or (holds and node.unique_id not in to_be_proved)
            ):
                left_out[node.unique_id] = successes[node.unique_id]
            else:
                holds = build
        if holds and is_of_sources:
            holds = _hash(holds, node, contents)
        contents[node.unique_id] = holds
    return Plan(keys, left_out)


def _key(node: PlannedNode, surroundings: str, held: Mapping[str, str | None]) -> str | None:
    """None where nothing tells whether the node would be as it was."""
    if node.has_own_clock:
        return None
    return _hash(surroundings, node, held)


def _hash(text: str, node: PlannedNode, held: Mapping[str, str | None]) -> str | None:
    read = () if node.kind is Kind.UNIT_TEST else sorted(set(node.parents))
    of_parents = [(parent, held.get(parent)) for parent in read]
    if any(content is None for _, content in of_parents):
        return None
    return hashlib.sha256(repr((node.unique_id, text, of_parents)).encode()).hexdigest()
