"""Texts without what nobody may read: logins in addresses, known tokens, values named as secret.

A rule by words for texts of which no secret is known. Where one is known it is replaced by itself.
"""

import re

HIDDEN = "*****"
LONGEST = 10_000
SCHEME = r"(\w://)"
# To the last @ of the word; a password behind a colon may have spaces, a port is none.
LOGIN = re.compile(rf"{SCHEME}(?:[^\s/@:]*:(?![0-9]{{1,5}}(?:[\s/]|$))[^/@]*|\S*)@")
LOGIN_IN_WORD = re.compile(rf"{SCHEME}\S*@")
BARE_LOGIN = re.compile(r"""(?<![\w/@.-])([\w.+-]+:)[^\s/@"']+@(?=[\w-])""")
KNOWN_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"gh[pousr]_[A-Za-z0-9]{6,}|github_pat_\w{6,}|ATBB[\w-]{12,}|ATCTT3x[\w=-]{12,}"
    r"|gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[\w-]{12,}"
    r"|xox[a-z]-[\w-]{8,}|A(?:KIA|SIA)[A-Z0-9]{12,}|AIza[\w-]{20,}|sk-[\w-]{16,}"
    r"|eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?)",
    re.ASCII,
)
SCHEME_OF_A_HEADER = r"(?:bearer|basic|digest|negotiate|token|apikey)"
BARE_HEADER = re.compile(
    rf"\b({SCHEME_OF_A_HEADER}\s+)(?=\S*[0-9=._~+/-]|\S{{16}})(?!\S*[^\w=.~+/-])\S{{6,}}",
    re.IGNORECASE | re.ASCII,
)
NAME = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|token|credential|signature|authorization|cookie"
    r"|(?:api|access|account|private|client|auth)[_-]?key)[\w.-]{0,100}"
)
PAIR = re.compile(
    rf"(?P<name>(?:{NAME}\\*[\"']?\s*[=:]|key\\*[\"']?\s*=|(?<![A-Za-z])(?:sig|pass|auth)\s*=)\s*)"
    r"(?P<value>\\+\".*?(?:\\+\"|$)"
    r"|\"(?:[^\"\\]|\\.)*(?:\"|$)|'(?:[^'\\]|\\.)*(?:'|$)"
    rf"|{SCHEME_OF_A_HEADER}\s+\S+|\S+)",
    re.IGNORECASE | re.DOTALL,
)
# What a sentence goes on with, where a value would stand.
PROSE = re.compile(
    r"(?:an?|are|be|been|can|cannot|could|did|do|does|expired|for|from|has|have|in|invalid|is|it"
    r"|its|may|missing|must|neither|no|none|nor|not|of|on|or|please|required|revoked|should|that"
    r"|the|there|they|this|to|unknown|unset|was|were|which|wrong|you|your)(?=[\s,.;]|$)",
    re.IGNORECASE,
)
COUNT = re.compile(r"tokens\s*[=:]\s*$", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text, of a long one its beginning, with stars for what is or may be a secret."""
    text = LOGIN.sub(rf"\1{HIDDEN}@", text[:LONGEST])
    text = LOGIN_IN_WORD.sub(rf"\1{HIDDEN}@", text)
    text = BARE_LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = PAIR.sub(_without_value, text)
    text = BARE_HEADER.sub(rf"\1{HIDDEN}", text)
    return KNOWN_TOKEN.sub(HIDDEN, text)


def _without_value(pair: re.Match[str]) -> str:
    name, value = pair["name"], pair["value"]
    goes_on = name.rstrip().endswith(":") and name[-1].isspace() and PROSE.match(value)
    is_count = COUNT.search(name) and re.fullmatch(r"[0-9][0-9,._]*", value)
    return pair[0] if goes_on or is_count else f"{name}{HIDDEN}"
