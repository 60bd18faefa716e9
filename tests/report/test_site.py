"""The site of made-up rows: whatever they hold, every page is drawn and is nothing but text."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from prefect.logging import disable_run_logger

from flows._shared.budgets import Budget
from flows.report import charts, words
from flows.report.docs import docs_path, lineage_path
from flows.report.making import or_why_not, read_agents, read_from
from flows.report.operations import refuse_unmade
from flows.report.pages import site
from flows.report.records import DOMAINS, SCHEMAS, DomainData, OperationsData, UnmadePagesError
from flows.report.render import render
from flows.report.source import nothing
from tests.report.made_rows import KINDS, contracts
from tests.report.shown import NOW, Shown, files_of, page_of

IN_POSTGRES = [slug for slug in DOMAINS if slug != "agent_analytics"]
MEGABYTE = 1_000_000
HOSTILE = (
    '"><script>alert(1)</script><img src=x onerror=alert(2)>',
    "[a](javascript:alert(3)) ![b](http://evil.example/x.png) <!-- `c` | d",
    "</svg></style></title><base href=//evil.example>{{ 7 * 7 }}{% raw %}",
    '=HYPERLINK("http://evil.example","click")',
    "\u202egpj.exe\u2066 \x1b[31m \x00",
    "\u061c\u200bpay\u2060pal\u00ad \ufff9 \udcff",
    "&lt;b&gt; &amp; ' \" \\ \u2028",
    "long " * 5_000,
)
TABLES_OF = {slug: list(contracts(slug)) for slug in DOMAINS}


def known(slug: str, rows: Mapping[str, list[dict[str, Any]]]) -> DomainData:
    """A domain of rows by model, as `source` would have read them."""
    empty = nothing(slug)
    extracts = {
        name: replace(extract, rows=tuple(rows.get(name, [])), is_built=True)
        for name, extract in empty.extracts.items()
    }
    return DomainData(slug, extracts)


@pytest.fixture(scope="module")
def url(postgres: Any) -> Iterator[str]:
    """All report models of PostgreSQL as empty tables by their contracts."""
    made = postgres.create_database("report_rows")
    with psycopg.connect(made, autocommit=True) as connection:
        for schema in set(SCHEMAS.values()):
            connection.execute(f"create schema {schema}".encode())
        for slug in IN_POSTGRES:
            for contract in TABLES_OF[slug]:
                connection.execute(contract.ddl.encode())
    yield made
    postgres.drop_database("report_rows")


def agents_file(folder: Path, rows: bool) -> Path:
    file = folder / "agents.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("create schema report")
        for contract in TABLES_OF["agent_analytics"]:
            connection.execute(contract.ddl)
            if rows:
                row = contract.row()
                marks = ", ".join("?" for _ in row)
                connection.execute(
                    f"insert into {contract.relation} values ({marks})", list(row.values())
                )
    return file


@pytest.mark.parametrize("slug", IN_POSTGRES)
def test_models_that_are_there_and_empty_say_what_to_do(slug: str, url: str) -> None:
    shown = page_of(read_from(slug, url))
    assert "has been built and holds no rows" in shown.headline
    assert f"docs/runbooks/{slug}.md" in shown.parts[""].text


@pytest.mark.parametrize("slug", IN_POSTGRES)
def test_a_domain_that_never_ran_says_how_to_run_it(slug: str, postgres: Any) -> None:
    shown = page_of(read_from(slug, postgres.create_database("postgres")))
    assert "has not been built yet" in shown.headline
    assert f"flows run {slug}" in shown.parts[""].text


def test_agents_without_a_file_and_with_an_empty_one_say_what_to_do(tmp_path: Path) -> None:
    assert "not been built yet" in page_of(read_agents(tmp_path / "none.duckdb")).headline
    assert "holds no rows" in page_of(read_agents(agents_file(tmp_path, rows=False))).headline


def test_rows_of_a_duckdb_file_are_shown(tmp_path: Path) -> None:
    shown = page_of(read_agents(agents_file(tmp_path, rows=True)))
    assert shown.headline.startswith("November 2026 will cost") or "will cost" in shown.headline
    assert shown.parts["month"].records()[0]["So far"] == "$12.34"


def test_a_domain_that_cannot_be_read_is_told_and_stops_no_other(tmp_path: Path) -> None:
    address = "postgresql://somebody:a-secret-word@127.0.0.1:9/nowhere"
    broken = or_why_not("scout", lambda: read_from("scout", address))
    files = files_of({"scout": broken, "agent_analytics": read_agents(agents_file(tmp_path, True))})
    shown = Shown(files["scout.html"].decode())
    assert shown.headline == "Scout could not be read"
    assert "Check that it is up" in shown.parts[""].text
    assert "Scout could not be read" in files["index.html"].decode()
    # Where the database is, and what it answered, is for the log.
    for secret in (b"a-secret-word", b"somebody", b"127.0.0.1"):
        assert all(secret not in content for content in files.values())
    assert "will cost" in files["index.html"].decode()


def test_a_page_that_cannot_be_made_is_told_and_stops_no_other() -> None:
    impossible = {t.model: [t.row(month=date.max, week=date.max)] for t in TABLES_OF["scout"]}
    sound = {t.model: [t.row()] for t in TABLES_OF["ledgermind"]}
    data = {"scout": known("scout", impossible), "ledgermind": known("ledgermind", sound)}
    made = site({slug: data.get(slug) or nothing(slug) for slug in DOMAINS}, OperationsData(), NOW)
    files = render(made)
    shown = Shown(files["scout.html"].decode())
    assert shown.headline == "The page of Scout could not be made"
    assert "The log of the report has the reason" in shown.parts[""].text
    assert shown.headline in files["index.html"].decode()
    assert "daily" in Shown(files["ledgermind.html"].decode()).parts
    assert ["OverflowError" in page.problem for page in made.pages if page.problem] == [True]
    assert b"OverflowError" not in b"".join(files.values())
    with disable_run_logger(), pytest.raises(UnmadePagesError, match="published: Scout"):
        refuse_unmade(made)


def test_a_value_that_no_python_holds_and_a_damaged_file_stop_no_other(
    url: str, tmp_path: Path
) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into analytics.rpt_ledgermind_daily (created_date) values ('10000-01-01')"
        )
        far = or_why_not("ledgermind", lambda: read_from("ledgermind", url))
        connection.execute("truncate analytics.rpt_ledgermind_daily")
    file = tmp_path / "agents.duckdb"
    file.write_bytes(b"no database" * 1_000)
    damaged = or_why_not("agent_analytics", lambda: read_agents(file))
    files = files_of({"ledgermind": far, "agent_analytics": damaged})
    for slug in ("ledgermind", "agent_analytics"):
        shown = Shown(files[f"{slug}.html"].decode())
        assert shown.headline.endswith("could not be read")
        assert "building the domain anew" in shown.parts[""].text


def test_of_more_rows_than_are_read_the_first_are_and_the_page_says_so(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.report.source.MOST_ROWS", 2)
    (repositories,) = (
        each for each in TABLES_OF["github_scraper"] if each.model == "rpt_github_repositories"
    )
    (developers,) = (
        each for each in TABLES_OF["agent_analytics"] if each.model == "rpt_agents_developers"
    )
    file = agents_file(tmp_path, rows=False)
    with psycopg.connect(url, autocommit=True) as connection, duckdb.connect(str(file)) as agents:
        for at in (3, 1, 4, 2):
            row = repositories.row(commit_rank=at, repository=f"r{at}", repository_id=9 - at)
            connection.execute(
                f"insert into {repositories.relation} values "
                f"({', '.join(['%s'] * len(row))})".encode(),
                list(row.values()),
            )
            row = developers.row(place=at - 1, developer_id=f"d{at}", developer=f"d{at}")
            agents.execute(
                f"insert into {developers.relation} values ({', '.join('?' for _ in row)})",
                list(row.values()),
            )
        github = read_from("github_scraper", url)
        connection.execute(f"truncate {repositories.relation}".encode())
    for data, model, column, names in (
        (github, repositories, "repository", ["r1", "r2"]),
        (read_agents(file), developers, "developer", ["d1", "d2"]),
    ):
        assert [row[column] for row in data.rows(model.model)] == names
        told = f"{model.relation} holds 4 rows, of which the first 2 were read"
        assert told in page_of(data).parts[""].text


def test_a_model_built_before_a_column_was_there_is_drawn_without_it(url: str) -> None:
    (facilities,) = (
        each for each in TABLES_OF["quality_compass"] if each.model == "rpt_quality_facilities"
    )
    row = facilities.row(metric_name="Falls")
    newer = {
        *("actionable_facilities", "pairs_with_signals", "severe_pairs", "newer_silent_runs"),
        "worst_groupby_label",
    }
    older = [name for name in row if name not in newer]
    with psycopg.connect(url, autocommit=True) as connection:
        for name in newer:
            connection.execute(f"alter table {facilities.relation} drop column {name}".encode())
        connection.execute(
            f"insert into {facilities.relation} ({', '.join(older)}) "
            f"values ({', '.join(['%s'] * len(older))})".encode(),
            [row[name] for name in older],
        )
        shown = page_of(read_from("quality_compass", url))
        connection.execute(f"drop table {facilities.relation}; {facilities.ddl}".encode())
    assert "needs attention first: Falls" in shown.headline
    assert f"{words.ABSENT} of {words.ABSENT} pairs" in shown.parts["severity"].text


@pytest.mark.parametrize("slug", DOMAINS)
def test_one_row_of_each_model_is_drawn(slug: str) -> None:
    rows = {each.model: [each.row()] for each in TABLES_OF[slug]}
    shown = page_of(known(slug, rows))
    assert len(shown.parts) > 2
    assert shown.headline


@pytest.mark.parametrize("slug", DOMAINS)
def test_rows_of_nulls_are_drawn(slug: str) -> None:
    rows = {each.model: [each.sparse()] for each in TABLES_OF[slug]}
    shown = page_of(known(slug, rows))
    assert "None" not in shown.headline
    assert "nan" not in shown.headline
    assert not [row for part in shown.parts.values() for row in part.rows if "None" in row]


@pytest.mark.parametrize("slug", DOMAINS)
def test_every_model_alone_is_drawn(slug: str) -> None:
    for each in TABLES_OF[slug]:
        assert page_of(known(slug, {each.model: [each.row()]})).headline


@pytest.mark.parametrize("slug", DOMAINS)
def test_text_from_outside_is_text_everywhere(slug: str) -> None:
    """In headlines, tables, titles, drawings, labels and data, and in no name of a file."""
    plain = files_of({slug: known(slug, {t.model: [t.row()] for t in TABLES_OF[slug]})})
    for text in HOSTILE:
        rows = {}
        for each in TABLES_OF[slug]:
            row = each.row(text)
            # Keys are free text, too, where no page tells kinds of them apart.
            row |= {"developer_id": "all"} if "developer_id" in row else {}
            rows[each.model] = [row]
        files = files_of({slug: known(slug, rows)})
        assert files.keys() == plain.keys()
        for path, content in files.items():
            if not path.endswith(".html"):
                continue
            told, expected = Shown(content.decode()), Shown(plain[path].decode())
            assert shape(told) == shape(expected), text
            assert not re.findall(
                r"[\x00-\x08\x0b-\x1f\xad\u061c\u200b\u202a-\u202e\u2060-\u2069\ufff9-\ufffb]",
                content.decode(),
            )


def shape(shown: Shown) -> list[tuple[str, frozenset[str]]]:
    """The elements of a page outside of its drawings: a text makes none."""
    drawn = {"g", "path", "text", "line", "defs", "clipPath", "clippath", "rect", "tspan", "svg"}
    return [(tag, frozenset(given)) for tag, given in shown.tags if tag not in drawn]


def test_drawings_hold_nothing_that_runs_or_loads() -> None:
    for slug in DOMAINS:
        rows = {each.model: [each.row(HOSTILE[0])] for each in TABLES_OF[slug]}
        shown = page_of(known(slug, rows))
        for tag, given in shown.tags:
            assert tag not in {"image", "foreignobject", "iframe", "object", "embed", "use"}
            assert not [name for name in given if name.startswith("on")], (tag, given)
        assert [tag for tag, _ in shown.tags].count("script") == 1


def test_people_of_one_name_have_a_bar_each() -> None:
    rows = [{"who": who, "commits": 3} for who in ("Ann", "Ann", "Ann (2)", "Bo")]
    chart = charts.bars(rows, "who", "commits", "commits", "")
    labels = [each["label"] for each in chart.spec["data"]["values"]]
    assert labels == ["Ann", "Ann (2)", "Ann (2) (2)", "Bo"]


def test_no_cell_of_the_data_is_a_formula() -> None:
    for start in ("=1+1", "+1", "-1", "@x", "\t=1", "  =1", "\uff1d1"):
        rows = {t.model: [t.row(start)] for t in TABLES_OF["scout"]}
        files = files_of({"scout": known("scout", rows)})
        cells = [
            cell
            for path, content in files.items()
            if path.endswith(".csv")
            for row in csv.reader(io.StringIO(content.decode()))
            for cell in row
        ]
        assert any(cell == f"'{words.visible(start)}" for cell in cells), start
        assert not [c for c in cells if c.strip().startswith(("=", "+", "@", "\uff1d"))]
        assert not [c for c in cells if c.strip().startswith("-") and not is_number(c)]
    # Where lists are separated by semicolons, a cell ends there.
    assert words.cell('a;=HYPERLINK("x")') == """a;'=HYPERLINK("x")"""
    assert words.cell('a\n"@x; "-1;b') == """a\n"'@x; "'-1;b"""


def is_number(cell: str) -> bool:
    return re.fullmatch(r"-?[\d.]+", cell) is not None


@pytest.fixture(scope="module")
def full() -> dict[str, bytes]:
    """Every model with many rows, whatever they say of each other."""
    data = {}
    for slug in DOMAINS:
        rows = {}
        for each in TABLES_OF[slug]:
            made = []
            for number in range(40):
                row = each.row(f"some text {number}")
                days = {
                    n: date.fromordinal(date(2026, 11, 1).toordinal() - 7 * number)
                    for n, kind in each.types.items()
                    if kind == "date"
                }
                keys = {"place": number + 1} if "place" in row else {}
                made.append(row | days | keys)
            rows[each.model] = made
        data[slug] = known(slug, rows)
    return files_of(data)


def test_every_link_leads_somewhere_in_the_site(full: dict[str, bytes]) -> None:
    for path, content in full.items():
        if not path.endswith(".html"):
            continue
        shown = Shown(content.decode())
        ids = {given["id"] for _, given in shown.tags if given.get("id")}
        assert len(ids) == sum(1 for _, given in shown.tags if given.get("id")), path
        targets = [str(given["href"]) for tag, given in shown.tags if tag == "a"]
        assert len(targets) >= 7
        for target in targets:
            file, _, part = target.partition("#")
            if file.startswith("../../docs/"):
                beside = [where(slug) for where in (docs_path, lineage_path) for slug in DOMAINS]
                assert file.removeprefix("../../") in beside, (path, target)
                continue
            assert not file or file in full, (path, target)
            assert not part or part in ids, (path, target)
        labels = [given.get("aria-labelledby") for _, given in shown.tags]
        assert {each for each in labels if each} <= ids
        for reference in re.findall(r"url\(#([^)]+)\)", content.decode()):
            assert reference in ids, (path, reference)


def test_no_page_names_another_host(full: dict[str, bytes]) -> None:
    for path, content in full.items():
        assert not re.findall(rb"(?i)(?:https?:|wss?:|ftp:)?//[a-z0-9]", content), path


def test_a_page_runs_only_its_own_script(full: dict[str, bytes]) -> None:
    for path, content in full.items():
        if path.endswith(".html"):
            policy = next(
                given["content"]
                for tag, given in Shown(content.decode()).tags
                if given.get("http-equiv") == "Content-Security-Policy"
            )
            assert policy is not None
            assert "default-src 'none'" in policy
            assert "script-src 'sha256-" in policy


def test_the_site_is_small(full: dict[str, bytes]) -> None:
    assert sum(map(len, full.values())) <= 4 * MEGABYTE


def test_every_figure_says_its_model_its_time_and_its_definition(full: dict[str, bytes]) -> None:
    for slug in DOMAINS:
        shown = Shown(full[f"{slug}.html"].decode())
        for key, part in shown.parts.items():
            if key:
                model = next(t for t in part.texts if t.startswith(f"{SCHEMAS[slug]}.rpt_"))
                assert (
                    nothing(slug).extracts[model.split(".")[1]].definition.description in part.texts
                )
                assert {"As of", "Definition", "Lineage", "Made from"} <= set(part.texts)
                assert f"data/{slug}-{key}.csv" in full


def test_a_run_that_failed_is_on_the_page_of_operations_and_in_front() -> None:
    run = {
        "name": "a-run",
        "deployment": "scout-gold-6h",
        "state_type": "FAILED",
        "state_name": "Failed",
        "start_time": "2026-11-28T11:00:00Z",
        "end_time": "2026-11-28T11:01:00Z",
        "total_run_time": 60.0,
        "state": {"message": HOSTILE[0]},
    }
    better = run | {"state_type": "COMPLETED", "state_name": "Completed"}
    older = better | {"start_time": "2026-11-28T10:00:00Z"}
    waiting = run | {"state_type": "SCHEDULED", "state_name": "Late", "start_time": None}
    data = files_of(operated=OperationsData(runs=[waiting, run, older]))
    shown = Shown(data["operations.html"].decode())
    assert shown.headline == "1 deployment failing: scout-gold-6h"
    (row,) = shown.parts["deployments"].records()
    assert (row["State"], row["Ago"], row["Says"]) == ("Failed", "1.0 h", HOSTILE[0])
    assert HOSTILE[0] in Shown(data["index.html"].decode()).parts[""].text
    mended = better | {"start_time": "2026-11-28T11:30:00Z"}
    calm = files_of(operated=OperationsData(runs=[mended, run]))
    assert "did not fail" in Shown(calm["operations.html"].decode()).headline


def test_measures_are_told_of_the_last_run_of_each_deployment() -> None:
    """Silver went well after a run of everything had failed: no repository is called a test."""

    def measured(run: str, hour: int, **values: int) -> dict[str, Any]:
        data = [{"measure": name, "value": value} for name, value in values.items()]
        moment = f"2026-11-28T{hour}:00:00Z"
        given = {"slug": "scout", "key": "scout-run", "flow_run_id": run, "updated": moment}
        return given | {"data": json.dumps(data)}

    runs = [
        {"id": run, "name": run, "deployment": name, "start_time": "2026-11-28T08:00:00Z"}
        for run, name in (("c", "scout-silver-hourly"), ("b", "scout-on-demand"))
    ]
    kept = {"tests_passed": 31, "models_unchanged": 1, "tests_unchanged": 276}
    measures = [
        measured("c", 12, **kept),
        measured("b", 11, tests_passed=9, warnings=2, failures=1, models_built=1),
        measured("a", 10, failures=7),
    ]
    operated = OperationsData(runs=runs[:1], older=runs[1:], measures=measures)
    part = Shown(files_of(operated=operated)["operations.html"].decode()).parts["tests"]
    assert (
        "In the last run of each deployment that is listed: 40 tests passed, 2 warnings, 8 "
        "failures; 1 model and 276 tests left out, as nothing that they read has changed since "
        "their last success."
    ) in part.text
    told = [
        (row["Deployment"], row["Tests passed"], row["Tests left out"], row["Failures"])
        for row in part.records()
    ]
    assert told == [
        ("scout-silver-hourly", "31", "276", words.ABSENT),
        ("scout-on-demand", "9", words.ABSENT, "1"),
        (words.ABSENT, words.ABSENT, words.ABSENT, "7"),
    ]
    assert "node" not in part.text


def test_budgets_are_on_the_page_of_operations_the_exceeded_first() -> None:
    holds = Budget("coding agents of ann", "2026-11", 5.0, 8.0, 9.0)
    unknown = replace(holds, name="coding agents of bob", status="unknown")
    over = Budget(HOSTILE[0], "2026-11", 5.0, 12.0, 9.0)
    budgets = [
        {"slug": slug, "data": json.dumps([asdict(each) for each in its])}
        for slug, its in (("agent_analytics", (holds, unknown)), ("scout", (over,)))
    ]
    files = files_of(operated=OperationsData(budgets=budgets))
    part = Shown(files["operations.html"].decode()).parts["budgets"]
    assert "1 of 3 budgets passed or will be passed" in part.text
    assert "whether 1 will hold is not settled" in part.text
    told = [(row["What"], row["State"], row["Spent"]) for row in part.records()]
    assert told == [
        (HOSTILE[0], "will be over", "$5.00"),
        (unknown.name, "unknown", "$5.00"),
        (holds.name, "within", "$5.00"),
    ]


def test_what_bigquery_costs_is_on_the_page_of_its_domain() -> None:
    budget = Budget("BigQuery", "2026-11", 5.0, 12.0, 9.0)
    budgets = [
        {"slug": slug, "data": json.dumps([asdict(budget)])}
        for slug in ("ledgermind", "github_scraper", "agent_analytics")
    ]
    rows = {s: known(s, {t.model: [t.row()] for t in TABLES_OF[s]}) for s in DOMAINS}
    files = files_of(rows, OperationsData(budgets=budgets))
    for slug in ("ledgermind", "github_scraper"):
        (row,) = Shown(files[f"{slug}.html"].decode()).parts["budgets"].records()
        assert (row["What"], row["Spent"], row["Budget"], row["State"]) == (
            *("BigQuery", "$5.00", "$9.00", "will be over"),
        )
    # Theirs is told with the month, and no other page has one of another domain.
    for slug in ("agent_analytics", "scout"):
        assert "budgets" not in Shown(files[f"{slug}.html"].decode()).parts


def test_the_words_of_numbers() -> None:
    manila = datetime(2026, 1, 1, 6, tzinfo=timezone(timedelta(hours=8)))
    assert words.text(manila) == "2025-12-31 22:00"
    assert words.percent(0.1234) == "12.3\u00a0%"
    assert words.percent(None) == words.percent(float("nan")) == words.ABSENT
    assert words.money(-1234.5) == "-$1,234.50"
    assert words.number(0) == "0"
    assert words.written(3, "move") == "▲\u00a03"
    assert words.written(-1, "move") == "▼\u00a01"
    assert words.written("new", "move") == "new"
    assert words.count(1, "day") == "1 day"
    assert KINDS["scope"] == "overall"
