"""Writing the blocks of the catalogue to a Prefect server."""

from collections.abc import Iterable, Mapping

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from blocks import CATALOGUE, BlockNeed, Kind
from flows._shared.errors import PermanentError

CONNECTION_PARTS = ("host", "port", "user", "password", "dbname")


def register(slugs: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Write the blocks of some domains, replacing what was there; values are never shown.

    Args:
        slugs: the domains.
        environment: where the values come from, as the catalogue says.

    Returns:
        The names of the blocks written; an optional block without a value is left out.

    Raises:
        PermanentError: a required value is missing or is not a PostgreSQL URL. Nothing is
            written then.
    """
    needs = [need for slug in slugs for need in CATALOGUE[slug]]
    wanted = {need: need.value(environment) for need in needs}
    blocks = {need.name: _block(need, value) for need, value in wanted.items() if value}
    if missing := [need for need, value in wanted.items() if need.is_required and not value]:
        raise PermanentError(
            f"registering the block {missing[0].name}",
            f"{missing[0].variable} is not set and no embedded database runs",
            f"Set {missing[0].variable} to a URL such as "
            "postgresql://user:password@host:5432/database, or start the embedded one: `make up`",
        )
    for name, block in blocks.items():
        block.save(name, overwrite=True)
    return tuple(blocks)


def _block(need: BlockNeed, value: str) -> Block:
    match need.kind:
        case Kind.POSTGRES:
            connector: Block = SqlAlchemyConnector(connection_info=connection(need.variable, value))
            return connector
        case Kind.SECRET:
            return Secret(value=SecretStr(value))
        case Kind.GCP:
            return _service_account(need.variable, value)
        case Kind.BIGQUERY:
            return _warehouse(need.variable, value)


def _service_account(variable: str, value: str) -> Block:
    # prefect-gcp takes seconds to import: only who has a service account pays for it.
    from prefect_gcp import GcpCredentials

    try:
        block: Block = GcpCredentials(service_account_info=value)
    except ValueError:
        raise PermanentError(
            f"reading {variable}",
            "it is not the JSON key of a service account",
            "Give the whole content of the key file",
        ) from None
    return block


def _warehouse(variable: str, value: str) -> Block:
    from prefect_gcp.bigquery import BigQueryWarehouse

    block: Block = BigQueryWarehouse(gcp_credentials=_service_account(variable, value))
    return block


def connection(variable: str, url: str) -> ConnectionComponents:
    """The parts of a libpq URL. Raises PermanentError, without the URL, if it is not one."""
    try:
        parts = conninfo_to_dict(url.replace("postgresql+psycopg2://", "postgresql://", 1))
    except ProgrammingError:
        parts = {}
    if not parts.get("dbname") or "://" not in url:
        raise PermanentError(
            f"reading {variable}",
            "it is not the URL of a PostgreSQL database",
            "Give it as postgresql://user:password@host:5432/database",
        ) from None
    password = parts.get("password")
    options = {name: str(value) for name, value in parts.items() if name not in CONNECTION_PARTS}
    return ConnectionComponents(
        driver=SyncDriver.POSTGRESQL_PSYCOPG2,
        username=str(parts["user"]) if parts.get("user") else None,
        password=SecretStr(str(password)) if password else None,
        host=str(parts.get("host") or "localhost"),
        port=int(parts.get("port") or 5432),
        database=str(parts["dbname"]),
        query=options or None,
    )
