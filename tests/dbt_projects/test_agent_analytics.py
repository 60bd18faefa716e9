"""The agent marts, against fleets whose numbers are counted by hand or in Python."""

import random
import re
from calendar import monthrange
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import duckdb
import pytest

from flows.agent_analytics import raw, sample
from flows.agent_analytics.flow.tasks import LOOK
from flows.agent_analytics.sample import CUMULATIVE, DELTA, UNPRICED_MODEL, Session
from flows.github_scraper.rules.trailers import SCISSORS, trailers
from flows.report.making import read_agents
from tests.agent_analytics import clients
from tests.agent_analytics.fleet import (
    GOOD,
    HAIKU,
    OPUS,
    SONNET,
    Marts,
    commit,
    developer,
    request,
    session,
    tokens,
)
from tests.contracts import HELD_BY_DUCKDB, PAGES, assert_columns_are_as_promised, columns, queries
from tests.deployments.grafana.panels import assert_panels_answer
from tests.report.on_builds import agents_page_is_right
from tests.upgrading import refreshing_of_the_page

DAY = datetime(2026, 3, 2, tzinfo=UTC)
FORECASTS = 200
MILLION_IN = (1_000_000, 0, 0, 0)
DAY_BEFORE, DAY_AFTER = DAY.date(), DAY.date() + timedelta(days=1)
TRAILER = "fix: x\n\nCo-Authored-By: Claude <noreply@anthropic.com>"


SONNET_5_5 = "claude-sonnet-5-5"
OCTOBER_6 = datetime(2026, 10, 6, tzinfo=UTC)
DAY_OF_OPUS_5_5 = datetime(2026, 11, 1, tzinfo=UTC)
# Over the end of a week and of a month, with a model without a price, sessions resumed after an
# hour and on the next day, or over midnight, and exports sent twice.
DAYS, PEOPLE, SEED, THURSDAY = 6, 6, 9, datetime(2026, 1, 29, 8, tzinfo=UTC)
SAMPLED = tuple(sample.sessions(DAYS, PEOPLE, SEED, start=THURSDAY))


@pytest.fixture(scope="module")
def built_here(tmp_path_factory: pytest.TempPathFactory) -> Marts:
    state = tmp_path_factory.mktemp("agent_analytics")
    return Marts(raw.Store(state / "marts.duckdb"), state)


@pytest.fixture
def marts(built_here: Marts) -> Marts:
    """No raw rows, no marts. One file serves all tests, because dbt parses anew for another."""
    built_here.empty()
    return built_here


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Marts:
    """A fleet with every mess, built once; read only."""
    state = tmp_path_factory.mktemp("sampled")
    marts = Marts(raw.Store(state / "marts.duckdb"), state)
    marts.load(
        sample.telemetry(DAYS, PEOPLE, SEED, start=THURSDAY),
        list(sample.commits(DAYS, PEOPLE, SEED, start=THURSDAY)),
        list(sample.copilot_rows(DAYS, PEOPLE, SEED, start=THURSDAY)),
    )
    marts.build()
    return marts


def test_the_sampled_fleet_has_every_mess() -> None:
    assert {UNPRICED_MODEL, *sample.MODELS} == {m for each in SAMPLED for m in each.models}
    pauses = [
        resumed - began - timedelta(minutes=minutes)
        for (began, minutes), *again in (each.processes for each in SAMPLED)
        for resumed, _ in again
    ]
    assert set(pauses) == {timedelta(hours=1), timedelta(hours=26)}
    assert any(
        began.date() < (began + timedelta(minutes=minutes)).date()
        for each in SAMPLED
        for began, minutes in each.processes
    )
    assert any(each.is_seen_by_collector_twice for each in SAMPLED)
    days = {each.started_at.date() for each in SAMPLED}
    assert {day.month for day in days} == {1, 2}
    assert len({day.isocalendar().week for day in days}) == 2
    staff = sample.developers(PEOPLE)
    assert {each.temporality for each in staff} == {DELTA, CUMULATIVE}
    assert {each.sends_events for each in staff} == {True, False}


def by_hand(number: int) -> dict[str, object]:
    address = f"dev{number}@work.example"
    return {"developer_id": address, "author_email": address}


LINES: list[str] = []
COMMITS: list[dict[str, object]] = []
COPILOT: list[dict[str, object]] = []


def put(
    lines: Iterable[str] = (),
    commits: Iterable[dict[str, object]] = (),
    copilot: Iterable[dict[str, object]] = (),
) -> None:
    """Into the build that cases share."""
    LINES.extend(lines)
    COMMITS.extend(commits)
    COPILOT.extend(copilot)


def apart(case: Callable[[], None]) -> Callable[[], None]:
    """A case whose sessions and developers no other case has, so that one build serves them all."""
    case()
    return case


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Marts:
    """Every case that is ``apart``, built once; read only."""
    state = tmp_path_factory.mktemp("together")
    marts = Marts(raw.Store(state / "marts.duckdb"), state)
    marts.load(LINES, COMMITS, COPILOT)
    marts.run_to("fct_daily_agent_usage", "fct_git_commits", "dim_developers", "fct_copilot_usage")
    return marts


def test_empty_input_builds_green(marts: Marts) -> None:
    statuses = marts.dbt("build")
    assert {name: status for name, status in statuses.items() if status not in GOOD} == {}
    assert marts.query("select * from mart.fct_agent_costs") == []


def test_the_page_shows_what_the_marts_hold(sampled: Marts) -> None:
    agents_page_is_right(read_agents(sampled.store.path), sampled.query)
    assert all(sampled.query(query) for query in LOOK)
    assert_panels_answer("analytics-agents", sampled.query)


@pytest.mark.parametrize(
    ("model", "made_of", "name"),
    [
        ("rpt_agents_developers", "fct_cost_forecast", "developer_id"),
        ("rpt_agents_models", "fct_daily_agent_usage", "model_name"),
    ],
)
def test_the_report_is_of_everyone_and_of_every_model(
    sampled: Marts, model: str, made_of: str, name: str
) -> None:
    """The model's own SQL, on a hundred times those of the sample."""
    compiled = sampled.state / f"target/compiled/agent_analytics/models/report/{model}.sql"
    statement = re.sub(r'"\w+"\."mart"\.', "", compiled.read_text())
    others = {"fct_git_commits", "dim_developers", "fct_daily_agent_usage"} - {made_of}
    with duckdb.connect() as connection:
        connection.execute(f"attach '{sampled.store.path}' as sampled (read_only)")
        for other in others:
            connection.execute(f"create view {other} as from sampled.mart.{other}")
        connection.execute(
            f"create table {made_of} as select made.* replace ({name} || nth as {name}) "
            f"from sampled.mart.{made_of} as made cross join range(100) as copies (nth)"
        )
        ((told,),) = connection.execute(f"select count(*) from ({statement})").fetchall()
    ((of_sample,),) = sampled.query(f"select count(*) from report.{model}")
    assert told == 100 * of_sample


# The defects of the public version. Each fleet is first put to the naive SQL, which gets it wrong.


@apart
def a_session_with_three_commits_costs_once() -> None:
    work = session("thrice", DAY + timedelta(hours=9), by=developer(41))
    made = [
        commit(n, work.ended_at + timedelta(minutes=1), agent_session_id="thrice", **by_hand(41))
        for n in (1, 2, 3)
    ]
    put([request(work, 0, MILLION_IN), request(work, 30, MILLION_IN, number=1)], made)


def test_a_session_with_three_commits_costs_once(together: Marts) -> None:
    naive = together.query(
        """
        select sum(s.duration_seconds), sum(s.session_cost_usd)
        from intermediate.int_sessions_with_costs as s
        left join intermediate.int_commits_with_agent_context as c
            on s.session_id = c.agent_session_id
            and cast(s.session_start as date) = cast(c.commit_timestamp as date)
        where s.session_id = 'thrice'
        """
    )
    assert naive == [(3 * 1800, 18.0)]
    assert together.query(
        "select total_sessions, total_duration_seconds, total_cost_usd, agent_assisted_commits "
        "from mart.fct_daily_agent_usage where developer_id = 'dev41@work.example'"
    ) == [(1, 1800, 6.0, 3)]


@apart
def each_model_of_a_session_is_paid_at_its_own_price() -> None:
    work = session("models", DAY, by=developer(42))
    put([request(work, 0, MILLION_IN, SONNET), request(work, 1, MILLION_IN, OPUS, number=1)])


def test_each_model_of_a_session_is_paid_at_its_own_price(together: Marts) -> None:
    naive = together.query(
        """
        select count(*), sum((u.total_input_tokens) / 1e6 * 3)
        from staging.stg_agent_sessions as s
        left join staging.stg_agent_token_usage as u on s.session_id = u.session_id
        where s.session_id = 'models'
        """
    )
    assert naive == [(2, 6.0)]
    assert together.query(
        "select models_used, session_cost_usd from intermediate.int_sessions_with_costs "
        "where session_id = 'models'"
    ) == [(2, 8.0)]
    assert together.query(
        "select model_name, total_cost_usd, total_sessions "
        "from mart.fct_daily_agent_usage where developer_id = 'dev42@work.example' order by 1"
    ) == [(SONNET, 3.0, 1), (OPUS, 5.0, 0)]


@apart
def a_developer_of_many_names_and_addresses_is_one_row() -> None:
    known: dict[str, object] = {"developer_id": "dev47@work.example"}
    unknown: dict[str, object] = {"developer_id": None}
    noreply = "77+dev-forty@users.noreply.github.com"
    made = [
        commit(51, DAY, author_name="Dev Forty", author_email="dev47@work.example", **known),
        commit(52, DAY, author_name="D. Forty", author_email="Forty@Home.example", **known),
        commit(53, DAY, author_name="forty", author_email=noreply, **known),
        commit(54, DAY, author_name="dev47", author_email="FORTY@home.example", **unknown),
        commit(55, DAY, author_name="Dev Forty", author_email="other@x.example", **unknown),
    ]
    copilot = next(sample.copilot_rows(1, 2, start=DAY)) | {"user_login": "Dev-Forty"}
    put([request(session("many names", DAY, by=developer(47)), 0, MILLION_IN)], made, [copilot])


def test_a_developer_of_many_names_and_addresses_is_one_row(together: Marts) -> None:
    naive = together.one(
        "select count(*) from (select distinct developer_id, author_name, author_email "
        "from raw.git_commits where developer_id = 'dev47@work.example')"
    )
    assert naive == 3
    rows = together.query(
        "select developer_id, name, email, developer_type, names_known "
        "from mart.dim_developers where regexp_matches("
        "lower(concat_ws(' ', developer_id, name, email)), 'forty|dev47|other@x') order by 1"
    )
    assert [row[0] for row in rows] == ["dev47@work.example", "other@x.example"]
    assert rows[0][2:4] == ("dev47@work.example", "Internal")
    assert rows[1][3] == "External", "an equal display name makes nobody the same person"


OF_NOBODY = (
    "noreply@github.com", "noreply@anthropic.com", "cursoragent@cursor.com", "noreply@openai.com",
    "198982749+Copilot@users.noreply.github.com", "noreply@opencode.ai",
    "41898282+github-actions[bot]@users.noreply.github.com", "github-actions@github.com",
    "49699333+dependabot[bot]@users.noreply.github.com", "actions@github.com", "dependabot[bot]",
    "root@localhost", "you@example.com", "ada@pc.local", "ada@pc.localdomain", "ada@pc.(none)",
)  # fmt: skip


@apart
def an_address_of_nobody_makes_no_two_people_one() -> None:
    put(
        commits=[
            commit(
                7000 + 2 * number + second, DAY, author_email=address,
                developer_id=f"{name}.nobody{number}@work.example",
            )
            for number, address in enumerate(OF_NOBODY)
            for second, name in enumerate(("ada", "bob"))
        ]
    )  # fmt: skip


def test_an_address_of_nobody_makes_no_two_people_one(together: Marts) -> None:
    found = together.query(
        "select developer_id from mart.dim_developers where contains(developer_id, '.nobody')"
    )
    wanted = {
        f"{name}.nobody{number}@work.example"
        for number in range(len(OF_NOBODY))
        for name in ("ada", "bob")
    }
    assert {developer_id for (developer_id,) in found} == wanted


def test_windows_of_days_count_idle_days(marts: Marts) -> None:
    marts.load(
        [
            request(session("a", DAY), 0, MILLION_IN),
            request(session("b", DAY + timedelta(days=10)), 0, MILLION_IN),
        ]
    )
    marts.run_to("int_agent_daily_aggregates", "fct_agent_costs")
    last = "select avg_7day_cost_usd, wtd_cost_usd, mtd_cost_usd, cumulative_cost_usd"
    naive = marts.one(
        "select avg(total_cost_usd) over (order by usage_date rows between 6 preceding and current "
        "row) from intermediate.int_agent_daily_aggregates order by usage_date desc limit 1"
    )
    assert naive == 3.0
    assert marts.query(f"{last} from mart.fct_agent_costs order by date desc limit 1") == [
        (pytest.approx(3 / 7), 3.0, 6.0, 6.0)
    ]
    assert marts.one("select count(*) from mart.fct_agent_costs") == 11


@apart
def a_session_and_a_commit_on_two_sides_of_midnight_both_count() -> None:
    work = session("midnight", DAY + timedelta(hours=23, minutes=40), 40, by=developer(43))
    made = commit(
        11, DAY + timedelta(days=1, minutes=22), agent_session_id="midnight", **by_hand(43)
    )
    put([request(work, 0, MILLION_IN), request(work, 40, MILLION_IN, number=1)], [made])


def test_a_session_and_a_commit_on_two_sides_of_midnight_both_count(together: Marts) -> None:
    assert together.query(
        "select cast(date as varchar), total_sessions, total_cost_usd, agent_assisted_commits "
        "from mart.fct_daily_agent_usage where developer_id = 'dev43@work.example' order by 1"
    ) == [("2026-03-02", 1, 3.0, 0), ("2026-03-03", 0, 3.0, 1)]


# What a cost rests on.


@apart
def a_dated_name_is_priced_by_the_longest_prefix_of_its_day() -> None:
    work = session("dated", DAY, by=developer(31))
    old = session("a dated old", datetime(2024, 11, 20, tzinfo=UTC), by=developer(31))
    names = ("claude-opus-4-5-20251101", "claude-opus-4-20250514", "eu.anthropic.claude-haiku-4-5")
    lines = [request(work, n, MILLION_IN, name, n) for n, name in enumerate(names)]
    lines.append(request(work, 9, MILLION_IN, "claude-3-5-haiku-20241022", 9))
    lines.append(request(old, 0, MILLION_IN, "claude-3-5-haiku-20241022"))
    lines.append(request(work, 11, (0, 0, 0, 1_000_000), SONNET, 11))
    put(lines)


def test_a_dated_name_is_priced_by_the_longest_prefix_of_its_day(together: Marts) -> None:
    assert together.query(
        "select session_id, model_name, cast(list_cost_usd as double) "
        "from intermediate.int_token_costs "
        "where session_id in ('dated', 'a dated old') order by 1, 2"
    ) == [
        ("a dated old", "claude-3-5-haiku-20241022", 1.0),
        ("dated", "claude-3-5-haiku-20241022", 0.8),
        ("dated", SONNET, 3.75),
        ("dated", "claude-opus-4-20250514", 15.0),
        ("dated", "claude-opus-4-5-20251101", 5.0),
        ("dated", "eu.anthropic.claude-haiku-4-5", 1.1),
    ]


PRICES = {
    "claude-opus-4-5": 36.75,
    "claude-opus-4.6": 61.0,
    "anthropic/claude-opus-4.5": 36.75,
    "claude-opus-4": 110.25,
    "claude-opus-4-0": 110.25,
    "claude-opus-4@20250514": 110.25,
    "us.anthropic.claude-opus-4-20250514-v1:0": 110.25,
    "claude-opus-4-5[1m]": 36.75,
    "us.anthropic.claude-opus-4-5-20251101-v1:0[1m]": 40.425,
    "claude-sonnet-4-5-20250929[1m]": 36.6,
    "us.anthropic.claude-sonnet-4-20250514-v1:0[1m]": 36.6,
    "claude-sonnet-4-5-2025-09-29[1m]": 36.6,
    "claude-sonnet-4-5@20250929[1m]": 36.6,
    "claude-sonnet-4-5-latest[1m]": 36.6,
    "anthropic/claude-sonnet-4.5:1m": 36.6,
    "claude-sonnet-4-5-20250929:1m": 36.6,
    "claude-opus-4-6[1m]": 61.0,
    "gpt-4o-2024-05-13": 30.0,
    "gpt-4o@2024-05-13": 30.0,
    "azure/gpt-4o-20240513": 30.0,
    "gpt-4o-20240806": 16.25,
    "gpt-4o-2024-08-06": 16.25,
    "openrouter/anthropic/claude-sonnet-4.5:beta": 36.6,
    "vertex_ai/claude-sonnet-4-5@20250929": 36.6,
    "claude-3-5-sonnet-latest": 22.05,
    "vertex_ai/claude-3-5-sonnet-v2@20241022": 22.05,
    "databricks/databricks-claude-sonnet-4-5": 36.6,
    "replicate/anthropic/claude-4.5-sonnet": 36.6,
    "azure/gpt-4.1-2025-04-14": 12.5,
    "anthropic/claude-opus-4.6:fast": 366.0,
    "fast/claude-opus-4-6": 366.0,
    "us.anthropic.claude-opus-4-6-v1:0:fast": 402.6,
    "claude-opus-4-6:fast[1m]": 366.0,
    "anthropic/claude-opus-4.6:fast:1m": 366.0,
    "claude-opus-4-7:fast[1m]": 220.5,
    "claude-opus-4-6[fast]": 366.0,
    "claude-opus-4-6[turbo]": None,
    "anthropic:claude-opus-4-5": 36.75,
    "anthropic--claude-opus-4.5": 36.75,
    "anthropic--claude-4.5-opus": 36.75,
    "openai:gpt-4.1-2025-04-14": 12.5,
    "claude-opus-4-5 [1m]": 36.75,
    "claude-sonnet-4-5-20250929 [1M]": 36.6,
    "claude-sonnet-4-6:fast": None,
    "llama:latest": None,
    "anthropic/claude-opus-4.6:free": None,
    "gpt-4.1-2025-4": None,
    "claude-opus-4-9": None,
    "claude-opus-4.5.1": None,
    "claude-opus-45": None,
    "claude-opus-4-preview": None,
    "not-claude-opus-4": None,
    "us.anthropic.claude-opus-4-5-20251101-v1:0": 40.425,
    "bedrock/apac.anthropic.claude-opus-4-5-20251101-v1:0": 40.425,
    "jp.anthropic.claude-opus-4-5-20251101-v1:0": 40.425,
    "global.anthropic.claude-opus-4-5-20251101-v1:0": 36.75,
    "anthropic.claude-opus-4-5-20251101-v1:0": 36.75,
    "eu.anthropic.claude-sonnet-4-5-20250929-v1:0": 40.26,
    "eu.anthropic.claude-opus-4-1-20250805-v1:0": 110.25,
    "openrouter/google/gemini-2.5-pro": 20.25,
    "gemini/gemini-2.5-pro": 20.25,
    "litellm_proxy/claude-opus-4-5": 36.75,
    "bedrock/converse/eu.anthropic.claude-opus-4-5-20251101-v1:0": 40.425,
    "publishers/anthropic/models/claude-opus-4-5@20251101": 36.75,
    "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-4-5": 40.425,
    "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0": 43.92,
    "bedrock/us-gov-east-1/anthropic.claude-haiku-4-5-20251001-v1:0": 8.82,
    "us-gov.anthropic.claude-opus-4-1-20250805-v1:0": None,
    "azure/eu/gpt-4o-2024-08-06": 17.875,
    "azure/us/gpt-4.1-2025-04-14": 13.75,
    "azure/us-gov/gpt-4.1-2025-04-14": None,
    "azure/global-standard/gpt-4o-2024-08-06": 16.25,
}


@apart
def a_price_holds_for_its_model_and_no_other_version() -> None:
    work = session("versions", DAY, by=developer(32))
    a_million_of_each = (1_000_000, 1_000_000, 1_000_000, 1_000_000)
    put([request(work, n, a_million_of_each, name, n) for n, name in enumerate(PRICES)])


def test_a_price_holds_for_its_model_and_no_other_version(together: Marts) -> None:
    assert (
        dict(
            together.query(
                "select model_name, cast(list_cost_usd as double) "
                "from intermediate.int_token_costs where session_id = 'versions'"
            )
        )
        == PRICES
    )
    assert together.one(
        "select count(*) from intermediate.int_token_costs "
        "where unpriced_tokens > 0 and session_id = 'versions'"
    ) == len([price for price in PRICES.values() if price is None])


SONNET_4_6, SINCE_SHORT = "claude-sonnet-4-6", datetime(2026, 3, 13, tzinfo=UTC)
# Of a day and model, tokens of the prompt, and what these and a thousand of output cost.
LONG_PROMPTS: dict[tuple[datetime, str, int], float] = {
    (DAY, "claude-sonnet-4-5-20250929", 200_001): 1.222506,
    (DAY, "claude-sonnet-4-5-20250929", 200_000): 0.615,
    (DAY, "claude-sonnet-4-20250514", 200_001): 1.222506,
    (DAY, "claude-sonnet-4-0", 200_001): 1.222506,
    (DAY, SONNET_4_6, 200_001): 1.222506,
    (DAY, "claude-opus-4-6", 200_001): 2.03751,
    (SINCE_SHORT, SONNET_4_6, 200_001): 0.615003,
    (SINCE_SHORT, "claude-opus-4-6", 200_001): 1.025005,
    (DAY, "claude-opus-4-5", 200_001): 1.025005,
}


@apart
def a_long_prompt_costs_more_whether_the_name_says_so_or_not() -> None:
    for number, (day, model, amount) in enumerate(LONG_PROMPTS):
        work = session(f"long {number}", day, by=developer(75))
        put([request(work, 0, (amount, 1_000, 0, 0), model)])


def test_a_long_prompt_costs_more_whether_the_name_says_so_or_not(together: Marts) -> None:
    seen = together.query(
        "select cast(list_cost_usd as double) from intermediate.int_token_costs "
        "where starts_with(session_id, 'long ') order by cast(session_id[6:] as integer)"
    )
    assert [cost for (cost,) in seen] == list(LONG_PROMPTS.values())


# The first moment of another price, and what ten thousand of each cost before it and since.
CUTS: dict[str, tuple[datetime, tuple[float, float]]] = {
    "gpt-5.6-luna": (datetime(2026, 7, 30, tzinfo=UTC), (0.0835, 0.0167)),
    "gpt-5.6-terra": (datetime(2026, 7, 30, tzinfo=UTC), (0.20875, 0.167)),
    "gpt-5.6-sol": (datetime(2026, 8, 21, tzinfo=UTC), (0.4175, 0.294)),
    "gemini-3.6-flash": (datetime(2026, 8, 13, tzinfo=UTC), (0.1065, 0.05325)),
}


@apart
def a_price_changes_on_its_day() -> None:
    reads = (0, 0, 1_000_000, 0)
    put(
        [
            request(session("before", OCTOBER_6, by=developer(33)), 0, reads, SONNET_5_5),
            request(
                session("after", OCTOBER_6 + timedelta(days=1), by=developer(33)),
                0,
                reads,
                SONNET_5_5,
            ),
            request(
                session("opus", DAY_OF_OPUS_5_5, by=developer(33)),
                0,
                (10**6,) * 4,
                "claude-opus-5-5",
            ),
        ]
    )
    for model, (day, _) in CUTS.items():
        work = session(f"cut {model}", day - timedelta(minutes=1), by=developer(33))
        put([request(work, n, (10_000,) * 4, model, int(n)) for n in (59 / 60, 1)])


def test_a_price_changes_on_its_day(together: Marts) -> None:
    assert dict(
        together.query(
            "select session_id, cast(list_cost_usd as double) from intermediate.int_token_costs "
            "where session_id in ('before', 'after', 'opus')"
        )
    ) == {"before": 0.2, "after": 0.1, "opus": 29.2}
    assert together.query(
        "select session_id, list(cast(list_cost_usd as double) order by usage_date) "
        "from intermediate.int_token_costs where starts_with(session_id, 'cut ') "
        "group by 1 order by 1"
    ) == [(f"cut {model}", list(costs)) for model, (_, costs) in sorted(CUTS.items())]


@apart
def requests_with_an_empty_id_are_several() -> None:
    work = session("blank", DAY, by=developer(34))
    lines = []
    for number, empty in enumerate((" ", " ", "undefined", "undefined", "0", "0", "N/A", "N/A")):
        moment, name, attributes = sample.request_event(
            work, SONNET, (5, 0, 0, 0), 1.0, DAY + timedelta(seconds=number), number
        )
        lines.append(sample.logs_line(work, [(moment, name, {**attributes, "request_id": empty})]))
    put(lines)


def test_requests_with_an_empty_id_are_several(together: Marts) -> None:
    assert (
        together.one(
            "select sum(total_input_tokens) from staging.stg_agent_token_usage "
            "where session_id = 'blank'"
        )
        == 40
    )


FAST = {"speed": "fast"}
AT_ONCE, A_LONG_WINDOW = "claude-opus-4-6:fast", "claude-sonnet-4-5-20250929[1m]"
DATED, OPUS_4_6, NEVER_FAST = "claude-sonnet-4-5-20250929", "claude-opus-4-6", "claude-haiku-4-5"
OPUS_4_7, GEMINI = "claude-opus-4-7", "gemini-2.5-pro"
BATCH = {"service_tier": "batch"}
K, M = 1_000, 1_000_000
# Of a day since which long prompts of Opus 4.6 and Sonnet 4.6 cost no more.
BEFORE_MIDNIGHT = datetime(2026, 3, 16, 23, 50, tzinfo=UTC)
Told = tuple[str, int, dict[str, str]]
# What events tell and what counters do, each by name of the model, and tokens and cost of both.
OWN_PRICES: dict[str, tuple[list[Told], list[Told], int, float | None]] = {
    "both name the window": (
        [(A_LONG_WINDOW, 300 * K, {}), (DATED, K, {})],
        [(A_LONG_WINDOW, 300 * K, {}), (DATED, K, {})],
        301 * K, 1.803,
    ),
    "counters name no window": (
        [(A_LONG_WINDOW, 300 * K, {}), (DATED, K, {})],
        [(DATED, 301 * K, {})],
        301 * K, 1.803,
    ),
    "counters name neither window nor build": (
        [(A_LONG_WINDOW, 300 * K, {}), (DATED, K, {})],
        [("claude-sonnet-4-5", 302 * K, {})],
        302 * K, 1.806,
    ),
    "counters name no model": (
        [(A_LONG_WINDOW, 300 * K, {}), (DATED, K, {})],
        [("", 301 * K, {})],
        301 * K, 1.803,
    ),
    "events name the fast ones": (
        [(AT_ONCE, M, {}), (OPUS_4_6, M, {})], [(OPUS_4_6, 2 * M, {})], 2 * M, 35,
    ),
    "counters name the fast ones": (
        [(OPUS_4_6, M, {})], [(OPUS_4_6, M, {}), (AT_ONCE, M, {})], 2 * M, 35,
    ),
    "versions": (
        [("gpt-4o-2024-05-13", M, {}), ("gpt-4o-2024-08-06", M, {})],
        [("gpt-4o", 2 * M, {})],
        2 * M, 7.5,
    ),
    "fast by counters alone": ([], [(OPUS_4_6, M, FAST)], M, 30),
    "never fast by counters alone": ([], [(NEVER_FAST, M, FAST)], M, None),
    "fast by events alone": ([(OPUS_4_6, M, FAST)], [(OPUS_4_6, M, {})], M, 30),
    "fast by both": (
        [(OPUS_4_6, M, FAST), (OPUS_4_6, M, {})],
        [(OPUS_4_6, 2 * M, FAST), (OPUS_4_6, M, {})],
        3 * M, 65,
    ),
    "fast by name and by attribute": ([(AT_ONCE, M, {})], [(OPUS_4_6, M, FAST)], M, 30),
    "fast ones lost": ([(OPUS_4_6, M, {})], [(OPUS_4_6, M, {}), (OPUS_4_6, M, FAST)], 2 * M, 35),
    "fast by counters of events that tell no tier": (
        [(OPUS_4_6, M, {}), (OPUS_4_6, M, {})], [(OPUS_4_6, 2 * M, FAST)], 2 * M, 60,
    ),
    "fast by the name in counters of events that tell no tier": (
        [(OPUS_4_6, M, {})], [(AT_ONCE, M, {})], M, 30,
    ),
    "a tier without a price by counters of events that tell none": (
        [(OPUS_4_6, M, {})], [(OPUS_4_6, M, {"service_tier": "priority"})], M, None,
    ),
    "one of two fast by counters of events that tell no tier": (
        [("claude-opus-4-6-20260205", M, {}), ("claude-opus-4-6-20260205", M, {})],
        [(OPUS_4_6, M, FAST), (OPUS_4_6, M, {})], 2 * M, 35,
    ),
    "one of two fast by the name in counters of events that tell no tier": (
        [(OPUS_4_6, M, {}), (OPUS_4_6, M, {})], [(AT_ONCE, M, {}), (OPUS_4_6, M, {})], 2 * M, 35,
    ),
    "the fast one of two told on the day after": (
        [(OPUS_4_6, M, {}), (OPUS_4_6, M, {})], [(OPUS_4_6, M, {}), (OPUS_4_6, M, FAST)], 2 * M, 35,
    ),
    "two of three told on the day after": (
        [(OPUS_4_6, M, {}), (OPUS_4_6, M, {})],
        [(NEVER_FAST, 0, {}), (OPUS_4_6, M, {}), (OPUS_4_6, M, FAST)], 2 * M, 35,
    ),
    "not fast by events": (
        [(OPUS_4_6, M, {"speed": "normal"})], [(OPUS_4_6, M, FAST)], M, 5,
    ),
    "more than the fast ones": (
        [(OPUS_4_6, M, FAST), (OPUS_4_6, M, {})], [(OPUS_4_6, 3 * M, {})], 3 * M, 40,
    ),
    "plain ones lost": (
        [(OPUS_4_6, M, FAST)], [(OPUS_4_6, M, FAST), (OPUS_4_6, M, {})], 2 * M, 35,
    ),
    "plain ones lost beside a batch": (
        [(OPUS_4_6, M, BATCH), (OPUS_4_6, M, FAST)],
        [(OPUS_4_6, M, BATCH), (OPUS_4_6, M, FAST), (OPUS_4_6, M, {})], 3 * M, 37.5,
    ),
    "a batch and a fast one lost": (
        [(OPUS_4_6, M, FAST), (OPUS_4_6, M, {})],
        [(OPUS_4_6, 2 * M, FAST), (OPUS_4_6, M, {}), (OPUS_4_6, M, BATCH)], 4 * M, 67.5,
    ),
    "events name no window": (
        [(DATED, 300 * K, {}), (DATED, K, {})], [(A_LONG_WINDOW, 301 * K, {})], 301 * K, 1.803,
    ),
    "events name no window, counters two": (
        [(DATED, 300 * K, {}), (DATED, K, {})],
        [(A_LONG_WINDOW, 300 * K, {}), (DATED, K, {})],
        301 * K, 1.803,
    ),
    "events name no model, counters two windows": (
        [("", 300 * K, {}), ("", K, {})],
        [(A_LONG_WINDOW, 300 * K, {}), (DATED, K, {})],
        301 * K, 1.803,
    ),
    "events name an alias, counters tell fast": (
        [("opus", M, {})], [(OPUS_4_6, M, FAST)], M, 30,
    ),
    "events name no model, counters tell fast": ([("", M, {})], [(OPUS_4_6, M, FAST)], M, 30),
    "events name no model, counters tell a batch": (
        [("", M, {})], [(OPUS_4_6, M, {"service_tier": "batch"})], M, 2.5,
    ),
    "events name no model, counters name the fast one": (
        [("", M, {})], [(AT_ONCE, M, {})], M, 30,
    ),
    "events name no model, counters tell one of two fast": (
        [("", M, {}), ("", M, {})], [(OPUS_4_6, M, {}), (OPUS_4_6, M, FAST)], 2 * M, 35,
    ),
    "events name no model, counters name one of two fast": (
        [("", M, {}), ("", M, {})], [("fast/claude-opus-4.6", M, {}), (OPUS_4_6, M, {})], 2 * M, 35,
    ),
    "counters name no model and tell fast": ([(OPUS_4_6, M, {})], [("", M, FAST)], M, 30),
    "counters name neither of two models and tell fast": (
        [(OPUS_4_6, M, {}), (OPUS_4_7, M, {})], [("", 2 * M, FAST)], 2 * M, 60,
    ),
    "counters name neither of two models, one of them fast": (
        [(OPUS_4_6, M, {}), (OPUS_4_7, M, {})], [("", M, FAST), ("", M, {})], 2 * M, None,
    ),
    "counters name the fast one of three": (
        [(OPUS_4_6, 2 * M, {}), (OPUS_4_7, M, {})], [(OPUS_4_6, M, FAST), ("", 2 * M, {})],
        3 * M, 40,
    ),
    "a long prompt of a batch": (
        [(GEMINI, 300 * K, BATCH)], [(GEMINI, 300 * K, BATCH)],
        300 * K, 0.375,
    ),
    "the long one of two in a batch": (
        [(GEMINI, 300 * K, {}), (GEMINI, 100 * K, {})],
        [(GEMINI, 100 * K, {}), (GEMINI, 300 * K, BATCH)],
        400 * K, 0.5,
    ),
    "the short one of two in a batch": (
        [(GEMINI, 300 * K, {}), (GEMINI, 100 * K, {})],
        [(GEMINI, 300 * K, {}), (GEMINI, 100 * K, BATCH)],
        400 * K, 0.8125,
    ),
    "one of two long ones in a batch": (
        [(GEMINI, 300 * K, {}), (GEMINI, 300 * K, {}), (GEMINI, 100 * K, {})],
        [(GEMINI, 400 * K, {}), (GEMINI, 300 * K, BATCH)], 700 * K, 1.25,
    ),
    "a long one in a batch beside as much that is short": (
        [(GEMINI, 300 * K, {}), (GEMINI, 150 * K, {}), (GEMINI, 150 * K, {})],
        [(GEMINI, 150 * K, {}), (GEMINI, 150 * K, {}), (GEMINI, 300 * K, BATCH)], 600 * K, 0.75,
    ),
    "short ones in a batch beside as much that is long": (
        [(GEMINI, 300 * K, {}), (GEMINI, 150 * K, {}), (GEMINI, 150 * K, {})],
        [(GEMINI, 300 * K, {}), (GEMINI, 150 * K, BATCH), (GEMINI, 150 * K, BATCH)],
        600 * K, 0.9375,
    ),
}  # fmt: skip


def with_attributes(line: str, more: dict[str, str]) -> str:
    """A line with these beside the attributes of its event or points."""
    pairs = "".join(
        f'{{"key":"{name}","value":{{"stringValue":"{value}"}}}},' for name, value in more.items()
    )
    return line.replace('{"key":"session.id"', f'{pairs}{{"key":"session.id"')


def without_session(line: str) -> str:
    return re.sub(r'\{"key":"session.id","value":\{"stringValue":"[^"]*"\}\},?', "", line)


def without(line: str, *names: str) -> str:
    for name in names:
        line = re.sub(rf'\{{"key":"{name}","value":\{{"stringValue":"[^"]*"\}}\}},?', "", line)
    return line


# Values of the tier and the speed of a million tokens, and what they cost.
TIERS: dict[tuple[str, str], float | None] = {
    **{(tier, ""): 5 for tier in ("", "Standard", "default", "auto", "standard_only", "on-demand")},
    **{("", speed): 5 for speed in ("normal", "standard", "undefined")},
    **{(tier, ""): None for tier in ("scale", "provisioned", "reserved", "priority")},
    **{("", speed): None for speed in ("turbo", "slow")},
    ("batch", "standard"): 2.5,
    ("scale", "normal"): None,
}


@apart
def a_tier_that_nobody_knows_has_no_price() -> None:
    for number, (tier, speed) in enumerate(TIERS):
        work = session(f"tier {number}", DAY, by=developer(76))
        event = request(work, 0, MILLION_IN, "claude-opus-4-5")
        put([with_attributes(event, {"service_tier": tier, "speed": speed})])


def test_a_tier_that_nobody_knows_has_no_price(together: Marts) -> None:
    seen = together.query(
        "select cast(list_cost_usd as double), unpriced_tokens from intermediate.int_token_costs "
        "where starts_with(session_id, 'tier ') order by cast(session_id[6:] as integer)"
    )
    assert seen == [(cost, 0 if cost else 1_000_000) for cost in TIERS.values()]
    assert together.query(
        "select distinct special_usage[1].service_tier from staging.stg_agent_token_usage "
        "where starts_with(session_id, 'tier ') and special_usage is not null order by 1"
    ) == [(tier,) for tier in sorted(
        {"batch", "priority", "provisioned", "reserved", "scale", "slow", "standard", "turbo"}
    )]  # fmt: skip


@apart
def spellings_with_prices_of_their_own_stay_apart() -> None:
    for name, (by_events, by_counters, *_) in OWN_PRICES.items():
        # Counters export later, some of them on the next day.
        work = session(f"own {name}", BEFORE_MIDNIGHT, by=developer(35))
        for number, (model, amount, more) in enumerate(by_events):
            event = request(work, number, (amount, 0, 0, 0), model, number)
            put([with_attributes(event, more)])
        for number, (model, amount, more) in enumerate(by_counters):
            put([with_attributes(tokens(work, {"input": amount}, 0, 9 + number, model), more)])
    # Half of it was fast; the day on which the counters begin has room for a quarter.
    over = session("own over midnight", BEFORE_MIDNIGHT, by=developer(35))
    for number, (minute, amount) in enumerate(((5, 250 * K), (15, 750 * K))):
        event = request(over, minute, (amount, 0, 0, 0), OPUS_4_6, number)
        put([with_attributes(event, {})])
    for more in ({}, FAST):
        put([with_attributes(tokens(over, {"input": 500 * K}, 4, 16, OPUS_4_6), more)])
    # Since when a counter without a start counts is not told: it may be exported on the day after.
    late = session("own without a start", BEFORE_MIDNIGHT, by=developer(35))
    for number in range(2):
        put([request(late, 5 + number, (M, 0, 0, 0), OPUS_4_6, number)])
    for more in ({}, FAST):
        put(
            [
                with_attributes(
                    tokens(late, {"input": M}, 0, 20, OPUS_4_6, datetime.fromtimestamp(0, UTC)),
                    more,
                )
            ]
        )


def test_spellings_with_prices_of_their_own_stay_apart(together: Marts) -> None:
    seen = together.query(
        "select session_id, sum(total_input_tokens), cast(sum(list_cost_usd) as double), "
        "sum(unpriced_tokens) from intermediate.int_token_costs "
        "where starts_with(session_id, 'own ') group by session_id"
    )
    wanted = {
        (f"own {name}", amount, cost, 0 if cost else amount)
        for name, (_, _, amount, cost) in OWN_PRICES.items()
    }
    assert set(seen) == wanted | {
        ("own over midnight", M, 17.5, 0),
        ("own without a start", 2 * M, 35.0, 0),
    }
    assert together.query(
        "select usage_date, cast(sum(list_cost_usd) as double) from intermediate.int_token_costs "
        "where session_id = 'own over midnight' group by 1 order by 1"
    ) == [
        (BEFORE_MIDNIGHT.date(), 7.5),
        (BEFORE_MIDNIGHT.date() + timedelta(days=1), 10.0),
    ]


def sent_on(line: str) -> str:
    """A line as a collector sends it on that tells of its host."""
    host = '{"key":"host.name","value":{"stringValue":"gateway"}}'
    return line.replace('"resource":{"attributes":[', f'"resource":{{"attributes":[{host},')


@apart
def what_a_collector_adds_to_a_resource_makes_nothing_count_again() -> None:
    work, other = session("relayed", DAY, by=developer(35)), session("host", DAY, by=developer(35))
    going_on = session("relayed on", DAY, by=developer(38, CUMULATIVE))
    told = [
        tokens(work, {"input": 10}, 0, 1),
        tokens(work, {"input": 10}, 1, 2),
        request(work, 3, (0, 100, 0, 0)).replace("request_id", "r").replace("event.sequence", "n"),
        tokens(going_on, {"input": 1_000}, 0, 1),
        tokens(going_on, {"input": 3_000}, 0, 2),
    ]
    put([*told, *map(sent_on, told), sent_on(told[0]).replace("gateway", "another")])
    put(
        [
            sent_on(tokens(going_on, {"input": 6_000}, 0, 3)),
            sent_on(tokens(other, {"input": 10}, 0, 1)),
        ]
    )
    names: dict[str, object] = {"developer_id": "told again", "model": SONNET, "type": "input"}
    nameless = [
        clients.counter(
            "x", "x.token.usage", [(names, value)], DAY, DAY + timedelta(minutes=minutes),
            temporality=CUMULATIVE, resource={"host.name": host},
        )
        for host in ("gateway", "another")
        for minutes, value in ((1, 100.0), (2 if host == "gateway" else 3, 150.0), (4, 200.0))
    ]  # fmt: skip
    nameless.append(
        clients.counter(
            "x", "x.token.usage", [(names, 100.0)], DAY - timedelta(seconds=1),
            DAY + timedelta(minutes=1), temporality=CUMULATIVE, resource={"host.name": "third"},
        )
    )  # fmt: skip
    no_start = names | {"session.id": "told again without a start"}
    put(
        nameless
        + [
            clients.counter(
                "x", "x.token.usage", [(no_start, 100.0)], datetime.fromtimestamp(0, UTC), DAY,
                resource={"host.name": host},
            )
            for host in ("gateway", "another")
        ]
    )  # fmt: skip
    # Of three ways the first and the last have no point in common, in whatever order they are read.
    ways = ([(1, 100.0)], [(1, 100.0), (2, 150.0)], [(2, 150.0), (3, 200.0)])
    for order in permutations(("gateway", "another", "third")):
        of_three = names | {"developer_id": f"by three ways {'-'.join(order)}"}
        put(
            clients.counter(
                "x", "x.token.usage", [(of_three, value)], DAY, DAY + timedelta(minutes=minutes),
                temporality=CUMULATIVE, resource={"host.name": host},
            )
            for host, points in zip(order, ways, strict=True)
            for minutes, value in points
        )  # fmt: skip


def test_what_a_collector_adds_to_a_resource_makes_nothing_count_again(together: Marts) -> None:
    assert together.query(
        "select session_id, total_input_tokens from staging.stg_agent_token_usage "
        "where contains(session_id, 'told again') order by 1"
    ) == [("no-session:told again", 300), ("told again without a start", 100)]
    assert together.query(
        "select session_id, total_input_tokens, total_output_tokens "
        "from staging.stg_agent_token_usage "
        "where session_id in ('relayed', 'relayed on', 'host') order by 1"
    ) == [("host", 10, 0), ("relayed", 20, 100), ("relayed on", 6_000, 0)]
    assert together.query(
        "select total_input_tokens, count(*) from staging.stg_agent_token_usage "
        "where contains(session_id, 'by three ways') group by 1"
    ) == [(200, 6)]


@apart
def a_model_without_a_price_costs_null() -> None:
    put([request(session("no price", DAY, by=developer(48)), 0, MILLION_IN, UNPRICED_MODEL)])


def test_a_model_without_a_price_costs_null_and_warns(together: Marts) -> None:
    check = "assert_every_used_model_has_a_price"
    assert together.dbt("test", "--select", check) == {check: "warn"}
    assert together.query(
        "select total_cost_usd, unpriced_tokens, reported_cost_usd, cost_variance_usd "
        "from mart.fct_daily_agent_usage where developer_id = 'dev48@work.example'"
    ) == [(None, 1_000_000, 2.0, None)]


@apart
def reported_and_list_cost_stand_side_by_side() -> None:
    work = session("reported", DAY, by=developer(39))
    event = sample.request_event(work, SONNET, MILLION_IN, 2.5, DAY, 0)
    put([sample.logs_line(work, [event])])


HOURS_APART: dict[str, tuple[str, dict[str, str], float]] = {
    "priority": (OPUS_4_6, {"service_tier": "priority"}, 0.3),
    "never fast": (NEVER_FAST, FAST, 0.05),
    "little": (OPUS_4_6, {"service_tier": "priority"}, 0.0001),
}


@apart
def what_is_reported_of_a_tier_without_a_price_is_no_hour_of_the_cache() -> None:
    for name, (model, more, reported) in HOURS_APART.items():
        work = session(f"hours {name}", DAY, by=developer(59))
        usage = (0, 0, 0, 100_000)
        five_minutes = 0.125 if model == NEVER_FAST else 0.625
        first = sample.request_event(work, model, usage, five_minutes, DAY, 0)
        other = sample.request_event(work, model, (50_000, 0, 0, 0), reported, DAY, 1)
        put([sample.logs_line(work, [first])])
        put([with_attributes(sample.logs_line(work, [other]), more)])


def test_what_is_reported_of_a_tier_without_a_price_is_no_hour_of_the_cache(
    together: Marts,
) -> None:
    seen = together.query(
        "select cast(list_cost_usd as double), one_hour_cache_usd, unpriced_tokens "
        "from intermediate.int_token_costs where starts_with(session_id, 'hours ') order by 1"
    )
    assert seen == [(0.125, 0, 50_000), (0.625, 0, 50_000), (0.625, 0, 50_000)]


# What each of two writes of a million tokens reports, and what a counter does of both; the list
# cost, the reported one, and what it may cost more.
IN_PART: dict[
    str, tuple[tuple[float | None, ...], float | None, tuple[float, float | None, float]]
] = {
    "both": ((6, 6), None, (12, 12, 0)),
    "one": ((6, None), None, (9.75, None, 2.25)),
    "one of five minutes": ((3.75, None), None, (7.5, None, 2.25)),
    "one and a counter": ((6, None), 12, (12, 12, 0)),
    "none": ((None, None), None, (7.5, None, 4.5)),
}


@apart
def what_one_of_two_requests_reports_is_not_of_both() -> None:
    for name, (told, counted, _) in IN_PART.items():
        work = session(f"part {name}", DAY, by=developer(90))
        for number, cost in enumerate(told):
            usage = (0, 0, 0, 1_000_000)
            event = sample.request_event(work, SONNET, usage, cost or 0, DAY, number)
            line = sample.logs_line(work, [event])
            put([line if cost else without(line, "cost_usd")])
        if counted:
            until = DAY + timedelta(minutes=1)
            key = ("claude_code.cost.usage", SONNET, "")
            put([sample.metrics_line(work, {key: counted}, DAY, until)])


def test_what_one_of_two_requests_reports_is_not_of_both(together: Marts) -> None:
    seen = together.query(
        "select session_id, cast(list_cost_usd as double), cast(reported_cost_usd as double), "
        "cast(may_cost_more_usd as double) from intermediate.int_token_costs "
        "where starts_with(session_id, 'part ')"
    )
    assert {name: row for name, *row in seen} == {
        f"part {name}": list(costs) for name, (*_, costs) in IN_PART.items()
    }


@apart
def what_a_batch_reads_from_a_cache_of_google_costs_no_less() -> None:
    for model in (GEMINI, "claude-opus-4-5"):
        work = session(f"batch of {model}", DAY, by=developer(91))
        line = request(work, 0, (100 * K, 0, 100 * K, 0), model)
        put([with_attributes(line, BATCH)])


def test_what_a_batch_reads_from_a_cache_of_google_costs_no_less(together: Marts) -> None:
    assert together.query(
        "select session_id, cast(list_cost_usd as double) from intermediate.int_token_costs "
        "where starts_with(session_id, 'batch of ') order by 1"
    ) == [
        ("batch of claude-opus-4-5", 0.25 + 0.025),
        ("batch of gemini-2.5-pro", 0.0625 + 0.0125),
    ]


@apart
def usage_without_a_session_over_midnight_counts_once() -> None:
    """A window of a minute around it, and the event that tells the same before it."""
    for number, temporality in ((92, DELTA), (93, CUMULATIVE)):
        start = DAY + timedelta(hours=23, minutes=59, seconds=30)
        work = session("night", start, by=developer(number, temporality))
        put([without_session(tokens(work, {"input": 1_000_000}, 0, 1))])
        if number == 93:
            put([without_session(request(work, 0.25, MILLION_IN))])


def test_usage_without_a_session_over_midnight_counts_once(together: Marts) -> None:
    seen = "select {} from {} where developer_id in {} order by 1, 2"
    who = "('dev92@work.example', 'dev93@work.example')"
    of_day = "developer_id, date, cast(total_cost_usd as double)"
    assert together.query(seen.format(of_day, "mart.fct_daily_agent_usage", who)) == [
        ("dev92@work.example", DAY_AFTER, 3.0),
        ("dev93@work.example", DAY_BEFORE, 3.0),
    ]


# Tokens of events and of counters, input and written to the cache, and what the agent reports.
MAY_COST_MORE: dict[str, tuple[str, tuple[int, int] | None, tuple[int, int] | None, float]] = {
    "prompts of counters": ("gemini-2.5-pro", None, (300 * K, 0), 0.375),
    "prompts of counters of a batch": ("gemini-2.5-pro", None, (300 * K, 0), 0.1875),
    "prompts of events": ("gemini-2.5-pro", (300 * K, 0), (300 * K, 0), 0),
    "prompts that are short together": ("gemini-2.5-pro", None, (200 * K, 0), 0),
    "prompts of counters that name the window": (A_LONG_WINDOW, None, (300 * K, 0), 0.9),
    "prompts of counters that name none": (DATED, None, (300 * K, 0), 0),
    "writes without a cost": (OPUS, (0, M), None, 3.75),
    "no writes": (OPUS, (M, 0), None, 0),
}


@apart
def what_may_cost_more_than_it_is_priced_at_is_told() -> None:
    for name, (model, of_event, of_counter, _) in MAY_COST_MORE.items():
        work = session(f"more {name}", DAY, by=developer(63))
        if of_event:
            usage = (of_event[0], 0, 0, of_event[1])
            event = sample.request_event(work, model, usage, 0, DAY, 0)
            put([without(sample.logs_line(work, [event]), "cost_usd")])
        if of_counter:
            tier = BATCH if "batch" in name else {}
            put([with_attributes(tokens(work, {"input": of_counter[0]}, 0, 1, model), tier)])


def test_what_may_cost_more_than_it_is_priced_at_is_told(together: Marts) -> None:
    assert dict(
        together.query(
            "select session_id, cast(may_cost_more_usd as double) "
            "from intermediate.int_token_costs where starts_with(session_id, 'more ')"
        )
    ) == {f"more {name}": more for name, (*_, more) in MAY_COST_MORE.items()}
    check = "assert_no_cost_may_be_too_low"
    assert together.dbt("test", "--select", check) == {check: "warn"}


# Of a session over midnight: minutes from it, and the cost where it is told, of events that write a
# million tokens to the cache for an hour; tokens and cost that counters tell, since three minutes
# before it; and the days on which a million of them counts.
Late = list[tuple[int, float | None]]

AFTER_MIDNIGHT: dict[str, tuple[Late, Late, Late, list[date]]] = {
    "tokens and cost": ([(-1, None)], [(1, M)], [(1, 6)], [DAY_BEFORE]),
    "cost alone": ([(-1, None)], [], [(1, 6)], [DAY_BEFORE]),
    "cost of both days": ([(-1, None), (2, None)], [], [(3, 12)], [DAY_BEFORE, DAY_AFTER]),
    "cost that events tell": ([(-1, 6), (2, 6)], [(3, 2 * M)], [(3, 12)], [DAY_BEFORE, DAY_AFTER]),
    "cost of one that events tell": ([(-1, None), (2, 6)], [], [(3, 12)], [DAY_BEFORE, DAY_AFTER]),
    "cost of tokens told before": ([], [(-1, M)], [(1, 6)], [DAY_BEFORE]),
    "counters alone": ([], [(1, M)], [(1, 6)], [DAY_AFTER]),
}


@apart
def a_cost_told_after_midnight_is_of_the_usage_before_it() -> None:
    for name, (events, counted, costs, _) in AFTER_MIDNIGHT.items():
        work = session(f"late {name}", DAY + timedelta(hours=23, minutes=55), by=developer(64))
        for number, (minute, cost) in enumerate(events):
            moment = work.started_at + timedelta(minutes=5 + minute)
            event = sample.request_event(work, SONNET, (0, 0, 0, M), cost or 0, moment, number)
            line = sample.logs_line(work, [event])
            put([line if cost else without(line, "cost_usd")])
        for kind, told in (("token", counted), ("cost", costs)):
            for minute, value in told:
                key = (f"claude_code.{kind}.usage", SONNET, "cacheCreation" * (kind == "token"))
                since = work.started_at + timedelta(minutes=2)
                until = work.started_at + timedelta(minutes=5 + minute)
                put([sample.metrics_line(work, {key: value or 0}, since, until)])


def test_a_cost_told_after_midnight_is_of_the_usage_before_it(together: Marts) -> None:
    assert together.query(
        "select session_id, usage_date, total_cache_creation_tokens, "
        "cast(list_cost_usd as double), cast(reported_cost_usd as double) "
        "from intermediate.int_token_costs where starts_with(session_id, 'late ') order by 1, 2"
    ) == [
        (f"late {name}", day, M, 6.0, 6.0)
        for name, (*_, days) in sorted(AFTER_MIDNIGHT.items())
        for day in days
    ]
    assert together.query(
        "select usage_date, counted_since from intermediate.int_token_costs "
        "where session_id = 'late counters alone'"
    ) == [(DAY_AFTER, DAY_BEFORE)]


def test_reported_and_list_cost_stand_side_by_side(together: Marts) -> None:
    assert together.query(
        "select total_cost_usd, reported_cost_usd, cost_variance_usd "
        "from mart.fct_daily_agent_usage where developer_id = 'dev39@work.example'"
    ) == [(3.0, 2.5, -0.5)]


# How tokens are counted.


@apart
def events_count_and_metrics_of_the_same_session_do_not() -> None:
    with_events, without = session("e", DAY, by=developer(35)), session("m", DAY, by=developer(35))
    put(
        [
            request(with_events, 1, (100, 10, 5, 1)),
            tokens(with_events, {"input": 100, "output": 10}, 0, 1),
            tokens(without, {"input": 7, "cacheRead": 3}, 0, 1),
            tokens(without, {"input": 5}, 1, 2),
        ]
    )


def test_events_count_and_metrics_of_the_same_session_do_not(together: Marts) -> None:
    assert together.query(
        "select session_id, usage_source, total_input_tokens, total_output_tokens, "
        "total_cache_read_tokens from staging.stg_agent_token_usage "
        "where session_id in ('e', 'm') order by 1"
    ) == [("e", "events", 100, 10, 5), ("m", "metrics", 12, 0, 3)]


@apart
def one_event_does_not_erase_what_the_counters_tell() -> None:
    lost, night, parts = (
        session(name, DAY, by=developer(36)) for name in ("lost", "night", "parts")
    )
    put(
        [
            tokens(lost, {"input": 3_000_000, "output": 40}, 0, 1),
            request(lost, 1, (10, 50, 0, 0)),
            request(night, 23 * 60 + 59, (100, 0, 0, 0)),  # exported on the next day
            tokens(night, {"input": 100}, 23 * 60, 24 * 60 + 1),
            request(night, 24 * 60 + 30, (20, 0, 0, 0), number=1),
            tokens(night, {"input": 20}, 24 * 60 + 1, 24 * 60 + 61),
            request(parts, 1, (7, 0, 0, 0)),
            tokens(parts, {"input": 5}, 5 * 60, 5 * 60 + 1),
        ]
    )


def test_one_event_does_not_erase_what_the_counters_tell(together: Marts) -> None:
    """By kind and time: what one source lost, the other tells; what both tell counts once."""
    assert together.query(
        "select session_id, usage_source, total_input_tokens, total_output_tokens, "
        "tokens_by_events, tokens_by_metrics from staging.stg_agent_token_usage "
        "where session_id in ('lost', 'night', 'parts') order by session_id, usage_date"
    ) == [
        ("lost", "events and metrics", 3_000_000, 50, 60, 3_000_040),
        ("night", "events", 100, 0, 100, 0),
        ("night", "events", 20, 0, 20, 120),
        ("parts", "events and metrics", 12, 0, 7, 5),
    ]


@apart
def a_model_has_one_name_however_it_is_spelled() -> None:
    ways = {
        "dated": ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        "undated": ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
        "window": ("claude-sonnet-4-5-20250929[1m]", "claude-sonnet-4-5-20250929"),
        "provider": ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        "nameless-event": ("", "claude-sonnet-4-5"),
        "nameless-counter": ("claude-sonnet-4-5", ""),
        "two-models": ("claude-sonnet-4-5", "claude-opus-4-5"),
    }
    for name, (by_event, by_counter) in ways.items():
        work = session(f"spelled-{name}", DAY, by=developer(70))
        event = request(work, 1, MILLION_IN, model="claude-sonnet-4-5")
        counter = tokens(work, {"input": 1_000_000}, 0, 1, model="claude-sonnet-4-5")
        told = '"stringValue":"claude-sonnet-4-5"'
        put(
            [
                event.replace(told, f'"stringValue":"{by_event}"'),
                counter.replace(told, f'"stringValue":"{by_counter}"'),
            ]
        )


def test_a_model_counts_once_however_events_and_counters_spell_it(together: Marts) -> None:
    seen = together.query(
        "select session_id, sum(total_input_tokens), max(model_name) "
        "from staging.stg_agent_token_usage where starts_with(session_id, 'spelled-') "
        "group by session_id order by session_id"
    )
    assert seen == [
        ("spelled-dated", 1_000_000, "claude-sonnet-4-5-20250929"),
        ("spelled-nameless-counter", 1_000_000, "claude-sonnet-4-5"),
        ("spelled-nameless-event", 1_000_000, "claude-sonnet-4-5"),
        ("spelled-provider", 1_000_000, "anthropic/claude-sonnet-4.5"),
        ("spelled-two-models", 2_000_000, "claude-sonnet-4-5"),
        ("spelled-undated", 1_000_000, "claude-sonnet-4-5"),
        ("spelled-window", 1_000_000, "claude-sonnet-4-5-20250929[1m]"),
    ]


@apart
def a_tier_of_events_without_a_session_keeps_its_price() -> None:
    """Half of them are told again by counters with one."""
    work = session("tiered", DAY, by=developer(62))
    fast, other = (request(work, n, MILLION_IN, OPUS_4_7, n) for n in range(2))
    put([without_session(with_attributes(fast, FAST)), without_session(other)])
    put([tokens(work, {"input": M}, 0, 3, OPUS_4_7)])


def test_a_tier_of_events_without_a_session_keeps_its_price(together: Marts) -> None:
    assert together.query(
        "select sum(total_input_tokens), cast(sum(total_cost_usd) as double) "
        "from mart.fct_daily_agent_usage where developer_id = 'dev62@work.example'"
    ) == [(2 * M, 35.0)]


def told_under_two_names() -> list[str]:
    """A million tokens each, by an event and by a counter, one of which names no session."""

    def pair(number: int, of_counter: str = SONNET) -> tuple[str, str]:
        work = session(f"told-{number}", DAY, by=developer(number))
        counter = tokens(work, {"input": 1_000_000}, 0, 1, model=of_counter)
        return request(work, 1, MILLION_IN), counter

    by_account, by_machine, by_spelling, by_session, by_id = (
        pair(3), pair(4), pair(5, SONNET.removesuffix("-20250219")), pair(6), pair(7),
    )  # fmt: skip
    chosen = '{"key":"developer_id","value":{"stringValue":"Seven"}},{"key":"session.id"'
    return [
        by_account[0],
        without(by_account[1], "session.id", "user.email", "user.id"),
        by_machine[0],
        without(by_machine[1], "session.id", "user.email", "user.account_uuid"),
        by_spelling[0],
        without_session(by_spelling[1]),
        without_session(by_session[0]),
        by_session[1],
        by_id[0].replace('{"key":"session.id"', chosen),
        without_session(by_id[1]),
    ]


def test_counters_without_a_session_and_events_with_one_count_once(marts: Marts) -> None:
    work, late = session("s", DAY), session("late", DAY + timedelta(days=1))
    marts.load(
        [
            request(work, 1, (1_000_000, 0, 0, 0)),
            without_session(tokens(work, {"input": 1_000_000}, 0, 1)),
            without_session(tokens(session("m", DAY, by=developer(2)), {"input": 9}, 0, 1)),
            *told_under_two_names(),
        ]
    )
    marts.run_to("fct_daily_agent_usage")
    check = "priced_tokens_equal_the_used_tokens"
    assert marts.dbt("test", "--select", check) == {check: "pass"}
    assert (
        marts.query(
            "select sum(total_input_tokens) from mart.fct_daily_agent_usage "
            "where not regexp_matches(developer_id, '^dev[12]@') "
            "group by developer_id"
        )
        == [(1_000_000,)] * 5
    )
    total = (
        "select sum(total_input_tokens) from mart.fct_daily_agent_usage "
        "where developer_id in ('dev1@work.example', 'dev2@work.example')"
    )
    assert marts.one(total) == 1_000_009
    marts.load([without_session(tokens(late, {"input": 2_000_000}, 0, 1))])
    marts.run_to("fct_daily_agent_usage")
    assert marts.one(total) == 3_000_009
    marts.load([request(late, 1, (2_000_000, 0, 0, 0))])  # the events come in a later build
    marts.run_to("fct_daily_agent_usage")
    assert marts.one(total) == 3_000_009
    grown = marts.tables()
    marts.run_to("fct_daily_agent_usage", anew=True)
    assert marts.tables() == grown


def test_cumulative_counters_count_their_growth_through_resets_and_late_points(
    marts: Marts,
) -> None:
    work = session("s", DAY, by=developer(temporality=CUMULATIVE))
    again = DAY + timedelta(minutes=20)
    marts.load(
        [
            tokens(work, {"input": 10}, 0, 1, counted_since=DAY),
            tokens(work, {"input": 30}, 0, 3, counted_since=DAY),
            tokens(work, {"input": 4}, 0, 4, counted_since=DAY),  # back to zero, start unchanged
            tokens(work, {"input": 50}, 0, 21, counted_since=again),  # a new process
            tokens(work, {"input": 60}, 0, 22, counted_since=again),
        ]
    )
    marts.run_to("stg_agent_token_usage")
    total = "select sum(total_input_tokens) from staging.stg_agent_token_usage"
    assert marts.one(total) == 30 + 4 + 60
    marts.load([tokens(work, {"input": 15}, 0, 2, counted_since=DAY)])  # late, between 10 and 30
    marts.run_to("stg_agent_token_usage")
    assert marts.one(total) == 30 + 4 + 60


@apart
def a_request_told_by_two_exports_counts_once() -> None:
    work = session("twice", DAY, by=developer(37))
    event = sample.request_event(work, SONNET, (5, 0, 0, 0), 1.0, DAY, 0)
    later = (event[0] + timedelta(seconds=1), event[1], {**event[2], "event.sequence": 8})
    put([sample.logs_line(work, [event]), sample.logs_line(work, [later])])


def test_a_request_told_by_two_exports_counts_once(together: Marts) -> None:
    assert together.one("select count(*) from raw.otel_logs where session_id = 'twice'") == 2
    assert (
        together.one(
            "select sum(total_input_tokens) from staging.stg_agent_token_usage "
            "where session_id = 'twice'"
        )
        == 5
    )


@apart
def requests_of_one_id_and_other_models_or_tokens_are_several() -> None:
    work = session("one id", DAY, by=developer(77))
    asked = [(SONNET, 5), (SONNET, 7), (HAIKU, 7), (SONNET, 5)]
    for number, (model, amount) in enumerate(asked):
        event = sample.request_event(work, model, (amount, 0, 0, 0), 1.0, DAY, number)
        line = sample.logs_line(work, [event])
        put([line.replace(f"req_one id_{number}", "req_one id")])


def test_requests_of_one_id_and_other_models_or_tokens_are_several(together: Marts) -> None:
    assert together.query(
        "select model_name, total_requests, total_input_tokens from staging.stg_agent_token_usage "
        "where session_id = 'one id' order by 1"
    ) == [(SONNET, 2, 12), (HAIKU, 1, 7)]


@apart
def a_cost_that_is_told_without_tokens_is_kept() -> None:
    of_tokens = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")
    for name in ("cost alone", "cost again"):
        work = session(name, DAY, by=developer(78))
        event = sample.request_event(work, SONNET, (5, 0, 0, 0), 0.5, DAY, 0)
        made = commit(71_700, work.ended_at, agent_session_id="cost alone", **by_hand(78))
        put([without(sample.logs_line(work, [event]), *of_tokens)], [made])
    later = (event[0] + timedelta(seconds=1), *event[1:])
    put([sample.logs_line(work, [later])])


def test_a_cost_that_is_told_without_tokens_is_kept(together: Marts) -> None:
    assert together.query(
        "select session_id, total_requests, total_input_tokens, "
        "cast(reported_cost_usd as double), list_cost_usd is null "
        "from intermediate.int_token_costs where starts_with(session_id, 'cost a') order by 1"
    ) == [("cost again", 1, 5, 0.5, False), ("cost alone", 1, 0, 0.5, True)]
    assert together.query(
        "select cost_usd, reported_cost_usd from mart.fct_git_commits "
        "where agent_session_id = 'cost alone'"
    ) == [(None, 0.5)]


@apart
def a_sum_that_may_fall_is_what_it_comes_to() -> None:
    for name, values in (("sum falls", (100, 60)), ("sum falls and grows", (100, 60, 80))):
        work = session(name, DAY, by=developer(79, CUMULATIVE))
        for number, value in enumerate(values, 1):
            line = tokens(work, {"input": value}, 0, 70 * number)
            put([line.replace('"isMonotonic":true', '"isMonotonic":false')])


def test_a_sum_that_may_fall_is_what_it_comes_to(together: Marts) -> None:
    assert together.query(
        "select session_id, sum(total_input_tokens) from staging.stg_agent_token_usage "
        "where starts_with(session_id, 'sum falls') group by 1 order by 1"
    ) == [("sum falls", 60), ("sum falls and grows", 80)]


@apart
def a_session_of_two_developers_is_told() -> None:
    put([request(session("of two", DAY, by=developer(n)), n, (5, 0, 0, 0)) for n in (80, 81)])


def test_a_session_of_two_developers_is_told(together: Marts, sampled: Marts) -> None:
    check = "assert_no_session_is_of_several_developers"
    assert together.dbt("test", "--select", check) == {check: "warn"}
    assert sampled.dbt("test", "--select", check) == {check: "pass"}


@apart
def usage_without_a_session_counts_in_cost_and_not_in_sessions() -> None:
    line = tokens(session("gone", DAY, by=developer(40)), {"input": 1_000_000}, 0, 1)
    line = line.replace('{"key":"session.id","value":{"stringValue":"gone"}},', "")
    assert "gone" not in line
    put([line])


def test_usage_without_a_session_counts_in_cost_and_not_in_sessions(together: Marts) -> None:
    assert together.query(
        "select total_sessions, active_sessions, total_cost_usd from mart.fct_daily_agent_usage "
        "where developer_id = 'dev40@work.example'"
    ) == [(0, 0, 3.0)]


# Whose commit it is.


@apart
def commits_are_given_to_sessions_in_order_of_how_sure_it_is() -> None:
    one = session("one", DAY + timedelta(hours=9), by=developer(46))
    two = session("two", DAY + timedelta(hours=12), by=developer(46))
    told: tuple[datetime, str, sample.Attributes] = (
        two.started_at,
        "tool_result",
        {"tool_name": "Bash", "tool_parameters": '{"git_commit_id": "0000000000000000a"}'},
    )
    inside = one.started_at + timedelta(minutes=10)
    late = one.ended_at + timedelta(seconds=301)
    by = by_hand(46)
    made = [
        commit(31, **by, moment=inside, agent_session_id="two"),
        commit(32, **by, moment=inside, commit_hash="0000000000000000a" + "0" * 23),
        commit(33, **by, moment=late, commit_message=TRAILER),
        commit(34, **by, moment=one.ended_at + timedelta(seconds=299)),
        commit(35, **by, moment=late),
        commit(36, **by, moment=inside, commit_message=TRAILER),
        commit(37, **by, moment=late, agent_assisted=True),
    ]
    lines = [request(w, m, MILLION_IN, number=m) for w in (one, two) for m in (0, 15, 30)]
    put([*lines, sample.logs_line(two, [told])], made)


def test_commits_are_given_to_sessions_in_order_of_how_sure_it_is(together: Marts) -> None:
    rows = {
        row[0]: row[1:]
        for row in together.query(
            "select commit_hash, attribution_method, attribution_confidence, agent_session_id, "
            "is_agent_assisted from mart.fct_git_commits "
            "where developer_id = 'dev46@work.example'"
        )
    }
    assert rows[f"{31:040x}"] == ("explicit", 1.0, "two", 1)
    assert rows["0000000000000000a" + "0" * 23] == ("tool_result", 1.0, "two", 1)
    assert rows[f"{33:040x}"] == ("trailer", 0.9, None, 1)
    assert rows[f"{34:040x}"] == ("session_window", 0.6, "one", 1)
    assert rows[f"{35:040x}"] == (None, None, None, 0)
    assert rows[f"{36:040x}"] == ("trailer", 0.9, "one", 1)
    assert rows[f"{37:040x}"] == ("declared", 1.0, None, 1)


# Commits within a session of Claude Code, and the agent and session that they are of.
WITHIN_ANOTHERS: dict[str, tuple[dict[str, object], str, str | None]] = {
    "by a trailer": (
        {"commit_message": "x\n\nCo-authored-by: Cursor <cursoragent@cursor.com>"}, "cursor", None,
    ),
    "as it declares": ({"agent_assisted": True, "agent_type": "codex"}, "codex", None),
    "as its own declares": (
        {"agent_assisted": True, "agent_type": "claude-code"}, "claude_code", "another's",
    ),
}  # fmt: skip


@apart
def a_commit_of_another_agent_is_of_no_session_of_this() -> None:
    work = session("another's", DAY, by=developer(95))
    made = [
        commit(number, DAY + timedelta(minutes=1), **by_hand(95), **fields)
        for number, (fields, *_) in enumerate(WITHIN_ANOTHERS.values(), 95_000)
    ]
    put([request(work, 0, MILLION_IN), request(work, 5, MILLION_IN, number=1)], made)


def test_a_commit_of_another_agent_is_of_no_session_of_this(together: Marts) -> None:
    assert together.query(
        "select agent_type, agent_session_id, cost_usd from mart.fct_git_commits "
        "where developer_id = 'dev95@work.example' order by commit_hash"
    ) == [(agent, name, 6.0 if name else None) for _, agent, name in WITHIN_ANOTHERS.values()]


AGENT_OF_CO_AUTHOR = {
    "Claude <noreply@anthropic.com>": "claude_code",
    "Copilot <175728472+Copilot@users.noreply.github.com>": "github_copilot",
    "Cursor <cursoragent@cursor.com>": "cursor",
    "Codex <noreply@openai.com>": "codex",
    "opencode <noreply@opencode.ai>": "opencode",
    "x <x@anthropic.com.example>": None,
    "x <x@cursor.community>": None,
    "Ada Copilot <ada@work.example>": None,
    "Ada <ada@copilot.example>": None,
    "Ada <copilot@users.noreply.github.com.example>": None,
    "CLAUDE <NoReply@Anthropic.com>": "claude_code",
    "claude[bot] <209825114+claude[bot]@users.noreply.github.com>": "claude_code",
    "copilot-swe-agent[bot] <198982749+Copilot@users.noreply.github.com>": "github_copilot",
    "x <199175422+chatgpt-codex-connector[bot]@users.noreply.github.com>": "codex",
    "Gemini CLI <218195315+gemini-cli@users.noreply.github.com>": "gemini_cli",
    "aider (gpt-5) <aider@aider.chat>": "aider",
    "Jane Doe <jane@anthropic.com>": None,
    "Bob Smith <bob@cursor.com>": None,
    "Eve <eve@opencode.ai>": None,
    "Claude noreply@anthropic.com": None,
    '"noreply@anthropic.com" <real@person.example>': None,
    "dependabot[bot] <49699333+dependabot[bot]@users.noreply.github.com>": None,
}
OF_CLAUDE = "Co-Authored-By: Claude <noreply@anthropic.com>"
AGENT_OF_MESSAGE = {
    f"x\r\n\r\n{OF_CLAUDE}\r\n": "claude_code",
    "x\n\nCo-authored-by : Claude\n <noreply@anthropic.com>": "claude_code",
    f"x\n\nRefs: 1\n{OF_CLAUDE}\nSigned-off-by: A <a@b.example>\n\n": "claude_code",
    f"x\n\nof three lines\none is no trailer\nSigned-off-by: A <a@b.example>\n{OF_CLAUDE}":
        "claude_code",
    f"x\n\n{OF_CLAUDE}\n\n# a comment\n\nConflicts:\n\ta.py\n": "claude_code",
    f"x\n\n{OF_CLAUDE}\nCo-Authored-By: Cursor <cursoragent@cursor.com>": "claude_code",
    f"Drop a line\n\nThis removes\n{OF_CLAUDE}\nfrom it.\n\nSigned-off-by: A <a@b.example>": None,
    f"Drop a line\n\nThis removes\n{OF_CLAUDE}\nfrom it.": None,
    f"x\n\n> {OF_CLAUDE}": None,
    f"x\n\n  {OF_CLAUDE}": None,
    "x\n\nCo-Authored-By: Claude <noreply@anthropic.com": None,
    f"x\n\n\n{OF_CLAUDE}": "claude_code",
    f"#123 fix\n\n{OF_CLAUDE}": "claude_code",
    f"Merge x\n\n# Conflicts:\n#\ta\n\n{OF_CLAUDE}": "claude_code",
    f"x\n\n{OF_CLAUDE}\n{SCISSORS}\ndiff": "claude_code",
    f"x\r\n\r\n\r\n{OF_CLAUDE}\r\n": "claude_code",
    OF_CLAUDE: "claude_code",
}  # fmt: skip
OF_AIDER = "Co-authored-by: aider <aider@aider.chat>"
LINES_OF_MESSAGES = (
    *("", "", "", "\r", " ", "\t", "\x0c", "x", "x\r", "#12 x", "# x", "#\ta", SCISSORS),
    *("Conflicts:", "Conflicts:\r", "\ta", " f", "Co-authored-by :", " <noreply@anthropic.com>"),
    *(OF_CLAUDE, OF_CLAUDE, f"{OF_CLAUDE}\r", OF_AIDER, OF_AIDER, "Refs: 1"),
    *("Signed-off-by: A <a@b.example>", "(cherry picked from commit 1)"),
)


def messages_of_any_lines() -> list[str]:
    chosen = random.Random(3)
    return [
        "\n".join(chosen.choices(LINES_OF_MESSAGES, k=chosen.randint(1, 12))) for _ in range(600)
    ]


def agent_of_first_coauthor(message: str) -> str | None:
    agents = {"noreply@anthropic.com": "claude_code", "aider@aider.chat": "aider"}
    named = (value for token, value in trailers(message) if token == "co-authored-by")
    found = (agents.get(value.partition("<")[2].partition(">")[0]) for value in named)
    return next(filter(None, found), None)


@apart
def only_the_agents_own_addresses_make_a_co_author_an_agent() -> None:
    made = [
        commit(number, DAY, commit_message=message, **by_hand(49))
        for number, message in enumerate(
            [f"x\n\nCo-Authored-By: {name}" for name in AGENT_OF_CO_AUTHOR]
            + [*AGENT_OF_MESSAGE, *messages_of_any_lines()],
            71_000,
        )
    ]
    put(commits=made)


def test_only_the_agents_own_addresses_make_a_co_author_an_agent(together: Marts) -> None:
    found = together.query(
        "select trailer_agent_type from staging.stg_git_commits "
        "where developer_id = 'dev49@work.example' order by commit_hash"
    )
    assert [kind for (kind,) in found] == [
        *AGENT_OF_CO_AUTHOR.values(), *AGENT_OF_MESSAGE.values(),
        *map(agent_of_first_coauthor, messages_of_any_lines()),
    ]  # fmt: skip


@apart
def a_session_is_of_the_model_that_it_began_with() -> None:
    work = session("began", DAY, by=developer(94))
    put([request(work, n / 6, (1, 1, 1, 1), model, n) for n, model in enumerate((OPUS, HAIKU))])


def test_a_session_is_of_the_model_that_it_began_with(together: Marts) -> None:
    """Also where it used another within its first minute."""
    assert together.query(
        "select model_name, total_sessions from mart.fct_daily_agent_usage "
        "where developer_id = 'dev94@work.example' order by 1"
    ) == [(HAIKU, 0), (OPUS, 1)]


@apart
def a_commit_in_the_pause_of_a_resumed_session_is_not_its_commit() -> None:
    work = session("resumed", DAY + timedelta(hours=9), by=developer(44))
    lines = [request(work, minutes, (1, 1, 1, 1), number=minutes) for minutes in (0, 10, 600)]
    put(lines, [commit(12, work.started_at + timedelta(hours=5), **by_hand(44))])


def test_a_commit_in_the_pause_of_a_resumed_session_is_not_its_commit(together: Marts) -> None:
    assert together.query(
        "select block_count, active_seconds, duration_seconds from staging.stg_agent_sessions "
        "where session_id = 'resumed'"
    ) == [(2, 600, 36_000)]
    assert (
        together.one(
            "select is_agent_assisted from mart.fct_git_commits "
            "where developer_id = 'dev44@work.example'"
        )
        == 0
    )


@apart
def a_sessions_cost_is_shared_by_lines_and_the_parts_make_the_whole() -> None:
    work, bare = (session(name, DAY, by=developer(45)) for name in ("lined", "bare"))
    by = by_hand(45)
    after = work.ended_at
    put(
        [request(work, 0, MILLION_IN), request(bare, 0, MILLION_IN)],
        [
            commit(21, after, agent_session_id="lined", lines_added=30, **by),
            commit(22, after, agent_session_id="lined", lines_added=10, lines_deleted=20, **by),
            commit(23, after, agent_session_id="lined", lines_added=0, **by),
            commit(24, after, agent_session_id="bare", lines_added=None, **by),
            commit(25, after, agent_session_id="bare", lines_added=0, **by),
            commit(26, after, agent_session_id="nobody knows it", **by),
        ],
    )


def test_a_sessions_cost_is_shared_by_lines_and_the_parts_make_the_whole(together: Marts) -> None:
    assert together.query("select cost_usd from mart.fct_git_commits "
        "where developer_id = 'dev45@work.example' order by commit_hash") == [
        (1.5,), (1.5,), (0.0,), (1.5,), (1.5,), (None,),
    ]  # fmt: skip


# The whole.


def requests_made() -> dict[str, int]:
    """Requests of each session, known from the generator."""
    return {
        each.session_id: sum(len(range(0, minutes, 2)) for _, minutes in each.processes)
        for each in SAMPLED
    }


def test_sessions_and_requests_are_those_that_were_made(sampled: Marts) -> None:
    made = requests_made()
    seen = dict(
        sampled.query("select session_id, is_session_known from staging.stg_agent_sessions")
    )
    assert set(seen) == set(made)
    requests = dict(
        sampled.query(
            "select session_id, sum(total_requests) from staging.stg_agent_token_usage "
            "where usage_source = 'events' group by 1"
        )
    )
    assert requests
    assert requests == {name: made[name] for name in requests}


def test_metrics_alone_count_the_same_as_events_alone(marts: Marts, sampled: Marts) -> None:
    lines = sample.telemetry(DAYS, PEOPLE, SEED, start=THURSDAY)
    only_metrics = [line for line in lines if '"resourceMetrics"' in line]
    marts.load(only_metrics)
    marts.run_to("stg_agent_token_usage")
    both = (
        "select sum(total_input_tokens), sum(total_output_tokens), "
        "sum(total_cache_creation_tokens), sum(total_cache_read_tokens), "
        "round(sum(reported_cost_usd), 4) from staging.stg_agent_token_usage"
    )
    assert marts.query(both) == sampled.query(both)


COMMITS_AND_SESSIONS_WITHOUT_ANY = """
    (
        select cost_usd, tokens_used as tokens from mart.fct_git_commits
        union all
        select session_cost_usd, total_tokens from intermediate.int_sessions_with_costs
        where session_id not in (
            select agent_session_id from mart.fct_git_commits where agent_session_id is not null
        )
    )
"""
BY_DEVELOPER = """
    (
        select sum(daily_cost_usd) as cost, sum(daily_tokens) as tokens from mart.fct_agent_costs
        inner join mart.dim_developers using (developer_id) group by developer_id
    )
"""
BY_MODEL = """
    (
        select sum(total_cost_usd) as cost, sum(total_tokens) as tokens
        from mart.fct_daily_agent_usage group by model_name
    )
"""


@pytest.mark.parametrize(
    ("relation", "cost", "tokens"),
    [
        ("intermediate.int_sessions_with_costs", "session_cost_usd", "total_tokens"),
        ("mart.fct_daily_agent_usage", "total_cost_usd", "total_tokens"),
        ("mart.fct_agent_costs", "daily_cost_usd", "daily_tokens"),
        (BY_DEVELOPER, "cost", "tokens"),
        (BY_MODEL, "cost", "tokens"),
        *(
            (
                f"(select * from mart.fct_agent_cost_periods where period_type = '{period}')",
                "total_cost_usd",
                "total_tokens",
            )
            for period in ("day", "week", "month")
        ),
        (COMMITS_AND_SESSIONS_WITHOUT_ANY, "cost_usd", "tokens"),
    ],
)
def test_every_way_to_sum_cost_and_tokens_gives_the_same(
    sampled: Marts, relation: str, cost: str, tokens: str
) -> None:
    ((total_cost, total_tokens),) = sampled.query(
        "select sum(list_cost_usd), sum(total_tokens) from intermediate.int_token_costs"
    )
    assert total_cost > 1
    ((seen_cost, seen_tokens),) = sampled.query(
        f"select sum({cost}), sum({tokens}) from {relation}"
    )
    assert float(seen_cost) == pytest.approx(float(total_cost), rel=1e-12)
    assert float(seen_tokens) == pytest.approx(float(total_tokens), rel=1e-12)


def test_the_commits_of_each_session_cost_what_the_session_did(sampled: Marts) -> None:
    rows = sampled.query(
        "select s.session_cost_usd, sum(c.cost_usd), sum(c.session_share) "
        "from mart.fct_git_commits as c "
        "inner join intermediate.int_sessions_with_costs as s "
        "on c.agent_session_id = s.session_id group by s.session_id, s.session_cost_usd"
    )
    assert len(rows) > 20
    for cost, shared, share in rows:
        assert float(share) == pytest.approx(1, rel=1e-9)
        assert (shared is None) == (cost is None)
        if cost is not None:
            assert float(shared) == pytest.approx(float(cost), rel=1e-9)


@pytest.mark.parametrize("weekend", [1.0, 0.2])
def test_the_forecasts_interval_holds_about_four_of_five_months(
    sampled: Marts, weekend: float
) -> None:
    """The model's own SQL, asked on days of many made-up months what each month will cost."""
    compiled = sampled.state / "target/compiled/agent_analytics/models/marts/fct_cost_forecast.sql"
    statement = re.sub(r'"\w+"\."(mart|staging)"\.', "", compiled.read_text())
    chance = random.Random(f"forecast-{weekend}")
    held = 0
    with duckdb.connect() as connection:
        connection.execute(
            "create table budgets (developer_id varchar, effective_from date, "
            "monthly_budget_usd decimal(18, 2))"
        )
        connection.execute(
            "create table fct_agent_costs (developer_id varchar, date date, "
            "daily_cost_usd double, may_cost_more_usd double, unpriced_tokens integer)"
        )
        connection.execute(
            "prepare forecast as select forecast_low_usd, forecast_high_usd "
            f"from ({statement}) where developer_id = 'all'"
        )
        for _ in range(FORECASTS):
            last = date(2026, 3, chance.randrange(1, 30))
            days = [date(2026, 1, 1) + timedelta(days=number) for number in range(90)]
            costs = [
                (weekend if day.weekday() >= 5 else 1.0) * chance.lognormvariate(3, 0.7)
                for day in days
            ]
            known = sum(day <= last for day in days)
            connection.execute("delete from fct_agent_costs")
            connection.execute(
                "insert into fct_agent_costs select 'ada', unnest($days), unnest($costs), 0, 0",
                {"days": days[:known], "costs": costs[:known]},
            )
            ((low, high),) = connection.execute("execute forecast").fetchall()
            actual = sum(costs[days.index(date(2026, 3, 1)) :])
            held += low <= actual <= high
    assert 0.70 <= held / FORECASTS <= 0.95


def test_one_row_per_developer_and_every_fact_has_one(sampled: Marts) -> None:
    assert sampled.one("select count(*) from mart.dim_developers") == PEOPLE
    assert (
        sampled.one(
            "select count(*) from mart.fct_git_commits anti join mart.dim_developers "
            "using (developer_id)"
        )
        == 0
    )


@pytest.mark.parametrize("consumer", queries("agent_analytics"))
def test_what_a_consumer_asks_has_an_answer(sampled: Marts, consumer: str) -> None:
    assert sampled.query(queries("agent_analytics")[consumer])


def test_the_contract_tells_the_grain_of_every_mart() -> None:
    page = (PAGES / "agent_analytics.md").read_text().partition("\n## Columns and types\n")[0]
    told = re.findall(r"^\| `(mart\.\w+)` \|", page, re.MULTILINE)
    assert set(told) == columns("agent_analytics").keys()


def test_columns_are_those_of_the_contract(sampled: Marts) -> None:
    assert_columns_are_as_promised("agent_analytics", sampled.query, HELD_BY_DUCKDB)


def test_a_second_build_changes_nothing(sampled: Marts) -> None:
    once = sampled.tables()
    sampled.run()
    assert sampled.tables() == once


def test_half_then_all_equals_all_at_once_and_what_is_sent_again_changes_nothing(
    marts: Marts,
) -> None:
    lines = list(sample.telemetry(3, 5, seed=4))
    made = list(sample.commits(3, 5, seed=4))
    marts.load(lines[::2], made[::2])
    marts.run_to(WHAT_GROWS)
    marts.load(lines, made)
    marts.run_to(WHAT_GROWS)
    in_two_steps = marts.tables()
    marts.empty()
    marts.load(lines, made)
    marts.run_to(WHAT_GROWS)
    assert marts.tables() == in_two_steps


# What changes after it was built. Every model that grows, and all that it is made of, is compared
# with a full refresh; what is built on them is built whole by every run.

INCREMENTAL = (
    "staging.stg_agent_sessions",
    "staging.stg_agent_token_usage",
    "staging.stg_git_commits",
    "intermediate.int_token_costs",
    "intermediate.int_sessions_with_costs",
    "intermediate.int_commits_with_agent_context",
    "intermediate.int_agent_daily_aggregates",
    "mart.fct_daily_agent_usage",
    "mart.fct_agent_costs",
    "mart.fct_git_commits",
)
WHAT_GROWS = "config.materialized:incremental"
FIRST = session("first", DAY + timedelta(hours=9))
SECOND = session("second", DAY + timedelta(days=3, hours=9), by=developer(2))
COUNTED = session("counted", DAY + timedelta(days=1), by=developer(3, CUMULATIVE))
LATER = session("later", DAY + timedelta(days=40), by=developer(4))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Marts:
    """A fleet that changes from test to test, whichever of them run."""
    state = tmp_path_factory.mktemp("grown")
    marts = Marts(raw.Store(state / "marts.duckdb"), state)
    marts.load(
        [
            *sample.telemetry(4, 4, seed=3),
            request(FIRST, 0, MILLION_IN),
            request(FIRST, 20, MILLION_IN, OPUS, 1),
            request(SECOND, 5, MILLION_IN),
            tokens(COUNTED, {"input": 10}, 0, 1, counted_since=COUNTED.started_at),
            tokens(COUNTED, {"input": 30}, 0, 3, counted_since=COUNTED.started_at),
            request(LATER, 0, MILLION_IN, UNPRICED_MODEL),
            request(session("gone", DAY + timedelta(days=6)), 0, MILLION_IN),
        ],
        [
            *sample.commits(4, 4, seed=3),
            commit(1, FIRST.ended_at, agent_session_id="first", lines_added=30),
            commit(2, FIRST.ended_at + timedelta(days=9), agent_session_id="first"),
            commit(3, SECOND.started_at + timedelta(minutes=6), **by_hand(2)),
            commit(4, SECOND.started_at + timedelta(days=1), **by_hand(2)),
        ],
        list(sample.copilot_rows(4, 4, seed=3)),
    )
    marts.dbt("seed")
    marts.execute(
        "insert into staging.developer_aliases values ('dev5@work.example', 'dev0@work.example')"
    )
    marts.run_to(WHAT_GROWS)
    return marts


def told(work: Session, commit_id: str, minutes: int) -> str:
    """A tool result that tells of a commit."""
    moment = work.started_at + timedelta(minutes=minutes)
    parameters: sample.Attributes = {"tool_parameters": f'{{"git_commit_id": "{commit_id}"}}'}
    return sample.logs_line(work, [(moment, "tool_result", parameters)])


CHANGES: dict[str, Callable[[Marts], None]] = {
    "a late request of an old session": lambda marts: marts.load(
        [request(FIRST, 10, MILLION_IN, number=2)]
    ),
    "a late point between two of a cumulative counter that began again": lambda marts: marts.load(
        [tokens(COUNTED, {"input": 40}, 0, 2, counted_since=COUNTED.started_at)]
    ),
    "a session that begins earlier than was known": lambda marts: marts.load(
        [request(FIRST, -60 * 24, MILLION_IN, number=3)]
    ),
    "events of a session that had sent metrics only": lambda marts: marts.load(
        [request(COUNTED, 2, MILLION_IN)]
    ),
    "a session resumed on another day": lambda marts: marts.load(
        [request(SECOND, 60 * 24 + 1, MILLION_IN, number=1)]
    ),
    "a session without usage": lambda marts: marts.load(
        [told(session("idle", DAY - timedelta(days=20)), "f" * 40, 1)]
    ),
    "usage of a day before all others": lambda marts: marts.load(
        [request(session("oldest", DAY - timedelta(days=90)), 0, MILLION_IN)]
    ),
    "a commit long after its session": lambda marts: marts.load(
        commits=[commit(5, DAY + timedelta(days=30), agent_session_id="first", lines_added=99)]
    ),
    "a commit that comes again with what was not known of it": lambda marts: marts.load(
        commits=[commit(4, SECOND.started_at + timedelta(days=1), agent_session_id="second")]
    ),
    "a tool result that tells of an older commit": lambda marts: marts.load(
        [told(LATER, f"{3:040x}", 5)]
    ),
    "an earlier tool result that tells of the same commit": lambda marts: marts.load(
        [told(FIRST, f"{3:040x}", 5)]
    ),
    "an address that joins two developers": lambda marts: marts.load(
        commits=[
            commit(6, DAY, developer_id="dev2@work.example", author_email="dev1@work.example")
        ]
    ),
    "an alias that joins two developers": lambda marts: marts.execute(
        "insert into staging.developer_aliases values ('dev3@work.example', 'dev4@work.example')"
    ),
    "an alias less": lambda marts: marts.execute(
        "delete from staging.developer_aliases where alias = 'dev0@work.example'"
    ),
    "another price": lambda marts: marts.execute(
        "update staging.model_prices set input = input + 1 where model_prefix = 'claude-3-7-sonnet'"
    ),
    "a price of what had none": lambda marts: marts.execute(
        "insert into staging.model_prices select * replace ('claude-experimental' as model_prefix) "
        "from staging.model_prices where model_prefix = 'claude-3-opus'"
    ),
    "a price less": lambda marts: marts.execute(
        "delete from staging.model_prices where model_prefix = 'claude-opus-4-5'"
    ),
    "an address that is found to be nobody's": lambda marts: marts.execute(
        "insert into staging.automation_addresses "
        "values ('default', null, 'address', 'dev1@work[.]example', null)"
    ),
    "addresses of an agent less": lambda marts: marts.execute(
        "delete from staging.automation_addresses where agent_type = 'claude_code'"
    ),
    "a commit less": lambda marts: marts.execute(
        f"delete from raw.git_commits where commit_hash = '{1:040x}'"
    ),
    "points less": lambda marts: marts.execute(
        "delete from raw.otel_points where id in (select min(id) from raw.otel_metrics "
        "where session_id like '%-%' group by session_id having count(*) > 9 limit 3)"
    ),
    "a session less": lambda marts: marts.execute(
        "delete from raw.otel_logs where session_id = 'gone'"
    ),
}  # fmt: skip


# Changes between two builds: a few at a time, or, where every case is checked, each by itself.
TOGETHER = [tuple(CHANGES)[start::2] for start in range(2)]
ALONE = [pytest.param((change,), marks=pytest.mark.exhaustive, id=change) for change in CHANGES]


@pytest.mark.parametrize("changes", [*TOGETHER, *ALONE])
def test_what_changes_later_is_built_as_if_it_had_always_been_so(
    grown: Marts, changes: tuple[str, ...], is_exhaustive: bool
) -> None:
    if is_exhaustive and len(changes) > 1:
        pytest.skip("each of these changes is made by itself")
    before = grown.tables()
    for change in changes:
        CHANGES[change](grown)
    grown.run_to(WHAT_GROWS)
    built = grown.tables()
    assert built != before
    grown.run_to(WHAT_GROWS, anew=True)
    again = grown.tables()
    assert [name for name in again if again[name] != built[name]] == []


def test_another_last_day_is_followed_forth_and_back(grown: Marts) -> None:
    for day in ("2026-06-30", "2026-03-04"):
        grown.run_to(WHAT_GROWS, variables={"as_of_date": day})
        assert str(grown.one("select max(date) from mart.fct_agent_costs")) == day
        built = grown.tables()
        grown.run_to(WHAT_GROWS, anew=True, variables={"as_of_date": day})
        assert grown.tables() == built


def test_a_new_day_leaves_the_days_before_it_as_they_were(marts: Marts) -> None:
    days = [session(f"day {n}", DAY + timedelta(days=n)) for n in range(5)]
    marts.load(
        [request(work, 0, MILLION_IN) for work in days],
        [commit(n + 1, work.ended_at, agent_session_id=f"day {n}") for n, work in enumerate(days)],
    )
    marts.run_to(WHAT_GROWS)
    rows = {name: marts.query(f"select rowid, * from {name} order by 1") for name in INCREMENTAL}
    new = session("day 5", DAY + timedelta(days=5))
    marts.load([request(new, 0, MILLION_IN)], [commit(9, new.ended_at)])
    marts.run_to(WHAT_GROWS)
    for name, before in rows.items():
        after = marts.query(f"select rowid, * from {name} order by 1")
        assert after[: len(before)] == before, name
        assert len(after) > len(before), name


def test_a_build_that_broke_off_is_made_up_for(marts: Marts) -> None:
    marts.load([request(session("a", DAY), 0, MILLION_IN)])
    marts.run_to(WHAT_GROWS)
    marts.load([request(session("a", DAY), 2, MILLION_IN, number=1)])
    marts.run("--select", "staging")
    marts.load([request(session("b", DAY + timedelta(days=1)), 0, MILLION_IN)])
    marts.run("--select", "int_token_costs")
    marts.run("--select", "stg_agent_token_usage")
    marts.run_to(WHAT_GROWS)
    built = marts.tables()
    marts.run_to(WHAT_GROWS, anew=True)
    assert marts.tables() == built
    assert marts.one("select sum(total_cost_usd) from mart.fct_daily_agent_usage") == 9


def test_a_table_of_an_older_model_is_refused_until_it_is_built_as_the_page_of_upgrades_says(
    marts: Marts,
) -> None:
    marts.load([request(session("a", DAY), 0, MILLION_IN)], [commit(1, DAY)])
    marts.run_to("fct_git_commits")
    built = marts.tables()
    select = ("--select", "fct_git_commits")
    for older in ("add column more integer", "drop column cost_usd"):
        marts.execute(f"alter table mart.fct_git_commits {older}")
        assert marts.dbt("run", *select) == {"fct_git_commits": "error"}
        anew = refreshing_of_the_page("agent_analytics")
        assert marts.dbt("run", *anew, *select) == {"fct_git_commits": "success"}
        assert marts.tables() == built


def test_a_budget_that_is_spent_warns(marts: Marts) -> None:
    lines = [
        request(session(f"s{day}", DAY + timedelta(days=day)), 0, (10_000_000_000, 0, 0, 0))
        for day in range(4)
    ]
    marts.load(lines)
    marts.run_to("fct_cost_forecast")
    assert marts.dbt("test", "--select", "budgets_hold") == {"budgets_hold": "warn"}
    row = marts.query(
        "select month_to_date_cost_usd, forecast_cost_usd, forecast_low_usd, forecast_high_usd, "
        "days_left, budget_status from mart.fct_cost_forecast where developer_id = 'all'"
    )
    assert row == [(120_000, 120_000 + 26 * 30_000, 900_000, 900_000, 26, "over")]


def test_a_fast_clock_moves_neither_the_last_day_nor_the_month_nor_silence(marts: Marts) -> None:
    """It is 23:30 UTC on the last day of a month; one client is an hour ahead, one 23 hours."""
    late = datetime(2026, 2, 28, 23, tzinfo=UTC)
    ahead = (timedelta(hours=1, minutes=20), timedelta(hours=23))
    lines = [request(session("right", late, by=developer(1)), 0, MILLION_IN)]
    for number, by in enumerate(ahead, 2):
        work = session(f"fast{number}", late + by, by=developer(number, CUMULATIVE))
        lines += [request(work, 0, MILLION_IN), tokens(work, {"input": 1_000_000}, 0, 2)]
    long_ago = late - timedelta(days=6, hours=23)
    lines.append(request(session("nearly silent", long_ago, by=developer(4)), 0, MILLION_IN))
    marts.load(lines)
    for table in ("otel_points", "otel_logs"):
        marts.execute(f"update raw.{table} set created_at = timestamp '2026-02-28 23:30'")
    marts.run_to("fct_cost_forecast", "fct_agent_signals")
    assert marts.query(
        "select cast(as_of_date as varchar), cast(month_start as varchar), days_left, "
        "cast(month_to_date_cost_usd as double) from mart.fct_cost_forecast "
        "where developer_id = 'all'"
    ) == [("2026-02-28", "2026-02-01", 0, 12.0)]
    assert marts.query("select cast(max(date) as varchar) from mart.fct_agent_costs") == [
        ("2026-02-28",)
    ]
    assert marts.query("select developer_id from mart.fct_agent_signals where is_silent") == []
    marts.load(
        [request(session("next", late + timedelta(hours=2), by=developer(1)), 0, MILLION_IN)]
    )
    marts.run_to("fct_cost_forecast")
    assert marts.query(
        "select cast(as_of_date as varchar), cast(month_to_date_cost_usd as double) "
        "from mart.fct_cost_forecast where developer_id = 'all'"
    ) == [("2026-03-01", 3.0)]
    began = datetime.now(UTC)
    marts.load([request(session("tomorrow", began + timedelta(days=1)), 0, MILLION_IN)])
    marts.run_to("fct_cost_forecast")
    ((as_of, left),) = marts.query(
        "select as_of_date, days_left from mart.fct_cost_forecast where developer_id = 'all'"
    )
    days = {began.date(), datetime.now(UTC).date()}
    assert as_of in days
    of_month = monthrange(as_of.year, as_of.month)[1]
    assert left in {of_month - as_of.day + (as_of == today) for today in days}, "today is not over"


def test_a_budget_is_no_verdict_on_usage_without_a_price(marts: Marts) -> None:
    """What is known settles it only where it is too much by itself.

    The report tells of cache reads alone, of commits without a cost, and of who fell silent with
    two signals.
    """
    dear = session("dear", DAY, by=developer(2))
    lines = [
        request(session("cheap", DAY), 0, MILLION_IN),
        request(dear, 0, (10**10, 0, 0, 0), UNPRICED_MODEL),
        request(dear, 1, MILLION_IN, SONNET, number=1),
    ]
    cached, quiet = (session(name, DAY - timedelta(days=20), by=developer(3)) for name in "ab")
    lines += [
        request(cached, 0, (0, 0, 9_000_000, 0), "cache-only"),
        *(tokens(quiet, {"input": 1000.0}, 0, 1), request(quiet, 1, (1000, 0, 0, 0))),
    ]
    trailer = "fix\n\nCo-Authored-By: Claude <noreply@anthropic.com>"
    commits = [
        commit(1, DAY + timedelta(minutes=5), agent_session_id="cheap"),
        commit(2, DAY + timedelta(minutes=5), commit_message=trailer, **by_hand(9)),
    ]
    marts.load(lines, commits)
    report = ("rpt_agents_developers", "rpt_agents_models", "rpt_agents_silent")
    marts.run_to("fct_cost_forecast", *report)
    status = (
        "select budget_status, unpriced_tokens from mart.fct_cost_forecast "
        "where developer_id = 'all'"
    )
    unpriced = 10**10 + 9_000_000
    assert marts.query(status) == [("unknown", unpriced)]
    assert marts.query(
        "select assisted_commits, commits_with_cost, cost_per_commit_usd "
        "from report.rpt_agents_developers where developer_id = 'all'"
    ) == [(2, 1, 3.0)]
    assert marts.query(
        "select total_tokens, unpriced_tokens from report.rpt_agents_models "
        "where model_name = 'cache-only'"
    ) == [(0, 9_000_000)]
    assert marts.query("select silent_senders, signal from report.rpt_agents_silent") == [
        (1, "event"),
        (1, "metric"),
    ]
    marts.load([request(session("much", DAY), 0, (10**10, 0, 0, 0), OPUS, n) for n in range(5)])
    marts.run_to("fct_cost_forecast")
    assert marts.query(status) == [("over", unpriced)]


@apart
def completions_per_offer_are_null_without_offers() -> None:
    row = next(sample.copilot_rows(1, 2, start=DAY))
    nothing = {**row, "user_login": "offered-none", "totals_by_feature": []}
    usage = {"token_usage": {"prompt_tokens_sum": 30, "output_tokens_sum": 5}, "request_count": 2}
    asked = {**row, "user_login": "offered", "ai_credits_used": 1.5, "totals_by_cli": usage}
    put(copilot=[asked, nothing])


def test_completions_per_offer_are_null_without_offers(together: Marts) -> None:
    assert together.query(
        "select ai_credits, cli_requests, cli_prompt_tokens, cli_output_tokens, app_requests "
        "from mart.fct_copilot_usage where starts_with(developer_id, 'offered') "
        "order by developer_id"
    ) == [(1.5, 2, 30, 5, 0), (None, 0, 0, 0, 0)]
    rates = dict(
        together.query("select developer_id, acceptance_rate_pct from staging.stg_copilot_metrics")
    )
    assert rates["offered-none"] is None
    assert 0 < rates["offered"] <= 45


@apart
def the_other_telemetry_convention_is_read_too() -> None:
    work = session("other", DAY, by=developer(38))
    line = sample.metrics_line(
        work, {("claude_code.tokens.cache_read", HAIKU, ""): 12.0}, DAY, DAY + timedelta(minutes=1)
    ).replace('"session.id"', '"session_id"')
    put([line])


def test_the_other_telemetry_convention_is_read_too(together: Marts) -> None:
    assert together.query(
        "select session_id, model_name, total_cache_read_tokens from staging.stg_agent_token_usage "
        "where session_id = 'other'"
    ) == [("other", HAIKU, 12)]
