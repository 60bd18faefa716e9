"""The domains' databases: whether they let us in, what the roles may, what is in them."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg

from blocks import CATALOGUE, BlockNeed, Kind
from deployments.cli.doctor.world import World
from deployments.cli.told import Diagnosis
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.registered import address, delete, unanswered
from deployments.roles import DATABASES, Database, Role
from deployments.roles.passwords import VARIABLES
from deployments.roles.table import Place
from flows._shared.counted import counted
from flows._shared.environment import LOOPBACK
from flows._shared.errors import PlatformError
from flows._shared.postgres import DatabaseRefusedError, RoleRefusedError, connected

TABLE = re.compile(r"create table if not exists ([\w.]+) \(\n(.*?)\n\)", re.DOTALL)
ADDED = re.compile(r"alter table (?:only )?([\w.]+)\s+add column if not exists (\w+)")
COLUMN = re.compile(r' {4}[\w"-]')
NO_COLUMN = {"primary", "unique", "check", "constraint", "foreign", "exclude", "like", "--"}
UNREAD_SECONDS = 900
NOT_USABLE = """
select nspname from pg_namespace
where nspname = any(%s) and not has_schema_privilege(oid, 'usage') order by 1
"""
COLUMNS = """
select attname from pg_attribute
where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
"""
NOT_WRITABLE = """
select oid::regclass::text from pg_class
where oid = any(array(select to_regclass(name)::oid from unnest(%s::text[]) as name))
  and not has_table_privilege(oid, 'select, insert, update')
"""
UNSENT = """
select count(*), max(extract(epoch from now() - due_at)) from webhooks.outbox
where sent_at is null and due_at < now() - make_interval(secs => %s)
"""


def databases(world: World) -> Iterator[Diagnosis]:
    """Databases."""
    for slug, needs in CATALOGUE.items():
        for need in needs:
            if need.kind is Kind.POSTGRES:
                yield from _block(world, slug, need)


def _block(world: World, slug: str, need: BlockNeed) -> Iterator[Diagnosis]:
    name = f"database of {slug}"
    url = address(world.api, need.name)
    if url is None:
        return
    try:
        with connected(url, f"the database of the block {need.name}") as connection:
            problems = [*look(connection, slug, need)]
            user = connection.info.user
    except DatabaseRefusedError as error:
        remedy = _remedy(world, slug, need, url, error)
        yield Diagnosis(name, f"{need.name}: {error.seen}", True, remedy)
        return
    except PlatformError as error:
        remedy = error.remedy
        if (where := unanswered(url)) and world.is_local:
            remedy = f"{_anew(need)}; or start what is to answer at {where}"
        yield Diagnosis(name, f"{need.name}: {error.seen}", True, remedy)
        return
    yield from problems or [Diagnosis(name, f"{need.name} lets {user} in")]


def _remedy(world: World, slug: str, need: BlockNeed, url: str, error: DatabaseRefusedError) -> str:
    if isinstance(error, RoleRefusedError):
        return error.remedy
    correct = f"Correct {need.variable}, then `flows blocks register {slug}`"
    parts = urlsplit(url)
    port = EmbeddedPostgres(world.paths.postgres).running_port
    if parts.hostname in LOOPBACK and port == parts.port:
        return f"{_anew(need)}. {correct}, where another was meant"
    return correct


def _anew(need: BlockNeed) -> str:
    return f"{delete(need)}, then `flows up`, which registers the embedded one anew"


def look(connection: psycopg.Connection, slug: str, need: BlockNeed) -> Iterator[Diagnosis]:
    """What is wrong in a database, as the role of a block sees it."""
    database = DATABASES.get(slug)
    if database is None:
        return
    roles = {VARIABLES[role].format(slug.upper()): role for role in Role}
    role = roles[need.variable]
    found = list(_barred(connection, database, role, need))
    yield from found
    if role is Role.LOADER and not found:
        yield from _tables(connection, database, need)


def _barred(
    connection: psycopg.Connection, database: Database, role: Role, need: BlockNeed
) -> Iterator[Diagnosis]:
    """What keeps a role out of where it works."""
    row = connection.execute("select current_user, current_setting('transaction_read_only')")
    user, is_read_only = row.fetchone() or ("?", "off")
    name, who = f"database of {database.slug}", f"the role {user} of {need.name}"
    used = [each for each in database.places if each.makes(role) or _reads(each, role)]
    barred = connection.execute(NOT_USABLE, [[each.schema for each in used]]).fetchall()
    if barred:
        schemas = ", ".join(str(each[0]) for each in barred)
        yield Diagnosis(
            name,
            f"{who} may not use the schema {schemas}",
            True,
            f"`flows roles check {database.slug}` says which grants are missing, `apply` gives "
            "them",
        )
    if is_read_only == "on" and any(each.makes(role) for each in database.places):
        yield Diagnosis(
            name,
            f"{who} writes nothing: its transactions are read only",
            True,
            f"`alter role {user} reset default_transaction_read_only`, or that of the database; "
            "of a standby name the primary",
        )


def _reads(place: Place, role: Role) -> bool:
    return place.is_read if role is Role.READER else role is Role.TRANSFORMER


def _tables(
    connection: psycopg.Connection, database: Database, need: BlockNeed
) -> Iterator[Diagnosis]:
    slug = database.slug
    loads = {f"{place.schema}.{name}" for place in database.places for name in place.loads or ()}
    loads |= expected_columns(slug).keys()
    role = (connection.execute("select current_user").fetchone() or ("?",))[0]
    found = connection.execute(NOT_WRITABLE, [sorted(loads)]).fetchall()
    if found:
        tables = ", ".join(str(each[0]) for each in found[:5])
        yield Diagnosis(
            f"database of {slug}",
            f"the role {role} of {need.name} may not write {tables}",
            True,
            f"`flows roles check {slug}` says which grants are missing, `apply` gives them",
        )
    for table, columns in expected_columns(slug).items():
        there = {str(each[0]) for each in connection.execute(COLUMNS, [table]).fetchall()}
        if there and (lacking := sorted(columns - there)):
            yield Diagnosis(
                f"database of {slug}",
                f"{table} is of an older version: it lacks {', '.join(lacking)}",
                True,
                f"`flows run {slug}` brings it up to date before it loads",
            )
    if slug == "webhooks" and not found:
        yield from _inbox(connection)


def expected_columns(slug: str) -> dict[str, set[str]]:
    """The columns of a domain's raw tables by table, from the SQL that makes them."""
    from deployments.local.paths import PROJECT_ROOT

    found: dict[str, set[str]] = {}
    for script in sorted((PROJECT_ROOT / "flows" / slug).rglob("schema.sql")):
        text = script.read_text()
        for table, body in TABLE.findall(text):
            names = {line.split()[0] for line in body.splitlines() if COLUMN.match(line)}
            found.setdefault(table, set()).update(names - NO_COLUMN)
        for table, column in ADDED.findall(text):
            found.setdefault(table, set()).add(column)
    return found


def _inbox(connection: psycopg.Connection) -> Iterator[Diagnosis]:
    if connection.execute("select to_regclass('webhooks.outbox')").fetchone() == (None,):
        return
    row = connection.execute(UNSENT, [UNREAD_SECONDS]).fetchone()
    if row and row[0]:
        yield Diagnosis(
            "inbox",
            f"{counted(row[0], 'event waits', 'events wait')} to be sent, the oldest for "
            f"{float(row[1]):,.0f} s: runs are "
            "not told of deliveries",
            True,
            "Look at the receiver's log and at the server; `python -m flows.webhooks dispatch`",
        )
