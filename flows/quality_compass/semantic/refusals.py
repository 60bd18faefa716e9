"""Why the semantic layer did not answer, in words that lead on.

What MetricFlow writes for a terminal is taken apart: its message, what it read, what comes near.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
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
# What PostgreSQL and its client begin with, none of which is a text of who asks.
BY_DATABASE = re.compile(
    r"\s*(?:ERROR:\s*)?(?:Database Error\s*)?"
    r"((?:connection to server |could not connect |could not translate host name |FATAL:"
    r"|server closed the connection|terminating connection|timeout expired|SSL "
    r"|(?:no password supplied|fe_sendauth: no password supplied)|permission denied for "
    r'|(?:relation|column|schema|database|role) "?[\w."-]+"? does not exist)[^\n]*)',
    re.IGNORECASE,
)
TRACEBACK = "Traceback (most recent call last):"
ERROR_OF_A_TRACE = re.compile(r"^\s*((?:\w+\.)*\w*(?:Error|Exception|Undefined)(?:: .*)?)$", re.M)
UNREACHABLE = re.compile(
    "connection refused|could not connect|connection to server .* failed|timeout expired"
    "|server closed the connection|terminating connection|too many clients"
    "|could not translate host name",
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
class SavedQuery:
    """What a saved query answers with."""

    metrics: Collection[str]
    group_by: Collection[str]


@dataclass(frozen=True)
class Names:
    """What the semantic layer knows by name."""

    metrics: Collection[str]
    saved_queries: Mapping[str, SavedQuery]


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


def strange_columns(
    request: MetricsRequest, columns: Sequence[str], names: Names
) -> MetricQueryError | None:
    """An answer to another question, by its columns. One without rows has none."""
    saved = names.saved_queries[request.saved_query] if request.saved_query else request
    groups = {*saved.group_by, *request.group_by}
    metrics = set(saved.metrics)
    # A day is told as metric_time__day where metric_time is asked for.
    others = [each for each in columns if each not in metrics and not _is_one_of(each, groups)]
    is_whole = metrics <= set(columns) and len(set(columns)) == len(columns)
    if not columns or (is_whole and not others):
        return None
    return MetricQueryError(
        f"querying {request}",
        f"the answer has the columns {', '.join(columns)[:LONGEST_TEXT]}, asked for were "
        f"{', '.join([*sorted(groups), *saved.metrics])}",
        "Look at the filters: each is one condition on what the semantic layer knows",
    )


def _is_one_of(column: str, groups: Collection[str]) -> bool:
    return any(column == each or column.startswith(f"{each}__") for each in groups)


def not_begun(questions: int, said: str) -> PlatformError:
    """The error where MetricFlow ended before it came to a question."""
    attempted = f"starting MetricFlow for {questions} question{'s' if questions > 1 else ''}"
    seen = what_was_said(said)
    return _of_the_database(attempted, seen, seen) or MetricQueryError(
        attempted, seen, "Run `make install` again, and look for a lack of memory"
    )


def refusal(request: MetricsRequest, said: str) -> PlatformError:
    """The error for what MetricFlow said of a query; secrets are already removed from it."""
    attempted = f"querying {request}"
    seen = what_was_said(said)
    by_database = BY_DATABASE.match(said)
    if by_database and (found := _of_the_database(attempted, seen, by_database[1])):
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
    return _of_the_database(attempted, seen, seen) or MetricQueryError(
        attempted,
        seen,
        "Correct the file that it names in dbt_projects/quality_compass, then `dbt parse` there",
    )


def what_was_said(said: str) -> str:
    """Messages and what they are about, without the advice to whoever sits at a terminal."""
    text = FOOTER.split(said)[0].strip().removeprefix("ERROR:")
    first, *errors = ERRORS.split(text)
    told = [" ".join(each) for each in map(_message, errors)] if errors else [_without_trace(first)]
    whole = "; ".join(" ".join(each.split()) for each in told) or "MetricFlow said nothing"
    return whole if len(whole) <= LONGEST_TEXT else whole[:LONGEST_TEXT].rstrip() + " ..."


def _message(error: str) -> Iterator[str]:
    """Its message, and the input it is about: the list of what comes near is told as a remedy."""
    _, *parts = PART.split(error)
    by_name = dict(zip(parts[::2], parts[1::2], strict=False))
    message = _without_trace(SUGGESTIONS.sub("", by_name.get("Message", error)))
    yield " ".join(message.partition("Common issues are:")[0].split())
    if read := " ".join(by_name.get("Query Input", "").split()):
        yield f"(it read {read})"


def _without_trace(text: str) -> str:
    """Of a trace, as of a template that cannot be read, its last error."""
    found = ERROR_OF_A_TRACE.findall(text) if TRACEBACK in text else []
    return found[-1] if found else text


def _suggestions(said: str) -> list[str]:
    found = [
        match[1] for block in SUGGESTIONS.findall(said) for match in QUOTED.findall(block.strip())
    ]
    return list(dict.fromkeys(found))[:NEAREST]


def _of_the_database(attempted: str, seen: str, words: str) -> PlatformError | None:
    """The error that ``words`` of the database are, which hold nothing of a question."""
    if NO_DATABASE.search(words) or REFUSED.search(words):
        return MetricQueryError(
            attempted, seen, "Check the block of the database and the rights of its user"
        )
    if UNREACHABLE.search(words):
        return MetricsUnreachableError(
            attempted, seen, "Check that the database is up and reachable from here"
        )
    if NOT_BUILT.search(words):
        return MetricQueryError(
            attempted, seen, "The marts are not built, or of another version: run quality-compass"
        )
    return None


def _nearest(name: str, known: Collection[str]) -> list[str]:
    return get_close_matches(name, sorted(known), n=NEAREST, cutoff=0.0)
