"""Everything a run on this machine needs, brought up in order and described as an environment."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from blocks import CATALOGUE, BlockNeed, Kind
from deployments.apply.infrastructure import POOL_VARIABLE
from deployments.local import applied, registered
from deployments.local.api import PrefectApi
from deployments.local.bigquery import BigQueryEmulator
from deployments.local.databases import Addresses, embedded_addresses, external_addresses
from deployments.local.domains import DOMAINS, WEBHOOKS, Domain
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import locked, write_private
from deployments.local.server import (
    PrefectServer,
    check_reachable,
    client_environment,
    external_api,
    own_client_environment,
    own_environment,
)
from deployments.local.webhooks import WebhookReceiver
from deployments.local.worker import (
    PREFORK,
    PROCESS,
    ProcessWorker,
    ensure_work_pool,
    named_pools,
    refuse_another_pool,
    wanted_type,
)
from flows._shared.environment import PAST_PROXIES
from flows._shared.errors import PermanentError, TransientError

# The server tells a worker that forks of runs; other workers have to ask.
WORKER_QUERY_SECONDS = {PREFORK: "5", PROCESS: "2"}
SETUP_SECONDS = 300.0
ANY_DATABASE = "DATABASE_URL"
OWN_BIGQUERY = "LEDGERMIND_BIGQUERY_PROJECT"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Runtime:
    """A runtime that is up.

    Args:
        environment: of a program that uses it, such as ``prefect`` or a flow.
        databases: addresses of each domain's PostgreSQL, by slug; secret.
    """

    paths: LocalPaths
    api_url: str
    environment: Mapping[str, str] = field(repr=False)
    databases: Mapping[str, Addresses] = field(repr=False)

    def api(self) -> PrefectApi:
        return PrefectApi(self.api_url, self.environment)

    @property
    def where(self) -> str:
        """Where a person opens Prefect's UI, and how the local one lets them in."""
        address = self.api_url.removesuffix("/api")
        if external_api(self.paths):
            return address
        return f"{address} (it asks for the line in {self.paths.sign_in})"


def up(
    domains: Sequence[Domain] = DOMAINS, paths: LocalPaths | None = None, say: Say = print
) -> Runtime:
    """Start what is absent, reuse what runs, apply blocks and deployments that have changed.

    Raises:
        PlatformError: a part cannot be started or applied; the message says what to do.
    """
    paths = paths or LocalPaths()
    if has_worker(paths):
        refuse_another_pool(named_pools(is_served_here=True)[POOL_VARIABLE])
    paths.make_private()
    domains = (*domains, WEBHOOKS)
    with ThreadPoolExecutor(3) as pool:
        server = pool.submit(_start_server, paths, say)
        bigquery = pool.submit(_start_bigquery, domains, paths, say)
        databases = pool.submit(_start_databases, domains, paths, say).result()
        bigquery.result()
        url = server.result()
    runtime = Runtime(paths, url, environment(paths, url), databases)
    with locked(paths.run / "setup.lock"), runtime.api() as api:
        _start_worker(runtime, api, say)
        _apply(runtime, domains, api, say)
        _start_receiver(runtime, say)
    return runtime


def environment(paths: LocalPaths, url: str) -> dict[str, str]:
    """The environment of programs that use the server at ``url``; holds no database password."""
    is_external = external_api(paths) is not None
    given = os.environ if is_external else own_environment(os.environ)
    client = client_environment if is_external else own_client_environment
    binaries = [str(PROJECT_ROOT / "bin"), str(Path(sys.executable).parent)]
    emulator = BigQueryEmulator(paths).endpoint()
    return {
        **given,
        **client(paths, url),
        **({"BIGQUERY_EMULATOR_HOST": emulator} if emulator else {}),
        **named_pools(has_worker(paths)),
        "PREFECT_SCHEDULES_ACTIVE": os.environ.get("PREFECT_SCHEDULES_ACTIVE") or "false",
        "PREFECT_WORKER_QUERY_SECONDS": WORKER_QUERY_SECONDS[wanted_type()],
        "ANALYTICS_FLOWS_STATE_DIR": str(paths.cache),
        "PYTHONPATH": str(PROJECT_ROOT),
        "PATH": os.pathsep.join([*binaries, given.get("PATH", os.defpath)]),
    }


def printable(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of the environment that a person's shell needs to use the local server."""
    names = ("PREFECT_", "DO_NOT_TRACK", "ANALYTICS_FLOWS_", "PYTHONPATH", "PATH", *PAST_PROXIES)
    # A secret, or of use for the local server only.
    withheld = ("KEY", "AUTH_STRING", "CONNECTION_URL", "SSL_CERT_FILE")
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(names) and not name.endswith(withheld)
    }


def external_database(domain: Domain) -> str | None:
    """The database that the user's environment names for a domain."""
    return os.environ.get(domain.url_variable) or os.environ.get(ANY_DATABASE) or None


def addresses(domain: Domain, paths: LocalPaths) -> Addresses:
    """Those of a domain's database, starting the embedded one if none is named."""
    return _start_databases([domain], paths, lambda _: None)[domain.slug]


def dbt_environment(url: str) -> dict[str, str]:
    """What ``profiles.yml`` reads, from a libpq URL."""
    parts = conninfo_to_dict(url)
    return {
        "DBT_POSTGRES_HOST": str(parts.get("host") or "localhost"),
        "DBT_POSTGRES_PORT": str(parts.get("port") or 5432),
        "DBT_POSTGRES_USER": str(parts.get("user") or ""),
        "DBT_ENV_SECRET_POSTGRES_PASSWORD": str(parts.get("password") or ""),
        "DBT_POSTGRES_DATABASE": str(parts.get("dbname") or "postgres"),
        "DBT_POSTGRES_SSLMODE": str(parts.get("sslmode") or "prefer"),
    }


def down(paths: LocalPaths | None = None) -> None:
    """Stop everything embedded, the newest part first. Does nothing to external servers."""
    paths = paths or LocalPaths()
    if not paths.state.exists():
        return
    WebhookReceiver(paths).stop()
    ProcessWorker(paths).stop()
    PrefectServer(paths).stop()
    BigQueryEmulator(paths).stop()
    EmbeddedPostgres(paths.postgres).stop()


def clean(paths: LocalPaths | None = None) -> None:
    """Stop everything embedded and remove its data."""
    paths = paths or LocalPaths()
    down(paths)
    shutil.rmtree(paths.state, ignore_errors=True)
    if paths.state.exists():
        raise PermanentError(
            f"removing {paths.state}",
            "some files could not be removed",
            "They may belong to another user: run `flows clean` as that user",
        )


def _start_server(paths: LocalPaths, say: Say) -> str:
    if url := external_api(paths):
        check_reachable(url)
        return url
    server = PrefectServer(paths)
    if server.url() is None:
        say("Starting the Prefect server (the first time takes up to a minute)")
    return server.start()


def _start_databases(
    domains: Sequence[Domain], paths: LocalPaths, say: Say
) -> dict[str, Addresses]:
    named = {domain.slug: external_database(domain) for domain in domains if domain.has_postgres}
    found = {slug: external_addresses(slug, url) for slug, url in named.items() if url}
    if len(found) == len(named):
        return found
    cluster = EmbeddedPostgres(paths.postgres)
    if not cluster.is_running():
        say("Starting PostgreSQL")
    cluster.start()
    embedded = [slug for slug in named if slug not in found]
    return found | {slug: embedded_addresses(cluster, slug) for slug in embedded}


def _start_bigquery(domains: Sequence[Domain], paths: LocalPaths, say: Say) -> None:
    """The emulator, for domains that use BigQuery, unless the user names a project of their own."""
    is_used = any(domain.uses_bigquery for domain in domains)
    if not is_used or os.environ.get(OWN_BIGQUERY) or os.environ.get("BIGQUERY_EMULATOR_HOST"):
        return
    emulator = BigQueryEmulator(paths)
    if emulator.endpoint() is None:
        say("Starting the BigQuery emulator")
    emulator.start()


def has_worker(paths: LocalPaths) -> bool:
    """A pool the user named on a server of their own has workers of its own."""
    return not (external_api(paths) and os.environ.get(POOL_VARIABLE))


def _start_worker(runtime: Runtime, api: PrefectApi, say: Say) -> None:
    if not has_worker(runtime.paths):
        return
    pool = runtime.environment[POOL_VARIABLE]
    ensure_work_pool(api, pool, wanted_type())
    if ProcessWorker(runtime.paths).start(runtime.environment, api):
        say(f"Starting a worker for the work pool {pool}")


def wait_for_worker(runtime: Runtime) -> None:
    """Until the local worker takes runs; ``PermanentError`` where it ended instead."""
    if has_worker(runtime.paths):
        with runtime.api() as api:
            ProcessWorker(runtime.paths).wait_polling(api, runtime.environment[POOL_VARIABLE])


def receiver_of(runtime: Runtime) -> WebhookReceiver | None:
    """The local receiver. A server of the user's own has receivers, and secrets, of its own."""
    return None if external_api(runtime.paths) else WebhookReceiver(runtime.paths)


def _start_receiver(runtime: Runtime, say: Say) -> None:
    receiver = receiver_of(runtime)
    if receiver:
        if receiver.running() is None:
            say("Starting the webhook receiver")
        receiver.start(runtime.environment)


def _apply(runtime: Runtime, domains: Sequence[Domain], api: PrefectApi, say: Say) -> None:
    file = runtime.paths.run / applied.FILE
    before = applied.read(file)
    secrets = _block_variables(runtime, domains)
    needs = [need for each in domains for need in CATALOGUE[each.slug] if need.variable in secrets]
    remembered = before.get("registered", {} if before else None)
    is_external = external_api(runtime.paths) is not None
    theirs = list(registered.by_hand(needs, remembered, api, is_external=is_external))
    # What the environment names is asked for now.
    kept = [need for need in theirs if not _is_named(need, domains)]
    for need in kept:
        secrets.pop(need.variable, None)
    if kept:
        say(registered.told(kept, api))
    blocks = _hash(runtime.api_url, json.dumps(secrets, sort_keys=True))
    deployments = _hash(runtime.api_url, applied.sources(runtime.environment))
    steps: list[tuple[str, list[str], Mapping[str, str]]] = []
    is_registered = before.get("blocks") == blocks and _has_blocks(api, domains, needs)
    if not is_registered or len(kept) < len(theirs):
        say("Registering credential blocks")
        slugs = [domain.slug for domain in domains]
        steps.append(("registering blocks", ["blocks", "register", *slugs], secrets))
    is_applied = before.get("deployments") == deployments and _has_deployments(api, domains)
    if not is_applied or applied.lacking(before, api):
        say("Applying deployments")
        steps.append(("applying deployments", ["deployments.apply"], {}))
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(_run_module, runtime, *step) for step in steps]:
            for line in done.result().splitlines():
                # A block that was there has another value now.
                if line.startswith("update "):
                    say(line)
    if steps or kept:
        written = [need for need in needs if need not in kept]
        content = {
            "blocks": blocks,
            "deployments": deployments,
            "names": sorted(applied.names(api)),
            "registered": registered.remember(written, kept, remembered, api),
        }
        write_private(file, json.dumps(content))
    _require_deployments(api, domains)


def _run_module(runtime: Runtime, what: str, arguments: list[str], extra: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=PROJECT_ROOT,
            env={**runtime.environment, **extra},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SETUP_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise TransientError(
            what, f"not done in {SETUP_SECONDS:.0f} s", "`flows stop`, then try again"
        ) from None
    if done.returncode != 0:
        seen = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise PermanentError(
            what, f"the command failed:\n{seen}\n", f"Correct what it names; {_hint(arguments)}"
        )
    return done.stdout


def _hint(arguments: Sequence[str]) -> str:
    return f"try it alone with `flows shell` and `python -m {' '.join(arguments)}`"


def _require_deployments(api: PrefectApi, domains: Sequence[Domain]) -> None:
    for domain in domains:
        if api.deployment(domain.deployment) is None:
            raise PermanentError(
                "applying deployments",
                f"the server does not know {domain.deployment} afterwards",
                "Check that prefect.yaml names it",
            )


def _has_deployments(api: PrefectApi, domains: Sequence[Domain]) -> bool:
    return all(api.deployment(domain.deployment) is not None for domain in domains)


def _has_blocks(api: PrefectApi, domains: Sequence[Domain], given: Sequence[BlockNeed]) -> bool:
    """Whether those are there that domains cannot do without, and those of which a value is given:
    the receiver takes nothing of a source without its secret, and is not ready."""
    return all(
        api.has_block(need.kind.block_type, need.name)
        for domain in domains
        for need in CATALOGUE[domain.slug]
        if need.is_required or need in given
    )


def _is_named(need: BlockNeed, domains: Sequence[Domain]) -> bool:
    """Whether the user's environment names what is in a block."""
    if os.environ.get(need.variable):
        return True
    return need.kind is Kind.POSTGRES and any(
        external_database(domain) for domain in domains if need in CATALOGUE[domain.slug]
    )


def _block_variables(runtime: Runtime, domains: Sequence[Domain]) -> dict[str, str]:
    receiver = receiver_of(runtime)
    generated = receiver.secrets() if receiver else {}
    variables = {}
    for domain in domains:
        for need in CATALOGUE[domain.slug]:
            given = os.environ.get(need.variable) or generated.get(need.variable)
            is_database = need.kind is Kind.POSTGRES
            value = runtime.databases[domain.slug].of(need.variable) if is_database else given
            if value:
                variables[need.variable] = value
    return variables


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
