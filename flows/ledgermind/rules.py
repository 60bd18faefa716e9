"""Decisions: how a reaction is written in each shape of the feedback table."""

from uuid import UUID, uuid5

from flows.ledgermind.records import Feedback, FeedbackShape

MISSING_EVENTS = UUID("9f6a2c3e-35a5-4ce9-93a6-0cb5e1b6b9d1")


def feedback_row(feedback: Feedback, shape: FeedbackShape) -> tuple[object, ...]:
    """The row of one reaction, in the order of the table's columns.

    The first shape has no NULL event: a reaction without one names an event that is not there. The
    second has no undo: the migration rewrote those to reject.
    """
    if shape is FeedbackShape.V1:
        event_id = feedback.event_id or uuid5(MISSING_EVENTS, str(feedback.id))
        given = feedback.created_at.replace(tzinfo=None)
        return (feedback.id, event_id, feedback.action, None, None, given)
    return (
        feedback.id,
        feedback.event_id,
        feedback.txn_id,
        "reject" if feedback.action == "undo" else feedback.action,
        feedback.label,
        feedback.confidence,
        feedback.user_id,
        None,
        feedback.created_at,
    )
