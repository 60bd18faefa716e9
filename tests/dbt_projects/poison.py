"""What tests of rows share that a sender can write and that must stop nobody: for every domain."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

BUILT = {"success", "pass", "warn", "no-op"}


@dataclass(frozen=True)
class Told:
    """What is known of a row that was put aside: who sent it, and why it is no row like others."""

    sender: str
    reason: str


def assert_nobody_is_stopped(statuses: Mapping[str, str], told: Collection[str] = ()) -> None:
    """Every model was built and every test passed, but for the tests that tell of such rows."""
    assert statuses
    stopped = {name: each for name, each in statuses.items() if each not in BUILT}
    assert set(stopped) <= set(told), stopped


def assert_each_is_named(expected: Mapping[str, Told], found: Mapping[str, Told]) -> None:
    """Each row that must be put aside was, with its sender, for a reason that says what is wrong.

    Args:
        expected: by the name of the row; of the reason a part that must occur.
        found: the same of what the domain put aside.
    """
    missing = [name for name in expected if name not in found]
    assert not missing, f"taken like any other row: {missing}"
    for name, each in expected.items():
        assert found[name].sender == each.sender, name
        assert each.reason in found[name].reason, (name, found[name])
