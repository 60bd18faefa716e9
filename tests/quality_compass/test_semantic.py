"""What a metric query that is not answered says; the texts are MetricFlow's own."""

import pytest

from flows.quality_compass.semantic.refusals import (
    MetricQueryError,
    MetricsUnreachableError,
    Names,
    invalid,
    refusal,
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
    ("dashboard_severity", "history_of_runs"),
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
    assert len(str(MetricsRequest(metrics=("m",), where=("x" * 10_000,)))) < 300
