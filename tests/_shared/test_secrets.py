"""What is told of a text of which no secret is known."""

import time

import pytest

from flows._shared.secrets import without_secrets


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "hunter2"}',
        '{"password": "my hunter2 \\" words", "a": 1}',
        r'"{\"password\": \"my hunter2 words\"}"',
        '"client_secret": "hunter2',
        "{'api_key': 'hunter2'}",
        "Authorization: Bearer hunter2",
        "authorization: Basic hunter2==",
        "Authorization: hunter2",
        "it sent Bearer hunter2.abc",
        "x-api-key: hunter2",
        "AccountName=a;AccountKey=hunter2==;x",
        "SharedAccessKey=hunter2",
        "pwd=hunter2",
        "passphrase: hunter2",
        "credentials=hunter2",
        "https://blob/x?sv=1&sig=hunter2%3D&se=2",
        "https://s3/x?X-Amz-Credential=hunter2&X-Amz-Signature=hunter2",
        "https://maps/x?key=hunter2",
        "seen ghp_hunter2hunter2hunter2 there",
        "seen github_pat_hunter2hunter2 there",
        "seen gloas-hunter2hunter2hunter2",
        "seen AKIAHUNTER2HUNTER2",
        "seen eyJhunter2.eyJhunter2.hunter2",
        "user:hunter2@host/o/r",
        "git clone user:hunter2@host",
        "password='my hunter2 words'",
        'password="my hunter2 words"',
        "password = hunter2",
        "DBT_ENV_SECRET_POSTGRES_PASSWORD=hunter2",
        "password=not-hunter2",
        "postgresql://u:pa/hunter2@host/db",
        "postgresql://u:p@hunter2@host/db",
        "postgresql://u:p#hunter2?@host/db",
        "redis://:pa hunter2@h",
        "postgresql://u:pa hunter2@h/db",
        "https://hunter2@host/o/r",
        "https://u:hunter2@h and postgresql://u:hunter2@k",
    ],
)
def test_what_is_or_may_be_a_secret_is_not_told(text: str) -> None:
    told = without_secrets(f"Before {text}")
    assert "hunter2" not in told.lower()
    assert told.startswith("Before ")
    assert "*****" in told


@pytest.mark.parametrize(
    "text",
    [
        "token: it has expired",
        "DBT_ENV_SECRET_POSTGRES_PASSWORD: not set",
        "the password: is wrong, register it again",
        "the block secret/scout-token is missing",
        "input_tokens: 512 and output_tokens=1,024",
        "at https://host:8080/x for somebody at example.org",
        "http://127.0.0.1:4200 did not answer",
        "git@github.com:owner/name",
        "a bearer token is needed",
        "the key: id of table x",
        "by signal__domain at 12:30",
    ],
)
def test_words_that_hold_no_secret_are_told(text: str) -> None:
    assert without_secrets(text) == text


def test_a_long_text_takes_no_time() -> None:
    begun = time.perf_counter()
    for part in ("://", "password=", "a:", "'\"", "eyJa.", "Bearer ", "x" * 50, "password: \\"):
        without_secrets(part * 100_000)
    assert time.perf_counter() - begun < 5
