"""The commands of `flows`, their arguments and their help."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from deployments.cli import handed_on, told
from deployments.cli.arguments import INBOX, SLUGS, Domain, Domains, Json, example
from deployments.cli.refused import refusal
from deployments.cli.settings import with_local_server, without_libpq
from flows._shared.chosen import chosen, status_of
from flows._shared.environment import past_proxies
from flows._shared.errors import PlatformError

INTERRUPTED = 130
EXIT_CODES = """
Exit codes: 0 it worked; 1 it did not, and the message says what to do; 2 the command line is
wrong; 130 Ctrl-C. `dbt`, `psql` and `shell` end as the program they start.
"""
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


class Commands(TyperGroup):
    """Ends each command as the help says."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PlatformError as error:
            raise _told(error) from None
        except OSError as error:
            refused = refusal(f"flows {ctx.invoked_subcommand}", error)
            if refused is None:
                raise
            raise _told(refused) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _told(error: PlatformError) -> typer.Exit:
    sys.stderr.write(f"{error}\n")
    return typer.Exit(status_of(error))


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


@app.command(epilog=example("flows up", "flows up --json"))
def up(json: Json = False) -> None:
    """Start PostgreSQL, the Prefect server and a worker; apply blocks and deployments."""
    from deployments.local import commands

    raise typer.Exit(_then_the_parts(commands.up, json))


@app.command(epilog=example("flows status", "flows status --json"))
def status(json: Json = False) -> None:
    """Show which parts of the local runtime run, and where they are reached."""
    from deployments.local import commands

    if json:
        _tell_parts()
        return
    raise typer.Exit(commands.status())


@app.command(epilog=example("flows stop", "flows stop --json"))
def stop(json: Json = False) -> None:
    """Stop what was started here; the data stays."""
    from deployments.local import commands

    raise typer.Exit(_then_the_parts(commands.stop, json))


def _then_the_parts(command: Callable[[], int], is_json: bool) -> int:
    """What the command ends with; for programs the parts as they are then."""
    with told.only_json(is_json):
        status = command()
    if is_json:
        _tell_parts()
    return status


def _tell_parts() -> None:
    from deployments.local import commands

    parts = commands.parts()
    told.as_json({name: {"pid": pid, "where": where} for name, pid, where in parts})


@app.command(epilog=example("flows clean"))
def clean() -> None:
    """Stop everything and remove `.local/`, with its data."""
    from deployments.local import commands

    raise typer.Exit(commands.clean())


@app.command(epilog=example("flows report", "flows report --to gs://bucket/report"))
def report(
    to: Annotated[str | None, typer.Option(help="A folder, gs:// or s3:// address.")] = None,
    json: Json = False,
) -> None:
    """Make the report site of what is on this machine."""
    from deployments.local import commands

    with told.lines(json):
        status = commands.report(to)
    raise typer.Exit(status)


@app.command(epilog=example("flows docs", "flows docs --to /srv/www/docs"))
def docs(
    to: Annotated[Path | None, typer.Option(help="A folder; default: .local/site.")] = None,
    json: Json = False,
) -> None:
    """Make the documentation a site that can be searched, with a reference from the code."""
    from deployments.local.paths import PROJECT_ROOT
    from deployments.site import build

    place = (to or PROJECT_ROOT / ".local" / "site").absolute()
    with told.only_json(json):
        pages = build(place)
    if json:
        told.as_json({"pages": pages, "place": str(place)})
        return
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


app.command(
    no_args_is_help=True,
    epilog=example("flows blocks list", "flows blocks register scout", "flows blocks check"),
)(handed_on.blocks)
app.command(
    no_args_is_help=True,
    epilog=example(
        "flows roles check",
        "SCOUT_OWNER_DATABASE_URL=postgresql://... flows roles check scout",
        "flows roles apply scout --exclusive --secrets secrets/",
    ),
)(handed_on.roles)
app.command(epilog=example("flows apply --dry-run", "flows apply --pool-type kubernetes"))(
    handed_on.apply
)


@app.command(epilog=example("flows check", "flows check scout --json"))
def check(
    domains: Domains = None,
    build: Annotated[
        bool, typer.Option("--build", help="Also build Quality Compass anew, with every test.")
    ] = False,
    json: Json = False,
) -> None:
    """Go through the production checklist: files, network policies, blocks, roles, databases."""
    told.looking_at("the code of the project")
    with_local_server()
    from deployments.cli.checklist import checklist

    with told.only_json(json):
        slugs = chosen(domains, (*SLUGS, INBOX))
        looked = checklist(slugs, told.looking_at, builds=build, leaves_out=not domains)
        items = told.verdicts(looked, json)
    if json:
        told.as_json({"items": [asdict(each) for each in items]})
    raise typer.Exit(0 if all(each.is_good for each in items) else 1)


@app.command(epilog=example("flows doctor", "flows doctor --json"))
def doctor(json: Json = False) -> None:
    """Find what is wrong with a set-up, with cause and remedy; changes nothing."""
    told.looking_at("this machine, its servers, and what it reaches")
    from deployments.cli.doctor import diagnose

    found = told.diagnoses(diagnose(), json)
    if json:
        told.as_json({"diagnoses": [asdict(each) for each in found]})
    raise typer.Exit(1 if any(each.is_problem for each in found) else 0)


app.command(
    epilog=example(
        "flows replay --source scout --since 2026-11-01T00:00Z --until 2026-11-02T00:00Z",
        "flows replay --source github --id 72d3162e-cc78-11e3-81ab-4c9367dc0958",
    )
)(handed_on.replay)


def main(arguments: Sequence[str] | None = None) -> int:
    """The tool; returns its exit code."""
    os.environ.update(past_proxies(os.environ))
    without_libpq()
    try:
        app(None if arguments is None else list(arguments), prog_name="flows")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0
