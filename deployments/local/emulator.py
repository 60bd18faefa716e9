"""The BigQuery emulator's own command, with seven things changed for which it (1.4.0, November
2026) has no option.

Any user of the machine reaches its port. On Linux, which tells whose a connection is, it answers
its own user and root alone; its other API, for which nothing here asks, is not there. Whoever asks,
it reads and writes no file but what was sent to it.

DuckDB plans each CTE of a query once. Left to itself it writes a CTE into whatever reads it and
plans the whole again: for a chain of windows that takes seconds.

A statement ends with the client that asked for it. While one runs the emulator answers nobody, not
even a request to cancel it.

It parses a statement some fifteen times over, once for each thing that it could be, and a writer of
DuckDB's SQL (sqlglot 30.11) parses its own twenty templates whenever it is made: statements that
were parsed are copied, or lent to what only looks at them, and writers are used again.

It translates a statement anew each time that it comes, and asks each of its ninety rules about each
name and number in it: what the same text of the same tables was translated to is kept, and no rule
is asked about names.

To count and log each request, and to ask another thread for what is at hand, takes more than the
answer: it does neither.
"""

import asyncio
import copy
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

import duckdb
import uvicorn
from bqemulator import server
from bqemulator.api import app as api
from bqemulator.catalog import ddl_sync
from bqemulator.cli import main
from bqemulator.domain.result import Ok
from bqemulator.jobs import executor
from bqemulator.sql import inner_query
from bqemulator.sql.translator import SQLTranslator
from bqemulator.storage.engine import DuckDBEngine
from fastapi.dependencies import utils as dependencies
from sqlglot import Generator, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.expressions import Expr, core
from sqlglot.helper import name_sequence

from deployments.local.bigquery import STAGING_VARIABLE

SECONDS_BETWEEN_LOOKS = 0.5
STATEMENTS_KEPT = 64
# As many as two builds of a domain send.
TRANSLATIONS_KEPT = 1000
# These only look at what they parse.
LOOKING: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (
        executor,
        (
            "classify_statement_type",
            "detect_drop_routine",
            "resolve_ddl_operation",
            "ddl_result_schema_fields",
            "_reject_dml_on_immutable",
        ),
    ),
    (
        ddl_sync,
        (
            "_detect_create_schema",
            "_detect_plain_create_table",
            "_detect_plain_create_view",
            "_detect_catalog_drop",
            "_extract_ddl_metadata",
        ),
    ),
    (inner_query, ("build_catalog_schema",)),
)
# Most of a tree; the package has rules for functions, operators and types.
NO_RULE_IS_FOR = frozenset({exp.Alias, exp.Column, exp.Identifier, exp.Literal, exp.Table})
# They take half of what a request costs, and nobody reads what they tell.
UNREAD = ("MetricsMiddleware", "AccessLogMiddleware", "CorrelationIdMiddleware")
PLAIN = frozenset({int, str, bool})
CONNECTIONS = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ROOT = 0
HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR

Result = TypeVar("Result")
Application = Callable[..., Awaitable[None]]
Columns = dict[str, dict[str, str]]
_client: ContextVar[socket.socket | None] = ContextVar("client", default=None)
_lock = threading.Lock()
_running: dict[int, tuple[duckdb.DuckDBPyConnection, socket.socket]] = {}


class Parsing:
    """What dialects parsed and their writers, kept from one call to the next."""

    def __init__(self) -> None:
        self._parse, self._generate = Dialect.parse, Dialect.generate
        self._parsed = lru_cache(STATEMENTS_KEPT)(self._parsed_anew)
        self._idle: dict[tuple[Any, ...], list[Generator]] = {}
        self._is_looked_at = ContextVar("looked at", default=False)

    def take_over(self) -> None:
        """From now on, all dialects of this process parse and write so."""
        replaced: Any = Dialect
        replaced.parse = lambda dialect, sql, **options: self.parse(dialect, sql, options)
        replaced.generate = lambda dialect, tree, copy=True, **options: self.generate(
            dialect, tree, copy, options
        )
        for module, names in LOOKING:
            for name in names:
                setattr(module, name, self.lend(getattr(module, name)))

    def parse(self, dialect: Dialect, sql: str, options: dict[str, Any]) -> list[Expr | None]:
        if dialect.settings or options:
            return self._parse(dialect, sql, **options)
        parsed = self._parsed(type(dialect), sql)
        return [*parsed] if self._is_looked_at.get() else [tree and tree.copy() for tree in parsed]

    def _parsed_anew(self, dialect: type[Dialect], sql: str) -> list[Expr | None]:
        return self._parse(dialect(), sql)

    def lend(self, looking: Callable[..., Result]) -> Callable[..., Result]:
        """A function that changes nothing of what it parses needs no copy."""

        def look(*given: Any, **named: Any) -> Result:
            token = self._is_looked_at.set(True)
            try:
                return looking(*given, **named)
            finally:
                self._is_looked_at.reset(token)

        return look

    def generate(self, dialect: Dialect, tree: Expr, copy: bool, options: dict[str, Any]) -> str:
        if dialect.settings:
            return self._generate(dialect, tree, copy, **options)
        idle = self._idle.setdefault((type(dialect), *sorted(options.items())), [])
        try:
            generator = idle.pop()
        except IndexError:
            generator = dialect.generator(**options)
        # Names that it makes up begin anew.
        generator._next_name = name_sequence("_t")
        written = generator.generate(tree, copy=copy)
        idle.append(generator)
        return written


class Translation:
    """What the translator made of a statement, kept for when it comes again.

    It depends on the text, on the types of the columns of the tables that this names, which the
    catalogue tells anew each time, and on who asks.
    """

    def __init__(self) -> None:
        self._translate = SQLTranslator.translate
        self._apply_rule = SQLTranslator._apply_first_matching_rule
        self._kept = lru_cache(TRANSLATIONS_KEPT)(self._translated_anew)

    def take_over(self) -> None:
        replaced: Any = SQLTranslator
        replaced.translate = lambda translator, sql, *, schema=None, caller=None: self.translate(
            translator, sql, schema, caller
        )
        replaced._apply_first_matching_rule = lambda translator, node, tree: (
            type(node) not in NO_RULE_IS_FOR and self._apply_rule(translator, node, tree)
        )
        replaced = executor
        replaced.rewrite_table_refs = lru_cache(TRANSLATIONS_KEPT)(replaced.rewrite_table_refs)

    def translate(
        self, translator: SQLTranslator, sql: str, schema: Columns | None, caller: Any
    ) -> Any:
        tables: Any = schema and tuple((name, *columns.items()) for name, columns in schema.items())
        translated = self._kept(translator, sql, tables, caller)
        # An error tells where it was raised, and would be raised again.
        if not isinstance(translated, Ok):
            return self._translate(translator, sql, schema=schema, caller=caller)
        return translated

    def _translated_anew(
        self, translator: SQLTranslator, sql: str, tables: Any, caller: Any
    ) -> Any:
        schema = tables and {name: dict(columns) for name, *columns in tables}
        return self._translate(translator, sql, schema=schema, caller=caller)


def copied(value: Any) -> Any:
    """Where each name of a statement stands in it makes half of what a copy of the whole takes."""
    if isinstance(value, Expr):
        return value.__deepcopy__({})
    members = value.values() if type(value) is dict else value if type(value) is list else None
    if members is not None and PLAIN.issuperset(map(type, members)):
        return value.copy()
    return copy.deepcopy(value)


class Config(uvicorn.Config):
    def __init__(self, app: Application, **given: Any) -> None:
        super().__init__(knowing_who_asks(app), **given)


def knowing_who_asks(app: Application) -> Application:
    """The statements of a request know its client."""

    known: WeakSet[asyncio.BaseTransport] = WeakSet()

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        # Bound to the request as the server keeps it.
        transport = receive.__self__.transport
        client = transport.get_extra_info("socket")
        # A connection keeps its user; to look for whose it is goes through all of the machine.
        if CONNECTIONS[0].exists() and transport not in known:
            if user_of(client) not in (ROOT, os.getuid()):
                await send({"type": "http.response.start", "status": 403, "headers": []})
                await send({"type": "http.response.body"})
                return
            known.add(transport)
        _client.set(client)
        await app(scope, receive, send)

    return answer


def user_of(client: socket.socket) -> int | None:
    """Who of this machine has the other end of a connection, None if nobody has it any more."""
    ends = client.getpeername()[1], client.getsockname()[1]
    for table in filter(Path.exists, CONNECTIONS):
        for line in table.read_text().splitlines()[1:]:
            _, theirs, ours, _, _, _, _, user, _, inode, *_ = line.split()
            # What is no longer held by a program is said to be root's.
            if (int(theirs[-4:], 16), int(ours[-4:], 16)) == ends and inode != "0":
                return int(user)
    return None


async def at_once(look_up: Callable[..., Result], **given: Any) -> Result:
    """What a request depends on is an attribute or a header: no work for another thread."""
    return look_up(**given)


class Unheard:
    """In place of the server of the other API."""

    async def start(self) -> None: ...

    async def stop(self, grace: float) -> None: ...


class Engine(DuckDBEngine):
    async def start(self) -> None:
        await super().start()
        sent = os.environ[STAGING_VARIABLE].replace("'", "''")
        for setting in (
            f"allowed_directories = ['{sent}']",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self.connection.execute(f"set {setting}")

    def execute(self, *statement: Any) -> duckdb.DuckDBPyConnection:
        with ended_without_client(self.connection):
            return super().execute(*statement)

    def fetch_arrow(self, *statement: Any) -> Any:
        with ended_without_client(self.connection):
            return super().fetch_arrow(*statement)


@contextmanager
def ended_without_client(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    thread, client = threading.get_ident(), _client.get()
    if client is None or thread in _running:
        yield
        return
    with _lock:
        _running[thread] = (connection, client)
    try:
        yield
    finally:
        with _lock:
            del _running[thread]


def keep_looking() -> None:
    while True:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        with _lock:
            for connection, client in _running.values():
                if has_hung_up(client):
                    connection.interrupt()


def has_hung_up(client: socket.socket) -> bool:
    if client.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(client.fileno(), HUNG_UP)
    return bool(poll.poll(0))


if __name__ == "__main__":
    duckdb.connect = partial(duckdb.connect, config={"disabled_optimizers": "cte_inlining"})
    uvicorn.Config = Config  # type: ignore[assignment,misc]
    server.DuckDBEngine = Engine  # type: ignore[attr-defined]
    server.build_grpc_server = lambda _: (Unheard(), 0)  # type: ignore[attr-defined,assignment]
    for name in UNREAD:
        setattr(api, name, lambda app, **_: app)
    vars(dependencies)["run_in_threadpool"] = at_once
    Parsing().take_over()
    Translation().take_over()
    setattr(core, "deepcopy", copied)  # noqa: B010  typed as what the standard library has
    threading.Thread(target=keep_looking, name="hung-up", daemon=True).start()
    sys.exit(main())
