"""Numbers of JSON as PostgreSQL's jsonb writes them out: of `1e-999` it makes a thousand digits."""

import re

# A text of PostgreSQL ends at 1 GB, and a row that is copied or exported holds more than one.
MOST_WRITTEN = 64 << 20
_ESCAPED = re.compile(r'\\[\\"]')
# Longer ones are past the range of PostgreSQL's numbers.
_EXPONENT = re.compile(r"[eE][+-]?0*+([0-9]{1,6})")
_LONG_NUMBER = re.compile(r"[eE][+-]?0*+[0-9]{4}|(?<![0-9])[0-9]{1000}")


def is_writable(text: str) -> bool:
    """Whether jsonb surely writes a JSON text in at most ``MOST_WRITTEN`` characters."""
    # It puts blanks behind commas and colons.
    return _zeros(_without_texts(text)) <= MOST_WRITTEN - 2 * len(text)


def has_long_number(text: str) -> bool:
    """Whether a number of a JSON text has a thousand digits, or an exponent of four."""
    return bool(_LONG_NUMBER.search(text) and _LONG_NUMBER.search(_without_texts(text)))


def _zeros(text: str) -> int:
    """As many at most stand in place of exponents."""
    return sum(map(int, _EXPONENT.findall(text)))


def _without_texts(text: str) -> str:
    """Taken to pieces at its quotes, which takes a third of the time that finding texts does."""
    plain = _ESCAPED.sub("", text) if "\\" in text else text
    return '""'.join(plain.split('"')[::2])
