"""Addresses of people are masked where they leave the databases; other words with @ are not."""

import pytest

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
        ("purged-0123456789ab@purged.invalid", "purged-0123456789ab@purged.invalid"),
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
