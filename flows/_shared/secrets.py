"""Texts without what nobody may read: logins in addresses, known tokens, values named as secret.

A rule by words for texts of which no secret is known. Where one is known it is replaced by itself.
"""

import re

HIDDEN = "*****"
LONGEST = 10_000
SCHEME = r"(\w:/{1,3}|(?<!\S)//)"
# To the last @ of the word; a password behind a colon may have spaces, a port is none.
LOGIN = re.compile(rf"{SCHEME}(?:[^\s/@:]*:(?![0-9]{{1,5}}(?:[\s/]|$))[^/@]*|\S*)@")
LOGIN_IN_WORD = re.compile(rf"{SCHEME}\S*@")
ENCODED_LOGIN = re.compile(r"(\w%(?:25)*3a(?:%(?:25)*2f){2})\S*(?=%(?:25)*40)", re.IGNORECASE)
BARE_LOGIN = re.compile(r"""(?<![\w/@.-])([\w.+-]+:)[^\s/@"']+@(?=[\w-])""")
_OF_A_KEY = r"[A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,9}-{4,5}"
PRIVATE_KEY = re.compile(
    rf"-{{4,5}} ?BEGIN {_OF_A_KEY}.*?(?:-{{4,5}} ?END {_OF_A_KEY}|\Z)"
    r"|(?<=Private-Lines: ).*?(?:Private-MAC: \S+|\Z)"
    # Its first line is cut off in the middle.
    r"|(?<!PUBLIC )KEY-{4,5}(?:\s|\\+[nr])+[A-Za-z0-9+/]{40,}.*?(?:-{4,5} ?END[A-Z0-9 -]*|\Z)",
    re.DOTALL,
)
END_OF_A_KEY = re.compile(rf"-{{4,5}} ?END {_OF_A_KEY}")
# Read backwards: the last line, whole ones before it, and one that may be cut off.
_BREAK = r"(?:\s|[nr]\\+)*(?:[\r\n]|[nr]\\+)(?:\s|[nr]\\+)*"
LINES_BEFORE_AN_END = re.compile(
    r"(?:\s|[nr]\\+)*[A-Za-z0-9+/=]+(?!\\)"
    r"(?:(?:\s|[nr]\\+)+[A-Za-z0-9+/=]{40,}(?!\\))*"
    rf"(?:{_BREAK}[A-Za-z0-9+/=]+(?!\\))?"
)
# At the beginning of a word, also behind what an encoded character ends with.
BEGINNING = (
    r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt])|(?<=\\u[0-9A-Fa-f]{4})"
    r"|(?<=\\x[0-9A-Fa-f]{2}))"
)
KNOWN_TOKEN = re.compile(
    rf"{BEGINNING}(?:"
    r"gh[pousr]_[A-Za-z0-9]{6,}|github_pat_\w{6,}|ATBB[\w-]{12,}|ATCTT3x[\w=-]{12,}"
    r"|gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[\w-]{12,}"
    r"|xox[a-z]-[\w-]{8,}|A(?:KIA|SIA)[A-Z0-9]{12,}|AIza[\w-]{20,}|sk-[\w-]{16,}"
    r"|[sr]k_(?:live|test)_\w{12,}|SG\.[\w-]{16,}[\w.-]*|ya29\.[\w-]{16,}|pypi-[\w-]{16,}"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{16,}"
    r"|(?:hf|npm|pn[ub])_[A-Za-z0-9]{20,}|do[opr]_v1_[a-f0-9]{20,}"
    r"|eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?)",
    re.ASCII,
)
SCHEME_OF_A_HEADER = r"(?:bearer|basic|digest|negotiate|token|apikey)"
BARE_HEADER = re.compile(
    rf"\b({SCHEME_OF_A_HEADER}\s+)"
    r"(?=[\w.~+/-]*(?:[0-9=_~+/-]|\.\w)|[\w.]{16})[\w.~+/-]{5,}[\w=~+/-]={0,2}(?![\w=~+/-])",
    re.IGNORECASE | re.ASCII,
)
NAME = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|token|credential|signature|authorization|cookie"
    r"|(?:api|access|account|private|client|auth)[_-]?key)[\w.-]{0,100}"
)
# What a sentence about a secret goes on with, where a value would stand: one of the former words
# stands before one of either, since a value of several words may begin so, too.
BEFORE_MORE = (
    r"(?:an?|are|at|be|been|can|cannot|could|did|do|does|for|from|has|have|in|is|it|its|may|must"
    r"|neither|no|none|nor|not|of|on|or|should|that|the|there|they|this|to|was|were|which|you|your)"
)
ENOUGH = (
    r"(?:accepted|block|empty|environment|expired|file|found|given|invalid|known|least|missing"
    r"|needed|none|please|read|refused|registered|required|revoked|set|unknown|unset|variable|wrong)"
)
AT_ITS_END = r"(?=[,.;:)]?(?:\s|$))"
PROSE = re.compile(rf"(?:{BEFORE_MORE}|{ENOUGH}){AT_ITS_END}", re.IGNORECASE)
IS = r"(?::=|[=:]>?|->|%(?:25)*3[ad])"
QUOTED = r"(?:\"(?:[^\"\\]|\\.)*(?:\"|$)|'(?:[^'\\]|\\.|'')*(?:'|$))"
PAIR = re.compile(
    rf"(?P<name>(?:{NAME}(?:\\*[\"']?\s*{IS}|\\*[\"']\s*,(?=\s*b?\\*[\"']))"
    rf"|(?<=[?&])(?:key|code|jwt|ticket)\s*=|(?<![A-Za-z])(?:sig|pass|auth)\s*(?:=>?|%(?:25)*3d)"
    # What dbt ends with.
    r"(?![0-9]+ WARN=))(?:\s|[|>][+-]?\s)*)"
    r"(?P<value>\\+\".*?(?:\\+\"|$)"
    rf"|b?{QUOTED}|[\[({{][^\])}}]*(?:[\])}}]|$)"
    r"|digest\s+\w+=(?:\"[^\"]*\"|[^\s,]+)(?:,\s*\w+=(?:\"[^\"]*\"|[^\s,]+))*"
    rf"|{SCHEME_OF_A_HEADER}\s+\S+|(?:{BEFORE_MORE}\s+)?(?:[^\s\\]|\\ ?)+)",
    re.IGNORECASE | re.DOTALL,
)
# As SQL and a file of logins are given them.
STATEMENT = re.compile(
    r"(?P<name>(?:password(?:\s+for\s+\S{1,200}\s*=)?"
    r"|\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)(?:\s+password)?|(?-i:\bSECRET))"
    r"(?:\s+|\s*\(\s*)\\*)"
    rf"(?P<value>(?:\b(?:E|N|U&))?{QUOTED}|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))"
    r"|(?P<login>\blogin\s+\S+\s+password\s+)\S+",
    re.IGNORECASE | re.DOTALL,
)
# Host, port, database and user go before the password; a second number is a place in a file.
LINE_OF_PGPASS = re.compile(
    r"((?<![\w.:*\]/\\-])(?:[\w.*-]{1,253}|(?:[0-9a-f.]|\\:){2,90}|\[[0-9a-f:.]{2,45}\])"
    r":(?:[0-9]{1,5}|\*):(?![0-9]+:)(?:[^\s:\\]|\\.){1,63}:(?:[^\s:\\]|\\.){1,63}:)"
    r"(?:\\[ \t]|\S)+"
)
QUOTED_OR_WORD = r"""(?:"[^"\n]*"|'[^'\n]*'|[^\s-]\S*)"""
# As programs are given them.
OPTION = re.compile(
    r"(?P<name>(?<![\w-])--?[\w-]{0,40}(?:pass(?:word|wd|phrase)|pwd|pw|secret|token|credential"
    r"|(?:api|access|account|private|client|auth)[_-]?key)s?[ \t]{1,9}|(?<!\w)pass:(?=\S))"
    rf"(?P<value>{QUOTED_OR_WORD})",
    re.IGNORECASE,
)
# Elsewhere such a letter is a port, a folder or a parameter.
_TO_THE_OPTION = r"[^\n|;&]{0,200}?[ \t]"
SHORT_OPTION = re.compile(
    r"(?P<name>(?:"
    rf"\b(?:(?:mysql|mariadb)\w{{0,20}}|login|mongo\w{{0,10}}|sshpass|curl|redis-cli){_TO_THE_OPTION}"
    r"(?:-p[ \t]?|-a[ \t]|(?:-u[ \t]?|--user[ =])[^\s:]{1,100}:)"
    rf"|\b(?:sqlcmd|bcp|[io]sql|(?:un)?zip|ipmitool){_TO_THE_OPTION}-P[ \t]?"
    rf"|\bldap[a-z]{{1,10}}{_TO_THE_OPTION}-w[ \t]|\b7z[ar]?{_TO_THE_OPTION}-p"
    rf"))(?P<value>{QUOTED_OR_WORD})"
)
GOES_ON = re.compile(r"(?:and|as|but|if|then|when|with)\b", re.IGNORECASE)
COUNT = re.compile(r"token(?:s|_count)\\*[\"']?\s*[=:]\s*$", re.IGNORECASE)
BLOCK = re.compile(r"_block\\*[\"']?\s*[=:]\s*$", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text, of a long one its beginning, with stars for what is or may be a secret."""
    if len(text) > LONGEST:
        # Of a word that is cut off the end may be missing that tells what it is.
        text = re.sub(r"\S*$", "", text[:LONGEST])
    text = _without_ends_of_keys(PRIVATE_KEY.sub(HIDDEN, text))
    text = LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = LOGIN_IN_WORD.sub(rf"\1{HIDDEN}@", text)
    text = ENCODED_LOGIN.sub(rf"\1{HIDDEN}", text)
    text = BARE_LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = STATEMENT.sub(rf"\g<name>\g<login>{HIDDEN}", text)
    text = PAIR.sub(_without_value, text)
    text = OPTION.sub(_without_option, text)
    text = SHORT_OPTION.sub(rf"\g<name>{HIDDEN}", text)
    text = LINE_OF_PGPASS.sub(rf"\1{HIDDEN}", text)
    text = BARE_HEADER.sub(rf"\1{HIDDEN}", text)
    return KNOWN_TOKEN.sub(HIDDEN, text)


def _without_ends_of_keys(text: str) -> str:
    """Without what stands before the last line of a private key whose first one is missing."""
    kept, read_to = [], 0
    for end in END_OF_A_KEY.finditer(text):
        before = text[read_to : end.start()]
        lines = LINES_BEFORE_AN_END.match(before[::-1])
        kept += [before[: len(before) - (lines.end() if lines else 0)], HIDDEN]
        read_to = end.end()
    return "".join([*kept, text[read_to:]])


def _without_value(pair: re.Match[str]) -> str:
    name, value = pair["name"], pair["value"]
    is_after_colon = name.rstrip().endswith(":") and name[-1].isspace()
    goes_on = is_after_colon and all(PROSE.match(word) for word in value.split())
    is_count = COUNT.search(name) and re.fullmatch(r"[0-9][0-9,._]*", value)
    is_told = goes_on or is_count or BLOCK.search(name)
    return pair[0] if is_told else f"{name}{HIDDEN}"


def _without_option(option: re.Match[str]) -> str:
    name, value = option["name"], option["value"]
    is_count = name.rstrip().lower().endswith("tokens") and value.isdecimal()
    is_told = PROSE.match(value) or GOES_ON.match(value) or is_count
    return option[0] if is_told else f"{name}{HIDDEN}"
