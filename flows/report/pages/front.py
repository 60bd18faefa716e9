"""The front page: five headlines and what needs attention."""

from collections.abc import Sequence

from flows.report import words
from flows.report.records import Page


def page(domains: Sequence[Page], operations: Page) -> Page:
    everything = (*domains, operations)
    many = sum(len(each.attention) for each in everything)
    headline = (
        f"{words.count(many, 'thing needs', 'things need')} attention"
        if many
        else "Nothing needs attention"
    )
    if not many and all(not each.figures for each in domains):
        headline = "No domain has been built yet"
    return Page("index", "Report", "What do the five systems say today?", headline)
