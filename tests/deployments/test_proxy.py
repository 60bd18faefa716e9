"""Behind a proxy: what is on this machine is asked past it."""

import os
from unittest.mock import patch

import pytest

from deployments.cli.app import main
from deployments.local import commands, runtime
from deployments.local.paths import LocalPaths

PROXY = "http://127.0.0.1:9"
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
EXCEPTIONS = ("no_proxy", "NO_PROXY")


@pytest.fixture
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EXCEPTIONS:
        monkeypatch.delenv(name, raising=False)
    for name in PROXIES:
        monkeypatch.setenv(name, PROXY)


@pytest.mark.usefixtures("behind_a_proxy")
def test_what_is_on_this_machine_is_asked_past_a_proxy(
    prefect_server: str,
    local_paths: LocalPaths,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("no_proxy", "intranet.example")
    monkeypatch.setattr(commands, "LocalPaths", lambda: local_paths)
    monkeypatch.setattr("deployments.cli.settings.LocalPaths", lambda: local_paths)
    for looks in ("OF_MACHINE", "OF_SERVER", "OF_OUTSIDE"):
        monkeypatch.setattr(f"deployments.cli.doctor.{looks}", ())
    with patch.dict(os.environ):
        assert main(["doctor"]) == 0, capsys.readouterr().out
    with patch.dict(os.environ):
        assert main(["env"]) == 0
    shown = capsys.readouterr().out.splitlines()
    for name in EXCEPTIONS:
        assert f"export {name}=intranet.example,localhost,127.0.0.1,::1" in shown
    given = runtime.environment(local_paths, prefect_server)
    assert {given[name] for name in EXCEPTIONS} == {"intranet.example,localhost,127.0.0.1,::1"}
    assert {given[name] for name in PROXIES} == {PROXY}


def test_without_a_proxy_nothing_is_left_out_of_it(
    prefect_server: str, local_paths: LocalPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*PROXIES, *EXCEPTIONS, "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    given = runtime.environment(local_paths, prefect_server)
    assert not {*EXCEPTIONS} & given.keys()
