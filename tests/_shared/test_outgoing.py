"""Proxies and tokens that no request may be sent with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from threading import Thread
from typing import Any

import pytest

from flows._shared.outgoing import (
    MalformedTokenError,
    ProxyAddressError,
    check_proxies,
    header_token,
    open_client,
    trusted,
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
from tests.certificates import one_certificate

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


@pytest.mark.parametrize("ask", [api, copilot, embeddings, networks])
@pytest.mark.parametrize(
    ("name", "value"),
    [("no_proxy", "[::1]"), ("all_proxy", "socks4://127.0.0.1:9")],
)
def test_what_requests_cannot_use_of_the_environment_is_an_error_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ask: Ask, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ProxyAddressError, match=rf"{name}.*without brackets") as raised:
        ask(tmp_path, "ghp_token")
    assert value not in str(raised.value)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_proxy_of_socks_is_gone_through(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """The proxy is one of our own, and what is asked for lies behind no name but its own."""
    with socks_proxy() as (address, asked):
        monkeypatch.setenv("all_proxy", f"{scheme}://{address}")
        with open_client(timeout=5) as client:
            assert client.get("http://behind.example/").text == "through"
    assert asked == [b"behind.example"]


@contextmanager
def socks_proxy() -> Iterator[tuple[str, list[bytes]]]:
    """A SOCKS 5 proxy that answers what it is asked for itself, and the names it was asked for."""
    asked: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nthrough"

    class Proxy(StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.read(self.rfile.read(2)[1])
            self.wfile.write(b"\x05\x00")
            self.rfile.read(4)
            asked.append(self.rfile.read(self.rfile.read(1)[0]))
            self.rfile.read(2)
            self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with TCPServer(("127.0.0.1", 0), Proxy) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}", asked
        thread.join()


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


def test_certificates_are_read_once_and_anew_where_the_environment_names_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert trusted() is trusted()
    others = tmp_path / "certificates.pem"
    others.write_text(one_certificate())
    monkeypatch.setenv("SSL_CERT_FILE", str(others))
    assert len(trusted().get_ca_certs()) == 1
