"""The roles of a domain's database, and the address of each."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import locked
from deployments.roles import DATABASES, Names, Role, Wanted, apply, check, logins
from deployments.roles.passwords import VARIABLES, write
from flows._shared.postgres import connected

FOLDER = "roles"


@dataclass(frozen=True)
class Addresses:
    """Libpq URLs of one database. Where roles are not apart, all are the same.

    Args:
        owner: of who runs the database: for a person's prompt.
        roles: of those that load, build and read.
    """

    slug: str
    owner: str = field(repr=False)
    roles: Mapping[Role, str] = field(repr=False)

    @property
    def transformer(self) -> str:
        return self.roles.get(Role.TRANSFORMER, self.owner)

    @property
    def reader(self) -> str:
        return self.roles.get(Role.READER, self.owner)

    def of(self, variable: str) -> str | None:
        """The one that a block takes from a variable, such as ``SCOUT_DBT_DATABASE_URL``."""
        variables = {VARIABLES[role].format(self.slug.upper()): role for role in Role}
        return self.roles.get(variables[variable])


def external_addresses(slug: str, url: str) -> Addresses:
    """A database of the user's own, with the roles that the environment names.

    A role that it does not name has the address of loads, so that no block that is left from
    before names another database.
    """
    given = {role: os.environ.get(VARIABLES[role].format(slug.upper())) for role in Role}
    roles = {role: given[role] or url for role in DATABASES[slug].roles}
    return Addresses(slug, url, roles | {Role.LOADER: url})


def embedded_addresses(cluster: EmbeddedPostgres, slug: str) -> Addresses:
    """The embedded database, its roles made as they should be.

    What one superuser made there, as in earlier versions, is handed over.

    Raises:
        TransientError: a run holds what is to be handed over.
    """
    cluster.create_database(slug)
    owner = cluster.address(slug)
    folder = cluster.directory / FOLDER
    wanted = Wanted(DATABASES[slug].with_sample, Names.of(slug), is_exclusive=True)
    with locked(cluster.directory / "roles.lock"):
        found = logins(wanted.database, wanted.names, owner, {}, folder)
        is_new = not all((folder / login.variable).exists() for login in found)
        with connected(owner, f"the embedded database of {slug}") as connection:
            if is_new or check(connection, wanted):
                passwords = {login.role: login.password for login in found if login.password}
                apply(connection, wanted, passwords)
                write(found, folder)
    return Addresses(slug, owner, {login.role: login.url for login in found if login.url})
