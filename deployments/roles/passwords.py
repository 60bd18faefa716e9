"""Addresses with the roles' passwords: from the environment, from files, or made anew into files.

A file has the name of the variable that it stands in for, as `python -m blocks register --secrets`
reads them.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from deployments.local.processes import write_private
from deployments.roles.table import Database, Role
from deployments.roles.wanted import Names

VARIABLES = {
    Role.LOADER: "{}_DATABASE_URL",
    Role.TRANSFORMER: "{}_DBT_DATABASE_URL",
    Role.READER: "{}_READER_DATABASE_URL",
}


@dataclass(frozen=True)
class Login:
    """One role's address; `password` is None where it is known to nobody here."""

    role: Role
    variable: str
    password: str | None = field(repr=False)
    url: str | None = field(repr=False)


def logins(
    database: Database,
    names: Names,
    owner_url: str,
    environment: Mapping[str, str],
    folder: Path | None,
) -> list[Login]:
    """Each role's password: that of its variable, else of its file, else one that is made."""
    return [
        _login(database.slug, role, names[role], owner_url, environment, folder)
        for role in database.roles
    ]


def _login(
    slug: str,
    role: Role,
    name: str,
    owner_url: str,
    environment: Mapping[str, str],
    folder: Path | None,
) -> Login:
    variable = VARIABLES[role].format(slug.upper())
    file = folder / variable if folder else None
    password = environment.get(password_variable(slug, role)) or (_of_file(file) if file else None)
    if password is None and file:
        password = secrets.token_urlsafe(24)
    url = _as_role(owner_url, name, password) if password else None
    return Login(role, variable, password, url)


def write(logins: list[Login], folder: Path) -> None:
    """Each address to its file, which only its owner reads."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for login in logins:
        if login.url:
            write_private(folder / login.variable, login.url + os.linesep)


def password_variable(slug: str, role: Role) -> str:
    return f"{slug}_{role}_PASSWORD".upper()


def _of_file(file: Path) -> str | None:
    if not file.exists():
        return None
    return unquote(urlsplit(file.read_text().strip()).password or "") or None


def at_address(url: str, address: str | None) -> str:
    """The same database as it is reached from elsewhere."""
    if address is None:
        return url
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login}{at}{address}").geturl()


def _as_role(owner_url: str, name: str, password: str) -> str:
    parts = urlsplit(owner_url)
    host = parts.netloc.rpartition("@")[2]
    login = f"{quote(name, safe='')}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{host}").geturl()
