"""What of a database deviates from the table, each with the statement that mends it.

Nothing is changed here. What an application owns stays its own.
"""

from collections.abc import Iterator
from typing import LiteralString

import psycopg

from deployments.roles import catalog
from deployments.roles.table import Role
from deployments.roles.tables import by_default, on_relations, row_security
from deployments.roles.wanted import (
    Grant,
    Step,
    Wanted,
    differences,
    grant_step,
    maker_of,
    relations_of,
    stranger_of,
    strays_from,
    text,
)

# In the order of `catalog.ROLES`.
TOO_MIGHTY = ("superuser", "createdb", "createrole", "replication", "bypassrls")
READER_CONNECTIONS = 20
IN_DATABASE = {
    Role.LOADER: frozenset({"CONNECT", "CREATE", "TEMPORARY"}),
    Role.TRANSFORMER: frozenset({"CONNECT", "CREATE", "TEMPORARY"}),
    Role.READER: frozenset({"CONNECT"}),
}


def deviations(connection: psycopg.Connection, wanted: Wanted) -> Iterator[list[Step]]:
    """Part by part: a part is looked at once the parts before it are as they should be."""
    for part in (
        _roles,
        _memberships,
        _on_database,
        _extensions,
        _schemas,
        _on_schemas,
        _owners,
        on_relations,
        by_default,
        row_security,
    ):
        yield list(part(connection, wanted))


def _roles(connection: psycopg.Connection, wanted: Wanted) -> Iterator[Step]:
    rows = connection.execute(catalog.ROLES, [list(wanted.ours)]).fetchall()
    found = {row[0]: row[1:] for row in rows}
    for name, role in wanted.ours.items():
        if name not in found:
            yield Step(f"there is no role {name}", text(connection, "create role {} login", name))
            yield _ended_with_its_client(connection, name)
            if role is Role.READER:
                yield _limited(connection, name)
            continue
        is_ended, is_limited, can_log_in, *powers = found[name]
        if not is_ended:
            yield _ended_with_its_client(connection, name)
        if role is Role.READER and not is_limited:
            yield _limited(connection, name)
        if not can_log_in:
            yield Step(f"{name} may not log in", text(connection, "alter role {} login", name))
        for has_it, attribute in zip(powers, TOO_MIGHTY, strict=True):
            if has_it:
                statement = text(connection, "alter role {} no", name) + attribute
                yield Step(f"{name} is too mighty: {attribute}", statement)


def _ended_with_its_client(connection: psycopg.Connection, name: str) -> Step:
    setting = "alter role {} set client_connection_check_interval = '2s'"
    return Step(f"statements of {name} outlive who asked", text(connection, setting, name))


def _limited(connection: psycopg.Connection, name: str) -> Step:
    """Others need connections, too. Any limit that somebody set stays."""
    statement = text(connection, "alter role {} connection limit ", name)
    return Step(f"{name} may take every connection", f"{statement}{READER_CONNECTIONS}")


def _memberships(connection: psycopg.Connection, wanted: Wanted) -> Iterator[Step]:
    allowed = {(wanted.names.loader, owner) for owner in _adopted(connection, wanted)}
    held = set(connection.execute(catalog.MEMBERSHIPS, [list(wanted.ours)]).fetchall())
    for member, group in sorted(held - allowed):
        statement = text(connection, "revoke {} from {}", group, member)
        yield Step(f"{member} may what {group} may", statement)
    for member, group in sorted(allowed - held):
        statement = text(connection, "grant {} to {}", group, member)
        yield Step(f"{member} cannot fit the tables that are {group}'s", statement)


def _adopted(connection: psycopg.Connection, wanted: Wanted) -> set[str]:
    """An application's role that owns tables which the loader fits and fills."""
    if not wanted.database.adopts:
        return set()
    return {
        each.owner
        for each in relations_of(connection)
        if (place := wanted.database.place(each.schema)) and each.name in place.loads
        if stranger_of(each.owner, each.is_superusers, wanted)
    }


def _on_database(connection: psycopg.Connection, wanted: Wanted) -> Iterator[Step]:
    (row,) = connection.execute(
        "select datname, pg_get_userbyid(datdba) from pg_database "
        "where datname = current_database()"
    ).fetchall()
    database, owner = row
    if owner in wanted.ours:
        statement = text(connection, "alter database {} owner to current_user", database)
        yield Step(f"{owner} owns the database", statement)
    found = set(connection.execute(catalog.ON_DATABASE).fetchall())
    held = {(grantee, privilege) for grantee, privilege, _ in found if grantee in wanted.ours}
    for name, role in wanted.ours.items():
        for privilege in sorted(IN_DATABASE[role] - {each for who, each in held if who == name}):
            statement = f"grant {privilege} " + text(
                connection, "on database {} to {}", database, name
            )
            yield Step(f"{name} lacks {privilege} on the database", statement)
    for grantee, privilege, is_grantable in sorted(found):
        role_of = wanted.ours.get(grantee)
        is_wanted = role_of and privilege in IN_DATABASE[role_of] and not is_grantable
        if (role_of and not is_wanted) or grantee in wanted.kept_out:
            statement = f"revoke {privilege} " + text(
                connection, "on database {} from {}", database, grantee
            )
            yield Step(f"{grantee} has {privilege} on the database", statement)


def _extensions(connection: psycopg.Connection, wanted: Wanted) -> Iterator[Step]:
    found = {name for (name,) in connection.execute("select extname from pg_extension")}
    for name in wanted.database.extensions:
        if name not in found:
            statement = text(connection, "create extension {}", name)
            yield Step(f"there is no extension {name}", statement)


def _schemas(connection: psycopg.Connection, wanted: Wanted) -> Iterator[Step]:
    found = {
        schema: (owner, is_superuser)
        for schema, owner, is_superuser in connection.execute(catalog.SCHEMAS)
    }
    for place in wanted.database.places:
        owner, is_superuser = found.get(place.schema, (None, False))
        name = wanted.names[place.owner] if place.owner else None
        if owner is None:
            statement = text(connection, "create schema {}", place.schema)
            if name:
                statement += text(connection, " authorization {}", name)
            yield Step(f"there is no schema {place.schema}", statement)
        elif name and owner != name:
            yield Step(
                f"the schema {place.schema} is {owner}'s",
                text(connection, "alter schema {} owner to {}", place.schema, name),
                stranger_of(owner, is_superuser, wanted),
            )
        elif not name and owner in wanted.ours:
            statement = text(connection, "alter schema {} owner to current_user", place.schema)
            yield Step(
                f"{owner} owns the schema {place.schema}, and so what others make", statement
            )


def _on_schemas(connection: psycopg.Connection, wanted: Wanted) -> Iterator[Step]:
    grants: set[Grant] = set()
    for place in wanted.database.places:
        for role in wanted.database.roles:
            if role is place.owner:
                continue
            privileges = {"USAGE"} if role is not Role.READER or place.is_read else set()
            if place.makes(role):
                privileges.add("CREATE")
            grants |= {Grant(place.schema, "", wanted.names[role], each) for each in privileges}
    if wanted.database.source:
        grants |= {
            Grant("public", "", wanted.names[role], "USAGE")
            for role in (Role.LOADER, Role.TRANSFORMER)
        }
    held = connection.execute(catalog.ON_SCHEMAS).fetchall()
    places = {place.schema: place for place in wanted.database.places}
    closed = {
        (schema, privilege)
        for schema, place in places.items()
        for privilege in (("CREATE", "USAGE") if place.owner else ("CREATE",))
    }
    for grant, verb, tail in differences(held, grants, wanted):
        if grant.grantee == "public" and (grant.schema, grant.privilege) not in closed:
            continue
        what = text(connection, "on schema {} ", [grant.schema])
        yield grant_step(connection, grant, verb, tail, what, f"the schema {grant.schema}")


def _owners(connection: psycopg.Connection, wanted: Wanted) -> Iterator[Step]:
    owners = {schema: owner for schema, owner, _ in connection.execute(catalog.SCHEMAS)}
    for each in relations_of(connection):
        maker = maker_of(wanted, each)
        name, at = f"{each.schema}.{each.name}", [each.schema, each.name]
        command: LiteralString = "alter sequence {}" if each.kind == "S" else "alter table {}"
        if maker and each.owner != wanted.names[maker]:
            stranger = stranger_of(each.owner, each.is_superusers, wanted)
            if stranger and wanted.database.adopts and maker is Role.LOADER:
                continue
            statement = text(connection, command + " owner to {}", at, wanted.names[maker])
            yield Step(f"{name} is {each.owner}'s", statement, stranger)
        elif not maker and strays_from(wanted, each.schema, each.owner, owners):
            statement = text(connection, command + " owner to current_user", at)
            yield Step(f"{each.owner} owns {name}, and so may write it", statement)
    for row in connection.execute(catalog.ROUTINES).fetchall():
        schema, name, owner, signature, is_superusers, is_definers = row
        place = wanted.database.place(schema)
        maker = place.maker_of(name) if place else None
        if maker and owner != wanted.names[maker]:
            statement = f"alter routine {signature} " + text(
                connection, "owner to {}", wanted.names[maker]
            )
            yield Step(
                f"{signature} is {owner}'s", statement, stranger_of(owner, is_superusers, wanted)
            )
        if is_definers and (owner in wanted.ours or maker):
            statement = f"alter routine {signature} security invoker"
            yield Step(f"whoever calls {signature} may what {owner} may", statement)
