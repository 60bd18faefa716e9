"""The way in and out of the schedule for a repository, as a flow."""

from collections.abc import Sequence
from typing import Literal

from prefect import flow, get_run_logger

from flows._shared.errors import PermanentError
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.flow_run import current_flow_run
from flows._shared.orchestration.naming import RunName
from flows.github_scraper import raw
from flows.github_scraper.rules import listed_url
from flows.github_scraper.settings import GithubScraperSettings

ARTIFACT = "github-scraper-repositories"
Action = Literal["list", "pause", "retire", "resume"]


@flow(
    name="github-scraper-repositories",
    flow_run_name=RunName("github-scraper raw, {action} repositories, at {now}"),
)
def manage(
    action: Action = "list",
    repositories: list[str] | None = None,
    reason: str | None = None,
    settings: GithubScraperSettings = GithubScraperSettings(),
) -> list[raw.ScheduledRepository]:
    """List repositories, or take some out of the schedule and into it again. Rows always stay.

    Args:
        action: list; pause for a while; retire for good, where the source is gone; resume.
        repositories: Addresses, as the list shows them or in any other spelling.
        reason: Why a repository retires; marts and the list show it.
        settings: Where the list of repositories is.
    """
    listed = change(action, repositories or (), reason, settings)
    log = get_run_logger()
    for each in listed:
        log.info("%s, %s: %s %s", each.schedule, each.state, each.url, each.first_words)
    if api := current_flow_run():
        api.create_table(ARTIFACT, [vars(each) for each in listed], "Repositories and schedule")
    return listed


def change(
    action: Action, repositories: Sequence[str], reason: str | None, settings: GithubScraperSettings
) -> list[raw.ScheduledRepository]:
    """The same without a run; returns the list as it is then.

    Raises:
        PlatformError: named after the situation; nothing was changed.
    """
    urls = [listed_url(address) for address in repositories]
    if (action == "list") == bool(urls):
        raise PermanentError(
            f"Trying to {action} repositories",
            "some were given" if urls else "none was given",
            "Give addresses in `repositories` to pause, retire or resume, and none to list",
        )
    with connect(settings.database_block) as connection:
        raw.ensure_schema(connection)
        if action != "list":
            raw.change_schedule(connection, action, urls, reason)
        return raw.list_repositories(connection, raw.known_urls(connection))
