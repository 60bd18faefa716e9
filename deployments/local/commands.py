"""What people do with the local runtime; `flows` offers it. Each returns its exit code."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from deployments.local import runtime
from deployments.local.arrival import follow_delivery
from deployments.local.bigquery import BigQueryEmulator
from deployments.local.domains import (
    DOMAINS,
    WEBHOOKS,
    Domain,
    repository_parameters,
    select,
)
from deployments.local.duckdb_prompt import prompt
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.programs import program
from deployments.local.report import address_of, make_report
from deployments.local.run import Watched, run_domains
from deployments.local.server import PrefectServer, external_api
from deployments.local.server import told as told_server
from deployments.local.webhooks import WebhookReceiver
from deployments.local.worker import ProcessWorker
from flows._shared.errors import PermanentError
from flows._shared.postgres import connected
from flows._shared.state import STATE_VARIABLE
from flows.agent_analytics.raw import Store
from flows.agent_analytics.settings import PATH_VARIABLE, AgentAnalyticsSettings

INTERRUPTED = 130
DUCKDB_WAIT_SECONDS = 600.0
TAKES_REPOSITORIES = "github_scraper"


def up() -> int:
    with telling_what_stays():
        started = runtime.up(say=say)
        runtime.wait_for_worker(started)
    for line in told_up(started):
        say(line)
    return 0


@contextmanager
def telling_what_stays() -> Iterator[None]:
    """At Ctrl-C say what was started and is still there."""
    try:
        yield
    except KeyboardInterrupt:
        names = ", ".join(name for name, pid, _ in parts() if pid)
        say("\nStopped. " + (f"Up until `flows stop`: {names}" if names else "Nothing is up"))
        raise


def told_up(started: runtime.Runtime) -> Iterator[str]:
    """What is up, and at the end what is not."""
    external = external_api(started.paths)
    given = os.environ.get("PREFECT_API_URL", started.api_url).rstrip("/")
    if external:
        yield f"All that belongs to this machine is up. Prefect: {started.where}"
        absent = "receiver was" if runtime.has_worker(started.paths) else "worker and receiver were"
        yield (
            f"PREFECT_API_URL names {told_server(external)}: {absent} not started; unset it to use "
            "the server of this machine, which has both"
        )
        return
    yield f"Everything is up. Prefect: {started.where}"
    if given != started.api_url:
        yield (
            f"This shell knows the server by its former address {given}: "
            '`eval "$(bin/flows env)"` once more'
        )


def run(slugs: Sequence[str], repositories: Sequence[str], watched: list[Watched]) -> int:
    """Run domains to the end.

    Args:
        slugs: all if there are none.
        repositories: addresses or paths of git, for the GitHub scraper.
        watched: what becomes of each run is put here.
    """
    domains = select(slugs)
    if repositories and TAKES_REPOSITORIES not in {domain.slug for domain in domains}:
        raise PermanentError(
            f"running {', '.join(domain.slug for domain in domains)} on repositories",
            f"only {TAKES_REPOSITORIES} takes repositories",
            f"Leave them out, or name {TAKES_REPOSITORIES}",
        )
    if repositories:
        # A typo in an address is told before anything starts.
        repository_parameters(repositories)
    with telling_what_stays():
        started = runtime.up(domains, say=say)
        result = run_domains(started, domains, repositories, watched)
        if result == 0:
            follow_delivery(started, domains, say)
        if result != INTERRUPTED:
            report(None)
    return result


def report(address: str | None) -> int:
    """Make the report of what is on this machine; at a folder, gs:// or s3:// address."""
    published = make_report(LocalPaths(), address)
    say(f"The report: {address_of(published)}")
    return 0


def parts(paths: LocalPaths | None = None) -> Iterator[tuple[str, int | None, str]]:
    """Each part of the local runtime: its name, its process if it runs, where it is reached."""
    paths = paths or LocalPaths()
    cluster = EmbeddedPostgres(paths.postgres)
    server, worker = PrefectServer(paths), ProcessWorker(paths)
    emulator, receiver = BigQueryEmulator(paths), WebhookReceiver(paths)
    port = cluster.running_port
    where = f"127.0.0.1:{port}" if port else ""
    yield "PostgreSQL", cluster.pid, where
    yield "Prefect", server.pid, (server.url() or "").removesuffix("/api")
    yield "BigQuery", emulator.pid, emulator.endpoint() or ""
    yield "webhooks", receiver.pid, receiver.url() or ""
    yield "worker", worker.pid, str(worker.log) if worker.pid else ""


def status() -> int:
    paths = LocalPaths()
    for name, pid, where in parts(paths):
        say(_line(name, pid, where))
    if url := external_api(paths):
        say(f"PREFECT_API_URL names {told_server(url)}: that one is used")
    elif PrefectServer(paths).url():
        say(f"Prefect asks for the sign-in that is in {paths.sign_in}")
    return 0


def stop() -> int:
    if not LocalPaths().state.exists():
        say("Nothing runs: there is no .local/")
        return 0
    runtime.down()
    say("Stopped. The data is kept in .local/")
    return 0


def clean() -> int:
    runtime.clean()
    say("Stopped, and .local/ is removed")
    return 0


def env() -> int:
    for name, value in sorted(runtime.printable(_environment()).items()):
        say(f"export {name}={shlex.quote(value)}")
    paths = LocalPaths()
    if not external_api(paths):
        say(f'export PREFECT_API_AUTH_STRING="$(cat {shlex.quote(str(paths.sign_in))})"')
    return 0


def shell() -> int:
    return subprocess.call([os.environ.get("SHELL") or "/bin/sh"], env=_environment())


def dbt(slug: str, arguments: Sequence[str]) -> int:
    """Run dbt in a domain's project, against its database."""
    domain = select([slug])[0]
    if domain.has_postgres:
        builder = runtime.addresses(domain, LocalPaths()).transformer
        status = _dbt(domain, arguments, runtime.dbt_environment(builder))
        if status:
            _tell_if_nothing_is_built(domain, builder)
        return status
    store = _store()
    with store.locked("flows dbt", DUCKDB_WAIT_SECONDS, say):
        status = _dbt(domain, arguments, {PATH_VARIABLE: str(store.path)})
    say(f"Built in {store.path}; readers see it once the next run publishes it")
    return status


def _dbt(domain: Domain, arguments: Sequence[str], secrets: Mapping[str, str]) -> int:
    project = PROJECT_ROOT / "dbt_projects" / domain.slug
    environment = {**os.environ, **secrets, "DO_NOT_TRACK": "1"}
    # dbt's package imports the module that is run.
    tool = [sys.executable, "-W", "ignore::RuntimeWarning:runpy", "-m", "dbt.cli.main"]
    if (project / "packages.yml").exists() and not (project / "dbt_packages").exists():
        subprocess.run([*tool, "deps", "--quiet"], cwd=project, env=environment, check=False)
    given = arguments or ["build"]
    return subprocess.call([*tool, *_without_dashes(given)], cwd=project, env=environment)


def psql(slug: str, arguments: Sequence[str]) -> int:
    """Open psql on a domain's database, or a prompt on its DuckDB file."""
    domain = select([slug], (*DOMAINS, WEBHOOKS))[0]
    if not domain.has_postgres:
        return prompt(_store().published_path, _without_dashes(arguments))
    owner = runtime.addresses(domain, LocalPaths()).owner
    _tell_if_nothing_is_built(domain, owner)
    secrets = runtime.dbt_environment(owner)
    environment = {
        **os.environ,
        "PGHOST": secrets["DBT_POSTGRES_HOST"],
        "PGPORT": secrets["DBT_POSTGRES_PORT"],
        "PGUSER": secrets["DBT_POSTGRES_USER"],
        "PGPASSWORD": secrets["DBT_ENV_SECRET_POSTGRES_PASSWORD"],
        "PGDATABASE": secrets["DBT_POSTGRES_DATABASE"],
        "PGSSLMODE": secrets["DBT_POSTGRES_SSLMODE"],
    }
    command = [str(program("psql")), *_without_dashes(arguments)]
    return subprocess.call(command, env=environment)


def _tell_if_nothing_is_built(domain: Domain, url: str) -> None:
    named = re.search(r"\bfrom ([a-z_.]+)", domain.query)
    assert named, "the query of a domain reads a table"
    with connected(url, f"the database of {domain.slug}") as connection:
        found = connection.execute("select to_regclass(%s)", [named[1]]).fetchone()
    if found == (None,):
        sys.stderr.write(
            f"{domain.slug} has no {named[1]} yet: `flows run {domain.slug}` loads and builds it\n"
        )


def _store() -> Store:
    """The DuckDB file, where the local worker keeps it too."""
    os.environ.setdefault(STATE_VARIABLE, str(LocalPaths().cache))
    return Store(AgentAnalyticsSettings().store_path)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _environment() -> dict[str, str]:
    paths = LocalPaths()
    external = external_api(paths)
    url = external or PrefectServer(paths).start()
    if not external and ProcessWorker(paths).pid is None:
        # What a shell evaluates is on the other stream.
        sys.stderr.write("No worker runs: `flows up` starts it, and what else runs need\n")
    return runtime.environment(paths, url)


def _line(name: str, pid: int | None, where: str) -> str:
    return f"{name:<12}{f'running, pid {pid}' if pid else 'not running':<24}{where}".rstrip()


def _without_dashes(arguments: Sequence[str]) -> list[str]:
    return list(arguments[1:] if arguments[:1] == ["--"] else arguments)
