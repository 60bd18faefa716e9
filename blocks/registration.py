"""Writing the blocks of the catalogue to a Prefect server."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prefect.blocks.core import Block
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from blocks import CATALOGUE, BlockNeed, Kind
from flows._shared.errors import PermanentError

CONNECTION_PARTS = ("host", "port", "user", "password", "dbname")


@dataclass(frozen=True)
class Registration:
    """What registering a block does, told without any value.

    Args:
        fields: those whose value the server has otherwise; none when the block is new or unchanged.
        unset: the variable that no value was found in; the block stays as the server has it.
    """

    name: str
    is_new: bool
    fields: tuple[str, ...]
    unset: str | None = None

    @property
    def is_change(self) -> bool:
        return self.is_new or bool(self.fields)

    def __str__(self) -> str:
        if self.is_new:
            return f"create {self.name}"
        if self.unset:
            return f"kept {self.name}: {self.unset} is not set"
        return (
            f"update {self.name}: {', '.join(self.fields)}"
            if self.fields
            else (f"unchanged {self.name}")
        )


def register(
    slugs: Iterable[str], environment: Mapping[str, str], *, dry_run: bool = False
) -> tuple[Registration, ...]:
    """Write the blocks of some domains where the server has none or another; values never show.

    Args:
        slugs: the domains.
        environment: where the values come from, as the catalogue says.
        dry_run: only say what would change.

    Returns:
        What was done for each block. A required block without a value is kept as the server has
        it, an optional one is left out.

    Raises:
        PermanentError: a required value is missing, here and on the server, or is not what its kind
            needs. Nothing is written then.
    """
    needs = [need for slug in slugs for need in CATALOGUE[slug]]
    wanted = {need: need.value(environment) for need in needs}
    blocks = {need.name: _block(need, value) for need, value in wanted.items() if value}
    unset = [need for need, value in wanted.items() if need.is_required and not value]
    if missing := [need for need in unset if not is_registered(need)]:
        raise PermanentError(
            f"registering the block {missing[0].name}",
            f"{missing[0].variable} is not set, and the server has no such block",
            f"Set {missing[0].variable} to a URL such as postgresql://user:password@host:5432/"
            "database; `flows up` registers those of the embedded databases",
        )
    kept = [Registration(need.name, False, (), need.variable) for need in unset]
    registrations = (*kept, *(_compare(name, block) for name, block in blocks.items()))
    for registration in registrations:
        if registration.is_change and not dry_run:
            blocks[registration.name].save(registration.name, overwrite=True)
    return registrations


def is_registered(need: BlockNeed) -> bool:
    try:
        get_client(sync_client=True).read_block_document_by_name(need.name, need.kind.block_type)
    except ObjectNotFound:
        return False
    return True


def _compare(name: str, wanted: Block) -> Registration:
    try:
        found = type(wanted).load(name)
    except ValueError:
        return Registration(name, is_new=True, fields=())
    assert isinstance(found, Block)
    return Registration(name, False, tuple(_differing(_revealed(wanted), _revealed(found))))


def _revealed(block: Block) -> Mapping[str, Any]:
    fields = set(type(block).model_fields)
    return block.model_dump(mode="json", include=fields, context={"include_secrets": True})


def _differing(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for field in sorted(wanted.keys() | found.keys()):
        mine, other = wanted.get(field), found.get(field)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            yield from _differing(mine, other)
        elif mine != other:
            yield field


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
        case Kind.WEBHOOK:
            return CustomWebhookNotificationBlock(
                name=need.name,
                url="{{ address }}",
                json_data={"text": "{{ subject }}\n{{ body }}"},
                secrets=SecretDict({"address": value}),
            )
        case Kind.EMAIL:
            return _mail(need.variable, value)


def _mail(variable: str, value: str) -> Block:
    if not value.startswith(("mailto://", "mailtos://")):
        raise PermanentError(
            f"reading {variable}",
            "it is not the address of a mail server",
            "Give it as mailtos://user:password@host:587?from=alerts@example.org&to=you@example.org",
        )
    return SlackWebhook(url=SecretStr(value))


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
