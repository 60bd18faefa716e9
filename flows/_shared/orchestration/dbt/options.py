"""What an operator may turn about a build, and the commands that a flow runs."""

import re

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

SELECTING = frozenset(
    {"build", "run", "test", "seed", "snapshot", "docs generate", "source freshness"}
)
REFRESHING = frozenset({"build", "run", "seed"})
COMMANDS = SELECTING | {"run-operation"}
# Methods, paths, graph operators and joins of dbt; an option begins with a dash.
SELECTOR = re.compile(r"[\w+@*][\w+@*.:,/?\[\]=-]*")


class DbtOptions(BaseModel):
    """What an operator may turn about one dbt build: the form of a flow parameter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    select: tuple[str, ...] = Field(
        (),
        description="Models to build, as dbt selects them; a + takes what rests on one along: "
        "`leaderboard+`, `tag:daily`. Default: all.",
    )
    exclude: tuple[str, ...] = Field(
        (), description="Models and tests to leave out, as dbt selects them."
    )
    full_refresh: bool = Field(False, description="Rebuild incremental models from nothing.")
    build_unchanged: bool = Field(
        False,
        description="Build and test also what cannot have changed since its last success. A full "
        "refresh and a selection always do.",
    )
    variables: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Values of the project's dbt variables, by name and of the kind that it "
        'declares, such as {"as_of_date": "2026-11-01"}. A change of one that configures models '
        "makes dbt read the whole project anew.",
    )
    release_brake: bool = Field(
        False,
        description="Publish tables that lost all of their rows, more than half of them, or their "
        "grain: without it they stay as they were, and the run fails and says so.",
    )
    target: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="Target of profiles.yml; empty for the profile's default.",
    )
    threads: int | None = Field(
        None, ge=1, le=64, description="Nodes built at a time; empty for the profile's number."
    )

    @property
    def leaves_out(self) -> bool:
        """Whether what cannot have changed is left out: never of what somebody asked for."""
        asked = self.full_refresh or self.build_unchanged or self.select or self.exclude
        return not asked

    @field_validator("select", "exclude")
    @classmethod
    def _are_selectors(cls, selectors: tuple[str, ...]) -> tuple[str, ...]:
        for selector in selectors:
            parts = selector.split()
            if not parts or any(not SELECTOR.fullmatch(part) for part in parts):
                raise ValueError(f"{selector!r} is not a dbt selector")
        return selectors
