"""Decisions: how a repository is named, what has to be read, who a commit belongs to."""

from flows.github_scraper.rules.addresses import (
    FETCHABLE_SCHEMES,
    bare_address,
    listed_url,
    repository_path_name,
    repository_url,
    shown_address,
    split_addresses,
)
from flows.github_scraper.rules.people import Mailmap, coauthors, identify, named_identity
from flows.github_scraper.rules.purged import (
    as_pseudonym,
    message_without,
    name_of_address,
    signed,
    without_purged,
)
from flows.github_scraper.rules.reading import (
    EPOCH,
    choose_source,
    commit_dates,
    file_class,
    outlook,
    plan_walk,
)

__all__ = [
    "EPOCH",
    "FETCHABLE_SCHEMES",
    "Mailmap",
    "as_pseudonym",
    "bare_address",
    "choose_source",
    "coauthors",
    "commit_dates",
    "file_class",
    "identify",
    "listed_url",
    "message_without",
    "name_of_address",
    "named_identity",
    "outlook",
    "plan_walk",
    "repository_path_name",
    "repository_url",
    "shown_address",
    "signed",
    "split_addresses",
    "without_purged",
]
