"""What a filter may hold: one condition on what the semantic layer knows.

MetricFlow puts a filter into its statement as it is, so that a text which ends the condition would
begin another statement.
"""

import re

TEXT = r"""(?:'[\w.]*'|"[\w.]*")"""
ARGUMENT = rf"(?:\w+\s*=\s*)?(?:{TEXT}|\[\s*{TEXT}\s*(?:,\s*{TEXT}\s*)*\])"
# The only templates; any other may compose a text of its own.
REFERENCE = re.compile(
    r"\{\{\s*(?:Dimension|TimeDimension|Entity|Metric)"
    rf"\(\s*{ARGUMENT}\s*(?:,\s*{ARGUMENT}\s*)*\)"
    rf"(?:\.(?:grain|date_part)\(\s*{TEXT}\s*\))*\s*\}}\}}",
    re.ASCII,
)
QUOTED = re.compile(r"""[eE]?'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
# Rendered before the database reads a text as one, in a text, too.
TEMPLATE = re.compile(r"[{}]")
REFUSED = (
    # What a backslash does in them, also in the next one, decides where they end.
    (re.compile("[eE]'"), "a text with escapes, or no space before a text"),
    (re.compile("['\"]"), "a quote that nothing closes"),
    (re.compile(";"), "a semicolon"),
    (re.compile(r"--|/\*|\*/"), "a comment"),
    (re.compile(r"\$"), "a dollar sign outside of a text"),
    (re.compile(r"[^\S \t\r\n]|[\x00-\x08\x0e-\x1f]"), "a character that is not seen"),
)
SUBQUERY = re.compile(r"\b(?:select|table|values)\b", re.IGNORECASE)
CALL = re.compile(r"([\w.]*)\s*\(")
# Words before a parenthesis, and functions that read nothing, wait for nothing and change nothing.
CALLED = re.compile(
    r"(?:all|and|any|between|case|else|ilike|in|is|like|not|or|some|then|when"
    r"|abs|cast|ceil|char_length|coalesce|date|date_part|date_trunc|decimal|extract|floor|greatest"
    r"|least|left|length|lower|make_date|mod|now|nullif|numeric|position|replace|right|round"
    r"|split_part|starts_with|substring|to_date|trim|trunc|upper|varchar)?",
    re.IGNORECASE,
)
CLOSED_BY = {"(": ")", "[": "]"}


def why_refused(where: str) -> str | None:
    """What in a filter is no condition; None for one that may be asked."""
    if not where.strip():
        return "nothing"
    if "\x00" in where:
        return "a character that is not seen"
    without_references = REFERENCE.sub(" x ", where)
    if TEMPLATE.search(without_references):
        return "a template that is no Dimension, TimeDimension, Entity or Metric"
    plain = QUOTED.sub(_escapes_only, without_references)
    for pattern, what in REFUSED:
        if pattern.search(plain):
            return what
    if SUBQUERY.search(plain):
        return "a query of its own"
    for name in CALL.findall(plain):
        if not CALLED.fullmatch(name):
            return f"a call of {name}, which is no plain function"
    return None if _is_balanced(plain) else "parentheses that do not match"


def as_condition(where: str) -> str:
    """The filter as one operand: `or`, or a second query, does not reach beyond it."""
    return f"({where})"


def _escapes_only(quoted: re.Match[str]) -> str:
    return "e'" if quoted[0][0] in "eE" else " y "


def _is_balanced(plain: str) -> bool:
    awaited: list[str] = []
    for character in plain:
        if character in CLOSED_BY:
            awaited.append(CLOSED_BY[character])
        elif character in CLOSED_BY.values() and (not awaited or awaited.pop() != character):
            return False
    return not awaited
