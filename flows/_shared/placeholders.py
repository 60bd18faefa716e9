"""Words that stand where an identifier is missing: who shares one is not one person."""

import re

PLACEHOLDERS = (
    "undefined", "null", "(null)", "none", "nil", "nan", "n/a", "na", "unknown", "anonymous",
    "default", "unset", "not set", "not_set", "empty", "missing", "-", "?", "<unknown>", "<none>",
    "[object object]",
)  # fmt: skip
# Identifiers of nothing: 0, and those of zeros alone.
ZEROS = "[0-]+"


def known_id(text: str | None) -> str | None:
    """An identifier without the blanks around it, None where a placeholder stands for one."""
    trimmed = (text or "").strip()
    is_placeholder = trimmed.lower() in PLACEHOLDERS or re.fullmatch(ZEROS, trimmed) is not None
    return None if is_placeholder else trimmed or None
