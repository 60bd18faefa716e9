"""Credential blocks that a person registered: `flows up` and `flows run` keep them, and say so.

A block is a person's if it was changed after it was registered from here, or if a server that the
environment names had it before anything was.
"""

from collections.abc import Iterable, Iterator, Mapping

from blocks import BlockNeed
from deployments.local.api import PrefectApi

# The server had the block before anything was registered from here.
BEFORE = ""


def by_hand(
    needs: Iterable[BlockNeed],
    remembered: Mapping[str, str] | None,
    api: PrefectApi,
    *,
    is_external: bool,
) -> Iterator[BlockNeed]:
    """Blocks that somebody else than `flows up` wrote last.

    Args:
        remembered: what `remember` gave after they were registered last; None if they never were.
        is_external: the server is of the user's own.
    """
    for need in needs:
        written = api.block_written(need.kind.block_type, need.name)
        ours = (remembered or {}).get(need.name)
        is_older = ours is None and remembered is None and is_external
        if written is not None and (is_older or (ours is not None and written != ours)):
            yield need


def remember(
    needs: Iterable[BlockNeed],
    kept: Iterable[BlockNeed],
    remembered: Mapping[str, str] | None,
    api: PrefectApi,
) -> dict[str, str]:
    """When each block was written, as the server tells it, after these needs were registered."""
    known = dict(remembered or {})
    for need in needs:
        if written := api.block_written(need.kind.block_type, need.name):
            known[need.name] = written
    for need in kept:
        known[need.name] = (remembered or {}).get(need.name, BEFORE)
    return known


def told(kept: Iterable[BlockNeed]) -> str:
    """What is kept, and what gives it back."""
    needs = sorted(kept, key=lambda each: each.name)
    names = ", ".join(each.name for each in needs)
    first = needs[0]
    return (
        f"Kept as registered by hand: {names}. Runs use what is in there; "
        f"`prefect block delete {first.kind.block_type}/{first.name}` and `flows up` again make it "
        f"that of this machine, {first.variable} another"
    )
