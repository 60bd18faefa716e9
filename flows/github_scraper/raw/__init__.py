"""Writes this domain's raw tables."""

from flows.github_scraper.raw.aliases import wrong_lines
from flows.github_scraper.raw.application import adopt_repositories, fill_leaderboard
from flows.github_scraper.raw.commits import load_api_walk, load_walk
from flows.github_scraper.raw.database import ensure_schema
from flows.github_scraper.raw.duplicates import tidy_addresses
from flows.github_scraper.raw.emails import pending_emails, save_accounts
from flows.github_scraper.raw.facts import fingerprint, record_facts, recorded
from flows.github_scraper.raw.heads import lock_head, read_head
from flows.github_scraper.raw.identities import merge_accounts
from flows.github_scraper.raw.purge import (
    find_person,
    purge_again,
    purge_history,
    purge_person,
    remember_person,
)
from flows.github_scraper.raw.repositories import (
    find_by_github_id,
    find_repositories,
    follow_branch,
    known_urls,
    record_failure,
    record_missing,
    record_start,
    record_success,
    record_unchanged,
    register_repository,
)
from flows.github_scraper.raw.schedule import (
    ScheduledRepository,
    change_schedule,
    count_set_aside,
    left_failing,
    list_repositories,
    set_aside,
)
from flows.github_scraper.raw.sizes import measure_tables, remember_size, remembered_sizes
from flows.github_scraper.raw.walks import (
    close_walk,
    drop_walk,
    frontier,
    loaded_among,
    read_walk,
    save_page,
    start_walk,
    walked,
)

__all__ = [
    "ScheduledRepository",
    "adopt_repositories",
    "change_schedule",
    "close_walk",
    "count_set_aside",
    "drop_walk",
    "ensure_schema",
    "fill_leaderboard",
    "find_by_github_id",
    "find_person",
    "find_repositories",
    "fingerprint",
    "follow_branch",
    "frontier",
    "known_urls",
    "left_failing",
    "list_repositories",
    "load_api_walk",
    "load_walk",
    "loaded_among",
    "lock_head",
    "measure_tables",
    "merge_accounts",
    "pending_emails",
    "purge_again",
    "purge_history",
    "purge_person",
    "read_head",
    "read_walk",
    "record_facts",
    "record_failure",
    "record_missing",
    "record_start",
    "record_success",
    "record_unchanged",
    "recorded",
    "register_repository",
    "remember_person",
    "remember_size",
    "remembered_sizes",
    "save_accounts",
    "save_page",
    "set_aside",
    "start_walk",
    "tidy_addresses",
    "walked",
    "wrong_lines",
]
