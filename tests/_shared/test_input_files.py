"""What is no regular file, or lies elsewhere, is not read, whoever asks for it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flows._shared.errors import PermanentError
from flows._shared.input_files import InputFileRefusedError, open_input
from flows._shared.yaml_keys import read_yaml
from flows.agent_analytics.prices import read_list as read_prices
from flows.github_scraper.flow.tasks import read_list as read_addresses
from flows.report.making import read_agents
from flows.webhooks.__main__ import read_settings


@pytest.mark.parametrize(
    "read",
    [read_yaml, read_prices, read_addresses, read_agents, read_settings],
    ids=["yaml", "prices", "addresses", "agents", "settings"],
)
def test_a_pipe_or_a_device_that_is_named_is_told_and_not_waited_for(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(PermanentError, match=f"{name}: it is no regular file"):
            read(tmp_path / name)


def test_a_link_is_followed_as_far_as_the_folder_goes(tmp_path: Path) -> None:
    (tmp_path / "real" / "day").mkdir(parents=True)
    (tmp_path / "given").symlink_to("real")
    folder = tmp_path / "given"
    (folder / "day" / "a").write_text("a")
    (tmp_path / "secret").write_text("secret")
    (folder / "b").symlink_to("day/a")
    (folder / "up").symlink_to("..")
    (folder / "c").symlink_to(tmp_path / "secret")
    (folder / "round").symlink_to("round")
    for name in ("day/a", "b", "up/real/b"):
        with open_input(folder / name, within=folder) as file:
            assert file.read() == b"a"
    for name in ("c", "up/secret"):
        with pytest.raises(InputFileRefusedError, match=f"{name}.* out of {folder}.*Put the file"):
            open_input(folder / name, within=folder)
    for name in ("day", "up/real"):
        with pytest.raises(InputFileRefusedError, match="no regular file"):
            open_input(folder / name, within=folder)
    (folder / "line\nbreak\udcff").symlink_to("/dev/zero")
    with pytest.raises(InputFileRefusedError, match=r"line\\nbreak\\udcff: a link leads"):
        open_input(folder / "line\nbreak\udcff", within=folder)
    with pytest.raises(OSError, match="symbolic links"):
        open_input(folder / "round", within=folder)
