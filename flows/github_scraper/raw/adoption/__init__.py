"""Tables that are there already under the names of ours: how they are fitted, and what is said
where they cannot be."""

from flows.github_scraper.raw.adoption.fitting import fit_tables, fitting_by, rules_on
from flows.github_scraper.raw.adoption.told import (
    create_what_is_missing,
    refused_rows_are_told,
    said_of,
)

__all__ = [
    "create_what_is_missing",
    "fit_tables",
    "fitting_by",
    "refused_rows_are_told",
    "rules_on",
    "said_of",
]
