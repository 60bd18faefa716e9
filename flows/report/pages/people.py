"""The names of people, each of one person alone."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from flows.report import words
from flows.report.records import DomainData

# The id of a row that is of all together.
EVERYBODY = "all"


def told_apart(data: DomainData, models: Sequence[str], key: str, name: str) -> DomainData:
    """The same, with a number behind each name that several people have.

    Args:
        models: in which people are named, by the same ids.
        key: the column with the id of a person.
        name: that with the name.
    """
    sharing: dict[str, set[str]] = defaultdict(set)
    for row in (each for model in models for each in data.rows(model)):
        if row[key] != EVERYBODY:
            sharing[words.text(row[name])].add(row[key])
    names = {
        person: f"{shared} ({at})"
        for shared, people in sharing.items()
        if len(people) > 1
        for at, person in enumerate(sorted(people), start=1)
    }
    extracts = dict(data.extracts)
    for model in models:
        rows = ({**row, name: names.get(row[key], row[name])} for row in data.rows(model))
        extracts[model] = replace(extracts[model], rows=tuple(rows))
    return replace(data, extracts=extracts)
