"""Who was purged is found again in whatever way a name is written, and nobody else is."""

import json
import time

import pytest

from flows._shared.purged import Purged, address_of, is_pseudonym, new_person, of_names, words_of

PERSON = "purged-0123456789ab"
AT = address_of(PERSON)
NAMES = (
    "email:jane.doe@example.org", "login:jane-d", "jane doe", "jane maria doe", "jd",
    "0f8fad5b-d9cb-469f-a165-70867728950e", "seán o’brien", "email:o'brien@example.org",
    "josé núñez", "jean-luc doe", "account:17", "jane d. doe",
)  # fmt: skip


@pytest.fixture(scope="module")
def purged() -> Purged:
    return of_names(NAMES, PERSON)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Signed-off-by: Jane Doe <Jane.Doe@Example.org>", f"Signed-off-by: {PERSON} <{AT}>"),
        ("Co-authored-by: J. <jane.doe@example.org>\n", f"Co-authored-by: {PERSON} <{AT}>\n"),
        ("By JANE  DOE. Thanks", f"By {PERSON}. Thanks"),
        ("thanks, Jane Maria Doe!", f"thanks, {PERSON}!"),
        ("Jane\nDoe", f"{PERSON}"),
        ("ask jane.doe@example.org.", f"ask {AT}."),
        ("mailto:jane.doe@example.org?x", f"mailto:{AT}?x"),
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Jane Doe** and _Jane Doe_, “Jane Doe”", f"**{PERSON}** and _{PERSON}_, “{PERSON}”"),
        ("**Jane** **Doe**; _Jane_ _Doe_", f"**{PERSON}**; _{PERSON}_"),
        ("author=Jane Doe;email=jane.doe@example.org", f"author={PERSON};email={AT}"),
        ("q=Jane+Doe&m=jane.doe%40example.org", f"q={PERSON}&m={AT}"),
        ("/Jane%20Doe—Jane Doe…", f"/{PERSON}—{PERSON}…"),
        ("**jane.doe@example.org** _jane.doe@example.org_", f"**{AT}** _{AT}_"),
        ("“jane.doe@example.org”—jane.doe@example.org’s", f"“{AT}”—{AT}’s"),
        ("<mailto:jane.doe@example.org>", f"<mailto:{AT}>"),
        ("Jane Doe's, Jane Doe’s, Sean O'Brien's", f"{PERSON}'s, {PERSON}’s, Sean O'Brien's"),
        ("Seán O'Brien, SEÁN O’BRIEN and Seán O`Brien", f"{PERSON}, {PERSON} and {PERSON}"),
        ("'o'brien@example.org' o’brien@example.org", f"'{AT}' {AT}"),
        ("Jose\u0301 Nu\u0301n\u0303ez", PERSON),
        ("Doe, Jane and Jane D Doe", f"{PERSON} and {PERSON}"),
        ("Jean‑Luc Doe, Ja\u00adne Do\u200de", f"{PERSON}, {PERSON}"),
        ("> Jane\n> Doe and Jane\\nDoe", f"> {PERSON} and {PERSON}"),
        ("Signed-off-by: Jane Doe\nCo-authored-by: jane-d\n",
         f"Signed-off-by: {PERSON}\nCo-authored-by: {PERSON}\n"),
        ("Cc: Ann <a@b.example>, J. D. <jane.doe@example.org>",
         f"Cc: Ann <a@b.example>, {PERSON} <{AT}>"),
        ("> Cc: ann@b.example, D, J <jane.doe@example.org>",
         f"> Cc: ann@b.example, {PERSON} <{AT}>"),
        ("a@b.example@jane.doe@example.org", f"a@b.example@{AT}"),
        ("https://github.com/jane-d/x git@github.com:jane-d/x.git",
         f"https://github.com/{PERSON}/x git@github.com:{PERSON}/x.git"),
        ("https://api.github.com/users/jane-d/x raw.githubusercontent.com/jane-d",
         f"https://api.github.com/users/{PERSON}/x raw.githubusercontent.com/{PERSON}"),
        ("17+jane-d@users.noreply.github.com jane-d@users.noreply.github.com", f"{AT} {AT}"),
        ('user: jane-d, login: "jane-d"', f'user: {PERSON}, login: "{PERSON}"'),
        ("refs/heads/jane-d/x 'origin/jane-d/x'", f"refs/heads/{PERSON}/x 'origin/{PERSON}/x'"),
        ("Jane Doe <noreply@github.com>", f"{PERSON} <noreply@github.com>"),
        ("https://jane-d.github.io avatars.githubusercontent.com/u/17?v=4",
         f"https://{PERSON}.github.io avatars.githubusercontent.com/u/{PERSON}?v=4"),
        ("/home/jane-d/x author=jane-d", f"/home/{PERSON}/x author={PERSON}"),
        ("C:\\Users\\jane-d\\x", f"C:\\Users\\{PERSON}\\x"),
        ("Merge branch 'jane-d/x', (@jane-d), _@jane-d_",
         f"Merge branch '{PERSON}/x', (@{PERSON}), _@{PERSON}_"),
    ],
)  # fmt: skip
def test_signs_beside_and_within_names_hide_nobody(purged: Purged, text: str, shown: str) -> None:
    assert purged.text(text) == shown
    assert purged.text(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "@jane-d_corp @jane-d-corp @jane-dé @jane-d--x x@jane-d /@jane-d@x",
        "https://github.com/jane-d_corp/x jane-d-x.github.io githubusercontent.com/u/170",
        "Jane Doe <jane@other.example>, Jane Doe (jane@other.example)",
        "**Jane Doe** (Acme) <jane@other.example>",
        "mary.jane.doe@example.org mary+jane.doe@example.org jane.doe@example.org.example",
        "jane_doe jane.doe jane-doe JaneDoe jane/doe Jane: Doe; I told jane. Doe",
        "Jane Doering and MaryJane Doe; Jane Doe-Smith",
        "by John Doe, Jane Smith and Al Doe, Jane",
        "from jd and to jd, jd: 17",
    ],
)
def test_what_is_somebody_elses_stays(purged: Purged, text: str) -> None:
    assert purged.text(text) == text


def test_a_login_is_theirs_whose_account_has_the_number() -> None:
    listed = of_names(("account:17", "login:jane-d", "numbered:jane-d"), PERSON)
    host = "users.noreply.github.com"
    assert listed.text(f"17+any@{host} 99+jane-d@{host}") == f"{AT} 99+jane-d@{host}"


def test_a_signature_shows_whose_name_it_is(purged: Purged) -> None:
    assert purged.signed("Whoever", "Jane.Doe@example.org") == PERSON
    assert purged.signed("Jane Doe", "jane@other.example") == "Jane Doe"
    assert purged.signed("jane.doe@example.org", "jane@other.example") == AT
    assert purged.signed("Jane Doe", "") == PERSON
    assert purged.signed("Jane Doe", AT) == PERSON
    assert purged.alone("Jane Doe <jane@other.example>") == "Jane Doe <jane@other.example>"
    assert purged.alone("Dr. J <jane.doe@example.org>") == f"{PERSON} <{AT}>"


@pytest.mark.parametrize(
    "name",
    ["root", "Your Name", "unknown", "J. D.", "A B", "GitHub Actions", "First Last", "the team",
     "J. Doe", "name", "", "No Name Given:", "Jane Doe / Acme", "x" * 400],
)  # fmt: skip
def test_what_many_sign_with_is_not_looked_for(name: str) -> None:
    assert words_of(name) == 0
    text = f"as {name} said, {name}"
    assert of_names([name], PERSON).text(text) == text


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


def test_a_word_of_json_is_a_name_where_its_key_says_so(purged: Purged) -> None:
    document = """{"ref": "jd", "size": 17, "jd": "jd", "big": 1e400, "x": 1.50,
        "sender": {"login": "jane-d", "id": 17, "node_id": "MDQ6VXNlcjE3", "size": 3},
        "pusher": {"name": "jd", "email": "JANE.doe@example.org"}, "label": {"name": "jd"},
        "assignees": ["jd", "ann"], "mergedBy": "jd", "by \\ud800": "Jane Doe \\ud800",
        "jane.doe@example.org": 1, "Jane Doe": 2, "raw": "{\\"user\\": \\"jd\\"}",
        "attributes": [{"key": "user.id", "value": {"stringValue": "jd"}},
                       {"key": "tool", "value": {"stringValue": "jd"}}]}"""
    shown = purged.json(document)
    assert '"big": 1e400, "x": 1.50' in shown
    assert "\\ud800" in shown
    shown.encode()
    read = json.loads(shown)
    mail, name = (next(key for key, value in read.items() if value == n) for n in (1, 2))
    assert mail.startswith(f"{AT}/")
    assert name.startswith(f"{PERSON}/")
    assert (read["ref"], read["size"], read["jd"], read["label"]["name"]) == ("jd", 17, "jd", "jd")
    assert read["sender"] == {"login": PERSON, "id": 0, "node_id": "", "size": 3}
    assert read["pusher"] == {"name": PERSON, "email": AT}
    assert (read["assignees"], read["mergedBy"]) == ([PERSON, "ann"], PERSON)
    assert json.loads(read["raw"]) == {"user": PERSON}
    assert [each["value"]["stringValue"] for each in read["attributes"]] == [PERSON, "jd"]
    assert purged.json(shown) == shown


@pytest.mark.parametrize(
    ("who", "document"),
    [
        ("jd", '{"value": {"stringValue": "§"}, "key": "user.id"}'),
        ("jd", '{"value":{"arrayValue":{"values":[{"stringValue":"§"}]}},"key":"user.id"}'),
        ("jd", '{"value": {"kvlistValue": {"values": [{"value": "§", "key": "login"}]}}}'),
        ("jd", '[{"value": "jd", "key": "tool"}, {"value": "§", "key": "login"}]'),
        ("jd", '{"value": "jd", "x": {"key": "user.id"}}'),
        ("jd", '[{"name": "user.id", "value": "§"}, {"value": "§", "name": "user.id"}]'),
        ("jd", '{"name": "tool", "value": "jd"}'),
        ("jd", '{"x": " {\\"user\\": \\"§\\"}"}'),
        ("jd", '{"x": "[\\"Doe\\", \\"Jane\\"]"}'),
        ("Jane-D", '{"full_name": "§/x", "nameWithOwner": "§/y", "repository": "§/z"}'),
        ("jane-d", '{"label": "§:patch-1", "x": "jane-d:patch", "y": "jane-d/x"}'),
        ("jane-d", '{"full_name": "jane-dx/x", "repository": "x/jane-d", "label": "jane-d"}'),
    ],
)  # fmt: skip
def test_what_stands_beside_a_value_tells_whose_it_is(
    purged: Purged, who: str, document: str
) -> None:
    shown = document.replace("§", PERSON)
    assert purged.json(document.replace("§", who)) == shown
    assert purged.json(shown) == shown


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


def test_a_message_that_names_nobody_is_passed_over_by_its_words() -> None:
    """A hash for each word of each message takes milliseconds, were all words asked for."""
    purged = of_names([f"jane{number} doe{number}" for number in range(100)], PERSON)
    words = " ".join(f"word{number % 300}" for number in range(100_000))
    asked = len(purged.text(words).split())
    began = time.process_time()
    assert purged.text(words) == words
    assert time.process_time() - began < asked * 5e-6
