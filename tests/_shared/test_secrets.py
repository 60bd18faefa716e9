"""What is told of a text of which no secret is known."""

import time

import pytest

from flows._shared.secrets import without_secrets


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "hunter2"}',
        "password := hunter2",
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
        "https%3A%2F%2Fu%3Ahunter2%40host%2Fx",
        "https%253A%252F%252Fu%253Ahunter2%2540host",
        "https:/u:hunter2@host/x",
        "//u:hunter2@host/x",
        "Authorization%3A%20Basic%20hunter2",
        "?sig%3Dhunter2",
        "token%3Dghp_hunter2hunter2",
        "%20ghp_hunter2hunter2",
        "line\\nghp_hunter2hunter2",
        "seen \\u0022ghp_hunter2hunter2",
        "{'Authorization': b'Basic hunter2'}",
        "[(b'authorization', b'Bearer hunter2hunter2')]",
        "it sent 'Bearer hunter2.abc'",
        "password='it''s hunter2'",
        "password: | hunter2",
        "password -> hunter2",
        "password => hunter2",
        "password: on,hunter2",
        "password: in.hunter2",
        "passwords: [a, hunter2]",
        "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIhunter2\n-----END RSA PRIVATE" + " KEY----- x",
        "-----BEGIN PRIVATE" + " KEY-----\\nMIIhunter2",
        "seen ya29." + "hunter2hunter2hunter2",
        "https://u:hunter2" + "x" * 20_000 + "@host",
        "ran psql --password hunter2 -h x",
        "--token=hunter2",
        "--api-key 'my hunter2 words'",
        "-token hunter2",
        "docker login -u jane -p hunter2 host",
        "mysql -uroot -phunter2 db",
        "curl -u jane:hunter2 https://host",
        "sshpass -p hunter2 ssh host",
        "redis-cli -a hunter2 ping",
    ],
)
def test_what_is_or_may_be_a_secret_is_not_told(text: str) -> None:
    told = without_secrets(f"Before {text}")
    assert "hunter2" not in told.lower()
    assert told.startswith("Before ")
    assert "*****" in told or len(text) > 10_000


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
        "commit 3f2a9c0d1e4b5a69788796a5b4c3d2e1f0a9b8c7, run 7b7a1e9e-1c0a-4a3c-9f0e-6f9a1d2b3c4d",
        "Done. PASS=12 WARN=0 ERROR=1 SKIP=0",
        "a foreign key = id, sort key=week",
        "token_block: github-token, password_block: scout-postgres",
        'column "token_count": 5',
        "send a bearer token.",
        "give --password and --user, or --token is read from the block",
        "mkdir -p a/b && psql -p 5432 && prefect deployment run x -p dry_run=false",
        "docker run -u 1000:1000 -p 8080:80 x",
    ],
)
def test_words_that_hold_no_secret_are_told(text: str) -> None:
    assert without_secrets(text) == text


def test_a_long_text_takes_no_time() -> None:
    begun = time.perf_counter()
    for part in (
        "://",
        "password=",
        "a:",
        "'\"",
        "eyJa.",
        "Bearer ",
        "x" * 50,
        "password: \\",
        "-----BEGIN PRIVATE" + " KEY-----",
    ):
        without_secrets(part * 100_000)
    assert time.perf_counter() - begun < 5
