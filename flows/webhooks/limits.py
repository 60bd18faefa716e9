"""Limits that a flood of requests meets before it costs anything."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MOST_ADDRESSES = 10_000
# The network that one customer of a provider has to himself; its addresses cost nothing.
OWN_PREFIX = 64


@lru_cache(MOST_ADDRESSES)
def sharer(address: str) -> str:
    """Who shares one quota: an IPv4 address, also one written as IPv6; else a network of IPv6."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, OWN_PREFIX), strict=False))


def is_within(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


class Rooms:
    """Rooms that are waited for, of which no address may hold more than half."""

    def __init__(self, rooms: int) -> None:
        self._rooms = rooms
        self._share = max(1, rooms // 2)
        self._held: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    async def enter(self, address: str) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    self._held.total() < self._rooms and self._held.get(address, 0) < self._share
                )
            )
            self._held[address] += 1

    async def leave(self, address: str) -> None:
        async with self._changed:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]
            self._changed.notify_all()


@dataclass
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """A token bucket per client address; the address unseen for longest is forgotten first.

    Args:
        per_second: tokens that come back.
        burst: tokens there are at most.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, address: str, now: float, tokens: int = 1) -> float:
        """Seconds to wait until so many are there; 0 if they were, and are taken.

        Args:
            now: of a clock that only goes forward.
        """
        bucket = self._bucket(address, now)
        if bucket.tokens < tokens:
            return (tokens - bucket.tokens) / self._per_second
        bucket.tokens -= tokens
        return 0.0

    def left(self, address: str, now: float) -> float:
        """Tokens that are there; less than none for who was shut out."""
        return self._bucket(address, now).tokens

    def shut_out(self, address: str, now: float, seconds: float) -> None:
        """Give an address no token for so long."""
        self._bucket(address, now).tokens = -seconds * self._per_second

    def _bucket(self, address: str, now: float) -> _Bucket:
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = _Bucket(self._burst, now)
            if len(self._buckets) > MOST_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(address)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._per_second)
        bucket.at = now
        return bucket
