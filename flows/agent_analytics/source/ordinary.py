"""Whether DuckDB may read lines of JSON by itself.

What is nested ten thousandfold ends DuckDB's process, and it knows no names of OTLP but those of
now, as JSON spells them.
"""

import re
from pathlib import Path

import orjson

from flows._shared.input_files import open_input

# The reader that is asked refuses a little more; readers of protobuf end at a hundred.
DEEPEST = 1_000
# Longer ones are read line by line in any case.
ORDINARY_LINE_BYTES = 16 << 20
# No key of OTLP's JSON has an underscore, every name of more words in its messages does.
UNDERSCORED_KEY = re.compile(rb'_[A-Za-z]{0,80}+"[ \t\r]{0,80}+:')
FORMER_NAMES = b'"instrumentationLibrary'
# Keys like those that hold data, in other letters.
CAPITAL_KEY = re.compile(rb'"[ARKVSIDB][A-Za-z]{0,80}+"[ \t\r]{0,80}+:')
# Of a line with neither DuckDB makes nothing, without a word: traces, or misspelled names.
KEYS = (b'"resourceLogs"', b'"resourceMetrics"')
LOWER_VALUE = re.compile(rb'"[a-z]{1,20}value"[ \t\r]{0,80}+:')


def is_ordinary(path: Path) -> bool:
    """Whether no line of the file is nested too deep, unreadable, in another spelling, or of
    something else than logs and metrics."""
    with open_input(path) as file:
        while line := file.readline(ORDINARY_LINE_BYTES + 1):
            if not any(key in line for key in KEYS) and not line.isspace():
                return False
            if UNDERSCORED_KEY.search(line) or FORMER_NAMES in line or CAPITAL_KEY.search(line):
                return False
            if line.count(b'value"') > line.count(b'"value"') and LOWER_VALUE.search(line):
                return False
            # So many brackets open in few lines, and in none that is short.
            if len(line) > 2 * DEEPEST and line.count(b"[") + line.count(b"{") > DEEPEST:
                if len(line) > ORDINARY_LINE_BYTES:
                    return False
                try:
                    orjson.loads(line)
                except orjson.JSONDecodeError:
                    return False
    return True
