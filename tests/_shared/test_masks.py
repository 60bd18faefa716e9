"""Addresses of people are masked where they leave the databases; other words with @ are not."""

import time

import pytest

from flows._shared.markdown import code
from flows._shared.masks import SHOWN_VARIABLE, masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("jane.doe+x@example.org: no logs", "j***@example.org: no logs"),
        (
            '[{"note": "j@a.example, k@b.example."}]',
            '[{"note": "j***@a.example, k***@b.example."}]',
        ),
        ("Key (email)=(jane@example.org) exists", "Key (email)=(j***@example.org) exists"),
        ("zoë@exämple.org", "z***@exämple.org"),
        ("git@github.com:owner/name", "git@github.com:owner/name"),
        ("ssh://git@host.example/name", "ssh://git@host.example/name"),
        (
            "jane@example.org:22 jane@example.org:8080/x",
            "j***@example.org:22 j***@example.org:8080/x",
        ),
        ("https://host/jane@example.org?x", "https://host/j***@example.org?x"),
        (
            "ssh://jane@host.example/x jane@host.example:x",
            "ssh://j***@host.example/x j***@host.example:x",
        ),
        ("jane@localhost wrote", "j***@localhost wrote"),
        ("?user=jane%40example.org&x", "?user=j***%40example.org&x"),
        ("org-12@github.com:owner/name", "org-12@github.com:owner/name"),
        ("purged-0123456789ab@purged.invalid", "purged-0123456789ab@purged.invalid"),
        ("...jane@example.org .jane@x.example", "...j***@example.org .j***@x.example"),
        ("jane@@example.org jane@%40x.example", "j***@example.org j***%40x.example"),
        ("@jane@example.org @@.jane@x.example", "@j***@example.org @@.j***@x.example"),
        ("jane@doe.example@x.example", "j***@x.example"),
        ("jane@a@x.example@ jane@x.example..", "j***@x.example@ j***@x.example.."),
        ("jane%2540x.example jane\\@x.example", "j***%2540x.example j***\\@x.example"),
        (
            "jane@doe.example@purged-0123456789ab@purged.invalid",
            "j***@purged.invalid",
        ),
        ("@jane, mode=a@b, $.x", "@jane, mode=a@b, $.x"),
    ],
)
def test_an_address_is_masked(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHOWN_VARIABLE, raising=False)
    assert masked(text) == shown
    assert masked(shown) == shown
    monkeypatch.setenv(SHOWN_VARIABLE, "true")
    assert masked(text) == text


def test_a_long_text_takes_no_long_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHOWN_VARIABLE, raising=False)
    text = "a" * 300_000 + "@" + "b." * 100_000
    assert masked(text).endswith("b.")
    begun = time.process_time()
    for part in ("@", ".", "a@", "@a", "a.", "%40", "a%40", "a@b.c@", "a@b.c-", "\\@", ".@a"):
        masked(part * (1_000_000 // len(part)) + "@")
    assert time.process_time() - begun < 10


def test_code_is_masked_as_text_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHOWN_VARIABLE, raising=False)
    assert code("for jane@example.org") == "`for j***@example.org`"
