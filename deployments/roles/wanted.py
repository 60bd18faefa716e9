"""How a database should be, and one deviation from it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

from deployments.roles import catalog
from deployments.roles.table import DATABASES, Database, Role
from flows._shared.errors import PermanentError


class Step(NamedTuple):
    """One deviation and the statement that mends it; `taken_from` is whom it takes something."""

    seen: str
    statement: str
    taken_from: str | None = None


@dataclass(frozen=True)
class Names:
    """What the roles are called in a cluster."""

    loader: str
    transformer: str
    reader: str

    @classmethod
    def of(cls, slug: str) -> "Names":
        return cls(*(f"{slug}_{role}" for role in Role))

    def __getitem__(self, role: Role) -> str:
        return str(getattr(self, role.value))


@dataclass(frozen=True)
class Wanted:
    """How a database should be.

    Args:
        is_exclusive: neither everybody nor a role of another domain may connect to the database.
        former: roles whose schemas and tables are handed over.
    """

    database: Database
    names: Names
    is_exclusive: bool = False
    former: Collection[str] = ()
    ours: Mapping[str, Role] = field(init=False)

    def __post_init__(self) -> None:
        ours = {self.names[role]: role for role in self.database.roles}
        if len(ours) < len(self.database.roles):
            raise PermanentError(
                f"Naming the roles of {self.database.slug}",
                f"two of them are called the same: {', '.join(ours)}",
                "Give each a name of its own: what one may, another must not",
            )
        object.__setattr__(self, "ours", ours)

    @property
    def kept_out(self) -> frozenset[str]:
        """Who must not connect to the database."""
        if not self.is_exclusive:
            return frozenset()
        of_domains = {Names.of(slug)[role] for slug in DATABASES for role in Role}
        return frozenset({"public", *of_domains} - self.ours.keys())


class Relation(NamedTuple):
    schema: str
    name: str
    kind: str
    owner: str
    is_secured: bool
    is_superusers: bool


class Grant(NamedTuple):
    schema: str
    name: str
    grantee: str
    privilege: str


def text(
    connection: psycopg.Connection, statement: LiteralString, *names: str | Sequence[str]
) -> str:
    """A statement with its names, schema and table as one; ``public`` is no name of a role."""

    def quoted(name: str | Sequence[str]) -> sql.Composable:
        if isinstance(name, str):
            return sql.SQL("public") if name == "public" else sql.Identifier(name)
        return sql.Identifier(*name)

    return sql.SQL(statement).format(*map(quoted, names)).as_string(connection)


def stranger_of(owner: str, is_superuser: bool, wanted: Wanted) -> str | None:
    """The owner, where nobody said that what is its may be handed over."""
    return None if is_superuser or owner in wanted.ours or owner in wanted.former else owner


def relations_of(connection: psycopg.Connection) -> list[Relation]:
    return [Relation(*row) for row in connection.execute(catalog.RELATIONS)]


def maker_of(wanted: Wanted, relation: Relation) -> Role | None:
    """Whose a relation is to be. None: somebody else's, as are views among the marts."""
    place = wanted.database.place(relation.schema)
    is_view = relation.kind in "vm"
    # Views of ours stand in for an application's tables.
    if relation.schema == "public" and relation.name in wanted.database.filled and is_view:
        return Role.LOADER
    maker = place.maker_of(relation.name) if place else None
    if maker is Role.TRANSFORMER and is_view:
        return None if stranger_of(relation.owner, relation.is_superusers, wanted) else maker
    return maker


def strays_from(wanted: Wanted, schema: str, owner: str, owners: Mapping[str, str]) -> bool:
    """Whether one of our roles owns something where it is to make nothing."""
    role = wanted.ours.get(owner)
    if role is None or owners[schema] == owner:
        return False
    place = wanted.database.place(schema)
    return place is None or not place.makes(role)


def differences(
    rows: Sequence[tuple[str, str, str, str, bool]], grants: set[Grant], wanted: Wanted
) -> Iterator[tuple[Grant, str, str]]:
    """Grants that are missing, and those of our roles and of everybody that are superfluous."""
    held = {Grant(*row[:4]): row[4] for row in rows if row[2] in wanted.ours or row[2] == "public"}
    for grant in sorted(grants - held.keys()):
        yield grant, "grant", "to"
    for grant, is_grantable in sorted(held.items()):
        if grant not in grants:
            yield grant, "revoke", "from"
        elif is_grantable:
            yield grant, "revoke grant option for", "from"


def grant_step(
    connection: psycopg.Connection, grant: Grant, verb: str, tail: str, what: str, where: str
) -> Step:
    seen = {"grant": "lacks", "revoke": "has"}.get(verb, "may hand on")
    statement = f"{verb} {grant.privilege} {what}{tail} " + text(connection, "{}", grant.grantee)
    return Step(f"{grant.grantee} {seen} {grant.privilege} on {where}", statement)
