"""Whether DuckDB may read lines of JSON by itself.

What is nested ten thousandfold ends DuckDB's process, and it knows no names of OTLP but those of
now, as JSON spells them.
"""

import re
from pathlib import Path

import orjson

from flows._shared.input_files import open_input
from flows._shared.weighed import OPENERS, has_more_values
from flows.agent_analytics.rules import MOST_VALUES

# The reader that is asked refuses a little more; readers of protobuf end at a hundred.
DEEPEST = 1_000
# DuckDB reads blocks of 32 MiB, or of twice the longest line, and needs up to 400 bytes for each
# value in one: longer lines are read one at a time.
SHORT_LINE_BYTES = 16 << 20
# Agents' values stand further apart: of others a block would hold too many.
BYTES_OF_A_VALUE = 16
# No key of OTLP's JSON has an underscore, every name of more words in its messages does.
UNDERSCORED_KEY = re.compile(rb'_[A-Za-z]{0,80}+"[ \t\r]{0,80}+:')
FORMER_NAMES = b'"instrumentationLibrary'
# Keys like those that hold data, in other letters.
CAPITAL_KEY = re.compile(rb'"[ARKVSIDB][A-Za-z]{0,80}+"[ \t\r]{0,80}+:')
# Of a line with neither DuckDB makes nothing, without a word: traces, or misspelled names.
KEYS = (b'"resourceLogs"', b'"resourceMetrics"')
LOWER_VALUE = re.compile(rb'"[a-z]{1,20}value"[ \t\r]{0,80}+:')


def is_ordinary(path: Path) -> bool:
    """Whether all lines of the file are ordinary ones, of few values each."""
    with open_input(path) as file:
        while line := file.readline(SHORT_LINE_BYTES + 1):
            if weight_of(line) or not is_ordinary_line(line):
                return False
    return True


def weight_of(line: bytes) -> int:
    """How many values stand in a line, where they stand close together; else 0."""
    if len(line) <= 2 * DEEPEST:
        return 0
    found = sum(map(line.count, OPENERS))
    return found if found * BYTES_OF_A_VALUE > len(line) else 0


def is_ordinary_line(line: bytes) -> bool:
    """Whether a line is not nested too deep, unreadable, of more values than a run holds, in
    another spelling, or of something else than logs and metrics."""
    if not any(key in line for key in KEYS) and not line.isspace():
        return False
    if UNDERSCORED_KEY.search(line) or FORMER_NAMES in line or CAPITAL_KEY.search(line):
        return False
    if line.count(b'value"') > line.count(b'"value"') and LOWER_VALUE.search(line):
        return False
    # So many brackets open in few lines, and in none that is short.
    if len(line) > 2 * DEEPEST and line.count(b"[") + line.count(b"{") > DEEPEST:
        if len(line) > SHORT_LINE_BYTES or has_more_values(line, MOST_VALUES):
            return False
        try:
            orjson.loads(line)
        except orjson.JSONDecodeError:
            return False
    return True
