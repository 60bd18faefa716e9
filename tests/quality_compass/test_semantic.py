"""What a metric query that is not answered says; the texts are MetricFlow's own."""

import pytest
from pydantic import ValidationError

from flows.quality_compass.semantic.refusals import (
    MetricQueryError,
    MetricsUnreachableError,
    Names,
    SavedQuery,
    invalid,
    not_begun,
    refusal,
    strange_columns,
    unknown_names,
    what_was_said,
)
from flows.quality_compass.semantic.requests import MetricsRequest

FOOTER = """
Log File:: /tmp/x/logs/metricflow.log
Artifact Path: /tmp/x/target/semantic_manifest.json
Artifact Modified Time: 2026-11-28T23:33:34.212641

If you think you found a bug, please report it here:
    https://github.com/dbt-labs/metricflow/issues
"""
NO_DIMENSION = (
    """
ERROR: Got error(s) during query resolution.

Error #1:
  Message:

    The given input does not match any of the available group-by-items for
    SimpleMetric('total_signals'). Common issues are:

      * Incorrect names.
      * No valid join paths exist from the measure to the group-by-item.
        (fan-out join support is pending).

    Suggestions:
      [
        "Dimension('signal__severity')",
        "Dimension('signal__run_id')",
      ]

  Query Input:

    WhereFilter(
      ["{{Dimension('signal__sevrity')}}='x'"]
    )
    Object Builder Input:
      Dimension('signal__sevrity')

  Issue Location:

    [Resolve Query(['total_signals'])]
      -> [Resolve SimpleMetric('total_signals')]

Error #2:
  Message:

    The given input does not match any of the available group-by-items for
    SimpleMetric('total_signals').

    Suggestions:
      [
        'signal__domain',
        'signal__run',
      ]

  Query Input:

    signal__domian
"""
    + FOOTER
)
NO_SERVER = (
    """
ERROR: Database Error
  connection to server at "127.0.0.1", port 1 failed: Connection refused
  \tIs the server running on that host and accepting TCP/IP connections?
"""
    + FOOTER
)
NAMES = Names(
    ("total_signals", "critical_signals", "total_contributions"),
    {
        "dashboard_severity": SavedQuery(("total_signals",), ("signal__severity",)),
        "history_of_runs": SavedQuery(("signals_by_run",), ("run",)),
    },
)
ASKED = MetricsRequest(
    metrics=("total_signals",),
    group_by=("signal__domian",),
    where=("{{Dimension('signal__sevrity')}}='x'",),
    start_time="2025-01-01",
    limit=5,
)


def test_a_refused_name_comes_with_what_was_asked_what_was_read_and_the_nearest() -> None:
    error = refusal(ASKED, NO_DIMENSION)

    assert isinstance(error, MetricQueryError)
    assert error.attempted == (
        "querying total_signals by signal__domian where {{Dimension('signal__sevrity')}}='x' "
        "from 2025-01-01 at most 5 rows"
    )
    assert error.seen.count("does not match any of the available group-by-items") == 2
    assert "(it read signal__domian)" in error.seen
    assert "Dimension('signal__sevrity')" in error.seen
    for noise in ("Log File", "/tmp/x", "report it here", "Suggestions", "Issue Location", "\n"):
        assert noise not in error.seen
    assert error.remedy == (
        "Name one of these instead: Dimension('signal__severity'), Dimension('signal__run_id'), "
        "signal__domain, signal__run; `mf list dimensions --metrics total_signals` shows all"
    )


def test_a_database_that_does_not_answer_may_be_asked_again() -> None:
    error = refusal(ASKED, NO_SERVER)

    assert isinstance(error, MetricsUnreachableError)
    assert "Connection refused" in error.seen
    assert isinstance(invalid("validating", NO_SERVER), MetricsUnreachableError)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('relation "analytics.fct_signals" does not exist', "run quality-compass"),
        ("column subq_1.severity_rank does not exist", "run quality-compass"),
        ('connection to server failed: FATAL: database "x" does not exist', "Check the block"),
        ("connection to server failed: FATAL: password authentication failed", "Check the block"),
        ("permission denied for schema analytics", "Check the block"),
        ("syntax error at or near", "Compare the filters"),
        ("", "Compare the filters"),
    ],
)
def test_each_cause_has_its_own_remedy_and_no_retry(said: str, remedy: str) -> None:
    error = refusal(ASKED, said)

    assert isinstance(error, MetricQueryError)
    assert remedy in error.remedy
    assert error.seen


def test_an_unknown_metric_or_saved_query_is_told_before_metricflow_is_asked() -> None:
    error = unknown_names(MetricsRequest(metrics=("total_signals", "critical_signal")), NAMES)
    assert error
    assert "no metric critical_signal, the nearest are critical_signals, " in error.seen
    assert "mf list metrics" in error.remedy
    error = unknown_names(MetricsRequest(saved_query="dashbord"), NAMES)
    assert error
    assert error.attempted == "querying the saved query dashbord"
    assert "the nearest are dashboard_severity, history_of_runs" in error.seen
    assert unknown_names(MetricsRequest(saved_query="history_of_runs"), NAMES) is None


def test_an_order_by_what_is_not_asked_for_names_what_is() -> None:
    asked = MetricsRequest(
        metrics=("total_signals",), group_by=("signal__domain",), order_by=("-total", "run")
    )
    error = unknown_names(asked, NAMES)
    assert error
    assert "the answer has no column total, run" in error.seen
    assert "Order by what is asked for: signal__domain, total_signals" in error.remedy
    good = asked.model_copy(update={"order_by": ("-total_signals", "signal__domain")})
    assert unknown_names(good, NAMES) is None


def test_what_is_long_is_told_from_its_beginning() -> None:
    assert what_was_said("ERROR: first " + "x" * 10_000).startswith("first x")
    assert len(what_was_said("x" * 10_000)) < 2_100
    assert len(str(MetricsRequest(metrics=("m",), where=("x" * 2_000,)))) < 300


SEVERITY = "{{ Dimension('signal__severity') }}"


@pytest.mark.parametrize(
    "where",
    [
        "1=1)); create table public.pwned(x int); commit; select ((1=1",
        "1=1; select 1",
        "1=1) union all (select 1",
        "1=1 -- and the rest",
        "1=1 /* and the rest",
        "(1=1",
        "1=1)",
        "(1=1])",
        f"{SEVERITY} = 'open",
        f'{SEVERITY} = "open',
        f"{SEVERITY} = e'\\'; select 1 --'",
        f"{SEVERITY} in (E'a'\n'\\'; select 1 --')",
        f"{SEVERITY} = $$a'$$; select 1 --'",
        f"{SEVERITY} = $t$a'$t$",
        "{{ ') ; select (' }}",
        "{{ Dimension('a') ~ '); select (' }}",
        "{% set a = 1 %} 1=1",
        "{# a #} 1=1",
        "{{{ Dimension('a') }}}",
        "{{ Dimension('a' ~ ')') }}",
        "{{ Dimension('a').render(';') }}",
        "{{ cycler.__init__.__globals__ }}",
        """'{{ "\\x27 or pg_sleep(9) is null or \\x27" }}' = 'a'""",
        "'{% raw %}' = 'a'",
        "'{#' = 'a' or 'b' = '#}'",
        "pg_sleep(300) is null",
        "pg_catalog.pg_sleep (300) is null",
        '"pg_sleep"(300) is null',
        'U&"\\0070g_sleep"(300) is null',
        "1 operator(pg_catalog.=) 1",
        "set_config('default_transaction_read_only', 'off', false) = 'off'",
        "repeat('x', 1000000000) is null",
        f"{SEVERITY} in (select usename from pg_user)",
        f"{SEVERITY} in (TABLE pg_user)",
        f"({SEVERITY}, 1) in (values ('a', 1))",
        "1=1\x00",
        "1=1\u2028;",
        "",
        " \n",
    ],
)
def test_a_filter_that_is_more_than_a_condition_is_refused(where: str) -> None:
    with pytest.raises(ValidationError, match="filter 2 holds"):
        MetricsRequest(metrics=("total_signals",), where=("1=1", where))


@pytest.mark.parametrize(
    "where",
    [
        f"{SEVERITY} = 'Critical'",
        f"{SEVERITY} in ('a;b', 'c--d', 'it''s (', '/*', '$$', 'C:\\', 'e\"')",
        f"not ({SEVERITY} like '%(%' or {{{{Entity('facility')}}}} = 'x')\n\tand 1=1",
        "{{ TimeDimension('metric_time', 'month') }} >= '2025-01-01'::date",
        "{{ TimeDimension(\"metric_time\").grain('month') }} - interval '1 day' < now()",
        "{{ Metric('total_signals', group_by=['facility']) }} > 5",
        "{{ Dimension('signal__is_actionable') }} = any(array['yes', 'no'])",
        f"lower(trim({SEVERITY})) like 'select%' and coalesce(round(1.5), 0) in (1, 2)",
        f"case when ({SEVERITY} is null) then (1) else (2) end = 1 and cast(1 as numeric(3)) > 0",
    ],
)
def test_a_condition_is_one_operand_of_its_own(where: str) -> None:
    asked = MetricsRequest(metrics=("total_signals",), where=(where,))
    assert asked.arguments()[-1] == f"--where=({where})"


DAY = "{{ TimeDimension('metric_time', 'day') }} <= '2025-02-14'"
OF_ALL_RUNS = "{{ Metric('signals_by_run', group_by=['facility']) }} > 30"


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ({"metrics": ("signals_by_run",)}, "group by run, for runs do not add up"),
        ({"where": ("1=1", OF_ALL_RUNS)}, "group by run, for runs do not add up"),
        ({"metrics": ("cumulative_signals",), "end_time": "2025-02-14"}, "days do not add up"),
        ({"start_time": "2025-03-02", "end_time": "2025-02-02"}, "is after end_time"),
        ({"metrics": ("cumulative_signals",), "where": (DAY,)}, "days do not add up"),
    ],
)
def test_what_would_add_up_runs_or_days_is_refused(asked: dict[str, object], seen: str) -> None:
    with pytest.raises(ValidationError, match=seen):
        MetricsRequest.model_validate({"metrics": ("total_signals",)} | asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"where": (OF_ALL_RUNS.replace("['", "['run', '"),)},
        {"where": (OF_ALL_RUNS.replace("signals_by_run", "total_signals"),)},
        {"metrics": ("cumulative_signals",)},
        {"metrics": ("cumulative_signals",), "group_by": ("metric_time__year",), "where": (DAY,)},
    ],
)
def test_what_adds_up_no_runs_and_no_days_is_asked(asked: dict[str, object]) -> None:
    MetricsRequest.model_validate({"metrics": ("total_signals",)} | asked)


def test_first_and_last_day_are_filters_whatever_lengths_of_time_are_grouped_by() -> None:
    """MetricFlow's own options take in the whole year that a day is in."""
    asked = MetricsRequest(
        metrics=("total_signals",), start_time="2025-02-01", end_time="2025-02-14"
    )
    assert asked.arguments()[1:] == [
        "--where={{ TimeDimension('metric_time', 'day') }} >= '2025-02-01'",
        "--where={{ TimeDimension('metric_time', 'day') }} <= '2025-02-14'",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"group_by": ("a;b",)},
        {"order_by": ("a) --",)},
        {"order_by": ("--a",)},
        {"metrics": (), "saved_query": "a; select 1"},
        {"start_time": "2025-13-45"},
        {"end_time": "2025-02-30"},
        {"where": ("x" * 140_000,)},
        {"where": ("1=1",) * 1_000},
        {"group_by": ("a" * 10_000,)},
    ],
)
def test_what_is_no_name_no_day_or_too_long_is_refused_as_a_parameter(
    wrong: dict[str, object],
) -> None:
    with pytest.raises(ValidationError):
        MetricsRequest.model_validate({"metrics": ("total_signals",)} | wrong)


def test_an_answer_whose_columns_were_not_asked_for_is_refused() -> None:
    asked = MetricsRequest(metrics=("total_signals",), group_by=("metric_time", "run"))
    saved = MetricsRequest(saved_query="dashboard_severity")
    good: list[tuple[MetricsRequest, tuple[str, ...]]] = [
        (asked, ("metric_time__day", "run", "total_signals")),
        (asked, ()),
        (saved, ("signal__severity", "total_signals")),
    ]
    for request, columns in good:
        assert strange_columns(request, columns, NAMES) is None
    strange: list[tuple[MetricsRequest, tuple[str, ...]]] = [
        (asked, ("?column?",)),
        (asked, ("run", "total_signals", "another")),
        (asked, ("run", "run", "total_signals")),
        (asked, ("metric_time__day", "run")),
        (saved, ("signal__domain", "total_signals")),
    ]
    for request, columns in strange:
        error = strange_columns(request, columns, NAMES)
        assert error
        assert columns[0] in error.seen


@pytest.mark.parametrize(
    "words",
    [
        "connection refused",
        "permission denied",
        'role "a" does not exist',
        'relation "a" does not exist',
    ],
)
def test_words_in_a_filter_do_not_decide_why_it_was_refused(words: str) -> None:
    """As MetricFlow repeats it, and as the database does."""
    for said in (
        NO_DIMENSION.replace("='x'", f"='{words}'"),
        f"\nERROR: Database Error\n  syntax error at or near \"x\"\n  LINE 9: '{words}'\n{FOOTER}",
        f'\nERROR: Database Error\n  invalid input syntax for type integer: "{words}"\n{FOOTER}',
        f'\nERROR: Database Error\n  column "{words}" does not exist\n{FOOTER}',
    ):
        error = refusal(ASKED, said)
        assert isinstance(error, MetricQueryError)
        assert not error.remedy.startswith(("Check the block", "The marts are not built")), said


def test_a_process_that_ends_before_its_first_question_blames_none() -> None:
    error = not_begun(
        2, "Traceback (most recent call last):\n  File x\nModuleNotFoundError: click\n"
    )
    assert error.attempted == "starting MetricFlow for 2 questions"
    assert error.seen == "ModuleNotFoundError: click"
    assert isinstance(not_begun(1, NO_SERVER), MetricsUnreachableError)
