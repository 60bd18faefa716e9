"""The local runtime from the command line: see ``python -m deployments.local --help``."""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence

from deployments.local import runtime
from deployments.local.arrival import follow_delivery
from deployments.local.bigquery import BigQueryEmulator
from deployments.local.domains import DOMAINS, WEBHOOKS, Domain, select
from deployments.local.duckdb_prompt import prompt
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.postgres import EmbeddedPostgres, program
from deployments.local.report import address_of, make_report
from deployments.local.run import run_domains
from deployments.local.server import PrefectServer
from deployments.local.webhooks import WebhookReceiver
from deployments.local.worker import ProcessWorker
from flows._shared.errors import PlatformError
from flows._shared.state import STATE_VARIABLE
from flows.agent_analytics.raw import Store
from flows.agent_analytics.settings import PATH_VARIABLE, AgentAnalyticsSettings

INTERRUPTED = 130
DUCKDB_WAIT_SECONDS = 600.0


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployments.local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, function: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=function)
        return added

    command("up", up, "start everything, apply blocks and deployments")
    running = command("run", run, "run domains to the end and show what came of it")
    running.add_argument("--domain", nargs="*", default=[], metavar="SLUG", help="default: all")
    running.add_argument(
        "--repos", nargs="*", default=[], metavar="URL", help="git repositories, URLs or paths"
    )
    reporting = command("report", report, "make the report of what is on this machine")
    reporting.add_argument("--to", metavar="ADDRESS", help="a folder, gs:// or s3:// address")
    command("status", status, "show what runs")
    command("stop", stop, "stop everything that was started here; the data stays")
    command("clean", clean, "stop everything and remove .local/")
    command("env", env, "print the environment for use of the local Prefect server in a shell")
    command("shell", shell, "open a shell in that environment")
    for name, function, text in (
        ("dbt", dbt, "run dbt in a domain's project, against its database"),
        (
            "psql",
            psql,
            "open psql on a domain's database, or a prompt on its DuckDB file",
        ),
    ):
        added = command(name, function, text)
        added.add_argument("--domain", default=DOMAINS[0].slug, metavar="SLUG")
        added.add_argument("arguments", nargs=argparse.REMAINDER, help="given on as they are")
    return parser


def up(options: argparse.Namespace) -> int:
    started = runtime.up(say=say)
    say(f"Everything is up. Prefect: {started.where}")
    return 0


def run(options: argparse.Namespace) -> int:
    domains = select(options.domain)
    started = runtime.up(domains, say=say)
    result = run_domains(started, domains, options)
    if result == 0:
        follow_delivery(started, domains, say)
    if result != INTERRUPTED:
        _report(None)
    return result


def report(options: argparse.Namespace) -> int:
    _report(options.to)
    return 0


def _report(address: str | None) -> None:
    published = make_report(LocalPaths(), address)
    say(f"The report: {address_of(published)}")


def status(options: argparse.Namespace) -> int:
    paths = LocalPaths()
    cluster, server, worker = (
        EmbeddedPostgres(paths.postgres),
        PrefectServer(paths),
        ProcessWorker(paths),
    )
    where = f"127.0.0.1:{cluster.port}" if cluster.is_running() else ""
    say(_line("PostgreSQL", cluster.pid, where))
    say(_line("Prefect", server.pid, (server.url() or "").removesuffix("/api")))
    emulator = BigQueryEmulator(paths)
    say(_line("BigQuery", emulator.pid, emulator.endpoint() or ""))
    receiver = WebhookReceiver(paths)
    say(_line("webhooks", receiver.pid, receiver.url() or ""))
    say(_line("worker", worker.pid, str(worker.log) if worker.pid else ""))
    if url := runtime.external_api(paths):
        say(f"PREFECT_API_URL names {url}: that one is used")
    return 0


def stop(options: argparse.Namespace) -> int:
    runtime.down()
    say("Stopped. The data is kept in .local/")
    return 0


def clean(options: argparse.Namespace) -> int:
    runtime.clean()
    say("Stopped, and .local/ is removed")
    return 0


def env(options: argparse.Namespace) -> int:
    for name, value in sorted(runtime.printable(_environment()).items()):
        say(f"export {name}={shlex.quote(value)}")
    paths = LocalPaths()
    if not runtime.external_api(paths):
        say(f'export PREFECT_API_AUTH_STRING="$(cat {shlex.quote(str(paths.sign_in))})"')
    return 0


def shell(options: argparse.Namespace) -> int:
    return subprocess.call([os.environ.get("SHELL") or "/bin/sh"], env=_environment())


def dbt(options: argparse.Namespace) -> int:
    domain = select([options.domain])[0]
    if domain.has_postgres:
        builder = runtime.addresses(domain, LocalPaths()).transformer
        return _dbt(domain, options.arguments, runtime.dbt_environment(builder))
    store = _store()
    with store.locked("make dbt", DUCKDB_WAIT_SECONDS, say):
        status = _dbt(domain, options.arguments, {PATH_VARIABLE: str(store.path)})
    say(f"Built in {store.path}; readers see it once the next run publishes it")
    return status


def _dbt(domain: Domain, arguments: Sequence[str], secrets: Mapping[str, str]) -> int:
    project = PROJECT_ROOT / "dbt_projects" / domain.slug
    environment = {**os.environ, **secrets, "DO_NOT_TRACK": "1"}
    tool = [sys.executable, "-m", "dbt.cli.main"]
    if (project / "packages.yml").exists() and not (project / "dbt_packages").exists():
        subprocess.run([*tool, "deps", "--quiet"], cwd=project, env=environment, check=False)
    given = arguments or ["build"]
    return subprocess.call([*tool, *_without_dashes(given)], cwd=project, env=environment)


def psql(options: argparse.Namespace) -> int:
    domain = select([options.domain], (*DOMAINS, WEBHOOKS))[0]
    if not domain.has_postgres:
        return prompt(_store().published_path, _without_dashes(options.arguments))
    secrets = runtime.dbt_environment(runtime.addresses(domain, LocalPaths()).owner)
    environment = {
        **os.environ,
        "PGHOST": secrets["DBT_POSTGRES_HOST"],
        "PGPORT": secrets["DBT_POSTGRES_PORT"],
        "PGUSER": secrets["DBT_POSTGRES_USER"],
        "PGPASSWORD": secrets["DBT_ENV_SECRET_POSTGRES_PASSWORD"],
        "PGDATABASE": secrets["DBT_POSTGRES_DATABASE"],
        "PGSSLMODE": secrets["DBT_POSTGRES_SSLMODE"],
    }
    command = [str(program("psql")), *_without_dashes(options.arguments)]
    return subprocess.call(command, env=environment)


def _store() -> Store:
    """The DuckDB file, where the local worker keeps it too."""
    os.environ.setdefault(STATE_VARIABLE, str(LocalPaths().cache))
    return Store(AgentAnalyticsSettings().store_path)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _environment() -> dict[str, str]:
    paths = LocalPaths()
    url = runtime.external_api(paths) or PrefectServer(paths).start()
    return runtime.environment(paths, url)


def _line(name: str, pid: int | None, where: str) -> str:
    return f"{name:<12}{f'running, pid {pid}' if pid else 'not running':<24}{where}".rstrip()


def _without_dashes(arguments: Sequence[str]) -> list[str]:
    return list(arguments[1:] if arguments[:1] == ["--"] else arguments)


if __name__ == "__main__":
    sys.exit(main())
