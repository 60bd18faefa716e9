"""The errors every domain raises.

    PlatformError
    ├── TransientError    another try may help: the network, a lock, a limit
    └── PermanentError    only a person or a change helps: a typo, a permission, a broken file

Leaves belong to the domains and name the situation. Retry asks the error, never a number on a
decorator: see ``flows._shared.orchestration.retry_transient``.
"""


class PlatformError(Exception):
    """Something a flow attempted did not work.

    Args:
        attempted: what was being done, with the thing it was done to.
        seen: what happened instead; secrets already removed.
        remedy: what the reader can do next.
    """

    def __init__(self, attempted: str, seen: str, remedy: str) -> None:
        super().__init__(attempted, seen, remedy)
        self.attempted = attempted
        self.seen = seen
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.attempted}: {self.seen.rstrip('. ')}. {self.remedy}"


class TransientError(PlatformError):
    """Another try may help."""


class PermanentError(PlatformError):
    """Only a person or a change helps; trying again does the same thing again."""
