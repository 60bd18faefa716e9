"""The commands of `flows`, their arguments and their help."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from deployments.cli import told
from deployments.cli.settings import with_local_server
from flows._shared.errors import PlatformError

INTERRUPTED = 130
EXIT_CODES = """
Exit codes: 0 it worked; 1 it did not, and the message says what to do; 2 the command line is
wrong; 130 Ctrl-C. `dbt`, `psql` and `shell` end as the program they start.
"""
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
SLUGS = ("github_scraper", "ledgermind", "scout", "quality_compass", "agent_analytics")
INBOX = "webhooks"


class Commands(TyperGroup):
    """Ends each command as the help says."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PlatformError as error:
            sys.stderr.write(f"{error}\n")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="flows",
    cls=Commands,
    help="Runs and looks after the analytics flows of this project.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _slugs(incomplete: str) -> list[str]:
    return [slug for slug in (*SLUGS, INBOX) if slug.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Domain = Annotated[str, typer.Argument(help="Such as scout.", autocompletion=_slugs)]
Domains = Annotated[
    list[str] | None, typer.Argument(help="Such as scout; default: all.", autocompletion=_slugs)
]


def example(*lines: str) -> str:
    return "\n\n".join(f"Example: `{line}`" for line in lines)


@app.command(epilog=example("flows run", "flows run github_scraper --repo https://github.com/o/n"))
def run(
    domains: Domains = None,
    repo: Annotated[
        list[str] | None,
        typer.Option("--repo", help="Address or path of git, for github_scraper. Repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Run domains to the end, starting what is needed, and show what came of it."""
    from deployments.local import commands
    from deployments.local.run import Watched

    watched: list[Watched] = []
    with told.only_json(json):
        status = commands.run(domains or [], repo or [], watched)
    if json:
        told.as_json(
            {
                "runs": [
                    {
                        "domain": each.domain.slug,
                        "state": each.state.get("name"),
                        "url": each.url,
                        "seconds": round(each.seconds, 1),
                        "measures": each.measures,
                    }
                    for each in watched
                ]
            }
        )
    raise typer.Exit(status)


@app.command(epilog=example("flows up"))
def up() -> None:
    """Start PostgreSQL, the Prefect server and a worker; apply blocks and deployments."""
    from deployments.local import commands

    raise typer.Exit(commands.up())


@app.command(epilog=example("flows status", "flows status --json"))
def status(json: Json = False) -> None:
    """Show which parts of the local runtime run, and where they are reached."""
    from deployments.local import commands

    if json:
        parts = commands.parts()
        told.as_json({name: {"pid": pid, "where": where} for name, pid, where in parts})
        return
    raise typer.Exit(commands.status())


@app.command(epilog=example("flows stop"))
def stop() -> None:
    """Stop what was started here; the data stays."""
    from deployments.local import commands

    raise typer.Exit(commands.stop())


@app.command(epilog=example("flows clean"))
def clean() -> None:
    """Stop everything and remove `.local/`, with its data."""
    from deployments.local import commands

    raise typer.Exit(commands.clean())


@app.command(epilog=example("flows report", "flows report --to gs://bucket/report"))
def report(
    to: Annotated[str | None, typer.Option(help="A folder, gs:// or s3:// address.")] = None,
) -> None:
    """Make the report site of what is on this machine."""
    from deployments.local import commands

    raise typer.Exit(commands.report(to))


@app.command(epilog=example("flows docs", "flows docs --to /srv/www/docs"))
def docs(
    to: Annotated[Path | None, typer.Option(help="A folder; default: .local/site.")] = None,
) -> None:
    """Make the documentation a site that can be searched, with a reference from the code."""
    from deployments.local.paths import PROJECT_ROOT
    from deployments.site import build

    place = (to or PROJECT_ROOT / ".local" / "site").absolute()
    pages = build(place)
    sys.stdout.write(
        f"{pages} pages in {place}; to read them: python -m http.server --directory {place}\n"
    )


@app.command(epilog=example('eval "$(flows env)"'))
def env() -> None:
    """Print the environment in which everything in the docs runs."""
    from deployments.local import commands

    raise typer.Exit(commands.env())


@app.command(epilog=example("flows shell"))
def shell() -> None:
    """Open a shell in that environment."""
    from deployments.local import commands

    raise typer.Exit(commands.shell())


@app.command(
    context_settings=PASSED_ON,
    epilog=example("flows dbt scout build --select gold", "flows dbt scout -- --help"),
)
def dbt(context: typer.Context, domain: Domain) -> None:
    """Run dbt in a domain's project, against its database; arguments are dbt's own."""
    from deployments.local import commands

    raise typer.Exit(commands.dbt(domain, context.args))


@app.command(
    context_settings=PASSED_ON,
    epilog=example("flows psql scout", 'flows psql scout -c "select 1"'),
)
def psql(context: typer.Context, domain: Domain) -> None:
    """Open psql, or DuckDB's prompt, on a domain's database; arguments are psql's own."""
    from deployments.local import commands

    raise typer.Exit(commands.psql(domain, context.args))


@app.command(
    context_settings=PASSED_ON,
    epilog=example("flows blocks list", "flows blocks register scout", "flows blocks check"),
)
def blocks(context: typer.Context) -> None:
    """List the credential blocks, register them from the environment, or try each."""
    with_local_server()
    from blocks.__main__ import main as of_blocks

    raise typer.Exit(of_blocks(context.args or ["--help"]))


@app.command(
    context_settings=PASSED_ON,
    epilog=example(
        "flows roles check scout",
        "SCOUT_OWNER_DATABASE_URL=postgresql://... flows roles check scout",
        "flows roles apply scout --exclusive --secrets secrets/",
    ),
)
def roles(context: typer.Context) -> None:
    """Make the roles that load, build and read in a database, or say what deviates.

    Without an address in the environment `check` looks at the embedded database.
    """
    from deployments.cli.settings import with_embedded_owner
    from deployments.roles.__main__ import main as of_roles

    raise typer.Exit(of_roles(with_embedded_owner(context.args) or ["--help"]))


@app.command(
    context_settings=PASSED_ON,
    epilog=example("flows apply --dry-run", "flows apply --pool-type kubernetes"),
)
def apply(context: typer.Context) -> None:
    """Bring a Prefect server in line with the files: pools, limits, deployments, automations."""
    with_local_server()
    from deployments.apply.__main__ import main as of_apply

    raise typer.Exit(of_apply(context.args))


@app.command(epilog=example("flows check", "flows check scout --json"))
def check(
    domains: Domains = None,
    build: Annotated[
        bool, typer.Option("--build", help="Also build Quality Compass anew, with every test.")
    ] = False,
    json: Json = False,
) -> None:
    """Go through the production checklist: files, network policies, blocks, roles, databases."""
    with_local_server()
    from deployments.cli.checklist import checklist

    with told.only_json(json):
        slugs = told.known(domains, (*SLUGS, INBOX))
        items = list(checklist(slugs, builds=build, leaves_out=not domains))
    told.verdicts(items, json)
    raise typer.Exit(0 if all(each.is_good for each in items) else 1)


@app.command(epilog=example("flows doctor", "flows doctor --json"))
def doctor(json: Json = False) -> None:
    """Find what is wrong with a set-up, with cause and remedy; changes nothing."""
    from deployments.cli.doctor import diagnose

    found = diagnose()
    told.diagnoses(found, json)
    raise typer.Exit(1 if any(each.is_problem for each in found) else 0)


def _moment(text: str) -> datetime:
    from flows.webhooks.moments import moment

    try:
        return moment(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command(
    epilog=example(
        "flows replay --source scout --since 2026-11-01T00:00Z --until 2026-11-02T00:00Z",
        "flows replay --source github --id 72d3162e-cc78-11e3-81ab-4c9367dc0958",
    )
)
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
) -> None:
    """Have readers read deliveries of the receiver's inbox again: some by id, or a range of time.

    A delivery moves to the end of the inbox, and its event is sent anew.
    """
    with_local_server()
    from flows.webhooks.__main__ import main as of_webhooks

    given = {
        "--since": since and since.isoformat(),
        "--until": until and until.isoformat(),
        "--database-block": database_block,
    }
    arguments = [f"--id={each}" for each in ids or []]
    arguments += [f"{name}={value}" for name, value in given.items() if value]
    raise typer.Exit(of_webhooks(["replay", f"--source={source}", *arguments]))


def main(arguments: Sequence[str] | None = None) -> int:
    """The tool; returns its exit code."""
    try:
        app(None if arguments is None else list(arguments), prog_name="flows")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0
