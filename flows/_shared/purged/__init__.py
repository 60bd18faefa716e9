"""People who were purged: known by keyed hashes of their names alone, shown by a pseudonym.

The one door to telling whether a name is that of somebody who was purged. A name is an address
(``email:jane@example.org``), a login (``login:jane``), a number (``account:17``) or what a person
is called (``jane doe``), in small letters. The key lies beside the hashes: it keeps lists of hashes
of known addresses from matching, not who holds both from trying one that they guess.
"""

from flows._shared.purged.documents import is_document
from flows._shared.purged.people import (
    DOMAIN,
    KEY_BYTES,
    Person,
    Purged,
    address_of,
    entries,
    is_pseudonym,
    new_person,
    nobody,
    of_address,
    of_names,
    pseudonym_in,
    remembered,
)
from flows._shared.purged.spelling import (
    MOST_WORDS,
    WORD,
    flat,
    is_generic,
    plain,
    spellings,
    words_of,
)

__all__ = [
    "DOMAIN",
    "KEY_BYTES",
    "MOST_WORDS",
    "WORD",
    "Person",
    "Purged",
    "address_of",
    "entries",
    "flat",
    "is_document",
    "is_generic",
    "is_pseudonym",
    "new_person",
    "nobody",
    "of_address",
    "of_names",
    "plain",
    "pseudonym_in",
    "remembered",
    "spellings",
    "words_of",
]
