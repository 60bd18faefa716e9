"""Commands of `flows` that a module has by itself: their help is here, what they do is there."""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from blocks import CATALOGUE
from deployments.cli import told
from deployments.cli.arguments import Domains, Json
from deployments.cli.settings import (
    with_embedded_owner,
    with_local_server,
    with_local_server_of_one_pool,
    with_server,
)
from flows._shared.chosen import chosen, status_of
from flows._shared.errors import PlatformError


def _options(given: Mapping[str, object]) -> list[str]:
    """Options as another command line takes them; what was not given is left out."""
    options: list[str] = []
    for name, value in given.items():
        if value is True:
            options.append(name)
        elif isinstance(value, list):
            options += [f"{name}={each}" for each in value]
        elif value:
            options.append(f"{name}={value}")
    return options


def _ended(module: Callable[[Sequence[str]], int], given: Sequence[str], is_json: bool) -> int:
    with told.lines(is_json):
        return module(given)


class OfBlocks(StrEnum):
    """What can be done with blocks."""

    LIST = "list"
    REGISTER = "register"
    CHECK = "check"


def blocks(
    command: Annotated[OfBlocks, typer.Argument(help="What to do with them.")],
    domains: Domains = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, without any value.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="After registering, try each block.")
    ] = False,
    secrets: Annotated[
        Path | None,
        typer.Option(
            help="A folder of files named after the variables that they stand in for; default: "
            "ANALYTICS_FLOWS_SECRETS_DIR."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the credential blocks, register them from the environment, or try each."""
    if command is OfBlocks.LIST:
        with_local_server()
    else:
        chosen(domains, CATALOGUE)
        with_server()
    from blocks.__main__ import main as of_blocks

    options = {"--dry-run": dry_run, "--check": check, "--secrets": secrets}
    given = [command.value, *(domains or []), *_options(options)]
    raise typer.Exit(_ended(of_blocks, given, json))


class OfRoles(StrEnum):
    """What can be done with roles."""

    APPLY = "apply"
    CHECK = "check"


def _role(name: str, does: str) -> Any:
    return typer.Option(metavar="NAME", help=f"Of the role that {does}; of scout: scout_{name}.")


def roles(
    command: Annotated[OfRoles, typer.Argument(help="What to do with them.")],
    domains: Domains = None,
    loader: Annotated[str | None, _role("loader", "loads")] = None,
    transformer: Annotated[str | None, _role("transformer", "builds")] = None,
    reader: Annotated[str | None, _role("reader", "reads")] = None,
    former: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE",
            help="Under which flows worked before: what it owns is handed over. Repeatable.",
        ),
    ] = None,
    exclusive: Annotated[
        bool,
        typer.Option(
            "--exclusive",
            help="Neither everybody nor a role of another domain may connect to the database.",
        ),
    ] = False,
    sample: Annotated[
        bool,
        typer.Option("--sample", help="LedgerMind without an application: the loader makes one."),
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Of the database as runs reach it; default: here."),
    ] = None,
    secrets: Annotated[
        Path | None,
        typer.Option(help="A folder to which addresses are written, in files of mode 0600."),
    ] = None,
    json: Json = False,
) -> None:
    """Make the roles that load, build and read in databases, or say what deviates.

    `apply` takes one domain. The database of scout is that of SCOUT_OWNER_DATABASE_URL; without it
    `check` looks at the embedded one. Passwords are those of SCOUT_LOADER_PASSWORD,
    SCOUT_TRANSFORMER_PASSWORD and SCOUT_READER_PASSWORD, or are made and written to the folder of
    --secrets.
    """
    from deployments.roles import DATABASES
    from deployments.roles.__main__ import main as of_roles

    if command is OfRoles.APPLY and len(domains or []) != 1:
        raise typer.BadParameter("name the one domain to whose database roles are applied")
    options = {
        "--loader": loader,
        "--transformer": transformer,
        "--reader": reader,
        "--former": former,
        "--exclusive": exclusive,
        "--sample": sample,
        "--address": address,
        "--secrets": secrets,
    }
    status = 0
    with told.lines(json):
        for slug in chosen(domains, DATABASES):
            try:
                given = with_embedded_owner(command.value, slug, _options(options))
            except PlatformError as error:
                sys.stderr.write(f"{error}\n")
                status = max(status, status_of(error))
                continue
            status = max(status, of_roles(given))
    raise typer.Exit(status)


def apply(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the difference, change nothing.")
    ] = False,
    pool_type: Annotated[
        str | None,
        typer.Option(
            help="Of a work pool that does not exist yet: kubernetes, prefork or process."
        ),
    ] = None,
    prefect_file: Annotated[
        Path | None, typer.Option(help="Of the deployments; default: prefect.yaml of the project.")
    ] = None,
    automations: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Of the automations; default: deployments/automations."
        ),
    ] = None,
    limits: Annotated[
        Path | None, typer.Option(help="Of the limits; default: deployments/limits.yaml.")
    ] = None,
    json: Json = False,
) -> None:
    """Bring a Prefect server in line with the files: pools, limits, deployments, automations.

    The server is the one of PREFECT_API_URL, the pools those of PREFECT_WORK_POOL and, of warm
    runs, PREFECT_WARM_WORK_POOL; without the second, the first is both. Without any, the server
    and the one pool of this machine.
    """
    with_local_server_of_one_pool(pool_type)
    from deployments.apply.__main__ import main as of_apply

    options = {
        "--dry-run": dry_run,
        "--pool-type": pool_type,
        "--prefect-file": prefect_file,
        "--automations": automations,
        "--limits": limits,
    }
    raise typer.Exit(_ended(of_apply, _options(options), json))


def _moment(text: str) -> datetime:
    from flows.webhooks.moments import moment

    try:
        return moment(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def replay(
    source: Annotated[str, typer.Option(help="The sender in the inbox, such as github.")],
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="A delivery, by its id. Repeatable.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=_moment, metavar="TIME", help="Received then or later; UTC."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=_moment, metavar="TIME", help="Received before.")
    ] = None,
    database_block: Annotated[
        str | None, typer.Option(help="Of the inbox; default: webhooks-postgres.")
    ] = None,
    json: Json = False,
) -> None:
    """Have readers read deliveries of the receiver's inbox again: some by id, or a range of time.

    A delivery moves to the end of the inbox, and its event is sent anew.
    """
    with_server()
    from flows.webhooks.__main__ import main as of_webhooks

    options = {
        "--source": source,
        "--id": ids,
        "--since": since and since.isoformat(),
        "--until": until and until.isoformat(),
        "--database-block": database_block,
    }
    raise typer.Exit(_ended(of_webhooks, ["replay", *_options(options)], json))
