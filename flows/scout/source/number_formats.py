"""What the number format of a cell shows beside its figures: a currency, or zeros before them."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unicodedata import category

from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE

# As `dbt_projects/scout/macros/currencies.sql` has them, but for those with a symbol.
_WORDS = "Ft Kc Kč P R RM Rp Rs S/ VNĐ kr lei zl zł đ лв 円 원"
_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP
    BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP
    GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR
    KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
    MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR
    SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS
    UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
WORDS, CODES = frozenset(_WORDS.split()), frozenset(_CODES.split())
# Small letters that may be of a measure (feet, reams) are no sign.
_SPELLINGS = frozenset(
    spelling
    for word in WORDS
    for spelling in ([word] if len(word) == 1 else [word, word.lower(), word.upper(), word.title()])
    if spelling not in {"ft", "rm"}
)
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|\[\$(?P<sign>[^\]-]*)(-[^\]]*)?\]|\[[^\]]*\]|[_*].'
    r"|(?P<figure>[0#?,.%/@ ()+-])|(?P<end>;)|(?P<bare>.)",
    re.DOTALL,
)
# No part of a sign where amounts are read.
_AROUND_SIGNS = re.compile(r"[\s0-9.,()'+\-\u200e\u200f]")
_LONGEST_SIGN = 4


@dataclass(frozen=True)
class NumberFormat:
    """What stands beside the figures: the sign of a currency, or zeros up to a width."""

    sign: str = ""
    width: int = 0

    def __bool__(self) -> bool:
        return bool(self.sign or self.width)

    def shown(self, number: float) -> float | str:
        """The number with its sign, never grouped, or with its zeros; else as it is."""
        if self.sign:
            figures = format(Decimal(repr(number)), "f")
            # Three decimals could be read as a group of thousands.
            return f"{self.sign} {figures}{'0' if re.search(r'[.]...$', figures) else ''}"
        if number >= 0 and number == int(number):
            return f"{int(number):0{self.width}d}"
        return number


def formats_of(book: Any) -> dict[int, NumberFormat]:
    """By the number of a style those formats of an openpyxl book that show more than figures."""
    codes = dict(BUILTIN_FORMATS) | dict(
        enumerate(book._number_formats, start=BUILTIN_FORMATS_MAX_SIZE)
    )
    found = {code: number_format(text) for code, text in codes.items()}
    return {
        number: found[style.numFmtId]
        for number, style in enumerate(book._cell_styles)
        if found.get(style.numFmtId)
    }


def number_format(code: str) -> NumberFormat:
    """What a format such as `[$€-407] #,##0.00` or `00000` shows of a number above 0."""
    words = [""]
    for token in _TOKEN.finditer(code):
        if token["end"]:
            break
        if sign := _AROUND_SIGNS.sub("", token["sign"] or ""):
            return NumberFormat(sign=_as_currency(sign) or sign[:_LONGEST_SIGN])
        if token["figure"]:
            words.append("")
        else:
            words[-1] += token["quoted"] or token["escaped"] or token["bare"] or ""
    for word in words:
        if sign := _as_currency(_AROUND_SIGNS.sub("", word)):
            return NumberFormat(sign=sign)
    zeros = re.match(r"(0{2,})(;|$)", code)
    return NumberFormat(width=len(zeros[1]) if zeros else 0)


def _as_currency(word: str) -> str:
    """The sign or code of a currency, or nothing."""
    if word.upper() in CODES and not word.islower():
        return word.upper()
    is_sign = word in _SPELLINGS or any(category(letter) == "Sc" for letter in word)
    return word if is_sign and len(word) <= _LONGEST_SIGN else ""
