"""A month's budget: what was spent, what the month comes to, and whether that is too much."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Of one calendar month, ``2026-11``; ``projected_usd`` is None where it is not known."""

    name: str
    month: str
    spent_usd: float
    projected_usd: float | None
    budget_usd: float

    @property
    def is_passed(self) -> bool:
        """What was spent is more already."""
        return self.spent_usd > self.budget_usd

    @property
    def is_exceeded(self) -> bool:
        """It is passed, or will be at this pace."""
        return self.is_passed or (
            self.projected_usd is not None and self.projected_usd > self.budget_usd
        )

    @property
    def state(self) -> str:
        if self.is_passed:
            return "is passed"
        if self.projected_usd is None:
            return "may hold or not"
        return "will be passed" if self.is_exceeded else "holds"

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
