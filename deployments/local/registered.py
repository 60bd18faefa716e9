"""Credential blocks that a person registered: `flows up` and `flows run` keep them, and say so.

A block is a person's if it was changed after it was registered from here, or if a server that the
environment names had it before anything was.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, urlsplit

from blocks import BlockNeed, Kind
from deployments.local.api import PrefectApi
from deployments.local.processes import accepts
from flows._shared.environment import LOOPBACK

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


def told(kept: Iterable[BlockNeed], api: PrefectApi) -> str:
    """What is kept, and what gives it back; of databases of this machine those that are gone."""
    needs = sorted(kept, key=lambda each: each.name)
    names = ", ".join(each.name for each in needs)
    first = needs[0]
    gone = [
        f". At {where}, which {need.name} names, nothing answers: it is to be deleted so, or that "
        "database to be started"
        for need in needs
        if need.kind is Kind.POSTGRES and (where := unanswered(address(api, need.name)))
    ]
    return (
        f"Kept as registered by hand: {names}. Runs use what is in there; "
        f"{delete(first)} and `flows up` again make it "
        f"that of this machine, {first.variable} another{''.join(gone)}"
    )


def delete(need: BlockNeed) -> str:
    return f"`prefect block delete {need.kind.block_type}/{need.name}`"


def unanswered(url: str | None) -> str | None:
    """Where an address of this machine leads to, if no program takes calls there."""
    parts = urlsplit(url or "")
    is_gone = parts.hostname in LOOPBACK and not accepts(parts.port or 5432)
    return f"{parts.hostname}:{parts.port or 5432}" if is_gone else None


def address(api: PrefectApi, block: str) -> str | None:
    """The address that a connector block holds; None where there is no such block."""
    path = f"block_types/slug/{Kind.POSTGRES.block_type}/block_documents/name/{block}"
    found = api.find(f"{path}?include_secrets=true")
    info = (found or {}).get("data", {}).get("connection_info")
    if isinstance(info, str):
        return re.sub(r"^postgresql\+\w+://", "postgresql://", info)
    if not isinstance(info, dict):
        return None
    login = quote(str(info.get("username") or ""), safe="")
    if info.get("password"):
        login += ":" + quote(str(info["password"]), safe="")
    host = f"{info.get('host') or 'localhost'}:{info.get('port') or 5432}"
    query = "&".join(
        f"{key}={quote(str(value))}" for key, value in (info.get("query") or {}).items()
    )
    return f"postgresql://{login}@{host}/{info.get('database') or ''}{'?' + query if query else ''}"
