"""How a database should be, and one deviation from it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

from deployments.roles.table import Database, Role


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
        is_exclusive: nobody else, superusers apart, may connect to the database.
        former: roles whose schemas and tables are handed over.
    """

    database: Database
    names: Names
    is_exclusive: bool = False
    former: Collection[str] = ()
    ours: Mapping[str, Role] = field(init=False)

    def __post_init__(self) -> None:
        ours = {self.names[role]: role for role in self.database.roles}
        object.__setattr__(self, "ours", ours)


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


def maker_of(database: Database, schema: str, name: str, kind: str) -> Role | None:
    place = database.place(schema)
    # Views of ours stand in for an application's tables.
    if schema == "public" and name in database.filled and kind == "v":
        return Role.LOADER
    return place.maker_of(name) if place else None


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
