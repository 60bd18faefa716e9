import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from flows._shared.errors import PermanentError
from flows._shared.events import SLUGS
from flows.webhooks.__main__ import main, read_settings
from flows.webhooks.secrets import parse, scoped
from flows.webhooks.settings import ANYONE, Endpoint, ReceiverSettings, Source
from flows.webhooks.sources import BUILT_IN, GITHUB, served
from tests.webhooks.harness import register, settings

ENDPOINT = {"path": "/webhook/a", "kind": "any"}


def source(name: str, **changes: Any) -> Source:
    return Source.model_validate({"name": name, "endpoints": [ENDPOINT], **changes})


def test_every_built_in_source_tells_a_slug_of_the_catalogue() -> None:
    slugs = {endpoint.slug for each in BUILT_IN for endpoint in each.endpoints}
    assert slugs == {"github_scraper", "scout", "quality_compass", "agent_analytics"}
    assert slugs <= set(SLUGS)


def test_a_source_of_the_settings_changes_what_it_sets_of_the_built_in_one_of_its_name() -> None:
    own = Source.model_validate({"name": "github", "networks": ["203.0.113.0/24"]})
    names = {each.name: each for each in served(ReceiverSettings(sources=(own,)))}
    assert names["github"] == GITHUB.model_copy(update={"networks": own.networks})
    assert set(names) == {each.name for each in BUILT_IN}
    moved = served(ReceiverSettings(sources=(source("github"),), enabled=("github",)))
    assert [each.path for each in moved[0].endpoints] == ["/webhook/a"]
    only = served(ReceiverSettings(enabled=("scout",)))
    assert [each.name for each in only] == ["scout"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (ReceiverSettings(enabled=("nothing",)), "no source nothing"),
        (ReceiverSettings(sources=(source("a"), source("a"))), "stands there twice"),
        (ReceiverSettings(sources=(source("a"), source("b"))), "path /webhook/a"),
        (ReceiverSettings(sources=(source("a", endpoints=[]),)), "a is no built-in source"),
    ],
)
def test_sources_that_contradict_each_other_are_refused(
    given: ReceiverSettings, message: str
) -> None:
    with pytest.raises(PermanentError, match=message):
        served(given)


def test_no_source_is_unsigned_but_in_these_words() -> None:
    assert source("a", unsigned=ANYONE).unsigned == ANYONE
    for said in (True, "yes", ""):
        with pytest.raises(ValidationError):
            source("a", unsigned=said)


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "/a"},
        {"path": "/a", "kind": "a", "kind_header": "X-A"},
        {"path": "/a", "kind": "a", "without_id": "refuse"},
        {"path": "a", "kind": "a"},
        {"path": "/a", "kind": "a", "unknown": 1},
    ],
)
def test_an_endpoint_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Endpoint.model_validate(wrong)


def test_a_settings_file_says_what_is_wrong_in_it(tmp_path: Path) -> None:
    file = tmp_path / "receiver.yaml"
    assert read_settings(None) == ReceiverSettings()
    file.write_text("")
    assert read_settings(file) == ReceiverSettings()
    file.write_text("prot: 1")
    with pytest.raises(PermanentError, match="prot"):
        read_settings(file)
    file.write_text("port: 1\nsources:\n  - name: own\n    burst: 1\n    burst: 2\n")
    with pytest.raises(PermanentError, match=r"(?s)'burst' stands there twice.*line 5"):
        read_settings(file)
    with pytest.raises(PermanentError, match="No such file"):
        read_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("a secret of a sender", ("a secret of a sender",)),
        ("the newest secret\n\n the one before it \n", ("the newest secret", "the one before it")),
        ("# of 2026\nthe newest secret\n  # the old one is gone", ("the newest secret",)),
        ('["the newest secret", "# the one\\nbefore"]', ("the newest secret", "# the one\nbefore")),
        (f"whsec_{'YWJj' * 8}", (f"whsec_{'YWJj' * 8}",)),
        ("# nothing but words", ()),
        ("", ()),
    ],
)
def test_secrets_are_a_list_or_lines(text: str, secrets: tuple[str, ...]) -> None:
    assert parse(text) == secrets


@pytest.mark.parametrize(
    "text",
    [
        "x",
        '["the newest secret", "changeme"]',
        "the newest secret\nwhsec_",
        "/webhook/scout-transactions changeme",
        "whsec_YWJj",
        "whsec_" + "!" * 40,
        '["                    "]',
    ],
)
def test_what_is_too_short_for_a_secret_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(PermanentError, match="fewer than 16") as refused:
        parse(text)
    assert "changeme" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "paths", "secret"),
    [
        ("/a,/b-c  the-secret-of-a-sender", ("/a", "/b-c"), "the-secret-of-a-sender"),
        ("the secret of a sender", (), "the secret of a sender"),
        ("/is/a+secret=with-a-slash", (), "/is/a+secret=with-a-slash"),
        ("/a, /b-c , /d the-secret-of-a-sender", ("/a", "/b-c", "/d"), "the-secret-of-a-sender"),
        ("/a b c", (), "/a b c"),
    ],
)
def test_a_secret_may_open_some_paths_alone(text: str, paths: tuple[str, ...], secret: str) -> None:
    assert scoped(text) == (paths, secret)


@pytest.mark.parametrize("text", ['["a"', "[1]", '["a", ""]'])
def test_a_broken_list_of_secrets_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(PermanentError, match="one secret a line"):
        parse(text)


def test_the_receiver_refuses_to_start_without_a_secret_and_says_what_to_do(
    prefect_server: str, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = uuid.uuid4().hex[:8]
    register(name, database)
    file = tmp_path / "receiver.yaml"
    own = settings(name, enabled=["shop"])
    next(each for each in own["sources"] if each["name"] == "shop")["secrets_block"] = "no-such"
    file.write_text(yaml.safe_dump(own))
    assert main(["serve", "--settings", str(file)]) == 1
    said = capsys.readouterr().err
    assert "the block secret/no-such is missing or holds none" in said
    assert ANYONE in said
