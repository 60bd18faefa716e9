"""What requests hold in memory before they are answered, and who holds too much of it."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

SHARE_OF_ADDRESS = 0.5
SHARE_OF_SMALL = 0.25
SMALL_BODY_BYTES = 1024**2
RETRY_AFTER = {"retry-after": "5"}


class RefusedError(Exception):
    """A request that is not taken. ``reason`` is one of a few words, fit for a metric."""

    def __init__(
        self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = dict(headers or {})


@dataclass
class InFlight:
    """How many bytes of bodies all requests together hold in memory, and those of one address.

    Bodies are held before their signature can be checked: no address may hold more than its share,
    and the last quarter is for small bodies, so that few large ones keep nobody else out.
    """

    limit: int
    bytes: int = 0
    by_address: Counter[str] = field(default_factory=Counter)
    # What a body is parsed to is many times as long: of large ones, one at a time, and of others
    # no more than find a core.
    parsing_large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    parsing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    def add(self, address: str, length: int, held: int) -> None:
        """Count bytes of a request that holds ``held`` already.

        Raises:
            RefusedError: 429 for who holds its share, 503 where all together hold too much.
        """
        if self.by_address[address] + length > self.limit * SHARE_OF_ADDRESS:
            raise RefusedError(429, "too much at once", "Too much at once", RETRY_AFTER)
        is_small = held + length <= SMALL_BODY_BYTES
        room = self.limit if is_small else self.limit * (1 - SHARE_OF_SMALL)
        if self.bytes + length > room:
            raise RefusedError(503, "too much at once", "Too much is arriving", RETRY_AFTER)
        self.bytes += length
        self.by_address[address] += length

    def release(self, address: str, length: int) -> None:
        self.bytes -= length
        self.by_address[address] -= length
        if not self.by_address[address]:
            del self.by_address[address]
