"""The one door to masking addresses of people in what leaves the databases: artifacts, the report.

Who may read the marts finds the whole address there. `SHOWN_VARIABLE` shows it everywhere.
"""

import os
import re

SHOWN_VARIABLE = "ANALYTICS_FLOWS_SHOW_ADDRESSES"
# No part of a longer word; to the last @ of the word, whatever else stands in it.
ADDRESS = re.compile(
    r"(?<![\w.+%@-])(?P<signs>[.@]*)(?P<first>[\w+%-])(?P<rest>[\w.+%@-]*)"
    r"(?P<at>\\?@|%(?:25)*40)"
    r"(?P<domain>[\w-]+(?:\.[\w-]+)+|localhost)(?!\w)"
)
# Of an address such as git@github.com:owner/name the user is nobody.
NO_PERSON = re.compile(r"git|org-[0-9]+")
NOBODY = ("purged.invalid",)


def masked(text: str) -> str:
    """The text with the first letter and the domain alone of each address in it."""
    if not ("@" in text or "%" in text) or os.environ.get(SHOWN_VARIABLE, "").lower() in (
        "1",
        "true",
        "yes",
    ):
        return text
    return ADDRESS.sub(_mask, text)


def is_address(text: str) -> bool:
    """Whether it is an address of a person and nothing else."""
    found = ADDRESS.fullmatch(text)
    return found is not None and _mask(found) != text


def _mask(address: re.Match[str]) -> str:
    local = address["first"] + address["rest"]
    if NO_PERSON.fullmatch(local) or ("@" not in local and address["domain"] in NOBODY):
        return address[0]
    return f"{address['signs']}{address['first']}***{address['at']}{address['domain']}"
