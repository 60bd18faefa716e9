"""Who was purged is found again in whatever way a name is written, and nobody else is."""

import json

import pytest

from flows._shared.purged import Purged, address_of, is_pseudonym, new_person, words_of

PERSON = "purged-0123456789ab"
AT = address_of(PERSON)
NAMES = (
    "email:jane.doe@example.org", "login:jane-d", "jane doe", "jane maria doe", "jd",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
)  # fmt: skip


@pytest.fixture(scope="module")
def purged() -> Purged:
    empty = Purged(b"key")
    people = {empty.hash_of(name): PERSON for name in NAMES}
    return Purged(b"key", people, frozenset(filter(None, map(words_of, NAMES))))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Signed-off-by: Jane Doe <Jane.Doe@Example.org>", f"Signed-off-by: {PERSON} <{AT}>"),
        ("Co-authored-by: J. <jane.doe@example.org>\n", f"Co-authored-by: {PERSON} <{AT}>\n"),
        ("By JANE  DOE. Thanks", f"By {PERSON}. Thanks"),
        ("thanks, Jane Maria Doe!", f"thanks, {PERSON}!"),
        ("Jane\nDoe", f"{PERSON}"),
        ("ask jane.doe@example.org.", f"ask {AT}."),
        ("mailto:jane.doe@example.org?x", "mailto:jane.doe@example.org?x"),
        ("https://jane.doe@example.org/x", f"https://{AT}/x"),
        ("@jane-d and from jane-d/branch", f"@{PERSON} and from {PERSON}/branch"),
        ("jd is a word, jane is a word, jane-d", "jd is a word, jane is a word, jane-d"),
        ("xjane.doe@example.org jane.doe@example.orgx", None),
        ("mail <jane.doe@example.com>", None),
        ("fix what was made for <jane.doe@example.org>", f"fix what was made for <{AT}>"),
        ("docs: a <b and mail <jane.doe@example.org>", f"docs: a <b and mail <{AT}>"),
        ("", None),
    ],
)
def test_a_text_shows_a_purged_person_by_pseudonym(
    purged: Purged, text: str, shown: str | None
) -> None:
    assert purged.text(text) == (text if shown is None else shown)
    assert purged.text(purged.text(text)) == purged.text(text)


def test_a_value_of_json_that_is_a_name_is_one_and_the_document_stays_one(purged: Purged) -> None:
    document = {
        "user.email": "JANE.doe@example.org",
        "user.id": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "developer": "jd",
        "prompt": 'say "jd"\nJane Doe <jane.doe@example.org>\tand C:\\new',
        "number": 1.50,
    }
    shown = json.loads(purged.json(json.dumps(document)))
    assert shown == {
        "user.email": AT,
        "user.id": PERSON,
        "developer": PERSON,
        "prompt": f'say "jd"\n{PERSON} <{AT}>\tand C:\\new',
        "number": 1.50,
    }


def test_a_name_that_stands_alone_is_known_by_one_word_and_by_login(purged: Purged) -> None:
    assert purged.alone(" JD ") == PERSON
    assert purged.alone("jane-D") == PERSON
    assert purged.alone("Jane.Doe@example.org") == AT
    assert purged.alone("somebody") == "somebody"


def test_no_hash_of_a_name_is_made_without_the_key(purged: Purged) -> None:
    assert Purged(b"other", purged.people, purged.words).text("Jane Doe") == "Jane Doe"


def test_a_pseudonym_is_told_from_names() -> None:
    person = new_person()
    assert is_pseudonym(person)
    assert is_pseudonym(address_of(person))
    assert not is_pseudonym("purged-jane")


def test_quotes_that_nothing_closes_cost_no_more_than_their_length(purged: Purged) -> None:
    """Minutes, were each looked at with all behind it."""
    open_ended = '\\"' * 200_000
    assert purged.json(open_ended) == open_ended
    assert purged.json('{"a": "Jane Doe') == '{"a": "' + PERSON
