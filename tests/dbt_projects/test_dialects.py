"""Every macro that is written once for each adapter says the same on both."""

import contextlib
import io
import json
import random
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flows._shared.environment import set_environment
from flows._shared.orchestration.bigquery import bigquery_access, bigquery_environment
from flows.github_scraper import raw
from flows.github_scraper.settings import GithubBigQuerySettings
from flows.ledgermind.settings import LedgermindBigQuerySettings
from tests.dbt_projects.warehouse import (
    PROJECTS,
    Row,
    dbt_as_in_flows,
    in_order,
    install_packages,
    postgres_environment,
)
from tests.parsed import begin_parsed

SEED = 19
CASES = 400
# What differs on purpose, or has no value: row versions are compared on one adapter only, spines
# and lookups below; the brake's, the export's and joins are tried where they work.
ELSEWHERE = {
    *("row_version", "moment", "date_spine", "cross_join_days", "is_one_of", "commits_of_days"),
    *("note_published_rows", "published_and_new_rows", "keep_last_good", "forget_last_good"),
}
OF_LEDGERMIND = {
    "safe_float": "{{ safe_float('words') }}",
    "json_length": "{{ json_length('document') }}",
    "json_extract_scalar": "{{ json_extract_scalar('document', 0, 'label') }}",
    "confidence": "{{ safe_float(json_extract_scalar('document', 0, 'confidence')) }}",
    "day_floor": "{{ day_floor('instant') }}",
    "mean": "{{ mean('total', 'number') }}",
    "safe_divide": "{{ shared.safe_divide('total', 'number') }}",
    "week_floor": "{{ shared.week_floor('day') }}",
    "month_floor": "{{ shared.month_floor('day') }}",
    "days_between": "{{ shared.days_between('day', 'other_day') }}",
    "add_days": "{{ shared.add_days('day', 'number') }}",
    # Where there are fewer parts, PostgreSQL's is empty and BigQuery's NULL.
    "split_part": "nullif({{ shared.split_part('words', '@', 2) }}, '')",
    "matches": "{{ shared.matches('words', '^[a-z]+@[0-9]+') }}",
    "first_match": "{{ shared.first_match('words', '@([0-9a-z]+)') }}",
    "md5_hex": "{{ shared.md5_hex('words') }}",
    "known_or": "{{ known_or('words', ['auto', 'model'], \"'other'\") }}",
    "bounded_name": "{{ bounded_name('words') }}",
    "transaction_updated_at": "{{ transaction_updated_at({'created_at': 'timestamp'}) }}",
    "label_updated_at": "{{ label_updated_at({}) }}",
}
OF_GITHUB = {
    "folded_email": "{{ folded_email('words') }}",
    "utc_day": "{{ utc_day('instant') }}",
    "a_day_after": "{{ utc_day(a_day_after('instant')) }}",
    "is_before": "instant < {{ moment('2050-06-15 12:00:00') }}",
    "is_date_plausible": "{{ is_date_plausible('instant', 'is_odd', 'instant') }}",
    "day_text": "{{ day_text('day') }}",
    "fits": "{{ fits('words', \"'^[a-z]+@[0-9]+'\") }}",
    "is_merge": "{{ is_merge('hashes') }}",
    "topic_list": "{{ topic_list('topics') }}",
    "is_shallow": "{{ is_shallow('hashes') }}",
    "subject": "{{ subject('message') }}",
    "commit_type": "{{ commit_type(subject('message')) }}",
    "commit_scope": "{{ commit_scope(subject('message')) }}",
    "is_breaking": "{{ is_breaking(subject('message'), 'message') }}",
}
SUBJECTS = (
    *("feat: x", "FEAT(api)!: x", "fix (a): x", "fix( a ): x", "docs():", 'Revert "x"', "feat(x)"),
    *(
        "revert: x",
        "feat!: x",
        "chore(a(b)): x",
        "test(\u00fc): x",
        "",
        " ",
        "\t\r\n",
        "ci: \ufffd",
    ),
    *("\n\n feat: late", "perf:x\r\nbody", "style: x\r", "\ufefffix: x", "feat\u00a0: x"),
    *("build\n: x", "ci: \ufffd"),
)
BODIES = ("", "\n\nBREAKING CHANGE: y", "\n\nBREAKING-CHANGE: y", "\r\n\r\nBREAKING CHANGE: y")
TOPICS: tuple[Sequence[str | None] | None, ...] = (
    *(["b", "a"], [], ["a-b", "a0", "ab"], ["go", "3d", "-x"], ["a"], None),
    *(["null", None, "a"], [None]),
)
WORDS = (
    *("", " ", "lgbm@1", "a@b@c", "@", "auto", "AUTO", "x" * 300, "Ünïcode@7ß", "🦆@2", "a\nb"),
    *("0.5", "-0.25", "+1", "1.", ".5", "1e-50", "1E+5", "0." + "0" * 60 + "1", "1e400", "1e-400"),
    *("9" * 25, "NaN", "Infinity", "-inf", "1e", "0x1p3", "1_000", "1,5", "1e99999", " 1", "-0"),
    *("1e-9999", "4.9e-324", "1.7976931348623157e308", "0.1" + "0" * 500),
    *("\t Jane@Doe.Example \n", "ÉMILE@X", "İ@x", "ẞ@x", "ΣΑΣ@x", "\u00a0A@x", "\u1e9e", "K"),
)
VALUES = (
    *("0.5", "1e-50", "1E-400", "0." + "0" * 45 + "123", "-7", "true", "null", '"0.75"', '"high"'),
    *('{"a": 1}', "[1, 2]", '""', "12345678901234567890123", '"1e-9999"', "1e300", "9e302"),
    *("1e-9999", "-1e-12000", '"1e-99999"', '"1e99999"', "0." + "0" * 6000 + "1", "9" * 6000),
    *("0.5" + "0" * 6000, f'"{"9" * 30_000}"'),
)
DOCUMENTS = (
    *("[]", "{}", "null", "1", '"[]"', '[[{"label": "x"}]]', '[1, {"label": "x"}]', "[null]"),
    *('{"label": "x"}', '[{"label": {"confidence": 1}}]', '[{"Label": "x"}]', ' [{"label": "y"}]'),
)
# As the export copies what BigQuery has no form for.
COPIED = {"infinity": "9999-12-31 23:59:59.999999", "-infinity": "0001-01-01 00:00:00"}
DAYS = (date(2000, 1, 1), date(2023, 12, 31), date(2024, 2, 29), date(2099, 12, 31))


def cases(seed: int, count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(seed)
    alphabet = "01234569eE+-.@abcAUTO ß🦆"
    for number in range(count):
        words = "".join(chance.choices(alphabet, k=chance.randint(0, 12)))
        label, confidence = chance.choice(VALUES), chance.choice(VALUES)
        document = f'[{{"label": {label}, "confidence": {confidence}}}]'
        day = date(2000, 1, 1) + timedelta(days=chance.randrange(36_500))
        yield {
            "id": number,
            "words": WORDS[number] if number < len(WORDS) else chance.choice((words, None)),
            "document": DOCUMENTS[number] if number < len(DOCUMENTS) else document,
            "day": DAYS[number] if number < len(DAYS) else day,
            "other_day": day - timedelta(days=chance.randint(-400, 400)),
            "instant": datetime(day.year, day.month, day.day, tzinfo=UTC)
            + timedelta(microseconds=chance.choice((0, 1, 86_399_999_999, 43_200_000_000))),
            "total": chance.choice((0, 1, -3, 7, 10**12, None)),
            "number": chance.choice((0, 1, -2, 3, 365, None)),
            "is_odd": chance.random() < 0.1,
            "message": chance.choice(SUBJECTS) + chance.choice(BODIES),
            "hashes": ["0" * 40] * chance.choice((0, 1, 2, 8)),
            "topics": chance.choice(TOPICS),
            "created_at": (None, "infinity", "2024-05-01 00:00:00")[number % 3],
            "updated_at": (None, *COPIED, "2024-06-01 12:00:00")[number % 4],
        }


def compiled(
    project: str, statement: str, target: str, state: Path, environment: dict[str, str]
) -> str:
    folder = PROJECTS / project
    arguments = ["compile", "--inline", statement, "--target", target, "--no-introspect"]
    arguments += ["--project-dir", str(folder), "--profiles-dir", str(folder), "--no-write-json"]
    arguments += ["--target-path", str(state), "--log-path", str(state / "logs"), "--quiet"]
    arguments += ["--no-populate-cache"]
    with set_environment(environment), contextlib.redirect_stdout(io.StringIO()):
        begin_parsed(project, state, target)
        outcome = dbt_as_in_flows(arguments)
    if outcome.exception:
        raise outcome.exception
    return str(outcome.result[0].node.compiled_code)


@pytest.mark.parametrize(
    ("project", "target", "instants", "settings", "expressions"),
    [
        ("ledgermind", "pg_local", "timestamp", LedgermindBigQuerySettings, OF_LEDGERMIND),
        ("github_scraper", "dev", "timestamptz", GithubBigQuerySettings, OF_GITHUB),
    ],
)
def test_every_dispatched_macro_says_the_same_of_every_value_on_both_adapters(
    project: str,
    target: str,
    instants: str,
    settings: type[LedgermindBigQuerySettings | GithubBigQuerySettings],
    expressions: dict[str, str],
    database: str,
    bigquery_emulator: str,
    tmp_path: Path,
) -> None:
    install_packages(project, tmp_path)
    given = list(cases(SEED, CASES))
    columns = ", ".join(f"{expression} as {name}" for name, expression in expressions.items())

    with psycopg.connect(database) as connection:
        # Macros of GitHub's project call functions that its loads make.
        raw.ensure_schema(connection)
        connection.execute(
            "create table cases (id bigint, words text, document jsonb, day date, other_day date,"
            f" instant {instants}, total bigint, number bigint, is_odd boolean, message text,"
            f" hashes text[], topics text[], created_at {instants}, updated_at {instants})"
        )
        connection.execute("set timezone to 'UTC'")
        with connection.cursor().copy("copy cases from stdin") as copy:
            for case in given:
                copy.write_row(tuple(case.values()))
        statement = compiled(
            project,
            f"select id, {columns} from cases",
            target,
            tmp_path / "postgres",
            postgres_environment(database),
        )
        on_postgres = connection.execute(statement.encode()).fetchall()
        # Arrays come to BigQuery as the text that PostgreSQL writes.
        as_text = connection.execute("select hashes::text, topics::text from cases order by id")
        texts = as_text.fetchall()

    chosen = settings(dataset="dialects", raw_dataset="dialects_raw")
    with set_environment({"BIGQUERY_EMULATOR_HOST": bigquery_emulator}):
        client = bigquery_access(chosen).client()
        environment = bigquery_environment(chosen)
    client.create_dataset("dialects", exists_ok=True)
    statement = compiled(
        project,
        f"select id, {columns} from dialects.cases",
        "bigquery",
        tmp_path / "bigquery",
        environment,
    )
    client.query(
        "create or replace table dialects.cases (id int64, words string, document string, "
        "day date, other_day date, instant timestamp, total int64, number int64, is_odd bool, "
        "message string, hashes string, topics string, created_at timestamp, updated_at timestamp)"
    ).result()
    rows = [
        {
            name: COPIED.get(value, value) if name.endswith("ed_at") else value
            for name, value in json.loads(
                json.dumps(case | {"hashes": hashes, "topics": topics}, default=str)
            ).items()
        }
        for case, (hashes, topics) in zip(given, texts, strict=True)
    ]
    assert client.insert_rows_json("dialects.cases", rows) == []
    on_bigquery = [tuple(row.values()) for row in client.query(statement).result()]

    assert differences(expressions, on_postgres, on_bigquery) == {}
    assert len(on_bigquery) == CASES


def differences(
    expressions: dict[str, str], on_postgres: list[Row], on_bigquery: list[Row]
) -> dict[str, list[Any]]:
    """Where the two differ, by macro: the case's number and what each says."""
    found: dict[str, list[Any]] = {}
    left = {row[0]: row[1:] for row in in_order(on_postgres)}
    right = {row[0]: row[1:] for row in in_order(on_bigquery)}
    for number in sorted(left.keys() | right.keys()):
        for name, here, there in zip(expressions, left[number], right[number], strict=True):
            if not is_same(name, here, there):
                found.setdefault(name, []).append((number, here, there))
    return found


def is_same(name: str, here: Any, there: Any) -> bool:
    """A number in a document keeps its value, but each database spells it in its own way."""
    if name == "json_extract_scalar" and here is not None and there is not None:
        with contextlib.suppress(ValueError):
            return float(here) == float(there)
    return bool(here == there)


def test_an_interval_of_all_or_of_none_does_not_lead_beyond_its_limits(
    database: str, tmp_path: Path
) -> None:
    """Rounding once led one to 1.0000000000000002, which a test of the mart takes for a fault."""
    bounds = ", ".join(
        f"{{{{ wilson_bound('{accepts}', 'n', '{side}') }}}} as bound_{number}"
        for number, (accepts, side) in enumerate((("n", "+"), ("n", "-"), ("0", "+"), ("0", "-")))
    )
    statement = compiled(
        "ledgermind",
        f"select n, {bounds} from generate_series(0, 20000) as n",
        "pg_local",
        tmp_path / "postgres",
        postgres_environment(database),
    )
    with psycopg.connect(database) as connection:
        rows = connection.execute(statement.encode()).fetchall()
    assert rows[0] == (0, None, None, None, None)
    assert all(1 - 1e-12 < row[1] <= 1 and 0 <= row[4] < 1e-12 for row in rows[1:])
    assert all(0 < row[2] < 1 and 0 < row[3] < 1 for row in rows[1:])


def test_every_dispatched_macro_is_among_them() -> None:
    dispatched = {
        name
        for project in ("ledgermind", "github_scraper", "_shared")
        for path in (PROJECTS / project / "macros").rglob("*.sql")
        for name in re.findall(r"adapter\.dispatch\('(\w+)'", path.read_text())
    }
    assert dispatched - ELSEWHERE <= OF_LEDGERMIND.keys() | OF_GITHUB.keys()
