"""What a commit says of people who were purged: their pseudonym, wherever they stand."""

from collections.abc import Callable
from dataclasses import replace

from flows._shared.purged import Purged, address_of
from flows.github_scraper.records import Commit, Signature
from flows.github_scraper.rules.people import COAUTHOR_TRAILER, Mailmap, identify

WhoSigned = Callable[[str, str], str | None]


def name_of_address(address: str) -> str:
    """The identity that an address stands for: of a noreply address the account."""
    return identify("", address, 0).key


def person_of(purged: Purged, signature: Signature, repository_id: int) -> str | None:
    """Who signed, if that is somebody who was purged, before or behind the mailmap."""
    written = identify(signature.name, signature.email, repository_id).key
    mapped = identify(signature.name_mapped, signature.email_mapped, repository_id).key
    return purged.person(written) or purged.person(mapped)


def without_purged(purged: Purged, commit: Commit, mailmap: Mailmap, repository_id: int) -> Commit:
    """The commit as it is kept."""

    def who(name: str, email: str) -> str | None:
        return purged.person(identify(*mailmap.lookup(name, email), repository_id).key)

    return replace(
        commit,
        author=as_pseudonym(commit.author, person_of(purged, commit.author, repository_id)),
        committer=as_pseudonym(
            commit.committer, person_of(purged, commit.committer, repository_id)
        ),
        message=message_without(purged, commit.message, who),
    )


def as_pseudonym(signature: Signature, person: str | None) -> Signature:
    if person is None:
        return signature
    address = address_of(person)
    return replace(signature, name=person, email=address, name_mapped=person, email_mapped=address)


def message_without(purged: Purged, message: str, who: WhoSigned) -> str:
    """A message without the names of purged people; ``who`` knows the mailmap."""
    if "-by:" in message.lower():
        parts, done = [], 0
        for match in COAUTHOR_TRAILER.finditer(message):
            if person := who(match["name"].strip(), match["email"].strip()):
                parts += [message[done : match.start("name")], f" {person} <{address_of(person)}"]
                done = match.end("email")
        message = "".join([*parts, message[done:]])
    return purged.text(message)
