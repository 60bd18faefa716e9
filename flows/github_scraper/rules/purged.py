"""What a commit says of people who were purged: their pseudonym, wherever they stand."""

import re
from collections.abc import Callable
from dataclasses import replace

from flows._shared.purged import Purged, address_of, pseudonym_in
from flows.github_scraper.records import Commit, Signature
from flows.github_scraper.rules.people import SPACE_OF_GIT, Mailmap, identify

TRAILER = re.compile(
    r"^[ \t>]*[\w-]{1,40}-by:(?P<name>[^<\n]*)<(?P<email>[^>\n]*)>", re.IGNORECASE | re.MULTILINE
)
WhoSigned = Callable[[str, str], str | None]


def name_of_address(address: str) -> str:
    """The identity that an address stands for: of a noreply address the account."""
    return identify("", address, 0).key


def person_of(purged: Purged, signature: Signature, repository_id: int) -> str | None:
    """Who signed, if that is somebody who was purged, before or behind the mailmap.

    Who gave no address is whom the name tells, if nobody else signs with it.
    """
    for name, email in (
        (signature.name, signature.email),
        (signature.name_mapped, signature.email_mapped),
    ):
        key = identify(name, email, repository_id).key
        person = purged.person(key)
        if person is None and key.startswith("name:"):
            person = pseudonym_in(purged.signed(name, ""))
        if person is not None:
            return person
    return None


def without_purged(purged: Purged, commit: Commit, mailmap: Mailmap, repository_id: int) -> Commit:
    """The commit as it is kept."""

    def who(name: str, email: str) -> str | None:
        return purged.person(identify(*mailmap.lookup(name, email), repository_id).key)

    return replace(
        commit,
        author=signed(purged, commit.author, repository_id),
        committer=signed(purged, commit.committer, repository_id),
        message=message_without(purged, commit.message, who),
    )


def signed(purged: Purged, signature: Signature, repository_id: int) -> Signature:
    """The signature as it is kept."""
    person = person_of(purged, signature, repository_id)
    if person is not None:
        return as_pseudonym(signature, person)
    return replace(
        signature,
        name=purged.signed(signature.name, signature.email),
        name_mapped=purged.signed(signature.name_mapped, signature.email_mapped),
    )


def as_pseudonym(signature: Signature, person: str) -> Signature:
    address = address_of(person)
    return replace(signature, name=person, email=address, name_mapped=person, email_mapped=address)


def message_without(purged: Purged, message: str, who: WhoSigned) -> str:
    """A message without the names of purged people; ``who`` knows the mailmap."""
    if "-by:" in message.lower():
        parts, done = [], 0
        for match in TRAILER.finditer(message):
            if person := who(match["name"].strip(SPACE_OF_GIT), match["email"]):
                parts += [message[done : match.start("name")], f" {person} <{address_of(person)}"]
                done = match.end("email")
        message = "".join([*parts, message[done:]])
    return purged.text(message)
