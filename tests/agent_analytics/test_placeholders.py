"""What stands where an identifier is missing makes no two people, sessions or requests one."""

import re
from pathlib import Path

import pytest

from flows._shared.placeholders import PLACEHOLDERS, UNEXPANDED, known_id
from flows.agent_analytics import raw
from flows.agent_analytics.raw.otlp.shapes import MACROS
from flows.agent_analytics.rules import commit_of
from tests.agent_analytics import clients
from tests.agent_analytics.test_otlp import DAY, load, rows
from tests.parsed import PROJECTS

NOBODY = (
    *PLACEHOLDERS, "Undefined", " NULL ", "", "0", "0000", "00000000-0000-0000-0000", "${USER}",
    "$USER", " $NAME ", "$USER@work.example", "${USER:-me}@work.example", "$env:USERNAME",
    "$(whoami)", "`whoami`", "WORK\\%USERNAME%", "%USERNAME%", "{{ user }}",
    "{{user}}@work.example", "{user}", "#{user.name}", "<user>", "<your name>",
    "<user>@work.example", "{{ .Values.user }}",
)  # fmt: skip
SOMEBODY = (
    "a", " a ", "10", "default-2", "nullable", "00000000-0000-0000-0000-00000000000a",
    "<ada@x.example>", "HOST$", "a$b", "10$c", "$2b$10$abc", "100%", "J%C3%BCrgen", "%C3%96mer%20B",
    "{0A1B2C3D-0000-4000-8000-00000000000A}", "user", "ada@user.example",
)  # fmt: skip


def test_a_placeholder_is_no_identifier(store: raw.Store) -> None:
    read = "select otlp_known_id(word) from unnest(?) as words (word)"
    with store.connect() as connection:
        connection.execute(MACROS)
        for words, named in (
            (NOBODY, [None] * len(NOBODY)),
            (SOMEBODY, [word.strip() for word in SOMEBODY]),
        ):
            assert [known_id(word) for word in words] == named
            assert [name for (name,) in connection.execute(read, [words]).fetchall()] == named


def test_the_door_and_the_marts_know_the_same_words() -> None:
    macro = (PROJECTS / "agent_analytics/macros/known_id.sql").read_text()
    listed = macro.partition("placeholders = [")[2].partition("] -%}")[0]
    assert set(re.findall(r"'([^']*)'", listed)) == set(PLACEHOLDERS)
    assert UNEXPANDED in "".join(re.findall(r"'([^']*)'", macro))


def test_telemetry_of_nobody_connects_nobody(store: raw.Store, inbox: Path) -> None:
    """Both machines tell the same words: the addresses beside them are of two people."""
    told: dict[str, object] = {
        "user.id": "${USER}",
        "user.account_uuid": "00000000-0000-0000-0000-000000000000",
    }
    lines = [
        clients.events(
            "x", DAY, told | {"session.id": "{{ session }}", "user.email": f"{who}@a.example"}
        )
        for who in ("ada", "bob")
    ]
    lines.append(clients.events("x", DAY, {"user.id": "undefined", "enduser.id": "eve"}))
    lines.append(clients.events("x", DAY, {"session.id": "null", "user.id": "n/a"}))
    (inbox / "a.jsonl").write_text("".join(f"{line}\n" for line in lines))
    load(store, inbox)
    assert rows(store, "select developer_id, session_id from raw.otel_logs order by 1") == [
        (who, f"no-session:{who}") for who in ("ada@a.example", "bob@a.example", "eve", "unknown")
    ]
    assert rows(
        store, "select developer_id, identity from raw.developer_identities order by 1"
    ) == [(who, who) for who in ("ada@a.example", "bob@a.example")]


def test_a_commit_of_a_placeholder_is_nobodys() -> None:
    row = {"commit_hash": "a" * 40, "commit_timestamp": 1, "developer_id": "None",
           "agent_session_id": "undefined"}  # fmt: skip
    commit = commit_of(row)
    assert (commit.developer_id, commit.agent_session_id) == (None, None)
    with pytest.raises(ValueError, match="is not a commit hash"):
        commit_of(row | {"commit_hash": "0" * 40})
