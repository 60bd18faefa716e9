"""Who is purged, and where."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from flows._shared.purged import Person, plain, words_of
from flows.agent_analytics.settings import AgentAnalyticsSettings
from flows.github_scraper.settings import GithubScraperSettings
from flows.report.settings import ReportSettings

LONGEST = 320
MOST_NAMES = 100


def _email(value: str) -> str:
    local, at, domain = plain(value).partition("@")
    if not (local and at and "." in domain) or set(value) & set(" <>\"'(),;*%") or "@" in domain:
        raise ValueError("give an address such as jane@example.org, without a name or a wildcard")
    return plain(value)


def _login(value: str) -> str:
    login = plain(value).removeprefix("@")
    if not login or set(login) & set(" <>\"'(),;*%/"):
        raise ValueError("give one login, such as jane-doe")
    return login


def _name(value: str) -> str:
    if not words_of(value):
        raise ValueError(
            "give first and last name: one word may be a word of any sentence, and so may initials "
            "and what programs sign with"
        )
    return plain(value)


Text = Annotated[str, Field(min_length=2, max_length=LONGEST)]


class Named(BaseModel):
    """By what the person is known. What belongs to it besides is found."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    emails: tuple[Annotated[Text, AfterValidator(_email)], ...] = Field(
        default=(), max_length=MOST_NAMES, description="Addresses that the person signs with."
    )
    logins: tuple[Annotated[Text, AfterValidator(_login)], ...] = Field(
        default=(),
        max_length=MOST_NAMES,
        description="Logins on GitHub, and names under which telemetry knows the developer.",
    )
    names: tuple[Annotated[Text, AfterValidator(_name)], ...] = Field(
        default=(),
        max_length=MOST_NAMES,
        description=(
            "What the person is called, first and last name, where texts are to be searched for "
            "other spellings than those under which the person signed."
        ),
    )

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if not (self.emails or self.logins):
            raise ValueError("give an address or a login: a name alone may be that of several")
        return self

    @property
    def person(self) -> Person:
        return Person(self.emails, self.logins, self.names)


class PurgeSettings(BaseModel):
    """Where people are known. What is not set up here is passed over, and told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    github: GithubScraperSettings = Field(
        default=GithubScraperSettings(), description="The GitHub scraper's database."
    )
    agents: AgentAnalyticsSettings = Field(
        default=AgentAnalyticsSettings(), description="The agents' DuckDB file."
    )
    inbox_block: str = Field(
        default="webhooks-postgres", description="SqlAlchemyConnector block of the inbox."
    )
    report: ReportSettings = Field(
        default=ReportSettings(), description="The report, whose dated versions are replaced."
    )
    with_bigquery: bool = Field(
        default=False, description="Also the copies and marts of the GitHub scraper on BigQuery."
    )
