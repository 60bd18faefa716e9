"""What a database may take lies below what its container has."""

from pathlib import Path

import pytest

from flows._shared.available_memory import FORK_VARIABLE, within_memory

GIBIBYTE = 2**30


def told(root: Path, groups: str, files: dict[str, str]) -> Path:
    for name, content in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/\n", {"sys/fs/cgroup/memory.max": f"{GIBIBYTE}\n"}),
        (
            "0::/kubepods/pod1/run\n",
            {
                "sys/fs/cgroup/kubepods/pod1/run/memory.max": "max\n",
                "sys/fs/cgroup/kubepods/pod1/memory.max": f"{GIBIBYTE}\n",
            },
        ),
        (
            "5:cpu:/a\n4:memory:/docker/a\n",
            {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIBIBYTE}\n"},
        ),
    ],
)
def test_a_limit_above_the_containers_is_a_share_of_it(
    tmp_path: Path, groups: str, files: dict[str, str]
) -> None:
    root = told(tmp_path, groups, files)
    assert within_memory("2GB", root) == "644MB"
    assert within_memory("500 MiB", root) == "500 MiB"


def test_without_a_container_the_limit_is_as_it_is_set(tmp_path: Path) -> None:
    assert within_memory("300MB", tmp_path) == "300MB"
    assert within_memory("300MB", told(tmp_path, "0::/\n", {"sys/fs/cgroup/memory.max": "max\n"}))


def test_what_a_fork_may_take_and_the_machine_has_are_limits_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert within_memory("100TB", tmp_path) != "100TB"
    monkeypatch.setenv(FORK_VARIABLE, str(GIBIBYTE))
    assert within_memory("2GB", tmp_path) == "644MB"


def test_what_is_no_size_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 apples is no size"):
        within_memory("2 apples", tmp_path)
