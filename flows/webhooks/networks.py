"""From which addresses a source may post: those of its settings, and those its sender publishes."""

import logging
import threading
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import httpx

from flows._shared.errors import PermanentError, TransientError
from flows._shared.outgoing import open_client
from flows.webhooks.bodies import at
from flows.webhooks.settings import PublishedNetworks, Source

Network = IPv4Network | IPv6Network
READ_SECONDS = 10


class Networks:
    """The allow-lists of the sources; published ones are read again while the receiver runs.

    Args:
        sources: those that are served.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._published = {
            each.name: each.published_networks for each in sources if each.published_networks
        }
        self._found: dict[str, tuple[Network, ...]] = {}
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._refresh, args=each, name=f"networks-{each[0]}")
            for each in self._published.items()
        ]
        self._log = logging.getLogger("webhooks.networks")

    def load(self) -> None:
        """Read every published list.

        Raises:
            PermanentError: there is no list of networks at that address.
            TransientError: the address does not answer.
        """
        self._found = {name: published(each) for name, each in self._published.items()}

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def allow(self, source: Source, address: str) -> bool:
        allowed = source.networks + self._found.get(source.name, ())
        # A list that has not been read lets nobody in.
        if not allowed and source.name not in self._published:
            return True
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in allowed)

    def _refresh(self, name: str, list_of: PublishedNetworks) -> None:
        while not self._is_over.wait(list_of.refresh_seconds):
            try:
                found = published(list_of)
            except (PermanentError, TransientError) as error:
                # The list read before stays in force.
                self._log.warning("networks not read", extra={"source": name, "error": str(error)})
                continue
            if found != self._found[name]:
                self._log.info("networks changed", extra={"source": name, "active": len(found)})
                self._found[name] = found


def published(list_of: PublishedNetworks) -> tuple[Network, ...]:
    """The networks that a sender publishes, at least one.

    Raises:
        PermanentError: the answer holds no list of networks there.
        TransientError: the address does not answer.
    """
    attempted = f"reading the networks at {list_of.url}"
    try:
        with open_client(timeout=READ_SECONDS) as client:
            response = client.get(list_of.url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TransientError(
            attempted, f"{type(error).__name__}: {error}", "Check the network and the address"
        ) from None
    if response.status_code == 429 or response.status_code >= 500:
        raise TransientError(attempted, f"it answered {response.status_code}", "Try again later")
    try:
        found = at(response.raise_for_status().json(), list_of.pointer)
        networks = tuple(ip_network(each) for each in found)
    except (httpx.HTTPStatusError, ValueError, TypeError):
        networks = ()
    if not networks:
        raise PermanentError(
            attempted,
            f"it answered {response.status_code} with no list of networks at {list_of.pointer}",
            "Correct `published_networks`, or list the addresses in `networks`",
        )
    return networks
