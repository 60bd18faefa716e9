"""A month's budget: what was spent, what the month comes to, and whether that is too much."""

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True)
class Budget:
    """Of one calendar month, ``2026-11``.

    Args:
        name: what is paid for.
        month: ``2026-11``.
        spent_usd: so far.
        projected_usd: what the month comes to at this pace; None where that is not known.
        budget_usd: of the whole month.
        status: the verdict of the mart that judges it; None where no mart does.
        is_whole: whether what was spent is known of every day of the month, and has a price.
    """

    name: str
    month: str
    spent_usd: float
    projected_usd: float | None
    budget_usd: float
    status: str | None = None
    is_whole: bool = False

    def seen_in(self, month: str) -> Self:
        """As seen in a month: of one that is over nothing is expected. It was passed, held, or that
        is not known."""
        if self.month >= month or self.is_passed:
            return self
        return replace(self, status="within" if self.is_whole else "unknown")

    @property
    def state(self) -> str:
        """``over``, ``will be over``, ``may be over``, ``within`` or ``unknown``, as in marts."""
        if self.status is not None:
            return self.status
        if self.spent_usd > self.budget_usd:
            return "over"
        if self.projected_usd is None:
            return "unknown"
        return "will be over" if self.projected_usd > self.budget_usd else "within"

    @property
    def is_passed(self) -> bool:
        """What was spent is more already."""
        return self.state == "over"

    @property
    def is_exceeded(self) -> bool:
        """It is passed, or will be at this pace."""
        return self.state in ("over", "will be over")

    @property
    def is_open(self) -> bool:
        """Whether it holds is not settled."""
        return self.state in ("may be over", "unknown")

    def __str__(self) -> str:
        end = (
            ""
            if self.projected_usd is None
            else f", {self.projected_usd:.2f} USD at its end at this pace"
        )
        return (
            f"{self.name}: {self.spent_usd:.2f} USD this month{end}; the budget is "
            f"{self.budget_usd:.2f} USD"
        )
