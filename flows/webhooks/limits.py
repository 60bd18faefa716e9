"""Limits that a flood of requests meets before it costs anything."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

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

    def take(self, address: str, now: float) -> float:
        """Seconds to wait until the next request; 0 if this one may pass.

        Args:
            now: of a clock that only goes forward.
        """
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = _Bucket(self._burst, now)
            if len(self._buckets) > MOST_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(address)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._per_second)
        bucket.at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._per_second
        bucket.tokens -= 1
        return 0.0
