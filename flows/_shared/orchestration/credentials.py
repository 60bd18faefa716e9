"""Credentials, read from blocks at the moment they are spent.

PostgreSQL has a `SqlAlchemyConnector` block, of which only the document is read. Importing
prefect-sqlalchemy and SQLAlchemy to do so would add 0.6 s and 26 MiB to every run.
"""

import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows._shared.errors import PermanentError, TransientError
from flows._shared.json_keys import each_once
from flows._shared.postgres import PORTS

CONNECTOR = "sqlalchemy-connector"
SECRET = "secret"  # noqa: S105  the block type's slug
DEFAULT_PORT = 5432
LIBPQ_DEFAULT = "prefer"
LOADING, BUILDING, READING = "-postgres", "-dbt-postgres", "-reader-postgres"


class DatabaseSettings(Protocol):
    """Settings of a domain whose marts are built in PostgreSQL."""

    @property
    def database_block(self) -> str: ...

    @property
    def dbt_block(self) -> str | None: ...


class MissingBlockError(PermanentError):
    """No block of that name is registered."""


class UnusableBlockError(PermanentError):
    """The block is there and does not describe a PostgreSQL database."""


def postgres_url(block_name: str) -> str:
    """The block as a libpq URL, ``postgresql://user:password@host:port/database?...``.

    Raises:
        MissingBlockError: no such block.
        UnusableBlockError: it is not a PostgreSQL connection.
        TransientError: the Prefect server did not answer.
    """
    parts = _connection(block_name)
    user = quote(parts.get("username") or "", safe="")
    password = quote(parts.get("password") or "", safe="")
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    host = parts.get("host") or ""
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    port = f":{parts['port']}" if parts.get("port") else ""
    options = urlencode(_safe_query(parts), quote_via=quote)
    query = f"?{options}" if options else ""
    database = quote(parts.get("database") or "", safe="")
    return f"postgresql://{login}{quote(host, safe='[]:.')}{port}/{database}{query}"


def dbt_postgres_env(block_name: str) -> dict[str, str]:
    """The same block as the environment variables every profiles.yml reads. Errors as above."""
    parts = _connection(block_name)
    query = parts.get("query") or {}
    return {
        "DBT_POSTGRES_HOST": parts.get("host") or query.get("host") or "localhost",
        "DBT_POSTGRES_PORT": str(parts.get("port") or DEFAULT_PORT),
        "DBT_POSTGRES_USER": parts.get("username") or "",
        "DBT_ENV_SECRET_POSTGRES_PASSWORD": parts.get("password") or "",
        "DBT_POSTGRES_DATABASE": parts.get("database") or "",
        "DBT_POSTGRES_SSLMODE": _sslmode(parts),
    }


def building_block(settings: DatabaseSettings) -> str:
    """The block of the role that builds: the one named, or else ``<name>-dbt-postgres`` beside the
    ``<name>-postgres`` of the role that loads, where it is registered; or else that of loads.

    Raises:
        UnusableBlockError: that of loads has another database than the one beside it.
    """
    return settings.dbt_block or _beside(settings.database_block, BUILDING)


def reading_block(loading: str) -> str:
    """The block of the role that reads, ``<name>-reader-postgres``; found, and errors, as above."""
    return _beside(loading, READING)


def marts_block(settings: DatabaseSettings) -> str:
    """The block that reads marts: that of the role which reads where it is registered, else that
    of the one which builds. Errors as above."""
    reading = reading_block(settings.database_block)
    return building_block(settings) if reading == settings.database_block else reading


def _beside(loading: str, suffix: str) -> str:
    if not loading.endswith(LOADING):
        return loading
    name = loading.removesuffix(LOADING) + suffix
    try:
        found = _database(_connection(name))
    except MissingBlockError:
        return loading
    if found != _database(_connection(loading)):
        raise UnusableBlockError(
            f"taking the block {CONNECTOR}/{name}",
            f"it has another host, port or database than {loading}",
            "Register both again; where that is meant, name it in the settings",
        )
    return name


def _database(parts: Mapping[str, Any]) -> tuple[str, ...]:
    query = parts.get("query") or {}
    host = str(parts.get("host") or query.get("host") or "localhost").lower()
    return host, str(parts.get("port") or DEFAULT_PORT), str(parts.get("database") or "")


def secret_value(block_name: str) -> str:
    """The value of a Secret block, for the task that spends it. Errors as above."""
    value = block_document(block_name, SECRET).get("value")
    if not isinstance(value, str) or not value:
        raise UnusableBlockError(
            f"reading the block {SECRET}/{block_name}",
            "it holds no text",
            "Register it again with `flows blocks register`",
        )
    return value


def storage_options(block_name: str | None) -> dict[str, dict[str, Any]]:
    """Options of buckets, by s3 and gs, that a Secret block holds as JSON; none without a block.

    Errors as above.
    """
    if block_name is None:
        return {}
    try:
        options = json.loads(secret_value(block_name), object_pairs_hook=each_once)
    except ValueError:
        options = None
    if (
        not isinstance(options, dict)
        or not options.keys() <= {"s3", "gs"}
        or not all(isinstance(each, dict) for each in options.values())
    ):
        raise UnusableBlockError(
            f"reading the block {block_name}",
            "it does not hold a JSON object of options by s3 and gs, with each key once",
            'Store it as {"s3": {"access_key": "...", "secret_key": "...", "region": "..."}}',
        )
    return options


def _connection(block_name: str) -> Mapping[str, Any]:
    info = block_document(block_name, CONNECTOR).get("connection_info")
    try:
        parts = _from_url(info) if isinstance(info, str) else info
        is_readable = not isinstance(parts, Mapping) or _names_a_server(parts)
    # It quotes what it took for the port.
    except ValueError:
        is_readable = False
    if not is_readable:
        raise UnusableBlockError(
            f"reading the block {CONNECTOR}/{block_name}",
            "its address cannot be read",
            "Register it again, and percent-encode what is no letter or digit in user and "
            "password: @ as %40, / as %2F",
        )
    if not isinstance(parts, Mapping) or not str(parts.get("driver", "")).startswith("postgres"):
        raise UnusableBlockError(
            f"reading the block {CONNECTOR}/{block_name}",
            "its connection is not a PostgreSQL one",
            "Register it again with `flows blocks register`",
        )
    return parts


def _names_a_server(parts: Mapping[str, Any]) -> bool:
    """False where the rest of a password may have been read as the host or the port."""
    query = parts.get("query") or {}
    hosts = f"{parts.get('host') or ''},{query.get('host') or ''}".split(",")
    ports = f"{parts.get('port') or ''}{query.get('port') or ''}"
    return not any("@" in host[1:] for host in hosts) and bool(PORTS.fullmatch(ports))


def block_document(block_name: str, block_type: str) -> Mapping[str, Any]:
    attempted = f"reading the block {block_type}/{block_name}"
    try:
        document = get_client(sync_client=True).read_block_document_by_name(
            block_name, block_type, include_secrets=True
        )
    except ObjectNotFound:
        raise MissingBlockError(
            attempted,
            "there is no such block on this Prefect server",
            "Register it with `flows blocks register`, or name another in the settings. For "
            'the local server, which `flows up` starts, type eval "$(bin/flows env)" first',
        ) from None
    except httpx.TransportError as error:
        raise TransientError(
            attempted,
            f"the Prefect server did not answer ({type(error).__name__})",
            "Check PREFECT_API_URL and that the server is up",
        ) from None
    return document.data


def _safe_query(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The block's options, with the ``sslmode`` that holds where it names none."""
    query = dict(parts.get("query") or {})
    if not query.get("sslmode") and _sslmode(parts) != LIBPQ_DEFAULT:
        query["sslmode"] = _sslmode(parts)
    return query


def _sslmode(parts: Mapping[str, Any]) -> str:
    """What the block says; without a word encrypted, except on this machine."""
    query = parts.get("query") or {}
    hosts = str(query.get("host") or parts.get("host") or "localhost").split(",")
    is_here = all(_is_this_machine(host) for host in hosts)
    return str(query.get("sslmode") or (LIBPQ_DEFAULT if is_here else "require"))


def _is_this_machine(host: str) -> bool:
    """A socket's folder, an abstract socket, or a loopback address."""
    name = host.strip("[]").lower().rstrip(".")
    if not name or name.startswith(("/", "@")) or name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _from_url(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if "@" in parts.path:
        raise ValueError("a login that holds a slash")
    return {
        "driver": parts.scheme,
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "host": unquote(parts.hostname or ""),
        "port": parts.port,
        "database": unquote(parts.path.lstrip("/")),
        "query": dict(parse_qsl(parts.query)),
    }
