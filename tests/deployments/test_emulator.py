"""What the emulator keeps of the statements it parsed is what parsing them anew gives, and what
nobody waits for any more ends."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from deployments.local.bigquery import PROJECT
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
def keeping() -> "Iterator[Parsing]":
    # Half a second to import, in each of the processes that look for tests.
    from deployments.local.emulator import Parsing

    kept: Any = Dialect
    before = kept.parse, kept.generate
    parsing = Parsing()
    parsing.take_over()
    yield parsing
    kept.parse, kept.generate = before


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
