"""Times as people type them."""

from datetime import UTC, datetime


def moment(text: str) -> datetime:
    """A date, or a time with or without a zone; without one it is UTC.

    Raises:
        ValueError: it is neither; the message says how one is written.
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: write 2026-11-01, 2026-11-01T08:30Z or 2026-11-01T08:30+02:00"
        ) from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
