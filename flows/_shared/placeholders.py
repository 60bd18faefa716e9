"""Words that stand where an identifier is missing: who shares one is not one person."""

import re

PLACEHOLDERS = (
    "undefined", "null", "(null)", "none", "nil", "nan", "n/a", "na", "unknown", "anonymous",
    "default", "unset", "not set", "not_set", "empty", "missing", "-", "?", "<unknown>", "<none>",
    "[object object]",
)  # fmt: skip
# Identifiers of nothing: 0, and those of zeros alone.
ZEROS = "[0-]+"
# What a shell, a template or a reader of instructions was to put something in the place of. Of what
# Python's expressions and DuckDB's share, and without two braces in a row, which dbt would expand.
UNEXPANDED = (
    "[$][{(]|[{][{].*[}][}]|[{][A-Za-z_.: ]+[}]|<[^<>@]+>|^`.*`$"
    "|(^|[^A-Za-z0-9_])[$][A-Za-z_][A-Za-z0-9_:]*($|[^A-Za-z0-9_$])"
    "|(^|[^A-Za-z0-9])%[A-Za-z_][A-Za-z0-9_]+%($|[^A-Za-z0-9])"
)


def known_id(text: str | None) -> str | None:
    """An identifier without the blanks around it, None where a placeholder stands for one."""
    trimmed = (text or "").strip()
    is_placeholder = (
        trimmed.lower() in PLACEHOLDERS
        or re.fullmatch(ZEROS, trimmed) is not None
        or re.search(UNEXPANDED, trimmed) is not None
    )
    return None if is_placeholder else trimmed or None
