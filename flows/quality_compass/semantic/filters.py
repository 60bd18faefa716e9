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
REFUSED = (
    (re.compile(r"[{}]"), "a template that is no Dimension, TimeDimension, Entity or Metric"),
    # What a backslash does in them, also in the next one, decides where they end.
    (re.compile("[eE]'"), "a text with escapes, or no space before a text"),
    (re.compile("['\"]"), "a quote that nothing closes"),
    (re.compile(";"), "a semicolon"),
    (re.compile(r"--|/\*|\*/"), "a comment"),
    (re.compile(r"\$"), "a dollar sign outside of a text"),
    (re.compile(r"[^\S \t\r\n]|[\x00-\x08\x0e-\x1f]"), "a character that is not seen"),
)
CLOSED_BY = {"(": ")", "[": "]"}


def why_refused(where: str) -> str | None:
    """What in a filter is no condition; None for one that may be asked."""
    if not where.strip():
        return "nothing"
    if "\x00" in where:
        return "a character that is not seen"
    plain = QUOTED.sub(_escapes_only, REFERENCE.sub(" x ", where))
    for pattern, what in REFUSED:
        if pattern.search(plain):
            return what
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
