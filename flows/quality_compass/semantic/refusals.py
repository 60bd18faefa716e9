"""Why the semantic layer did not answer, in words that lead on.

What MetricFlow writes for a terminal is taken apart: its message, what it read, what comes near.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from flows._shared.errors import PermanentError, PlatformError, TransientError
from flows.quality_compass.semantic.requests import MetricsRequest

NEAREST = 6
LONGEST_TEXT = 2000
FOOTER = re.compile(r"\n\s*(Log File::|If you think you found a bug)")
ERRORS = re.compile(r"Error #\d+:")
PART = re.compile(r"^  (Message|Query Input|Suggestions|Issue Location):\s*$", re.MULTILINE)
SUGGESTIONS = re.compile(r"Suggestions:\s*\[(.*?)\]", re.DOTALL)
QUOTED = re.compile(r"""(["'])(.*?)\1,?\s*$""", re.MULTILINE)
UNREACHABLE = re.compile(
    "connection refused|could not connect|connection to server .* failed|timeout expired"
    "|server closed the connection|too many clients|could not translate host name",
    re.IGNORECASE,
)
REFUSED = re.compile("authentication failed|no password supplied|permission denied", re.IGNORECASE)
NOT_BUILT = re.compile(r'(relation|column|schema) "?[\w."]+"? does not exist', re.IGNORECASE)
NO_DATABASE = re.compile(r'(database|role) "?[\w."-]+"? does not exist', re.IGNORECASE)


class MetricQueryError(PermanentError):
    """MetricFlow refused the query, or the semantic layer is not valid."""


class MetricTimeoutError(TransientError):
    """MetricFlow did not answer in time."""


class MetricsUnreachableError(TransientError):
    """The database of the marts did not answer."""


@dataclass(frozen=True)
class Names:
    """What the semantic layer knows by name."""

    metrics: Collection[str]
    saved_queries: Collection[str]


def unknown_names(request: MetricsRequest, names: Names) -> MetricQueryError | None:
    """What no question to MetricFlow is needed for."""
    asked = [request.saved_query] if request.saved_query else request.metrics
    known = names.saved_queries if request.saved_query else names.metrics
    kind = "saved query" if request.saved_query else "metric"
    missing = [name for name in asked if name not in known]
    if missing:
        seen = "; ".join(
            f"there is no {kind} {name}, the nearest are {', '.join(_nearest(name, known))}"
            for name in missing
        )
        every = "`mf list saved-queries`" if request.saved_query else "`mf list metrics`"
        return MetricQueryError(f"querying {request}", seen, f"Name one of them; {every} shows all")
    columns = {*request.metrics, *request.group_by}
    strangers = [each for each in request.order_by if each.lstrip("-") not in columns]
    if strangers and not request.saved_query:
        return MetricQueryError(
            f"querying {request}",
            f"the answer has no column {', '.join(each.lstrip('-') for each in strangers)}",
            f"Order by what is asked for: {', '.join(sorted(columns))}; a minus before it descends",
        )
    return None


def refusal(request: MetricsRequest, said: str) -> PlatformError:
    """The error for what MetricFlow said of a query; secrets are already removed from it."""
    attempted = f"querying {request}"
    seen = what_was_said(said)
    if found := _of_the_database(attempted, seen):
        return found
    if near := _suggestions(said):
        metrics = ",".join(request.metrics)
        every = f"`mf list dimensions --metrics {metrics}`" if metrics else "`mf list dimensions`"
        remedy = f"Name one of these instead: {', '.join(near)}; {every} shows all"
    else:
        remedy = (
            "Compare the filters and names with `mf list dimensions`; a filter is written as "
            "{{ Dimension('signal__severity') }} = 'Critical'"
        )
    return MetricQueryError(attempted, seen, remedy)


def invalid(attempted: str, said: str) -> PlatformError:
    """The error where the semantic layer itself, or its project, is wrong."""
    seen = what_was_said(said)
    return _of_the_database(attempted, seen) or MetricQueryError(
        attempted,
        seen,
        "Correct the file that it names in dbt_projects/quality_compass, then `dbt parse` there",
    )


def what_was_said(said: str) -> str:
    """Messages and what they are about, without the advice to whoever sits at a terminal."""
    text = FOOTER.split(said)[0].strip().removeprefix("ERROR:")
    first, *errors = ERRORS.split(text)
    told = [" ".join(each) for each in map(_message, errors)] if errors else [first]
    whole = "; ".join(" ".join(each.split()) for each in told) or "MetricFlow said nothing"
    return whole if len(whole) <= LONGEST_TEXT else whole[:LONGEST_TEXT].rstrip() + " ..."


def _message(error: str) -> Iterator[str]:
    """Its message, and the input it is about: the list of what comes near is told as a remedy."""
    _, *parts = PART.split(error)
    by_name = dict(zip(parts[::2], parts[1::2], strict=False))
    message = SUGGESTIONS.sub("", by_name.get("Message", error))
    yield " ".join(message.partition("Common issues are:")[0].split())
    if read := " ".join(by_name.get("Query Input", "").split()):
        yield f"(it read {read})"


def _suggestions(said: str) -> list[str]:
    found = [
        match[1] for block in SUGGESTIONS.findall(said) for match in QUOTED.findall(block.strip())
    ]
    return list(dict.fromkeys(found))[:NEAREST]


def _of_the_database(attempted: str, seen: str) -> PlatformError | None:
    if NO_DATABASE.search(seen) or REFUSED.search(seen):
        return MetricQueryError(
            attempted, seen, "Check the block of the database and the rights of its user"
        )
    if UNREACHABLE.search(seen):
        return MetricsUnreachableError(
            attempted, seen, "Check that the database is up and reachable from here"
        )
    if NOT_BUILT.search(seen):
        return MetricQueryError(
            attempted, seen, "The marts are not built, or of another version: run quality-compass"
        )
    return None


def _nearest(name: str, known: Collection[str]) -> list[str]:
    return get_close_matches(name, sorted(known), n=NEAREST, cutoff=0.0)
