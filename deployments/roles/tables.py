"""Who may read which table, now and once another takes its place."""

from collections.abc import Iterator
from typing import LiteralString

import psycopg

from deployments.roles import catalog
from deployments.roles.table import Database, Role
from deployments.roles.wanted import (
    Grant,
    Step,
    Wanted,
    differences,
    grant_step,
    maker_of,
    relations_of,
    text,
)

READ = frozenset({"SELECT"})
FILL = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})


def on_relations(connection: psycopg.Connection, wanted: Wanted) -> Iterator[Step]:
    grants: set[Grant] = set()
    ours: set[tuple[str, str]] = set()
    sequences = set(connection.execute(catalog.SEQUENCES).fetchall())
    for relation in relations_of(connection):
        schema, name = relation[:2]
        maker = maker_of(wanted, relation)
        if maker:
            ours.add((schema, name))
        if relation.kind != "S":
            for role, privileges in _may(wanted.database, schema, name, maker).items():
                grants |= {Grant(schema, name, wanted.names[role], each) for each in privileges}
    filled = [sorted(wanted.database.filled)]
    for schema, name in connection.execute(catalog.SEQUENCES_OF, filled).fetchall():
        grants.add(Grant(schema, name, wanted.names.loader, "USAGE"))
    for grant, verb, tail in differences(
        connection.execute(catalog.ON_RELATIONS).fetchall(), grants, wanted
    ):
        if grant.grantee == "public" and (grant.schema, grant.name) not in ours:
            continue
        is_sequence = (grant.schema, grant.name) in sequences
        command: LiteralString = "on sequence {} " if is_sequence else "on table {} "
        what = text(connection, command, [grant.schema, grant.name])
        yield grant_step(connection, grant, verb, tail, what, f"{grant.schema}.{grant.name}")
    for schema, name, column, grantee, privilege in connection.execute(
        catalog.ON_COLUMNS
    ).fetchall():
        if grantee in wanted.ours or (grantee == "public" and (schema, name) in ours):
            yield Step(
                f"{grantee} has {privilege} on {schema}.{name} ({column})",
                f"revoke {privilege} ({column}) "
                + text(connection, "on table {} from {}", [schema, name], grantee),
            )
    for signature, grantee in connection.execute(catalog.ON_ROUTINES_OF_THE_SYSTEM).fetchall():
        if grantee in wanted.ours:
            yield Step(
                f"{grantee} may call {signature}",
                f"revoke execute on routine {signature} from " + text(connection, "{}", grantee),
            )


def _may(
    database: Database, schema: str, name: str, maker: Role | None
) -> dict[Role, frozenset[str]]:
    """What the roles that did not make a relation may do with it."""
    place = database.place(schema)
    is_read = bool(place and place.is_read)
    if maker is Role.LOADER:
        is_built_from = database.built_from is None or f"{schema}.{name}" in database.built_from
        return {
            **({Role.TRANSFORMER: READ} if is_built_from and _has_builder(database) else {}),
            **({Role.READER: READ} if is_read else {}),
        }
    if maker is Role.TRANSFORMER:
        return {Role.LOADER: READ, **({Role.READER: READ} if is_read else {})}
    if schema == "public" and name in database.source:
        return {Role.LOADER: READ, Role.TRANSFORMER: READ}
    if schema == "public" and name in database.filled:
        return {Role.LOADER: FILL}
    return {}


def _has_builder(database: Database) -> bool:
    return Role.TRANSFORMER in database.roles


def by_default(connection: psycopg.Connection, wanted: Wanted) -> Iterator[Step]:
    names, database = wanted.names, wanted.database
    grants: set[tuple[str, str, str]] = set()
    for place in database.places:
        if place.is_loaded and database.built_from is None and _has_builder(database):
            grants.add((place.schema, names.loader, names.transformer))
        if place.is_loaded and place.is_read:
            grants.add((place.schema, names.loader, names.reader))
        if place.is_built:
            grants.add((place.schema, names.transformer, names.loader))
        if place.is_built and place.is_read:
            grants.add((place.schema, names.transformer, names.reader))
    rows = connection.execute(catalog.BY_DEFAULT).fetchall()
    held = {tuple(row[:3]) for row in rows if row[3:] == ("SELECT", False)}
    for schema, maker, grantee in sorted(grants - held):
        yield Step(
            f"{grantee} would not read what {maker} makes in {schema}",
            text(
                connection,
                "alter default privileges for role {} in schema {} grant select on tables to {}",
                maker,
                [schema],
                grantee,
            ),
        )
    for schema, maker, grantee, privilege, is_grantable in sorted(rows):
        if maker not in wanted.ours or (grantee not in wanted.ours and grantee != "public"):
            continue
        if (schema, maker, grantee) in grants and (privilege, is_grantable) == ("SELECT", False):
            continue
        where = text(connection, " in schema {}", [schema]) if schema else ""
        yield Step(
            f"{grantee} would get {privilege} on what {maker} makes",
            text(connection, "alter default privileges for role {}", maker)
            + f"{where} revoke {privilege} on tables from "
            + text(connection, "{}", grantee),
        )


def row_security(connection: psycopg.Connection, wanted: Wanted) -> Iterator[Step]:
    """Without a policy nobody but the owner sees a row, whoever was granted the table."""
    if not wanted.database.has_row_security:
        return
    allowed = set(connection.execute(catalog.POLICIES).fetchall())
    for relation in relations_of(connection):
        schema, name = relation[:2]
        maker = maker_of(wanted, relation)
        if maker is not Role.LOADER or relation.kind not in "rp":
            continue
        if not relation.is_secured:
            statement = text(connection, "alter table {} enable row level security", [schema, name])
            yield Step(f"{schema}.{name} has no row security", statement)
        for role in _may(wanted.database, schema, name, maker):
            grantee = wanted.names[role]
            if (schema, name, grantee) not in allowed:
                statement = text(
                    connection,
                    "create policy {} on {} for select to {} using (true)",
                    f"{grantee}_reads",
                    [schema, name],
                    grantee,
                )
                yield Step(f"{grantee} sees no row of {schema}.{name}", statement)
