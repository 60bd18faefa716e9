"""What the emulator keeps of the statements it parsed and translated is what doing so anew gives,
and what nobody waits for any more ends."""

import os
import pwd
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlglot
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.dialects.dialect import Dialect

from deployments.local.bigquery import PROJECT, BigQueryEmulator
from deployments.local.paths import LocalPaths
from deployments.local.processes import wait_until

if TYPE_CHECKING:
    from deployments.local.emulator import Parsing

STATEMENTS = (
    "create or replace table `p`.`d`.`t` partition by day as select date(ts) as day from `d`.`s`",
    "select a, safe_divide(n, sum(n) over (partition by a)) as share from `p`.`d`.`s` where n > 3",
    "merge `d`.`t` t using `d`.`s` s on t.id = s.id when matched then update set n = s.n",
    "select array_agg(struct(a, b)), countif(n > 3) from unnest([1, 2]) as a, `d`.`t` /* why */",
    "drop table if exists `p`.`d`.`t`",
)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # Half a second to import, in each of the processes that look for tests.
    from bqemulator.jobs import executor
    from bqemulator.sql.translator import SQLTranslator

    from deployments.local import emulator

    changed = [(Dialect, ("parse", "generate")), *emulator.LOOKING]
    changed += [(SQLTranslator, ("translate", "_apply_first_matching_rule"))]
    changed += [(executor, ("rewrite_table_refs",))]
    for owner, names in changed:
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name))
    return emulator


@pytest.fixture
def keeping(emulator: ModuleType) -> "Parsing":
    parsing: Parsing = emulator.Parsing()
    parsing.take_over()
    return parsing


LOOKED_AT = (
    "create table `p`.`d`.`t` (a int64 not null) partition by a options(description = 'of t')",
    "create view `p.d.v` as with x as (select 1 as a) select * from x",
    "create schema `p.d`",
    "drop schema if exists `p`.`d` cascade",
    "drop function if exists d.f",
    "delete from d.t where exists (select 1 from d.s)",
)
# Each has a rule of its own; those of the first two go by the types of columns and by who asks.
TRANSLATED = (
    "select avg(n) as mean, n / 3 as third from d.s",
    "select session_user() as name, current_date() as day",
    "select extract(dayofweek from ts) as day, a || b as both, upper(c) as c from d.s",
    "select date_trunc(day, isoyear) as year, countif(n > 1) as n, st_area(g) as area from d.s",
    "select hll_count.extract(hll_count.init(n)) as n, cast(null as geography) as g from d.s",
    "select json_value(a, '$.b') as b, farm_fingerprint(c) as f, sign(n) as s, soundex(t) from d.s",
)


def written(statement: str) -> str:
    tree = sqlglot.parse_one(statement, read="bigquery")
    return tree.sql(dialect="duckdb") + tree.sql(dialect="bigquery", comments=False)


def test_statements_are_parsed_and_written_as_ever(request: pytest.FixtureRequest) -> None:
    anew = [written(statement) for statement in STATEMENTS]
    request.getfixturevalue("keeping")
    assert [[written(statement) for statement in STATEMENTS] for _ in range(2)] == [anew, anew]


def test_who_changes_a_tree_changes_that_of_no_other(keeping: "Parsing") -> None:
    first = sqlglot.parse_one(STATEMENTS[0], read="bigquery")
    plain = first.sql(dialect="bigquery")
    for table in first.find_all(exp.Table):
        table.set("this", exp.to_identifier("changed"))
        table.meta["line"] = 99
    again = sqlglot.parse_one(STATEMENTS[0], read="bigquery")
    assert again.sql(dialect="bigquery") == plain
    assert all(table.meta.get("line") != 99 for table in again.find_all(exp.Table))


def test_a_statement_that_cannot_be_parsed_is_refused_each_time(keeping: "Parsing") -> None:
    for _ in range(2):
        with pytest.raises(sqlglot.ParseError):
            sqlglot.parse_one("select from where", read="bigquery")


def test_what_may_change_is_copied_as_a_whole() -> None:
    from deployments.local.emulator import copied

    nested = {"line": 1, "within": {"line": 2}}
    copy = copied(nested)
    copy["within"]["line"] = 3
    assert nested["within"] == {"line": 2}


def test_what_only_looks_at_a_tree_leaves_it_as_it_is(
    emulator: ModuleType, keeping: "Parsing"
) -> None:
    """And is given the one that is kept."""
    from bqemulator.catalog.memory_repository import MemoryCatalogRepository

    catalog = MemoryCatalogRepository()
    context = SimpleNamespace(catalog=catalog)
    more = {
        "detect_drop_routine": ("p",),
        "resolve_ddl_operation": ("CREATE_TABLE", "p", context),
        "ddl_result_schema_fields": ("p", context),
        "_detect_create_schema": ("p",),
    }
    for statement in (*STATEMENTS, *LOOKED_AT):
        (kept,) = keeping._parsed(BigQuery, statement)
        assert kept
        before = repr(kept), kept.sql(dialect="bigquery")
        found = keeping._parsed.cache_info().hits
        for module, names in emulator.LOOKING:
            for name in names:
                look = getattr(module, name)
                if name == "build_catalog_schema":
                    look(statement, project_id="p", catalog=catalog)
                elif name == "_reject_dml_on_immutable":
                    look("p", statement, context)
                else:
                    look(statement, *more.get(name, ()))
        assert keeping._parsed.cache_info().hits >= found + 10
        assert (repr(kept), kept.sql(dialect="bigquery")) == before
    look = keeping.lend(lambda: sqlglot.parse_one(STATEMENTS[0], read="bigquery"))
    assert look() is keeping._parsed(BigQuery, STATEMENTS[0])[0]
    assert sqlglot.parse_one(STATEMENTS[0], read="bigquery") is not look()


def test_a_statement_that_comes_again_is_translated_as_ever(emulator: ModuleType) -> None:
    from bqemulator.jobs import executor
    from bqemulator.row_access.identity import CallerIdentity
    from bqemulator.sql.translator import SQLTranslator

    translator: Any = SQLTranslator()
    rewrite = vars(executor)["rewrite_table_refs"]
    asked = [
        (statement, schema, CallerIdentity(principal=f"user:{user}@x.org"))
        for statement in (*STATEMENTS, *TRANSLATED)
        for schema in (None, {"s": {"n": "BIGINT"}}, {"s": {"n": "DECIMAL(38, 9)"}})
        for user in ("one", "two")
    ]

    def translated() -> list[tuple[str, str]]:
        told = [
            translator.translate(statement, schema=schema, caller=caller).value
            for statement, schema, caller in asked
        ]
        return [(each, vars(executor)["rewrite_table_refs"](each, "p")) for each in told]

    anew = translated()
    # What it depends on beside the text.
    assert len(set(anew)) > len((*STATEMENTS, *TRANSLATED)) + 2
    emulator.Translation().take_over()
    assert [translated() for _ in range(2)] == [anew, anew]
    assert vars(executor)["rewrite_table_refs"] is not rewrite


def test_a_statement_that_cannot_be_translated_is_refused_each_time(emulator: ModuleType) -> None:
    from bqemulator.sql.translator import SQLTranslator

    emulator.Translation().take_over()
    translator: Any = SQLTranslator()
    told = [translator.translate("select from where").error for _ in range(2)]
    assert str(told[0]) == str(told[1])
    assert told[0] is not told[1]


def test_it_asks_no_host_for_an_extension(bigquery_emulator: str, local_paths: LocalPaths) -> None:
    """Of DuckDB's, those that it would download."""
    log = BigQueryEmulator(local_paths).log
    assert log.exists()
    assert "avro" not in log.read_text()
    assert not list((local_paths.state / "bigquery").rglob("avro*"))


READING = (
    "select * from read_text('{read}')",
    "select * from read_csv('{read}', header = false)",
    "select * from '{read}'",
    "select * from glob('{folder}/*')",
    "copy (select 1 as one) to '{written}'",
    "export data options(uri = '{written}', format = 'CSV') as select 1 as one",
    "attach '{written}' as mine",
    "set log_query_path = '{written}'",
    "pragma enable_profiling; set profiling_output = '{written}'",
)


def test_whoever_reaches_its_port_reads_and_writes_no_file(
    bigquery_emulator: str, local_paths: LocalPaths, tmp_path: Path
) -> None:
    """On one machine that is any of its users."""
    assert not (local_paths.state / "bigquery").stat().st_mode & 0o077
    read, written = tmp_path / "secret-file", tmp_path / "written"
    read.write_text("a word that nobody may read")
    for statement in READING:
        asked = statement.format(read=read, written=written, folder=tmp_path)
        answer = httpx.post(
            f"{bigquery_emulator}/bigquery/v2/projects/{PROJECT}/queries",
            json={"query": asked, "useLegacySql": False},
        )
        assert "a word" not in answer.text, asked
        assert str(read) not in str(answer.json().get("rows")), asked
        assert not written.exists(), asked


# Of a program that begins as root.
ASK_AS = """
import os, socket, sys
os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[3]))
asking = socket.socket()
asking.connect(("127.0.0.1", int(sys.argv[1])))
asking.sendall(f"GET {sys.argv[2]} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
print(asking.recv(100).split()[1].decode())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_of_the_machine_gets_no_answer(bigquery_emulator: str) -> None:
    port = bigquery_emulator.rpartition(":")[2]
    path = f"/bigquery/v2/projects/{PROJECT}/datasets"
    for user, status in ((0, "200"), (pwd.getpwnam("daemon").pw_uid, "403")):
        command = [sys.executable, "-c", ASK_AS, port, path, str(user)]
        told = subprocess.run(command, capture_output=True, text=True)
        assert told.stdout.strip() == status, told.stderr


SLOW = (
    "select count(*) from unnest(generate_array(1, 3000000)) as a, "
    "unnest(generate_array(1, 3000000)) as b where mod(a, 7) = mod(b, 11)"
)
ASK = """
import sys, httpx
httpx.post(sys.argv[1], json={"query": sys.argv[2], "useLegacySql": False}, timeout=None)
"""


def test_the_statement_of_a_client_that_is_gone_is_over_within_five_seconds(
    bigquery_emulator: str,
) -> None:
    """While one runs the emulator answers nobody."""
    project = f"{bigquery_emulator}/bigquery/v2/projects/{PROJECT}"

    def answers(seconds: float) -> bool:
        try:
            return httpx.get(f"{project}/datasets", timeout=seconds).is_success
        except httpx.TimeoutException:
            return False

    asking = subprocess.Popen([sys.executable, "-c", ASK, f"{project}/queries", SLOW])
    try:
        assert wait_until(lambda: not answers(2), 60)
        assert asking.poll() is None
    finally:
        asking.kill()
        asking.wait()
    assert answers(5)
