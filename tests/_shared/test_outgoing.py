"""Proxies and tokens that no request may be sent with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows._shared.outgoing import (
    MalformedTokenError,
    ProxyAddressError,
    check_proxies,
    header_token,
)
from flows._shared.revisions import read_revision
from flows.agent_analytics.source.copilot import copilot_client
from flows.github_scraper.settings import GithubApiSettings
from flows.github_scraper.source.command import GitLimits
from flows.github_scraper.source.connect import Secrets, open_api
from flows.github_scraper.source.git import open_mirror
from flows.scout.records import EmbeddingEndpoint
from flows.scout.source.embeddings import fetch_embeddings
from flows.webhooks.networks import published
from flows.webhooks.settings import PublishedNetworks

NOWHERE = "https://127.0.0.1:9"


def mirror(folder: Path, token: str) -> None:
    limits = GitLimits(30, 10**9, 5)
    with open_mirror(f"{NOWHERE}/o/r", folder, limits, token, NOWHERE) as opened:
        opened.fetch()


def api(folder: Path, token: str) -> None:
    open_api(Secrets((("block", token),)), GithubApiSettings(host_url=NOWHERE))


def revision(folder: Path, token: str) -> None:
    read_revision("HEAD", ["a"], f"{NOWHERE}/o/r", token)


def copilot(folder: Path, token: str) -> None:
    with copilot_client(NOWHERE, token) as client:
        next(client.fetch_legacy("o", []), None)


def embeddings(folder: Path, token: str) -> None:
    fetch_embeddings(EmbeddingEndpoint(NOWHERE, "m", token), ["a"], 2, 10)


def networks(folder: Path, token: str) -> None:
    published(PublishedNetworks(url=f"{NOWHERE}/x", pointer="/hooks"))


Ask = Callable[[Path, str], Any]
WITH_TOKEN: list[Ask] = [mirror, api, revision, copilot, embeddings]


@pytest.mark.parametrize("ask", [*WITH_TOKEN, networks])
def test_a_proxy_with_a_login_that_cannot_be_read_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ask: Ask
) -> None:
    monkeypatch.setenv("https_proxy", "http://bob:hunter2#x@127.0.0.1:9")
    with pytest.raises(ProxyAddressError, match=r"https_proxy.*Percent-encode") as raised:
        ask(tmp_path, "ghp_token")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("ask", WITH_TOKEN)
@pytest.mark.parametrize("token", ["ghp_hunter2é", "ghp_\0hunter2", "hunter2 x"])
def test_a_token_that_no_header_may_hold_is_not_repeated(
    tmp_path: Path, ask: Ask, token: str
) -> None:
    with pytest.raises(MalformedTokenError, match="register its block") as raised:
        ask(tmp_path, token)
    assert "hunter2" not in str(raised.value)


def test_space_around_a_token_is_none_of_it() -> None:
    assert header_token(" ghp_a-b_c=\n", "here") == "ghp_a-b_c="


@pytest.mark.parametrize(
    "proxy",
    [
        "bob:hunter2#x@proxy:80",
        "http://bob:hunter2?x@proxy:80",
        "http://bob:hunter2/x@proxy:80",
        "http://hunter2/x:y@proxy:80",
        "http://bob:12345/hunter2@proxy:80",
        "http://bob:hunter2@x@proxy:80",
        "http://bob:hunter2%zz@proxy:80",
        "http://bob:hunter2%0a@proxy:80",
        "http://bob:hunter2",
        "http://bob:hun ter2@proxy",
        "ftp://hunter2@proxy",
    ],
)
def test_a_proxy_that_cannot_be_read_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy)
        with pytest.raises(ProxyAddressError, match=name) as raised:
            check_proxies()
        assert "ter2" not in str(raised.value)
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "proxy:3128",
        "http://proxy.example.org:3128/",
        "http://bob:a%23b%2Fc@proxy:80",
        "bob:p@proxy",
        "HTTPS://x!$&'()*+,;=-._~é:y:z@[::1]:80",
        "socks5h://u:p@10.0.0.1:1080",
        "socks4://proxy",
    ],
)
def test_a_proxy_that_can_be_read_is_taken(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    check_proxies()
