"""The sample is deterministic and has the mess that the marts are tested on."""

from collections import Counter
from datetime import date, timedelta

import psycopg
import pytest

from flows.ledgermind.raw import operational
from flows.ledgermind.records import FeedbackShape, OperationalDatabaseError
from flows.ledgermind.rules import feedback_row
from flows.ledgermind.sample import MISSION_DAY, mission_day, sample


def test_the_same_seed_gives_the_same_database_and_another_gives_another() -> None:
    assert sample(300, seed=1) == sample(300, seed=1)
    assert sample(300, seed=1).events != sample(300, seed=2).events


def test_the_missions_day_holds_its_twelve_events_whatever_the_size() -> None:
    for made in (mission_day(), sample(2_000, seed=5)):
        today = [event for event in made.events if event.created_at.date() == MISSION_DAY]
        assert len(today) == 12
        assert len({event.txn_id for event in today}) == 3
        verdicts = Counter(f.action for f in made.feedback if f.event_id in {e.id for e in today})
        assert verdicts == {"accept": 4, "reject": 4}


def test_a_large_sample_has_every_kind_of_mess() -> None:
    made = sample(8_000, seed=6)
    days = {event.id: event.created_at.date() for event in made.events}
    answers = Counter(feedback.event_id for feedback in made.feedback)
    assert any(event.model_id is None for event in made.events)
    assert any(event.candidates == "[]" for event in made.events)
    assert any(transaction.tenant_id is None for transaction in made.transactions)
    assert any(feedback.event_id is None for feedback in made.feedback)
    assert any(feedback.action == "undo" for feedback in made.feedback)
    assert max(count for event, count in answers.items() if event) > 1
    late = [
        feedback
        for feedback in made.feedback
        if feedback.event_id
        and feedback.created_at.date() - days[feedback.event_id] > timedelta(days=1)
    ]
    assert late
    assert max(days.values()) > date(2025, 11, 25)


def test_the_second_shape_of_feedback_has_no_undo_and_the_first_no_missing_event() -> None:
    made = sample(3_000, seed=7)
    assert {feedback_row(f, FeedbackShape.V2)[3] for f in made.feedback} == {"accept", "reject"}
    assert None not in {feedback_row(f, FeedbackShape.V1)[1] for f in made.feedback}


def test_an_operational_database_that_is_there_is_never_written_to(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table public.suggestion_events (id uuid)")
        with pytest.raises(OperationalDatabaseError, match="is there already"):
            operational.create_operational_database(connection, mission_day())
        assert connection.execute("select count(*) from suggestion_events").fetchone() == (0,)
        assert connection.execute("select to_regclass('public.tenants')").fetchone() == (None,)
